import base64
import hashlib
import html
import re
from html.parser import HTMLParser

import pytest

from pipeline.report import page, tables
from pipeline.report.markdown import markdown
from pipeline.statistics.backbone_ranking import ranking
from tests.support.example import TRANSFER
from tests.support.reports import inputs

EVIL = ["<script>alert(1)</script>", 'a|b "quoted" & <i>more</i>', "values"]


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
    return inputs().page()


SIZES = [
    {"strategies": 1, "classes": 2, "seeds": 1},
    {"strategies": 1, "bare": True},
    {"strategies": 2, "bare": True},
    pytest.param({"strategies": 3, "classes": 120, "images": 260}, marks=pytest.mark.slow),
    {"strategies": 3, "classes": EVIL},
]


@pytest.mark.parametrize("options", SIZES, ids=str)
def test_a_page_is_whole_whatever_there_is_to_say(options):
    text = inputs(**options).page()
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
    text = inputs(classes=EVIL).page()
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
    found = re.findall(r'<section id="([^"]*)"', inputs(strategies=1, bare=True).page())
    assert found == ["verdict", "cost-benefit", "cost", "classes", "data", "recipes", "reproduce", "caveats"]


def test_the_page_tells_what_the_verdict_says(usual):
    for words in ("It costs least.", "With 4x the images: the other.", "Excluded: too slow",
                  "one training within 1 TFLOPs", "recall of class-000 at least 50\N{NO-BREAK SPACE}%", "✓ supported",
                  "✗ contradicted", "? cannot be told here",
                  "c0ffee", "uv run dvc repro", "d1g35t"):  # fmt: skip
        assert words in usual, words


def test_missing_times_are_dashes_with_a_reason(usual):
    row = re.search(r"latency, 1 image: p50</th>(.*?)</tr>", usual)[1]
    assert re.findall(r">([^<]+)</td>", row) == ["3.21 ms", "3.21 ms", "–"]  # noqa: RUF001
    assert "A dash: not measured (CPU time of all trainings of strategy-2" in usual
    assert "No timings were given" in inputs(bare=True).page()


def test_given_importances_replace_rank_correlations():
    given = inputs()
    text = given.page(importances={"strategy-0": {"learning_rate": 0.875, "head": 0.125}})
    assert text.count("Importance for the loss, by setting:") == 1
    assert text.count("squared rank correlation") == 2
    assert "width:87.5%" in text


def test_large_images_do_not_make_the_page_too_large(monkeypatch):
    given = inputs(images=400)
    whole = given.page()
    monkeypatch.setattr(page, "PICTURES", 9000)
    less = given.page()
    assert 0 < less.count("data:image/jpeg") + less.count("data:image/png") < whole.count("data:image/")
    assert "not shown" in less


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ({"recommended": None}, ("Nothing meets your constraints.", "Every strategy breaks at least one of them.")),
        ({"recommended": "a", "admissible": ["a"]}, ("Use a.", "No other strategy meets the constraints.")),
        ({"recommended": "a", "admissible": ["a", "b"]}, ("Use a.", "At 95 % confidence it is better than b.")),
        ({"recommended": "c"}, ("Use c.", "At 95 % confidence it cannot be told from a, it is worse than b.")),
    ],
)
def test_the_headline_says_what_can_be_told(verdict, words):
    pairs = [
        {"a": "a", "b": "b", "better": "a"},
        {"a": "a", "b": "c", "better": None},
        {"a": "b", "b": "c", "better": "b"},
    ]
    comparison = {"strategies": dict.fromkeys("abc"), "pairs": pairs, "confidence": 0.95}
    assert tables.headline(comparison, verdict) == words


def test_a_strategy_alone_has_nothing_to_be_compared_with():
    comparison = {"strategies": {"a": {}}, "pairs": [], "confidence": 0.9}
    assert tables.headline(comparison, {"recommended": "a"})[1] == "There is nothing to compare it with."


def test_the_commonest_mistakes_come_first():
    found = tables.mistakes([[8, 2, 0], [5, 5, 0], [0, 1, 9]], ["a", "b", "c"], 2)
    assert [(m["true"], m["said"], m["images"], m["share"]) for m in found] == [
        ("b", "a", 2.5, 0.5),
        ("a", "b", 1.0, 0.2),
        ("c", "b", 0.5, 0.1),
    ]


def test_of_many_classes_the_worst_come_first():
    comparison = inputs(classes=20, images=60).comparison
    scores = comparison["strategies"]["strategy-0"]["classes"]
    scores["class-007"]["recall"]["mean"] = 0.01
    assert tables.class_rows(comparison)[0] == "class-007"
    assert tables.class_rows(inputs(classes=4).comparison) == [f"class-00{n}" for n in range(4)]


def test_settings_that_differ_come_first():
    rows = tables.recipe_rows(inputs().comparison)
    assert [(key, differ) for key, _, differ in rows] == [("backbone", True), ("cut", False), ("learning_rate", False)]


def test_pretrained_features_are_shown_beside_raw_pixels():
    made = inputs()
    rows = {title: (values, pixels) for title, values, pixels in tables.transfer_rows(made.comparison)}
    assert rows["LogME"] == ({"strategy-1": -0.38, "strategy-2": -0.38}, None)
    page = html.unescape(made.page())
    assert "leave-one-out accuracy of a linear classifier" in page
    assert '<td class="num">0.851</td><td class="num">0.781</td>' in page
    assert '<td class="num">\u22120.380</td><td class="num">\u2013</td>' in page


def test_a_backbone_that_was_only_frozen_or_only_tuned_is_ranked_too():
    given = inputs(strategies=2)
    for number, strategy in enumerate(given.comparison["strategies"].values()):
        strategy["recipe"] |= {"backbone": f"net-{number}", "weights": "pretrained", "cut": (3, "head")[number]}
        strategy["transfer"] = TRANSFER
    given.comparison["ranking"] = ranking(given.comparison)
    for text in (given.page(), markdown(given.comparison, given.verdict, {}, "report.html")):
        section = text.split("Which backbone: foretold and found")[-1].split("</section>")[0].split("\n## ")[0]
        assert "net-0" in section
        assert "net-1" in section
        assert "\N{EN DASH}" in section


def test_backbones_that_were_ranked_have_a_section_with_what_came_of_them():
    given = inputs(strategies=4)
    for number, strategy in enumerate(given.comparison["strategies"].values()):
        strategy["recipe"] |= {
            "backbone": f"net-{number // 2}",
            "weights": "pretrained",
            "cut": (3, "head")[number % 2],
        }
        strategy["transfer"] = TRANSFER | {"log_me": 0.1 + number // 2}
    assert 'id="ranking"' not in given.page()
    given.comparison["ranking"] = ranking(given.comparison)
    given.verdict["claims_note"] = "Of several, the claims are about two."
    for text in (given.page(), markdown(given.comparison, given.verdict, {}, "report.html")):
        assert "Which backbone: foretold and found" in text
        section = text.split("Which backbone: foretold and found")[-1]
        assert section.index("net-1") < section.index("net-0")
        assert "right by luck every other time" in section
        assert given.verdict["claims_note"] in text
    assert Checked(given.page()).wrong == []
