"""What MLflow shows above the runs: the verdict, and how to read them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from pipeline.report import tables
from pipeline.report.templating import template_environment
from pipeline.statistics.schema import Comparison
from pipeline.tracking.experiments import VIEW
from pipeline.verdict import formatting
from pipeline.verdict.schema import Verdict

MOST = 10  # runs side by side
COSTS = {"train_flops": "are the operations of one training", "search_flops": "those of the search",
         "predict_flops": "those of one prediction"}  # fmt: skip


def in_table(metric: str) -> list[str]:
    """Return the metrics of the table of strategies that the note links to, the one to sort by first."""
    return [f"test_{metric}", f"test_{metric}_low", f"test_{metric}_high", *COSTS]


@dataclass(frozen=True)
class RunIds:
    """Where MLflow has what the note links to."""

    experiment: str
    stages: str  # the experiment of stages
    arms: Sequence[str]  # the best first
    compare: str  # the run of stage compare
    stages_name: str


def experiment_note(comparison: Comparison, verdict: Verdict, registered: str, runs: RunIds, report: str) -> str:
    """Return the note; `report` is the name of the report among the artifacts of stage compare."""
    environment = template_environment()
    environment.filters |= formatting.FILTERS
    chosen, experiments = (
        quote(json.dumps(ids, separators=(",", ":"))) for ids in ([*runs.arms[:MOST]], [runs.experiment])
    )
    return environment.get_template("experiment_note.md.j2").render(
        c=comparison,
        headline=tables.headline(verdict),
        answers=tables.said(verdict.answers),
        report=f"#/experiments/{runs.stages}/runs/{runs.compare}/artifacts/{quote(report)}",
        table=f"#/experiments/{runs.experiment}/runs?viewStateShareKey={VIEW}&workflowType=machine_learning",
        compare=f"#/compare-runs?runs={chosen}&experiments={experiments}",
        tested=f"{sum(comparison.dataset.counts['test'].values()):,}",
        confidence=formatting.level(comparison.confidence),
        costs=COSTS,
        registered=registered,
        stages=runs.stages_name,
    )
