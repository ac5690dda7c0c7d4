"""From a comparison to Markdown, and to a summary for the terminal."""

from pipeline.common.text_table import text_table
from pipeline.config.metric_names import METRICS
from pipeline.data.summary import notes_on
from pipeline.report import tables
from pipeline.report.split_words import with_split
from pipeline.report.templating import template_environment
from pipeline.statistics.schema import Comparison
from pipeline.verdict import formatting
from pipeline.verdict.formatting import quantity
from pipeline.verdict.schema import Verdict
from pipeline.verdict.sentences.measured import ranking_sentence


def markdown(comparison: Comparison, verdict: Verdict, figures: dict[str, str], page: str) -> str:
    """Render report.md; figures are {path: what it says}, paths and the page's being relative to it."""
    environment = template_environment()
    environment.filters |= formatting.FILTERS
    return environment.get_template("report.md.j2").render(
        c=comparison,
        v=verdict,
        headline=tables.headline(verdict),
        answers=tables.said(verdict.answers),
        race_notes=tables.race_notes(comparison),
        standing_rows=tables.standing_rows(comparison, verdict),
        confidence=formatting.level(comparison.confidence),
        others=[m for m in METRICS if m != comparison.metric],
        figures=figures,
        notes=notes_on(comparison.dataset),
        page=page,
        crossings=tables.curve_sentences(comparison, verdict.unconstrained.recommended)[0],
        why_metric=tables.why_metric(comparison),
        ranking_says=ranking_sentence(comparison.ranking) if comparison.ranking else "",
        BACKBONE_SCORES=formatting.BACKBONE_SCORES,
        OUTCOMES=formatting.OUTCOMES,
    )


def summary(comparison: Comparison, verdict: Verdict) -> str:
    """Return at most 18 lines: a table of the strategies, and the verdict, under constraints where there are any."""
    metric, level = comparison.metric, formatting.level(comparison.confidence)
    rows = [
        (
            "",
            f"{comparison.split} {formatting.called(metric)}",
            f"{level} interval",
            "AUC",
            "log loss",
            "search",
            "train FLOPs",
        )
    ]
    for name in comparison.ranked(comparison.strategies, "test")[:8]:
        test, cost = comparison.strategies[name].test, comparison.strategies[name].cost
        rows.append(
            (
                name,
                formatting.score(test[metric].mean, metric),
                formatting.span(test[metric].ci, metric).removesuffix(" %"),
                f"{test['roc_auc'].mean:.3f}",
                f"{test['log_loss'].mean:.3f}",
                quantity(cost.search_flops),
                quantity(cost.train_flops),
            )
        )
    without = f"\n\nWithout constraints: {verdict.unconstrained.answers.use}" if verdict.constrained else ""
    begin = "Under your constraints:\n" if verdict.constrained else ""
    told = "\n\n".join([text_table(rows), begin + "\n".join(tables.said(verdict.answers))]) + without
    return with_split(told, comparison.split)
