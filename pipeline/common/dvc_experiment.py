"""Whether this process belongs to an experiment of DVC."""

import os

# DVC sets both for every stage of `dvc exp run`, in the workspace, in a temporary copy and from the queue, and neither
# for `dvc repro`.
NAME, BASELINE = "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"


def experiment() -> str | None:
    """Return the name of the experiment that this process is part of, or None."""
    if BASELINE not in os.environ and NAME not in os.environ:
        return None
    return os.environ.get(NAME) or "unnamed"
