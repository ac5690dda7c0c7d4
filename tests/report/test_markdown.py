import re

import pytest

from pipeline.config.constraints import Constraints
from pipeline.report import markdown
from pipeline.verdict import formatting
from pipeline.verdict.advice import advise
from tests.support.example import comparison
from tests.support.reports import inputs


@pytest.fixture(scope="module")
def three():
    return inputs()


def rendered(given, figures=()):
    return markdown.markdown(given.comparison, given.verdict, dict(figures), "report.html")


def test_the_report_tells_verdict_strategies_pairs_and_claims(three):
    text = rendered(three, {"figures/accuracy_cost.png": "Against [cost]"}.items())
    assert text.startswith("# leaves: Use strategy-0\n\n1. Use strategy-0.\n2. It loses little.\n3. It costs least.\n")
    for name, s in three.comparison.strategies.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| {name}") and "%" in line)
        assert f"{100 * s.test['accuracy'].mean:.1f} %" in row
    pairs = re.findall(r"^\| (\S+) \| (\S+) \| \S+ points", text, re.MULTILINE)
    assert pairs == [(pair.a, pair.b) for pair in three.comparison.pairs]
    assert "strategy-0 (recommended)" in text
    assert "strategy-2 does not meet the constraints: too slow." in text
    assert "- strategy-1 overtakes strategy-0 at about 50 images (95 % CI 20 to 90).\n" in text
    assert "- With 4x the images: the other." in text
    assert "5. Claim 5 **Contradicted.** It is 5 %." in text
    assert "The\n40 test images" in text
    assert "![Against (cost)](figures/accuracy_cost.png)" in text
    assert "[report.html](report.html)" in text
    assert len(text.splitlines()) < 70


@pytest.mark.parametrize("options", [{}, {"bare": True}, {"strategies": 1, "bare": True}, {"classes": ["a|b", "<i>"]}])
def test_every_table_of_the_report_is_whole(options):
    given = inputs(**options)
    dataset = given.comparison.dataset.model_copy(update={"name": "a|b <script>"})
    text = rendered(given.compared(dataset=dataset))
    assert "<script>" not in text
    lines = text.splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("|---")]
    assert len(heads) == (1 if options.get("strategies") == 1 else 2)
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
    given = inputs(strategies=count, bare=True)
    asked = given.verdict.model_copy(update={"constraints": Constraints(latency_ms=5.0)})
    text = markdown.summary(given.comparison, asked)
    assert "Under your constraints:\nUse strategy-0." in text
    assert text.splitlines()[-1] == "Without constraints: Use strategy-0."
    assert len(text.splitlines()) <= 18
    lines = markdown.summary(given.comparison, given.verdict).splitlines()
    assert lines[-4:] == list(given.verdict.answers.model_dump().values())
    accuracies = [float(line.split()[1]) for line in lines[1:-5]]
    assert accuracies == sorted(accuracies, reverse=True)


@pytest.mark.parametrize("metric", ["balanced_accuracy", "log_loss"])
def test_report_and_summary_rank_by_the_metric_that_decides_and_say_why(metric):
    compared = comparison({"a": {"accuracy": 0.8}, "b": {"accuracy": 0.9}}, metric=metric, metric_is_auto=True)
    lines = markdown.summary(compared, advise(compared)).splitlines()
    assert f"test {formatting.called(metric)}" in lines[0]
    assert [line.split()[0] for line in lines[1:3]] == ["b", "a"]
    assert lines[1].split()[1] == formatting.score(compared.strategies["b"].test[metric].mean, metric).split()[0]
    text = markdown.markdown(compared, advise(compared), {}, "report.html")
    assert (
        f"\n\nStrategies are ranked by {formatting.called(metric)}, because the largest class (ash: 800 training"
        in text
    )
    given = compared.model_copy(update={"metric_is_auto": False})
    assert "ranked by" not in markdown.markdown(given, advise(given), {}, "report.html")


def test_summary_and_report_name_the_confidence_of_their_intervals():
    compared = comparison(confidence=0.8)
    for text in (markdown.summary(compared, advise(compared)),
                 markdown.markdown(compared, advise(compared), {}, "report.html")):  # fmt: skip
        assert "80 % interval" in text
        assert not re.search(r"(?<![\d.])95 %", text)
