import html

import pytest

from pipeline.config.recipe import Recipe
from pipeline.report import tables
from pipeline.verdict.advice import advise
from tests.support.example import TRANSFER, comparison, with_better
from tests.support.reports import inputs


@pytest.mark.parametrize(
    ("recommended", "admissible", "words"),
    [
        (None, (), ("No strategy meets your constraints.", "Each misses at least one of them.")),
        ("a", ("a",), ("Use a.", "No other strategy meets the constraints.")),
        ("a", ("a", "b"), ("Use a.", "At 95 % confidence, it is significantly better than b.")),
        (
            "c",
            ("a", "b", "c"),
            ("Use c.", "At 95 % confidence, it is statistically tied with a, and significantly worse than b."),
        ),
    ],
)
def test_the_headline_says_how_the_recommended_strategy_stands(recommended, admissible, words):
    compared = with_better(comparison({"a": {}, "b": {}, "c": {}}), ("a", None, "b"))
    verdict = advise(compared).model_copy(update={"recommended": recommended, "admissible": admissible})
    assert tables.headline(compared, verdict) == words


def test_a_strategy_alone_has_nothing_to_be_compared_with():
    compared = comparison({"a": {}})
    assert tables.headline(compared, advise(compared))[1] == "It is the only strategy compared."


def test_settings_that_differ_come_first():
    rows = tables.recipe_rows(inputs().comparison)
    assert [key for key, _, differ in rows if differ] == [rows[0][0]] == ["backbone"]
    assert {key for key, *_ in rows} == set(Recipe.model_fields)


def test_pretrained_features_are_shown_beside_raw_pixels():
    made = inputs()
    rows = {title: (values, pixels) for title, values, pixels in tables.transfer_rows(made.comparison)}
    assert rows["LogME"] == ({"strategy-1": -0.38, "strategy-2": -0.38}, TRANSFER["pixels_log_me"])
    page = html.unescape(made.page())
    assert "leave-one-out accuracy of a linear classifier" in page
    assert '<td class="num">0.851</td><td class="num">0.781</td>' in page
    assert '<td class="num">\u22120.380</td><td class="num">\u22120.100</td>' in page
