"""What the statistics say, in sentences: where curves cross, and what a ranking is worth."""

from math import factorial

from pipeline.statistics.backbone_ranking import SIGNIFICANT
from pipeline.statistics.crossover import REACH
from pipeline.statistics.schema import BackboneRanking, Comparison, Crossover
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
        return f"where {a} and {b} cross cannot be told: one training size makes no curve"
    if crossover.leader is None:
        return f"where {a} and {b} cross cannot be told from these points"
    other = b if crossover.leader == a else a
    reach = f"{crossover.leader} within ten times your data ({sizes[-1] * REACH:,.0f} images)"
    if crossover.outcome == "never":
        return f"{other} does not catch up with {reach}"
    bound = "" if crossover.not_before is None else f"; not before about {rough(crossover.not_before)}"
    return f"whether {other} catches up with {reach} cannot be told from these points{bound}"


def ranking_sentence(ranking: BackboneRanking) -> str:
    """Say how far a ranking of backbones can be trusted."""
    count, agreement = len(ranking.backbones), ranking.agreement
    if not agreement:
        return (
            f"{count} backbones, too little measured of them for a rank correlation: the order of two is right by luck "
            "every other time. This cannot say whether the scores foretell anything."
        )
    most = max(each.backbones for each in agreement)
    if 1 / factorial(most) > SIGNIFICANT:
        return (
            f"With {most} backbones even full agreement comes by luck in one of {factorial(most)} orders: this cannot "
            "say whether the scores foretell anything."
        )
    best = min(each.p_permutation for each in agreement)
    often = f"an agreement as good as the best of these {len(agreement)} comes by luck in {100 * best:.3g} %"
    doubt = "which may well be luck" if best * len(agreement) > SIGNIFICANT else "which is hardly luck"
    return f"With {most} backbones {often} of all orders, {doubt}."
