"""What results/comparison.json holds: numbers and names, no sentences.

Intervals are at the comparison's confidence. Scores are of trainings on all images unless stated otherwise.
"""

from collections.abc import Iterable
from typing import Literal

from pipeline.common.documents import Document, VersionedDocument
from pipeline.config.metric_names import LOWER_IS_BETTER
from pipeline.config.recipe import Kind, Recipe
from pipeline.data.summary import DatasetSummary
from pipeline.statistics.missing import Diverged, Stopped
from pipeline.statistics.ranking_schema import BackboneRanking

SEPARATIONS = ("ridge_accuracy", "log_me", "h_score", "h_score_if_random")  # how features are measured

Interval = tuple[float, float]  # low and high end


class Score(Document):
    """A metric: its mean over seeds, the interval of that, and each seed's value."""

    mean: float
    ci: Interval
    per_seed: tuple[float, ...]


Scores = dict[str, Score]  # by metric


class Recall(Document):
    """The share of a class's images that are recognised: mean over seeds, and its interval."""

    mean: float
    ci: Interval


class ClassScores(Document):
    """The scores of one class on test, over all seeds."""

    images: int
    recall: Recall | None  # None: test has no image of the class
    precision: float
    f1: float


class CurvePoint(Document):
    """A point of a learning curve: test scores of trainings on a share of the images."""

    fraction: float
    images: int
    train_flops: int
    scores: Scores


class FittedCurve(Document):
    """The law fitted to a learning curve: expected score and band at each of some numbers of images, ascending."""

    images: tuple[float, ...]
    low: tuple[float, ...]
    middle: tuple[float, ...]
    high: tuple[float, ...]


class ReliabilityBin(Document):
    """Images of similar confidence: its range and mean, their share of all images, and their accuracy."""

    low: float
    high: float
    share: float
    confidence: float
    accuracy: float


class CalibrationErrors(Document):
    """How far confidence is from accuracy: `ece` over the bins, its value by chance alone, and the log loss."""

    ece: float
    ece_if_calibrated: float
    log_loss: float
    bins: tuple[ReliabilityBin, ...]


class Calibration(Document):
    """Calibration on test, as predicted and after scaling by each seed's temperature."""

    temperature: tuple[float, ...]
    raw: CalibrationErrors
    scaled: CalibrationErrors


class StrategyCost(Document):
    """What a strategy costs on any machine: FLOPs, and sizes in parameters and bytes."""

    search_flops: int
    train_flops: int  # of one training, feature passes included
    fit_flops: int  # of one training whose features are cached already
    predict_flops: int  # of one image
    parameters: int
    trainable_parameters: int
    model_bytes: int


class SearchSummary(Document):
    """How the search of a recipe went."""

    trials: dict[str, int]  # by state: COMPLETE, PRUNED
    search_flops: int
    budget_flops: float | None  # None: no limit
    ended_by: Literal["trials", "budget"]


class Transferability(Document):
    """How well a pretrained backbone's features separate the classes; and raw pixels, for comparison."""

    ridge_accuracy: float
    log_me: float
    h_score: float
    h_score_if_random: float
    pixels_ridge_accuracy: float
    pixels_log_me: float
    pixels_h_score: float
    pixels_h_score_if_random: float
    majority: float  # share of the commonest class

    @property
    def features(self) -> dict[str, float]:
        """Return the measures of the features, by name."""
        return {name: getattr(self, name) for name in SEPARATIONS}

    @property
    def pixels(self) -> dict[str, float]:
        """Return the measures of raw pixels, by the same names."""
        return {name: getattr(self, f"pixels_{name}") for name in SEPARATIONS}


class StrategyResult(Document):
    """All results of one strategy."""

    recipe: Recipe
    valid: Scores
    test: Scores
    cost: StrategyCost
    search: SearchSummary
    transfer: Transferability | None  # None: random weights
    classes: dict[str, ClassScores]  # empty where the scores are read off a learning curve
    confusion: tuple[tuple[int, ...], ...]  # counts by true class (rows) and predicted class, over all seeds
    curve: tuple[CurvePoint, ...]  # ascending; the last is of all images
    law: FittedCurve | None  # None: a single point
    calibration: Calibration
    stopped: Stopped | None = None  # None: it got all that the race gives
    diverged: tuple[Diverged, ...] = ()


class Difference(Document):
    """A metric of one strategy minus that of another, paired over seeds and test images."""

    difference: float
    ci: Interval
    p_a_beats_b: float  # that the expected score of a is the better one
    p_value: float
    p_adjusted: float  # corrected for the number of pairs (Holm)
    p_run_beats: float | None  # that one run of a is better than one of b; None: read off learning curves


class Pair(Document):
    """Two strategies compared."""

    a: str
    b: str
    differences: dict[str, Difference]  # a minus b, by metric
    better: str | None  # the one that is significantly better by the metric that decides


class JointScores(Document):
    """Test scores by the metric that decides, of each strategy at each size, and what their errors share."""

    strategies: tuple[str, ...]
    images: tuple[int, ...]
    means: tuple[float, ...]
    from_images: tuple[tuple[float, ...], ...]  # row by column; what other images would change
    from_seeds: tuple[tuple[float, ...], ...]  # what other seeds would change beyond that; it may be negative


class Crossover(Document):
    """Where the learning curves of two strategies cross."""

    a: str
    b: str
    outcome: Literal["inside", "beyond", "never", "unclear"]  # of the measured range; beyond: within REACH times it
    leader: str | None  # the one that is significantly better with all images
    overtaker: str | None  # the one that is better after the crossing
    images: float | None
    ci: Interval | None
    crossings: int  # how many were found; `images` is the one nearest to all images
    not_before: float | None  # the fewest images at which the one behind may catch up, where that is unclear


class Comparison(VersionedDocument):
    """The strategies measured on a data set, without any constraint."""

    schema_version: int = 2
    dataset: DatasetSummary
    metric: str  # that decides
    metric_is_auto: bool  # chosen by the images of each class, not named in params.yaml
    confidence: float  # of every interval; a difference is significant from 1 - confidence down
    worth: float  # a smaller difference in the metric that decides does not matter
    seeds: int
    strategies: dict[str, StrategyResult]
    pairs: tuple[Pair, ...]
    joint: JointScores
    crossovers: tuple[Crossover, ...]  # of every pair
    ranking: BackboneRanking | None  # None: fewer than two pretrained backbones
    winner: str  # the best on validation
    # Of a first answer, which opens no test split: validation images by class. They stand in for test wherever a
    # field or a comment here says test; each seed has its own, and this counts those of one seed.
    validated: dict[str, int] | None = None
    unseen: int = 0  # validation images that no search looked at: differences rest on these too, beside test

    @property
    def split(self) -> Literal["test", "validation"]:
        """Return the images that scores and differences are of, by name."""
        return "test" if self.validated is None else "validation"

    @property
    def scored(self) -> dict[str, int]:
        """Return how many images the scores of a seed are of, by class."""
        return self.dataset.counts["test"] if self.validated is None else self.validated

    def goodness(self, name: str, split: str) -> float:
        """Return the mean of the metric that decides on valid or test, its sign such that more is better."""
        strategy = self.strategies[name]
        mean = {"valid": strategy.valid, "test": strategy.test}[split][self.metric].mean
        return -mean if self.metric in LOWER_IS_BETTER else mean

    def ranked(self, names: Iterable[str], split: str) -> list[str]:
        """Return names from the best mean to the worst; ties by name."""
        return sorted(names, key=lambda name: (-self.goodness(name, split), name))

    def gain_over_majority(self, name: str) -> float:
        """Return a strategy's mean validation accuracy minus that of always predicting the largest class.

        Where balanced accuracy decides, both are balanced: a single class then scores one over the number of classes.
        """
        counts, scores = self.dataset.counts["valid"].values(), self.strategies[name].valid
        if self.metric == "balanced_accuracy":
            return scores["balanced_accuracy"].mean - 1 / len(counts)
        return scores["accuracy"].mean - max(counts) / sum(counts)

    def by_kind(self) -> dict[Kind, list[str]]:
        """Return the strategies of each kind, the best on validation first; controls are of none."""
        found: dict[Kind, list[str]] = {}
        for name in self.ranked(self.strategies, "valid"):
            if (kind := self.strategies[name].recipe.kind) is not None:
                found.setdefault(kind, []).append(name)
        return found
