import html

from pipeline.config.recipe import Recipe
from pipeline.report import tables
from pipeline.verdict.advice import advise
from tests.support.example import TRANSFER, comparison
from tests.support.reports import drawn, inputs


def test_the_headline_says_what_to_use():
    verdict = advise(comparison())
    assert tables.headline(verdict) == f"Use {verdict.recommended}."
    nobody = verdict.model_copy(update={"recommended": None})
    assert tables.headline(nobody) == "No strategy meets your constraints."


def test_every_other_strategy_has_a_standing_the_best_first():
    compared = comparison()
    rows = tables.standing_rows(compared, advise(compared))
    assert [row[0] for row in rows] == ["frozen", "scratch"]
    assert [row[1] for row in rows] == ["undecided, most likely worse", "worse"]
    assert rows[0][-1]
    assert rows[1][-1] == ""


def test_settings_that_differ_come_first():
    rows = tables.recipe_rows(inputs().comparison)
    assert [key for key, _, differ in rows if differ] == [rows[0][0]] == ["backbone"]
    assert {key for key, *_ in rows} == set(Recipe.model_fields)


def test_pretrained_features_are_shown_beside_raw_pixels():
    made = inputs()
    rows = {title: (values, pixels) for title, values, pixels in tables.transfer_rows(made.comparison)}
    assert rows["LogME"] == ({"strategy-1": -0.38, "strategy-2": -0.38}, TRANSFER["pixels_log_me"])
    page = html.unescape(drawn())
    assert "leave-one-out accuracy of a linear classifier" in page
    assert '<td class="num">0.851</td><td class="num">0.781</td>' in page
    assert '<td class="num">\u22120.380</td><td class="num">\u22120.100</td>' in page
