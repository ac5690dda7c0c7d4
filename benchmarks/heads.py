"""How much 1,000 head configurations cost, against one feature pass over the data."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.demo import Demo, clock
from pipeline.common.progress import Progress, TrialProgress
from pipeline.config.recipe import Recipe
from pipeline.execution import jobs
from pipeline.network.build import build
from pipeline.search.halving import whole_trainings
from pipeline.search.study import open_study, tune
from pipeline.search.trial_runner import TrialRunner
from pipeline.search.trials import FinishedTrial, Rung, best, total_flops
from pipeline.tracking import runs
from pipeline.tracking.trial_records import trial_record
from pipeline.training.run_context import CostedNetwork

HEADS = 1000


def measure(demo: Demo) -> dict[str, Any]:
    """Search the frozen row's space with 1,000 trials, each recorded in Optuna and in MLflow."""
    row = demo.row("frozen", trials=HEADS, trials_per_round=250, budget=None)
    with tempfile.TemporaryDirectory() as folder:
        context = demo.context(Path(folder))
        with clock() as one_pass, Progress("feature pass", len(context.dev) * len(context.views), "image") as bar:
            recipe = Recipe(**row.recipe, learning_rate=0.001)
            CostedNetwork(build(recipe, context.dev, 0), recipe, context, bar.step).inputs("head")
        tracker = runs.MlflowTracker(Path(folder), "benchmark", runs.Dataset("elpv", context.dev.digest, "dev"))
        parent = tracker.parent("heads", "heads", {})
        study = open_study(Path(folder) / "optuna.db", "heads")
        spent = {"training": 0.0, "MLflow": 0.0}
        with (
            jobs.executor(1, lambda: jobs.StageContext(context)) as executor,
            TrialProgress(f"{HEADS} heads", HEADS, whole_trainings(row, demo.params.search)) as trials,
        ):
            runner = TrialRunner(executor, trials, demo.params.search.seed)
            tried: list[FinishedTrial] = []

            def train(rung: Rung) -> Any:
                with clock() as used:
                    outcomes = runner.train(rung)
                spent["training"] += used.seconds
                return outcomes

            with clock() as whole:
                for finished in tune(row, demo.params.search, study, train):
                    with clock() as used:
                        runner.forget(context)
                        tracker.children(parent, [trial_record(t, "frozen", {}) for t in finished])
                    spent["MLflow"] += used.seconds
                    tried += finished
    fits = sum(t.outcome.cost.fit_flops for t in tried)
    return {
        "heads_1000_over_feature_pass": (whole.seconds - spent["MLflow"]) / one_pass.seconds,
        "with_mlflow": whole.seconds / one_pass.seconds,
        "in_flops": fits / (total_flops(tried) - fits),
        "cpu_seconds": {
            "feature pass": one_pass.seconds,
            **spent,
            "Optuna": whole.seconds - sum(spent.values()),
        },
        "trials": len(tried),
        "linear": sum(t.recipe.head == "linear" for t in tried),
        "epochs": sum(len(t.outcome.epochs) for t in tried),
        "best_log_loss": best(tried).value,
    }
