import re
from urllib.parse import parse_qs, urlsplit

from pipeline.config.constraints import Constraints
from pipeline.report.experiment_note import RunIds, experiment_note
from pipeline.verdict.advice import advise
from tests.support.example import comparison, timings

RUNS = RunIds("1", "2", ["aa", "bb"], "cc", "headstart-stages")


def note(compared=None, runs=RUNS):
    compared = compared or comparison()
    return experiment_note(
        compared, advise(compared, Constraints(), timings(compared.strategies)), "leaves", runs, "report.html"
    )


def test_it_opens_with_the_verdict_in_its_sentences():
    compared = comparison()
    verdict = advise(compared, Constraints(), timings(compared.strategies))
    text = note(compared)
    assert text.startswith(f"## leaves: Use {verdict.recommended}\n\n- {verdict.answers.use}\n")
    assert all(sentence in text for sentence in (verdict.answers.loses, verdict.answers.costs))


def test_it_links_to_the_report_and_to_the_best_runs_side_by_side():
    links = dict(re.findall(r"\[([^]]+)\]\(([^)]+)\)", note()))
    assert links["The report"] == "#/experiments/2/runs/cc/artifacts/report.html"
    asked = parse_qs(urlsplit(links["All strategies side by side"].removeprefix("#")).query)
    assert asked == {"runs": ['["aa","bb"]'], "experiments": ['["1"]']}
    assert links["leaves"] == "#/models/leaves"


def test_it_says_how_to_read_the_runs_and_fits_into_a_tag_with_any_number_of_strategies():
    text = note(runs=RunIds("1", "2", [f"{n:032}" for n in range(60)], "cc", "headstart-stages"))
    assert "`test_accuracy_low` and `_high` are the ends of its 95 %" in " ".join(text.split())
    assert "`train_flops` are the operations of one training" in text
    assert len(text) < 4500
