"""Make a folder's params.yaml small, so that the whole pipeline runs in minutes: `python tests/smoke.py DIR`."""

import copy
import sys
from pathlib import Path
from typing import Any

import yaml

IMAGES, SIZE = 160, 32
MOST = {"epochs": 3}


def shrink(params: dict[str, Any]) -> dict[str, Any]:
    """Return the same parameters in small: few images, pixels, views, trials, epochs and seeds."""
    small = copy.deepcopy(params)
    small["prepare"] |= {"max_images": IMAGES, "image_size": SIZE}
    small["features"]["views"] = ["identity", "hflip"]
    small["search"] |= {"trials_per_round": 2, "workers": 1}
    small["train"] |= {"seeds": [1, 2], "fractions": [0.25, 1]}
    small["compare"]["resamples"] = 200
    small["register"]["min_gain_over_majority"] = 0
    for row in small["strategies"].values():
        _shrink_row(row)
    return small


def _shrink_row(row: dict[str, Any]) -> None:
    row |= {"trials": 2, "rungs": [1], "trials_per_round": None}
    if row.get("proxy"):
        row |= {"proxy": {"epochs": 2}, "confirm": 1}
    row["recipe"]["image_size"] = SIZE
    row["space"].pop("image_size", None)
    for key, most in MOST.items():
        if key in row["recipe"]:
            row["recipe"][key] = min(row["recipe"][key], most)
        if key in row["space"]:
            choices = row["space"][key].get("choices", [most])
            row["space"][key] = {"choices": sorted({min(choice, most) for choice in choices})}


def main(folder: Path) -> None:
    """Rewrite a folder's params.yaml."""
    file = folder / "params.yaml"
    params = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump(shrink(params), sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tests/smoke.py DIR")
    main(Path(sys.argv[1]))
