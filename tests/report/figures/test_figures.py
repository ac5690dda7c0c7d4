"""What all figures have in common."""

import functools
import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from pipeline.report import page
from pipeline.report.figures import drawing
from tests.support.reports import inputs


@functools.cache
def svg(picture):
    """Return a picture as SVG; drawing it takes half a second."""
    return drawing.svg(picture)


def test_there_is_a_figure_for_everything_there_are_data_for(pictures):
    found = ["accuracy_cost", "learning_curves", "pairs", "reliability", "search"]
    assert list(pictures) == [*found, "trials_strategy-0", "trials_strategy-1", "trials_strategy-2"]
    alone = inputs(strategies=1, bare=True)
    assert list(page.pictures(alone.comparison, {})) == ["accuracy_cost", "reliability"]


def test_an_svg_takes_on_the_theme_and_keeps_its_words(pictures):
    for picture in pictures.values():
        text = svg(picture)
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
    text = "".join(map(svg, pictures.values()))
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', text)) <= set(ids)


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
        assert svg(pictures["accuracy_cost"]).count(f">{name}<") == 4  # two panels, two widths
        assert svg(pictures["learning_curves"]).count(f">{name}<") == 2


def test_words_name_crossings_and_who_is_better(three, pictures):
    assert "strategy-1 overtakes strategy-0 at about 50 images (95 % CI 20 to 90)." in pictures["learning_curves"].text
    assert ">strategy-0 × strategy-1<" in svg(pictures["learning_curves"])  # noqa: RUF001
    words = [
        f"{pair.better} is significantly better" if pair.better else "no significant difference"
        for pair in three.comparison.pairs
    ]
    assert re.findall(r"\S+ is significantly better|no significant difference", pictures["pairs"].text) == words


def test_figures_name_the_confidence_of_their_intervals(three):
    found = page.pictures(three.compared(confidence=0.8).comparison, {})
    for name in ("accuracy_cost", "learning_curves", "pairs"):
        assert "80 %" in found[name].text
        assert not re.search(r"(?<![\d.])95 %", found[name].text)


@pytest.mark.parametrize("width", [drawing.WIDE, drawing.NARROW])
def test_seven_arms_with_long_names_are_all_named_within_each_figure(seven, width):
    arms = [name for name in seven[0].strategies if name != "scratch"]
    for name in ("accuracy_cost", "learning_curves", "pairs", "ranking", "reliability", "search"):
        with mpl.rc_context(drawing.STYLE):
            figure = seven[1][name].draw(width)
            FigureCanvasAgg(figure).draw()
        words = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
        said = "".join(text.get_text() for text in words).replace("\n", "")
        assert [arm for arm in arms if arm not in said] == [], name
        boxes = {text.get_text(): text.get_window_extent() for text in words if any(a in text.get_text() for a in arms)}
        assert [text for text, box in boxes.items() if box.x0 < -2 or box.x1 > figure.bbox.x1 + 2] == [], name
