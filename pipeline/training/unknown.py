"""From which probability on a model is sure enough: a threshold set on validation, its rate measured on test too.

The baseline of Hendrycks and Gimpel 2017 (arXiv 1610.02136): an image whose largest probability is low may belong to
none of the classes.
"""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.common.files import read_json, write_json
from pipeline.common.outcome import Outcome

SHARE = 0.05  # of the validation images are below it, at most
DIGITS = 6


def describe_unknown(outcome: Outcome) -> dict[str, float] | None:
    """Return the threshold, and which shares of validation and test lie below; None without predictions on both.

    An image is unknown if its largest probability is below the threshold. At most SHARE of validation is.
    """
    if not (outcome.valid and outcome.test):
        return None
    valid, test = (np.asarray(part["probabilities"]).max(1) for part in (outcome.valid, outcome.test))
    # A little below, so that rounding never counts the image that it comes from, nor others as sure.
    threshold = round(float(np.sort(valid)[int(SHARE * len(valid))]) - 10.0**-DIGITS, DIGITS)
    return {
        "threshold": threshold,
        "valid": round(float((valid < threshold).mean()), DIGITS),
        "test": round(float((test < threshold).mean()), DIGITS),
    }


def add_unknown(folder: Path, outcome: Outcome) -> None:
    """Write what `describe_unknown` finds into a model's model.json, for those who ask for it."""
    found: dict[str, Any] = read_json(folder / "model.json")
    described = describe_unknown(outcome)
    if described:
        write_json(folder / "model.json", found | {"unknown": described})
