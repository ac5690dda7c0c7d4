import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from pipeline.report import page, tables
from pipeline.report.figures import curve_figures, drawing, ranking_figure, scores, search_figures
from pipeline.statistics.backbone_ranking import ranking
from pipeline.statistics.schema import FittedCurve
from pipeline.verdict.pairwise import recommend
from pipeline.verdict.sentences.measured import ranking_sentence
from tests.support.example import STRATEGIES, TRANSFER, comparison
from tests.support.reports import inputs, trials


@pytest.fixture(scope="module")
def three():
    return inputs()


@pytest.fixture(scope="module")
def pictures(three):
    return page.pictures(three.comparison, three.trials)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return np.dot(
        [0.2126, 0.7152, 0.0722], [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    )


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_colours_stand_out_from_the_background(theme):
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert min(contrast(pair[theme], drawing.SURFACE[theme]) for pair in drawing.SERIES) >= 3
    assert min(contrast(pair[theme], drawing.SURFACE[theme]) for pair in (drawing.INK, drawing.MUTED)) >= 4.5


def test_no_two_strategies_look_the_same():
    looks = drawing.SeriesStyle.of([f"s{n:02}" for n in range(16)]).values()
    assert len(set(looks)) == 16
    first = list(looks)[:8]
    assert [len({getattr(look, kind) for look in first}) for kind in ("colour", "marker", "dashes")] == [8, 8, 8]


def test_there_is_a_figure_for_everything_there_are_data_for(pictures):
    found = ["accuracy_cost", "learning_curves", "pairs", "reliability", "search"]
    assert list(pictures) == [*found, "trials_strategy-0", "trials_strategy-1", "trials_strategy-2"]
    alone = inputs(strategies=1, bare=True)
    assert list(page.pictures(alone.comparison, {})) == ["accuracy_cost", "reliability"]


def test_an_svg_takes_on_the_theme_and_keeps_its_words(pictures):
    for picture in pictures.values():
        text = drawing.svg(picture)
        assert not re.search(r"#[0-9a-f]{6}\b", re.sub(r'(href="|url\()#[^")]*', "", text)), picture.name
        assert "var(--" in text
        assert "<style" not in text
        assert "DejaVu" not in text
        wide, narrow = ET.fromstring(f'<a xmlns:xlink="x">{text}</a>')
        assert [part.get("class") for part in (wide, narrow)] == ["wide", "narrow"]
        for part in (wide, narrow):
            assert part.get("role") == "img"
            title, words = list(part)[:2]
            assert (title.text, words.text) == (picture.title, picture.text)
            assert part.get("aria-labelledby") == title.get("id")


def test_ids_are_unique_and_found(pictures):
    text = "".join(map(drawing.svg, pictures.values()))
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', text)) <= set(ids)


def test_tick_labels_are_not_cut_short():
    table = trials(0).assign(learning_rate=np.geomspace(0.00023, 0.01, 12))
    look = drawing.SeriesStyle.of(["a"])["a"]
    assert ">0.00023<" in drawing.svg(search_figures.parallel("a", table, look))


@pytest.mark.slow
def test_figures_are_the_same_to_the_byte(three, pictures, tmp_path):
    again = page.pictures(three.comparison, three.trials)
    assert [drawing.svg(p) for p in again.values()] == [drawing.svg(p) for p in pictures.values()]
    first = drawing.draw(pictures.values(), tmp_path / "a")
    second = drawing.draw(again.values(), tmp_path / "b")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_pngs_are_pictures_with_words(pictures, tmp_path):
    found = drawing.draw(pictures.values(), tmp_path)
    assert [path.stem for path in found] == list(pictures)
    assert list(found.values()) == [p.text for p in pictures.values()]
    for path in found:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert min(image.size) > 100
            assert len(np.unique(np.asarray(image.convert("L")))) > 20


def test_every_strategy_is_in_words_and_picture(three, pictures):
    for name, s in three.comparison.strategies.items():
        for figure in ("accuracy_cost", "learning_curves"):
            assert name in pictures[figure].text
            assert f"{100 * s.test['accuracy'].mean:.1f} %" in pictures[figure].text
        assert drawing.svg(pictures["accuracy_cost"]).count(f">{name}<") == 4  # two panels, two widths
        assert drawing.svg(pictures["learning_curves"]).count(f">{name}<") == 2


def test_words_name_crossings_and_who_is_better(three, pictures):
    assert "strategy-1 overtakes strategy-0 at about 50 images (95 %: 20 to 90)." in pictures["learning_curves"].text
    assert ">strategy-0 × strategy-1<" in drawing.svg(pictures["learning_curves"])  # noqa: RUF001
    words = [f"{pair.better} is better" if pair.better else "not told apart" for pair in three.comparison.pairs]
    assert re.findall(r"\S+ is better|not told apart", pictures["pairs"].text) == words


def test_figures_name_the_confidence_of_their_intervals(three):
    found = page.pictures(three.compared(confidence=0.8).comparison, {})
    for name in ("accuracy_cost", "learning_curves", "pairs"):
        assert "80 %" in found[name].text
        assert not re.search(r"(?<![\d.])95 %", found[name].text)


def test_equal_costs_are_drawn_side_by_side():
    found = scores.side_by_side({"a": 1e9, "b": 1e9, "c": 1e12})
    assert found["a"] < 1e9 < found["b"] < 1.3e9
    assert found["c"] == 1e12


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8))
def test_labels_are_spread_and_stay_in_order(values):
    placed = drawing.spread(values, 3)
    ordered = [p for _, _, p in sorted((v, i, p) for i, (v, p) in enumerate(zip(values, placed)))]
    assert all(b - a > 2 for a, b in pairwise(ordered))
    assert drawing.spread([0.0, 50.0], 3) == [0.0, 50.0]


def test_a_fitted_law_is_drawn_on_beyond_the_data(three):
    law = FittedCurve(images=(10, 300), low=(0.5, 0.6), middle=(0.6, 0.7), high=(0.7, 0.8))
    longer = three
    for name in three.comparison.strategies:
        longer = longer.changed(name, law=law)
    with_law, without = (drawing.svg(curve_figures.learning_curves(c.comparison)) for c in (longer, three))
    assert (with_law.count("fill-opacity: 0.07") >= 6) > ("fill-opacity: 0.07" in without)  # 3 bands, 2 widths
    assert tables.law_sentences(longer.comparison)[0] == (
        "By its law strategy-0 would reach 70.0 % (60.0 to 80.0 %) with 300 training images"
    )


@pytest.mark.parametrize("count", [1, 3, 400])
def test_searches_of_any_length_are_drawn(count):
    table = trials(1, count)
    for picture in search_figures.pictures({"a": table}).values():
        text = drawing.svg(picture)
        assert f"{count} trials" in picture.text
        assert len(text) < 150_000


def test_a_search_without_a_finished_trial_says_so():
    table = trials(0).assign(state="PRUNED")
    found = search_figures.pictures({"a": table})
    assert "none trained to the end" in found["search"].text
    assert "None was trained to the end." in found["trials_a"].text
    assert drawing.svg(found["trials_a"])


def test_trials_stand_in_the_order_of_how_long_and_how_well():
    table = pd.DataFrame({"state": ["PRUNED", "COMPLETE", "PRUNED", "COMPLETE", "PRUNED"],
                          "value": [0.1, 0.5, 0.2, 0.4, np.inf], "epochs": [1, 6, 2, 6, 2]})  # fmt: skip
    assert search_figures.trial_ranks(table).tolist() == [5, 2, 3, 1, 4]


def test_what_goes_with_the_ranks_is_found():
    table = trials(0, 40).assign(state="COMPLETE", epochs=6, value=np.linspace(0.1, 1, 40))
    table["learning_rate"] = np.geomspace(1e-5, 1, 40)
    table["head"] = ["linear", "mlp"] * 20
    found = search_figures.association(table)
    assert list(found) == ["learning_rate", "head"]
    assert found["learning_rate"] == pytest.approx(1)
    assert found["head"] < 0.05
    table["head"] = np.where(np.arange(40) < 20, "linear", "mlp")
    assert search_figures.association(table)["head"] == pytest.approx(0.75, abs=0.02)
    assert search_figures.association(table[:7]) == {}


# Many arms with long names

ARMS = [f"{row}-{name}" for row in ("finetune", "frozen") for name in ("efficientnet_lite1", "resnet50_of_mine", "vit")]


@pytest.fixture(scope="module")
def seven():
    """Return a comparison of two strategies on three backbones each and one more, and the figures of it."""
    backbones = {name: name.partition("-")[2] for name in ARMS}
    rows = {
        name: {"backbone": backbones[name], "cut": "head" if n > 2 else 3, "accuracy": 0.8 + 0.02 * n,
               "train_flops": (n + 1) * 1e12, "predict_flops": (n % 3 + 1) * 1e9,
               "transfer": {**TRANSFER, "log_me": 0.1 * (n % 3), "ridge_accuracy": 0.7 + 0.05 * (n % 3)}}
        for n, name in enumerate(ARMS)
    }  # fmt: skip
    found = comparison(rows | {"scratch": STRATEGIES["scratch"]})
    crossing = {"images": 300.0, "ci": (200.0, 500.0), "crossings": 1, "outcome": "inside"}
    crossed = [c.model_copy(update={**crossing, "overtaker": c.a}) for c in found.crossovers]
    found = found.model_copy(update={"crossovers": tuple(crossed), "ranking": ranking(found)})
    return found, page.pictures(found, {name: trials(n) for n, name in enumerate(found.strategies)})


@pytest.mark.parametrize("width", [drawing.WIDE, drawing.NARROW])
def test_seven_arms_with_long_names_are_all_named_within_each_figure(seven, width):
    for name in ("accuracy_cost", "learning_curves", "pairs", "ranking", "reliability", "search"):
        with mpl.rc_context(drawing.STYLE):
            figure = seven[1][name].draw(width)
            FigureCanvasAgg(figure).draw()
        words = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
        said = "".join(text.get_text() for text in words).replace("\n", "")
        assert [arm for arm in ARMS if arm not in said] == [], name
        boxes = {text.get_text(): text.get_window_extent() for text in words if any(a in text.get_text() for a in ARMS)}
        assert [text for text, box in boxes.items() if box.x0 < -2 or box.x1 > figure.bbox.x1 + 2] == [], name


def test_few_crossings_are_drawn_and_the_recommended_ones_come_first(seven):
    found, recommended = seven[0], recommend(seven[0])
    own, others = tables.crossings(found, recommended)
    assert len(own) == 6
    assert len(others) == 15
    assert all(recommended in (c.a, c.b) for c in own)
    with mpl.rc_context(drawing.STYLE):
        figure = seven[1]["learning_curves"].draw(drawing.WIDE)
    drawn = [text for text in figure.findobj(Text) if "\N{MULTIPLICATION SIGN}" in text.get_text()]
    assert len(drawn) == curve_figures.MOST_CROSSINGS
    small = comparison()
    assert tables.crossings(small, "frozen") == (list(small.crossovers), [])


def test_the_ranking_is_put_in_words_and_not_drawn_of_one_backbone(seven):
    picture = seven[1]["ranking"]
    for row in seven[0].ranking.backbones:
        assert f"{row.backbone}: LogME {row.scores['log_me']:.3f}" in picture.text
    assert ranking_sentence(seven[0].ranking) in picture.text
    assert ranking_figure.ranking(comparison()) is None


def test_names_are_broken_after_hyphens_alone():
    assert drawing.broken("frozen", 4) == "frozen"
    assert drawing.broken("finetune-resnet50_of_mine", 16) == "finetune-\nresnet50_of_mine"
