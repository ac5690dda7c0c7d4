from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.figures import drawing


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


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8))
def test_labels_are_spread_and_stay_in_order(values):
    placed = drawing.spread(values, 3)
    ordered = [p for _, _, p in sorted((v, i, p) for i, (v, p) in enumerate(zip(values, placed)))]
    assert all(b - a > 2 for a, b in pairwise(ordered))
    assert drawing.spread([0.0, 50.0], 3) == [0.0, 50.0]


def test_names_are_broken_after_hyphens_alone():
    assert drawing.broken("frozen", 4) == "frozen"
    assert drawing.broken("finetune-resnet50_of_mine", 16) == "finetune-\nresnet50_of_mine"
