"""What results/comparison.json holds of pretrained backbones ranked before training."""

from pipeline.common.documents import Document
from pipeline.config.recipe import Kind


class RankedBackbone(Document):
    """A pretrained backbone: the scores of its features, and the strategies that used it."""

    backbone: str
    scores: dict[str, float]
    outcomes: dict[Kind, str]  # the strategy with it that is best on validation, by kind


class RankAgreement(Document):
    """How well a score's order of the backbones agrees with the order on test: Kendall's rank correlation."""

    score: str
    outcome: Kind
    backbones: int
    tau: float
    same: int  # pairs in the same order
    pairs: int
    p_permutation: float  # the share of all orders that agree at least as well


class BackboneRanking(Document):
    """Backbones ranked by scores from before training, the highest LogME first."""

    backbones: tuple[RankedBackbone, ...]
    agreement: tuple[RankAgreement, ...]
