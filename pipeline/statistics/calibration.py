"""Calibration of probabilities: calibration error, reliability, and temperature scaling."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq

from pipeline.statistics.schema import Calibration, CalibrationErrors, ReliabilityBin
from pipeline.training.metrics import score_many

MOST_BINS = 15
HOTTEST = 20.0  # temperatures are searched between its inverse and this
_SMALLEST = np.finfo(np.float64).eps  # a probability of exactly 0 counts as this, as in `metrics.score`

BySeed = tuple[Sequence[np.ndarray], Sequence[np.ndarray]]  # labels int (N,), probabilities float (N, C)


def summarise(valid: BySeed, test: BySeed) -> Calibration:
    """Return how calibrated test predictions are: as they are, and scaled by each seed's temperature on `valid`.

    Both are pairs (labels, probabilities) of lists with one array per seed, int (N,) and float (N, C), in the same
    order of seeds. The errors are means over seeds; the bins pool the images of all seeds, in as many bins as one
    seed has.
    """
    temperatures = [temperature(*part) for part in zip(*valid, strict=True)]
    labels, raw = test
    scaled = [scale(part, t) for part, t in zip(raw, temperatures, strict=True)]
    return Calibration(temperature=tuple(temperatures), raw=_errors(labels, raw), scaled=_errors(labels, scaled))


def _errors(labels: Sequence[np.ndarray], probabilities: Sequence[np.ndarray]) -> CalibrationErrors:
    seeds = list(zip(labels, probabilities, strict=True))
    count = bin_count(min(len(part) for part in labels))
    by_seed = [reliability(*part, bin_count(len(part[0]))) for part in seeds]
    chance = [expected_if_calibrated(p, bin_count(len(p))) for p in probabilities]
    return CalibrationErrors(
        ece=float(np.mean([calibration_error(bins) for bins in by_seed])),
        ece_if_calibrated=float(np.mean(chance)),
        log_loss=float(np.mean([score_many(own, p[None])[0]["log_loss"] for own, p in seeds])),
        bins=tuple(reliability(np.concatenate(labels), np.concatenate(probabilities), count)),
    )


def bin_count(images: int) -> int:
    """Return the number of bins for a number of images: their cube root, at most 15.

    The cube root balances the width of a bin against the noise in it. With 15 bins on 650 images, chance alone would
    show an error of 0.04.
    """
    return int(np.clip(round(images ** (1 / 3)), 1, MOST_BINS))


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int) -> list[ReliabilityBin]:
    """Return bins of equal mass by confidence, the probability of the class predicted, from low to high.

    Images of equal confidence share a bin, so there may be fewer bins; without images there are none.
    """
    confidence, right = probabilities.max(1).astype(np.float64), probabilities.argmax(1) == labels
    at = _bins(confidence, bins)
    found = []
    for number in np.unique(at):
        chosen = at == number
        found.append(
            ReliabilityBin(
                low=float(confidence[chosen].min()),
                high=float(confidence[chosen].max()),
                share=float(chosen.mean()),
                confidence=float(confidence[chosen].mean()),
                accuracy=float(right[chosen].mean()),
            )
        )
    return found


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the expected calibration error (Guo et al. 2017): the bins' mean gap, weighted by their images.

    Over bins of equal mass, which is less biased than over bins of equal width (Nixon et al. 2019).
    """
    return float(sum(b.share * abs(b.confidence - b.accuracy) for b in bins))


def expected_if_calibrated(probabilities: np.ndarray, bins: int) -> float:
    """Return the expected calibration error of perfectly calibrated probabilities (N, C), due to chance alone.

    With few images an error of zero cannot be observed. The gap of a bin is about normal, so its expected size is its
    standard deviation times the root of 2/pi.
    """
    confidence = np.clip(probabilities.max(1).astype(np.float64), 0, 1)
    variances = np.bincount(_bins(confidence, bins), confidence * (1 - confidence))
    return float(np.sqrt(2 / np.pi) * np.sqrt(variances).sum() / max(len(confidence), 1))


def temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the temperature that minimises the log loss (Guo et al. 2017), between 1/20 and 20.

    Above 1, predictions were overconfident. It is 1 where it is not identified: without images, or where every
    prediction is right, so that more confidence is always better.
    """
    logits = np.log(_clipped(probabilities))
    own = logits[np.arange(len(labels)), labels]
    if not len(labels) or (own >= logits.max(1)).all():
        return 1.0

    def slope(sharpness: float) -> float:
        """Return the derivative of the log loss by 1/T, which increases, since the loss is convex in 1/T."""
        return float(((scale(probabilities, 1 / sharpness) * logits).sum(1) - own).mean())

    if slope(1 / HOTTEST) >= 0:
        return HOTTEST
    if slope(HOTTEST) <= 0:
        return 1 / HOTTEST
    return float(1 / brentq(slope, 1 / HOTTEST, HOTTEST, xtol=1e-9))


def scale(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return probabilities (N, C) at a temperature: in proportion to p to the power of 1/T."""
    logits = np.log(_clipped(probabilities)) / temperature
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _bins(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Return each image's bin, which depends on its confidence alone, not on the order of images."""
    first = np.sort(confidence)[np.arange(1, bins) * len(confidence) // bins] if len(confidence) else confidence
    return np.searchsorted(np.unique(first), confidence, side="right")


def _clipped(probabilities: np.ndarray) -> np.ndarray:
    doubles = probabilities.astype(np.float64)
    return np.clip(doubles / doubles.sum(1, keepdims=True), _SMALLEST, 1)
