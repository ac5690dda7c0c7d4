import pytest

from pipeline.statistics.backbone_ranking import ranking
from pipeline.verdict.sentences.measured import crossover_sentence, ranking_sentence
from tests.support.example import TRANSFER, comparison

CROSSING = {"outcome": "inside", "leader": "b", "overtaker": "b", "images": 1234.0, "ci": [987.0, 1456.0],
            "crossings": 1}  # fmt: skip


def said(fractions=(0.1, 1.0), confidence=0.95, **crossing):
    compared = comparison({"a": {}, "b": {}}, crossings={("a", "b"): crossing}, fractions=fractions,
                          confidence=confidence)  # fmt: skip
    return crossover_sentence(compared, compared.crossovers[0])


@pytest.mark.parametrize(
    ("crossing", "text"),
    [
        (CROSSING, "b overtakes a at about 1,200 images (95 %: 990 to 1,500)"),
        (CROSSING | {"confidence": 0.8}, "b overtakes a at about 1,200 images (80 %: 990 to 1,500)"),
        (CROSSING | {"crossings": 3},
         "b overtakes a at about 1,200 images (95 %: 990 to 1,500); they cross more than once"),
        (CROSSING | {"outcome": "beyond", "leader": "b", "overtaker": "a", "images": 6400.0, "ci": [4000.0, 12000.0]},
         "a catches up with b at about 6,400 images (95 %: 4,000 to 12,000)"),
        ({"outcome": "never", "leader": "a"}, "b does not catch up with a within ten times your data (16,000 images)"),
        ({"leader": "b"},
         "whether a catches up with b within ten times your data (16,000 images) cannot be told from these points"),
        ({"leader": "b", "not_before": 2345.0},
         "whether a catches up with b within ten times your data (16,000 images) cannot be told from these points; not "
         "before about 2,300"),
        ({}, "where a and b cross cannot be told from these points"),
        ({"fractions": (1.0,)}, "where a and b cross cannot be told: one training size makes no curve"),
    ],
)  # fmt: skip
def test_where_curves_cross(crossing, text):
    assert said(**crossing) == text


def ranked(count, turned=False):
    """Return the ranking of so many backbones, all scores in the order of the outcomes, or in reverse."""
    rows = {}
    for n in range(count):
        better = count - n if turned else n
        transfer = TRANSFER | dict.fromkeys(("log_me", "ridge_accuracy", "h_score"), 0.5 + 0.05 * better)
        for kind, cut in (("heads", "head"), ("tuned", 3)):
            rows[f"{kind}-{n}"] = {"backbone": f"net-{n}", "cut": cut, "accuracy": 0.8 + 0.02 * n, "transfer": transfer}
    return ranking(comparison(rows))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (ranked(2), "right by luck every other time"),
        (ranked(3), "one of 6 orders: this cannot say"),
        (ranked(6), "0.139 % of all orders, which is hardly luck"),
        (ranked(6, turned=True), "100 % of all orders, which may well be luck"),
    ],
)
def test_what_a_ranking_is_worth_depends_on_how_many_backbones_agree(found, words):
    assert words in ranking_sentence(found)
