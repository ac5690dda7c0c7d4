"""A trial as MLflow shows it."""

from pipeline.search.trials import FinishedTrial
from pipeline.tracking.runs import RunRecord


def trial_record(t: FinishedTrial, strategy: str, tags: dict[str, str]) -> RunRecord:
    """Return what MLflow shows of a trial."""
    recipe, name = t.recipe.model_dump() | {"strategy": strategy}, f"{strategy} trial {t.number}"
    shown = {**tags, "backbone": t.recipe.backbone, "state": t.state, "failed": t.outcome.failed}
    if t.confirms is not None:
        shown["confirms"] = str(t.confirms)
    return RunRecord(f"trial-{t.number}", name, recipe, t.outcome.epochs, t.outcome.cost.measures(), shown)
