"""Have an executor train the trials of a rung: cut them into jobs, and put the outcomes together by number."""

from pipeline.common.outcome import Outcome
from pipeline.common.process_pool import Executor
from pipeline.common.progress import TrialProgress
from pipeline.execution.jobs import Job
from pipeline.search.trials import Rung, value_of
from pipeline.training.batched_heads import is_stackable, stacks
from pipeline.training.run_context import RunContext, drop_states


def jobs_of_rung(rung: Rung, seed: int) -> list[Job]:
    """Cut a rung into jobs, in order of their first trial; which trials share a job depends on the rung only."""
    recipes, until = rung.recipes, rung.until
    heads = [number for number, recipe in recipes.items() if is_stackable(recipe)]
    jobs = [Job((n,), (recipe,), seed, until[n]) for n, recipe in recipes.items() if not is_stackable(recipe)]
    for members in stacks([recipes[number] for number in heads]):
        numbers = tuple(heads[i] for i in members)
        jobs.append(Job(numbers, tuple(recipes[n] for n in numbers), seed, until[numbers[0]], rung.cohort))
    return sorted(jobs, key=lambda job: job.numbers)


class TrialRunner:
    """Train the trials of a search, and show the progress on a bar."""

    def __init__(self, executor: Executor, bar: TrialProgress, seed: int) -> None:
        self._executor, self._bar, self._seed = executor, bar, seed
        self._jobs: list[Job] = []

    def train(self, rung: Rung) -> dict[int, Outcome]:
        """Train a rung's trials; return their outcomes by number."""
        jobs = jobs_of_rung(rung, self._seed)
        self._jobs += jobs
        self._bar.expect({number: recipe.epochs for number, recipe in rung.recipes.items()}, rung.size)
        outcomes: dict[int, Outcome] = {}
        for job, done in zip(jobs, self._executor.map(jobs, self._bar.on_event)):
            outcomes |= dict(zip(job.numbers, done))
        for number, outcome in outcomes.items():
            self._bar.end(number, rung.until[number], value_of(outcome, rung.objective))
        return outcomes

    def forget(self, context: RunContext) -> None:
        """Delete the states from which finished jobs could resume, once none of them will; results stay."""
        for job in self._jobs:
            for recipe in job.recipes:
                drop_states(recipe, context, job.seed, job.cohort)
        self._jobs = []
