"""The data sets that stage download can lay out, by name."""

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from pipeline.common.errors import UserError
from pipeline.data.datasets import elpv, fer2013, torchvision_sets
from pipeline.data.datasets.layouts import Steps, fresh
from pipeline.data.datasets.torchvision_table import REFUSED, ROWS

# Takes an empty folder to fill, a folder for downloads, and a progress callback; returns the number of images.
LayOut = Callable[[Path, Path, Steps], int]
SETS: dict[str, LayOut] = {
    "elpv": elpv.lay_out,
    "FER2013": fer2013.lay_out,
    **{name: partial(torchvision_sets.lay_out, name) for name in ROWS},
}


def lay_out(name: str, out: Path, downloads: Path, steps: Steps) -> int:
    """Lay a data set out in the folder `out`, whole or not at all; return its number of images.

    Raise UserError for an unknown name, or where it cannot be fetched.
    """
    if name not in SETS:
        raise UserError(f"download: {_unknown(name)}")
    with fresh(out) as folder:
        return SETS[name](folder, downloads / name, steps)


def _unknown(name: str) -> str:
    if name in REFUSED:
        return f"{name} is not supported: {REFUSED[name]}"
    near = get_close_matches(name.lower(), [known.lower() for known in SETS], 1)
    meant = next((f"; did you mean {known}?" for known in SETS if near == [known.lower()]), "")
    return f"there is no data set {name!r}{meant or '.'} There are {', '.join(SETS)}. Lay others out yourself: README"
