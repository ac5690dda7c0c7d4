"""Tasks of any shape through the whole pipeline, to a model that is registered and answers."""

import io
import json
import shlex
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from tests.support import browser
from tests.support.imports import ROOT

pytestmark = pytest.mark.slow

DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
SIDE = 24
EVIL = ['<script>document.title = "taken"</script>', 'a, b "c" & <b>d</b>', "$\\frac$ x|`*_", "{{ 7 * 7 }}",
        "two\nlines", "日本語 のクラス", "عربى", "кот 🐱", "NA", "1", "p_1", "long" * 40]  # fmt: skip


def drawn(number: int, classes: int, side: int = SIDE) -> np.ndarray:
    """Return a grey image (side, side) that shows its class, `number` % `classes`, as two brightnesses in noise."""
    label, half = number % classes, side // 2
    image = np.random.default_rng(number).integers(0, 20, (side, side))
    image[:half] += 230 * label // max(classes - 1, 1)
    image[half:] += 230 * (label * 7 % classes) // max(classes - 1, 1)
    return image.astype(np.uint8)


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def in_colour(grey: np.ndarray, channels: int) -> np.ndarray:
    image = np.stack([grey, 255 - grey, grey // 2, np.full_like(grey, 255)][:channels], 2)
    if channels == 4:
        image[:2, :, 3] = 0
    return image


def many(root: Path) -> None:
    """120 classes of eight images."""
    for number in range(960):
        write(root / f"class {number % 120:03}" / f"{number}.png", drawn(number, 120))


def few(root: Path) -> None:
    """30 images in all."""
    for number in range(30):
        write(root / "ab"[number % 2] / f"{number}.png", drawn(number, 2))


def grey(root: Path) -> None:
    """Grey images of 8x8 pixels."""
    for number in range(45):
        write(root / "abc"[number % 3] / f"{number}.png", drawn(number, 3, 8))


def colour(root: Path) -> None:
    """RGB, RGBA and 16-bit grey in one folder, as PNG and JPEG."""
    for number in range(48):
        image, name = drawn(number, 3), root / "abc"[number % 3] / f"{number}"
        kinds = [in_colour(image, 3), in_colour(image, 4), image.astype(np.uint16) * 257, in_colour(image, 3)]
        write(name.with_suffix(".jpg" if number % 4 == 3 else ".png"), kinds[number % 4])


def deep(root: Path) -> None:
    """16-bit grey alone."""
    for number in range(30):
        write(root / "ab"[number % 2] / f"{number}.png", drawn(number, 2).astype(np.uint16) * 257)


def mixed(root: Path) -> None:
    """From 8x8 to 4000x3000 pixels, and one of 2000x9."""
    for number in range(32):
        image = Image.fromarray(drawn(number, 2))
        size = {30: (4000, 3000), 31: (2000, 9)}.get(number, (8 + 5 * number, 60 - number))
        (root / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        image.resize(size).save(root / "ab"[number % 2] / f"{number}.jpg")


def names(root: Path) -> None:
    """Classes that are called what HTML, Markdown, CSV and TeX would trip over, and in four scripts."""
    count, rows = len(EVIL), []
    for number in range(8 * count):
        write(root / f"{EVIL[number % count][5:7].strip('/')}{number}.png", drawn(number, count))
        rows.append({"path": f"{EVIL[number % count][5:7].strip('/')}{number}.png", "label": EVIL[number % count]})
    pd.DataFrame(rows).to_csv(root / "labels.csv", index=False)


def folders(root: Path) -> None:
    """Folders with such names."""
    for number in range(40):
        write(root / ("a, b", '"c" <d>', "日本語", "p é")[number % 4] / f"'{number}' &.png", drawn(number, 4))


def arrays(root: Path) -> None:
    """A .npz file with weights."""
    images = np.stack([drawn(number, 3) for number in range(48)])
    np.savez(root / "photos.npz", images=images, labels=np.arange(48) % 3, weight=np.linspace(0.1, 5, 48))


def table(root: Path) -> None:
    """A labels.parquet with groups, a split and weights."""
    for number in range(64):
        write(root / f"{number:02}.png", drawn(number, 2))
    sides = [("train", "train", "val", "test")[number // 4 % 4] for number in range(64)]
    pd.DataFrame({
        "path": [f"{number:02}.png" for number in range(64)], "label": pd.Categorical(np.array(["no", "yes"] * 32)),
        "group": np.arange(64) // 4, "split": sides, "weight": np.where(np.arange(64) % 2, 3.0, 0.5),
    }).to_parquet(root / "labels.parquet")  # fmt: skip


def split(root: Path) -> None:
    """Folders that are split already, test images in another format."""
    for number in range(48):
        side = ("Train", "train", "val", "test")[number // 2 % 4].lower()
        write(root / side / "ab"[number % 2] / f"{number}.{'bmp' if side == 'test' else 'png'}", drawn(number, 2))


SHAPES: dict[str, Callable[[Path], None]] = {
    each.__name__: each for each in (many, few, grey, colour, deep, mixed, names, folders, arrays, table, split)
}


@dataclass(frozen=True)
class Task:
    """A folder in which the stages have run."""

    root: Path
    warned: list[str]

    def json(self, name: str) -> Any:
        return json.loads((self.root / "results" / name).read_text(encoding="utf-8"))

    def text(self, name: str) -> str:
        return (self.root / "results" / name).read_text(encoding="utf-8")


def small(shape: str) -> dict[str, Any]:
    """Return params.yaml for a shape: two strategies, a trial each, two seeds."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"] |= {"name": shape, "path": "raw"}
    params["download"], params["prepare"]["stratify"], params["prepare"]["image_size"] = [], [], 32
    params["features"]["views"] = ["identity", "hflip"]
    params["search"] |= {"workers": 1, "trials_per_round": 2}
    params["train"] |= {"seeds": [1, 2], "fractions": [0.5, 1]}
    params["compare"]["resamples"] = 100
    params["register"] |= {"model": "shapes", "min_gain_over_majority": 0}
    recipe = {"backbone": "compact", "weights": "random", "image_size": 32, "batch_size": 8, "epochs": 2}
    rows = {"heads": {"cut": "head", "epochs": 12, "class_weight_power": 0.5}, "stages": {"cut": 2, "probe": True}}
    params["strategies"] = {
        name: {"trials": 1, "recipe": {**recipe, **row}, "space": {"learning_rate": {"choices": [0.003]}}}
        for name, row in rows.items()
    }
    params["enabled"], params["per_backbone"] = list(rows), []
    return params


@pytest.fixture(scope="module")
def tasks(tmp_path_factory, mlflow_template):
    """A function that runs all stages on images of a shape, once."""
    done: dict[str, Task] = {}

    def task(shape):
        if shape not in done:
            done[shape] = run(shape, tmp_path_factory.mktemp(shape), mlflow_template)
        return done[shape]

    return task


def run(shape: str, root: Path, template: Path) -> Task:
    (root / "raw").mkdir()
    SHAPES[shape](root / "raw")
    params = small(shape)
    if shape == "arrays":
        params["data"]["path"] = "raw/photos.npz"
    if shape == "names":
        params["constraints"] = {"min_recall": {EVIL[0]: 0.01}}
    (root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    shutil.copy(template, root / "mlflow.db")
    arms = [f"{stage} {name}" for stage in ("tune", "train") for name in params["enabled"]]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as caught:
        patch.chdir(root)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")
        warnings.simplefilter("always")
        for each in ("prepare", "describe", "views", *arms, "race", "compare", "register"):
            stage, _, strategy = each.partition(" ")
            words = shlex.split(DVC[stage].get("do", DVC[stage])["cmd"].replace("${key}", strategy))
            assert import_module(words[2]).main(words[3:]) == 0, each
    return Task(root, [str(each.message) for each in caught])


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_task_of_any_shape_ends_with_a_registered_model_that_answers(tasks, shape):
    task = tasks(shape)
    classes = task.json("data/summary.json")["classes"]
    test = pd.read_csv(task.root / "data/prepared/test/manifest.csv", dtype=str, keep_default_na=False)
    mlflow.set_tracking_uri(f"sqlite:///{task.root / 'mlflow.db'}")
    model = mlflow.pyfunc.load_model("models:/shapes@best-heads")
    if shape == "arrays":
        images = [png(image) for image in np.load(task.root / "raw/photos.npz")["images"][test["path"].astype(int)]]
    else:
        images = pd.DataFrame({"image": [(task.root / "raw" / path).read_bytes() for path in test["path"]]})
    answers = model.predict(images)
    assert list(answers) == ["label", "probability", *(f"p_{name}" for name in classes)]
    assert set(answers["label"]) <= set(classes)
    scored = task.json("train/heads.json")
    right = (answers["label"].to_numpy() == test["label"].to_numpy()).mean()
    assert right == pytest.approx(scored["test"][scored["seeds"].index(scored["best_seed"])]["accuracy"])


def test_classes_of_any_name_are_shown_as_they_are_called(tasks):
    task = tasks("names")
    assert not [text for text in task.warned if "Glyph" in text]
    table = [line.strip() for line in task.text("data/report.md").splitlines() if line.startswith("|")]
    assert len(table) == len(EVIL) + 2
    assert '| &lt;script>document.title = "taken"&lt;/script> | 5 | 1 | 2 |' in table
    assert task.json("verdict.json")["constraints"] == {"min_recall": {EVIL[0]: 0.01}}
    confusion = pd.read_csv(task.root / "results/plots/confusion.csv", keep_default_na=False)
    assert set(confusion["actual"]) == set(EVIL)


@pytest.mark.skipif(browser.found() is None, reason="no Chromium is installed: apt-get install chromium")
@pytest.mark.parametrize("shape", ["names", "many", "folders"])
def test_the_page_of_many_classes_or_of_any_name_fits_and_runs_nothing_of_theirs(tasks, shape, tmp_path):
    task = tasks(shape)
    classes = task.json("data/summary.json")["classes"]
    tab = browser.Browser(browser.found(), tmp_path)
    try:
        for width in (390, 1280):
            tab.show(width)
            tab.open((task.root / "results/report.html").as_uri())
            tab.run("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert tab.run("[document.scrollingElement.scrollWidth, innerWidth]") == [width, width]
        assert tab.run("document.scripts.length") == 1
        assert tab.run("document.title").startswith("Use ")
        assert tab.heard("Runtime.exceptionThrown") + tab.heard("Log.entryAdded") == []
        listed = tab.run(
            "[...document.querySelectorAll('#data table:first-of-type tbody th')].map(th => th.textContent)"
        )
        assert listed[: len(classes)] == classes
    finally:
        tab.close()


def test_a_report_of_many_classes_stays_small(tasks):
    task = tasks("many")
    assert len(task.json("comparison.json")["dataset"]["classes"]) == 120
    assert len(task.text("report.html")) < 1_000_000
    assert len(task.text("comparison.json")) < 1_000_000
    counts = pd.read_csv(task.root / "results/plots/confusion.csv")
    assert counts["images"].min() > 0
    assert (counts.groupby("strategy")["images"].sum() == 2 * 240).all()


def test_weights_groups_and_split_of_a_table_are_kept_and_reported(tasks):
    task = tasks("table")
    said = task.text("data/report.md")
    assert "In training an image counts by its weight, from 0.5 to 3; in scores all images count equally." in said
    assert "None of 16 groups is in two splits" in said
    made = pd.read_csv(task.root / "data/prepared/test/manifest.csv")
    assert (made["weight"] == np.where(made["label"] == "yes", 3.0, 0.5)).all()
    assert task.json("train/heads.json")["recipe"]["class_weight_power"] == 0.5
