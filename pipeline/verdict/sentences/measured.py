"""Where learning curves cross, and how far a ranking of backbones can be trusted, in sentences."""

from math import factorial

from pipeline.statistics.backbone_ranking import FEWEST, SIGNIFICANT
from pipeline.statistics.crossover import REACH
from pipeline.statistics.ranking_schema import BackboneRanking
from pipeline.statistics.schema import Comparison, Crossover
from pipeline.verdict.formatting import rough, rough_interval


def crossover_sentence(comparison: Comparison, crossover: Crossover) -> str:
    """Say where the learning curves of two strategies cross; without a full stop."""
    a, b = crossover.a, crossover.b
    sizes = [point.images for point in comparison.strategies[a].curve]
    if crossover.images is not None and crossover.ci is not None:
        loser = a if crossover.overtaker == b else b
        verb = "overtakes" if crossover.outcome == "inside" else "catches up with"
        again = "; they cross more than once" if crossover.crossings > 1 else ""
        within = rough_interval(crossover.ci, comparison.confidence)
        return f"{crossover.overtaker} {verb} {loser} at about {rough(crossover.images)} images ({within}){again}"
    if len(sizes) < 2:
        return f"where {a} and {b} cross is inconclusive: only one training size was measured"
    if crossover.leader is None:
        return f"where {a} and {b} cross is inconclusive"
    other = b if crossover.leader == a else a
    reach = f"{crossover.leader} within ten times your data ({sizes[-1] * REACH:,.0f} images)"
    if crossover.outcome == "never":
        return f"{other} does not catch up with {reach}"
    if crossover.not_before is None:
        return f"whether {other} catches up with {reach} is inconclusive"
    least = rough(crossover.not_before)
    return f"whether {other} catches up with {reach} is inconclusive; it would take at least about {least} images"


def ranking_sentence(ranking: BackboneRanking) -> str:
    """Say how far a ranking of backbones can be trusted."""
    if not ranking.agreement:
        return (
            "Whether these scores predict the test results is inconclusive: a rank correlation needs at least "
            f"{FEWEST} backbones, all frozen or all fine-tuned."
        )
    most = max(each.backbones for each in ranking.agreement)
    if 1 / factorial(most) > SIGNIFICANT:
        return (
            f"Whether these scores predict the test results is inconclusive: of {most} backbones, even full agreement "
            f"occurs by chance in one of {factorial(most)} orders."
        )
    best, count = min(each.p_permutation for each in ranking.agreement), len(ranking.agreement)
    found = (
        f"Of all orders of {most} backbones, {100 * best:.3g} % agree with the test results at least as well as the "
        f"best of the {count} comparisons here."
    )
    if best * count > SIGNIFICANT:
        return f"{found} Corrected for {count} comparisons, no correlation is significant."
    return f"{found} Corrected for {count} comparisons, this correlation is significant."
