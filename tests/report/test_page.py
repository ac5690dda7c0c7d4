import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pipeline.report import page, tables
from pipeline.report.markdown import markdown
from pipeline.statistics.backbone_ranking import ranking
from pipeline.statistics.schema import Recall, Transferability
from pipeline.verdict.advice import advise
from tests.support.example import TRANSFER
from tests.support.reports import drawn, inputs

EVIL = ("<script>alert(1)</script>", 'a|b "quoted" & <i>more</i>', "values")


class Checked(HTMLParser):
    """Says which elements were not closed, and collects attributes."""

    VOID = frozenset({"meta", "br", "img", "use", "path"})

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.attributes, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))


@pytest.fixture(scope="module")
def usual():
    return drawn()


SIZES = [
    {"strategies": 1, "classes": 2, "seeds": 1},
    {"strategies": 1, "bare": True},
    {"strategies": 2, "bare": True},
    pytest.param({"strategies": 3, "classes": 120, "images": 260}, marks=pytest.mark.slow),
    {"strategies": 3, "classes": EVIL},
]


@pytest.mark.parametrize("options", SIZES, ids=str)
def test_a_page_is_whole_whatever_there_is_to_say(options):
    text = drawn(**options)
    checked = Checked(text)
    assert (checked.open, checked.wrong) == ([], [])
    assert len(text.encode()) < page.MOST_BYTES
    assert "<h1" in text
    assert "Use strategy-0." in text


def test_a_page_asks_for_nothing(usual):
    links = [value for name, value in Checked(usual).attributes if name in ("href", "src", "xlink:href")]
    assert {value[:1] if value.startswith("#") else value[:11] for value in links} == {"#", "data:image/"}
    assert "@import" not in usual
    assert not re.search(r"url\((?!#)", usual)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', usual)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; img-src data:;")
    script = re.search(r"<script>(.*?)</script>", usual, re.DOTALL)[1]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy


def test_names_given_by_users_never_become_markup():
    text = drawn(strategies=3, classes=EVIL)
    assert text.count("<script") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<i>more" not in text
    assert "shots/&lt;first&gt;.png" in text or "<first>" not in text


def test_the_page_is_the_same_to_the_byte(usual):
    assert inputs().page() == usual


def test_the_verdict_comes_first_then_the_rest_in_order(usual):
    found = re.findall(r'<section id="([^"]*)"', usual)
    assert found == [anchor for anchor, _ in page.sections(*parts())]
    assert found[0] == "verdict"
    assert len(found) == 14
    assert re.findall(r"<nav.*?</nav>", usual, re.DOTALL)[0].count("<a ") == 14


def parts():
    given = inputs()
    return given.comparison, given.verdict, given.trials, given.predictions


def test_what_is_not_known_has_no_section():
    found = re.findall(r'<section id="([^"]*)"', drawn(strategies=1, bare=True))
    assert found == [
        "verdict", "cost-benefit", "cost", "classes", "calibration", "data", "recipes", "reproduce", "caveats"
    ]  # fmt: skip


def test_the_page_tells_what_the_verdict_says(usual):
    for words in ("It costs least.", "With 4x the images: the other.", "Excluded: too slow",
                  "one training within 1\N{NO-BREAK SPACE}T\N{NO-BREAK SPACE}FLOPs",
                  "recall of class-000 at least 50\N{NO-BREAK SPACE}%", "✓ supported",
                  "✗ contradicted", "? undecided", "↗ leaning", "↘ leaning against", "It is 3\N{NO-BREAK SPACE}%.",
                  "c0ffee", "uv run dvc repro", "d1g35t"):  # fmt: skip
        assert words in usual, words


def test_missing_times_are_dashes_with_a_reason(usual):
    row = re.search(r"latency, 1 image: p50</th>(.*?)</tr>", usual)[1]
    assert re.findall(r">([^<]+)</td>", row) == ["5 ms", "10 ms", "–"]  # noqa: RUF001
    assert "A dash means not measured (strategy-2)." in usual
    assert "No timings were given" in inputs(bare=True).page()


def test_given_importances_replace_rank_correlations():
    given = inputs()
    text = given.page(importances={"strategy-0": {"learning_rate": 0.875, "head": 0.125}})
    assert text.count("Importance of each setting for the loss:") == 1
    assert text.count("squared rank correlation") == 2
    assert "width:87.5%" in text


def test_large_images_do_not_make_the_page_too_large(monkeypatch):
    given = inputs(images=400)
    whole = given.page()
    monkeypatch.setattr(page, "PICTURES", 9000)
    less = given.page()
    assert 0 < less.count("data:image/jpeg") + less.count("data:image/png") < whole.count("data:image/")
    assert "not shown" in less


def test_all_that_is_said_of_intervals_names_their_confidence():
    given = inputs().compared(confidence=0.8)
    text = replace(given, verdict=advise(given.comparison)).page()
    assert "80\N{NO-BREAK SPACE}%" in text
    words = re.sub(r"<[^>]*>", " ", text.split("<body>")[1].split("<script>")[0])
    assert "95\N{NO-BREAK SPACE}%" not in words


def test_of_many_classes_the_worst_come_first():
    given = inputs(classes=20, images=60)
    scores = given.comparison.strategies["strategy-0"].classes
    worst = scores["class-007"].model_copy(update={"recall": Recall(mean=0.01, ci=(0.0, 0.1))})
    none = scores["class-003"].model_copy(update={"recall": None})
    given = given.changed("strategy-0", classes={**scores, "class-007": worst, "class-003": none})
    rows = tables.class_rows(given.comparison, "strategy-0")
    assert (rows[0], rows[-1]) == ("class-007", "class-003")  # the last: no test image shows it
    assert Checked(given.page()).wrong == []
    few = inputs(classes=4).comparison
    assert tables.class_rows(few, "strategy-0") == few.dataset.classes


def with_backbones(given, recipes, transfers):
    """Return the inputs with other recipes and transfer scores, strategy by strategy, and the ranking of these."""
    for number, (recipe, transfer) in enumerate(zip(recipes, transfers)):
        old = given.comparison.strategies[f"strategy-{number}"].recipe
        given = given.changed(f"strategy-{number}", recipe=old.model_copy(update=recipe),
                              transfer=Transferability.model_validate(TRANSFER | transfer))  # fmt: skip
    return given.compared(ranking=ranking(given.comparison))


def test_a_backbone_that_was_only_frozen_or_only_tuned_is_ranked_too():
    recipes = [{"backbone": f"net-{number}", "cut": (3, "head")[number]} for number in range(2)]
    given = with_backbones(inputs(strategies=2), recipes, [{}, {}])
    for text in (given.page(), markdown(given.comparison, given.verdict, {}, "report.html")):
        section = text.split("Backbones: predicted and measured")[-1].split("</section>")[0].split("\n## ")[0]
        assert "net-0" in section
        assert "net-1" in section
        assert "\N{EN DASH}" in section


def test_backbones_that_were_ranked_have_a_section_with_what_came_of_them():
    recipes = [{"backbone": f"net-{number // 2}", "cut": (3, "head")[number % 2]} for number in range(4)]
    given = inputs(strategies=4)
    assert 'id="ranking"' not in given.page()
    given = with_backbones(given, recipes, [{"log_me": 0.1 + number // 2} for number in range(4)])
    note = "Of several, the claims are about two."
    given = replace(given, verdict=given.verdict.model_copy(update={"claims_note": note}))
    whole = given.page()
    for text in (whole, markdown(given.comparison, given.verdict, {}, "report.html")):
        assert "Backbones: predicted and measured" in text
        section = text.split("Backbones: predicted and measured")[-1]
        assert section.index("net-1") < section.index("net-0")
        assert "at least 3 backbones" in section
        assert note in text
    assert Checked(whole).wrong == []
