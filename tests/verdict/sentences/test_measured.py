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
    ("crossing", "facts"),
    [
        (CROSSING, ["b overtakes a", "about 1,200 images", "95 % CI 990 to 1,500"]),
        (CROSSING | {"confidence": 0.8}, ["b overtakes a", "80 % CI 990 to 1,500"]),
        (CROSSING | {"crossings": 3}, ["b overtakes a", "1,200", "more than once"]),
        (CROSSING | {"outcome": "beyond", "leader": "b", "overtaker": "a", "images": 6400.0, "ci": [4000.0, 12000.0]},
         ["a catches up with b", "about 6,400 images", "95 % CI 4,000 to 12,000"]),
        ({"outcome": "never", "leader": "a"}, ["b does not catch up with a", "ten times your data (16,000 images)"]),
        ({"leader": "b"}, ["whether a catches up with b", "ten times your data (16,000 images)", "inconclusive"]),
        ({"leader": "b", "not_before": 2345.0},
         ["whether a catches up with b", "16,000 images", "inconclusive", "at least about 2,300 images"]),
        ({}, ["where a and b cross", "inconclusive"]),
        ({"fractions": (1.0,)}, ["where a and b cross", "inconclusive", "only one training size"]),
    ],
)  # fmt: skip
def test_where_curves_cross(crossing, facts):
    text = said(**crossing)
    assert [fact for fact in facts if fact not in text] == []
    assert text[-1] != "."


def ranked(count, turned=False):
    """Return a ranking of backbones, all scores in the order of the outcomes, or in reverse."""
    rows = {}
    for n in range(count):
        better = count - n if turned else n
        transfer = TRANSFER | dict.fromkeys(("log_me", "ridge_accuracy", "h_score"), 0.5 + 0.05 * better)
        for kind, cut in (("heads", "head"), ("tuned", 3)):
            rows[f"{kind}-{n}"] = {"backbone": f"net-{n}", "cut": cut, "accuracy": 0.8 + 0.02 * n, "transfer": transfer}
    return ranking(comparison(rows))


@pytest.mark.parametrize(
    ("found", "facts"),
    [
        (ranked(2), ["inconclusive", "at least 3 backbones"]),
        (ranked(3), ["inconclusive", "3 backbones", "one of 6 orders"]),
        (ranked(6), ["6 backbones, 0.139 %", "best of the 6", "this correlation is significant"]),
        (ranked(6, turned=True), ["6 backbones, 100 %", "no correlation is significant"]),
    ],
)
def test_how_far_a_ranking_can_be_trusted_depends_on_how_many_backbones_agree(found, facts):
    text = ranking_sentence(found)
    assert [fact for fact in facts if fact not in text] == []
