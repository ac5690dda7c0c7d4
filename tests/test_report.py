import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline import report
from pipeline.comparison import Entry, Scored, compare
from pipeline.metrics import score

LABELS = np.arange(40) % 3
CLASSES = ["ash", "beech", "oak"]
COST = {"search_flops": 3.2e12, "train_flops": 4.56e11, "predict_flops": 7e7, "parameters": 3.4e6}
COUNTS = {split: dict.fromkeys(CLASSES, count) for split, count in (("train", 9), ("valid", 4), ("test", 13))}


def entry(name, seed):
    rng = np.random.default_rng(seed)
    scored = Scored([LABELS] * 2, [rng.dirichlet(np.ones(3), 40) for _ in range(2)])
    scores = [score(*pair) for pair in zip(scored.labels, scored.probabilities)]
    recipe = {"backbone": f"net-of-{name}", "learning_rate": 0.00123456, "cut": seed}
    return Entry(recipe, scored, scored, scores, scores, {**COST, "train_flops": 10.0**seed, "trainable_parameters": 9})


def compared(count):
    entries = {f"strategy-{n}": entry(f"strategy-{n}", n + 6) for n in range(count)}
    dataset = {"name": "leaves", "digest": "d1g35t", "classes": CLASSES, "counts": COUNTS}
    found = compare(entries, "accuracy", 100, 0.95, 0) | {"dataset": dataset, "seeds": 2}
    for number, strategy in enumerate(found["strategies"].values()):
        spent = {"search_flops": 3.2e12, "budget_flops": 8e12 if number else None}
        strategy["search"] = {"trials": {"COMPLETE": 2}, "ended_by": ("budget", "trials")[number % 2], **spent}
    return found


def searched(comparison):
    table = pd.DataFrame({"state": ["COMPLETE", "PRUNED", "COMPLETE"], "value": [0.7, 1.3, 0.6], "flops": [10**9] * 3})
    return dict.fromkeys(comparison["strategies"], table)


@pytest.fixture(scope="module")
def three():
    return compared(3)


def test_the_report_tells_verdict_strategies_pairs_recipes_and_data(three):
    text = report.markdown(three, ["figures/accuracy_cost.png"])
    assert f"**{three['verdict']}**" in text
    for name, s in three["strategies"].items():
        row = next(line for line in text.splitlines() if line.startswith(f"| {name}") and "%" in line)
        assert f"{100 * s['test']['accuracy']['mean']:.1f} %" in row
        assert f"net-of-{name}" in text
    pairs = re.findall(r"^\| (\S+) \| (\S+) \| \S+ points", text, re.MULTILINE)
    assert pairs == [(pair["a"], pair["b"]) for pair in three["pairs"]]
    assert "| learning_rate | 0.00123 | 0.00123 | 0.00123 |" in text
    assert "leaves (d1g35t)" in text
    assert "The\n39 test images" in text
    assert "![accuracy cost](figures/accuracy_cost.png)" in text
    assert f"{three['winner']} (best on validation)" in text
    assert "| strategy-0 | 2 | 0 | 3.2 T | no limit | the budget |" in text
    assert "| strategy-1 | 2 | 0 | 3.2 T | 40.0 % | the number of trials: the rest was not needed |" in text


def test_every_table_of_the_report_is_whole(three):
    lines = report.markdown(three, []).splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("|---")]
    assert len(heads) == 5
    for number in heads:
        width, after = lines[number].count("|"), lines[number + 1]
        assert lines[number - 1].count("|") == width
        assert after.startswith("|")
        for line in lines[number + 1 :]:
            if not line.startswith("|"):
                break
            assert line.count("|") == width


@pytest.mark.parametrize("count", [1, 3, 20])
def test_the_summary_fits_on_a_screen(count):
    comparison = compared(count)
    lines = report.summary(comparison).splitlines()
    assert len(lines) <= 15
    assert lines[-1] == comparison["verdict"]
    accuracies = [float(line.split()[1]) for line in lines[1:-2]]
    assert accuracies == sorted(accuracies, reverse=True)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A comparison of seven strategies and its figures."""
    comparison = compared(7)
    return comparison, report.draw(comparison, searched(comparison), tmp_path_factory.mktemp("seven"))


def test_figures_are_pictures(drawn):
    assert [path.name for path in drawn[1]] == ["accuracy_cost.png", "confusion.png", "search.png"]
    for path in drawn[1]:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert min(image.size) > 200
            assert len(np.unique(np.asarray(image.convert("L")))) > 20


def test_every_strategy_is_drawn_however_many_there_are(drawn, tmp_path):
    comparison, figures = drawn
    names = sorted(comparison["strategies"])[:-1]
    six = comparison | {"strategies": {name: comparison["strategies"][name] for name in names}}
    for path, without in zip(figures, report.draw(six, searched(six), tmp_path)):
        assert path.read_bytes() != without.read_bytes(), path.name


@given(st.floats(1, 9e17))
def test_a_quantity_has_a_prefix_and_three_digits(value):
    number, _, prefix = report.quantity(value).partition(" ")
    scale = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15}[prefix]
    assert float(number) * 10**scale == pytest.approx(value, rel=0.0051)
    assert len(number.replace(".", "")) <= 3


@pytest.mark.parametrize(
    ("value", "text"), [(1.234e12, "1.23 T"), (45e6, "45 M"), (12, "12 "), (999_999, "1 M"), (0, "0 ")]
)
def test_quantities_read_as_people_write_them(value, text):
    assert report.quantity(value) == text


def test_percentages_have_one_decimal():
    assert (report.percent(0.98765), report.percent(1)) == ("98.8 %", "100.0 %")


def test_the_data_report_counts_every_image(prepared):
    told = json.loads((prepared.report / "summary.json").read_text())
    assert (told["name"], told["images"], told["duplicates"], told["channels"]) == ("tiny", 48, 0, 1)
    assert told["classes"] == ["low", "top"]
    assert {split: sum(counts.values()) for split, counts in told["counts"].items()} == {
        "train": 28,
        "valid": 8,
        "test": 12,
    }
    text = (prepared.report / "report.md").read_text()
    assert "| valid | 4 | 4 |" in text
    assert told["digest"] in text


def test_the_data_report_shows_images_and_their_sizes(prepared):
    for name in ("contact_sheet.png", "sizes.png"):
        with Image.open(prepared.report / name) as image:
            assert image.format == "PNG"
            assert len(np.unique(np.asarray(image.convert("L")))) > 20


def test_the_contact_sheet_shows_images_in_colour(tmp_path):
    red = np.zeros((4, 8, 8, 3), np.uint8)
    red[..., 0] = 255
    path = report.contact_sheet(red, np.array([0, 1, 0, 1]), ("a", "b"), tmp_path / "sheet.png")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (pixels == [255, 0, 0]).all(1).sum() > 1000
