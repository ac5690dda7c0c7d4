"""The demo: 2,624 electroluminescence photos of solar cells (Buerhop-Lutz et al. 2018; Deitsch et al. 2019).

The images are CC BY-NC-SA 4.0: not for commercial use. They come with the package `elpv-dataset`.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from pipeline.common.errors import UserError
from pipeline.data.datasets.layouts import Steps

DEFECTIVE_FROM = 0.5  # probability of a defect; the source has 0, 1/3, 2/3 and 1
GRADES = ("intact", "possibly", "likely", "defective")  # by thirds of that probability


def lay_out(out: Path, downloads: Path, steps: Steps) -> int:
    """Copy the images and write labels.csv (path, label, probability, cell_type, grade), as a user would.

    Any of label, grade and cell_type can be learned: `data.label`. Nothing is downloaded. Return the number of images.
    Raise UserError where the package is missing.
    """
    spec = find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise UserError("the demo images are in the package elpv-dataset (non-commercial): uv sync --group demo")
    source = Path(spec.origin).parent / "data"
    table = pd.read_csv(source / "labels.csv", sep=r"\s+", names=["path", "probability", "cell_type"])
    (out / "images").mkdir(parents=True, exist_ok=True)
    step = steps(len(table))
    for path in table["path"]:
        shutil.copyfile(source / path, out / path)
        step(1)
    label = table["probability"].ge(DEFECTIVE_FROM).map({True: "defective", False: "intact"})
    table.insert(1, "label", label)
    table["grade"] = [GRADES[round(3 * probability)] for probability in table["probability"]]
    table.to_csv(out / "labels.csv", index=False)
    (out / "LICENCE.txt").write_text(
        "ELPV solar cell images, https://github.com/zae-bayern/elpv-dataset, CC BY-NC-SA 4.0 (non-commercial).\n"
    )
    return len(table)
