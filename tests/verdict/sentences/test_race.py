from pipeline.statistics.missing import Diverged, Stopped
from pipeline.verdict.sentences.race import race_notes
from tests.support.example import changed, comparison

STOPPED = Stopped(behind="finetune", gap=0.08, p_within=0.0001, level=0.004, seeds=3)


def test_nothing_is_said_where_all_got_all():
    assert race_notes(comparison()) == []


def test_who_was_stopped_is_named_with_the_reason_and_what_it_leaves():
    made = changed(comparison(), "scratch", stopped=STOPPED)
    (said,) = race_notes(made)
    assert said.startswith("scratch was stopped early: after 3 seeds it was 8")
    assert "behind finetune on validation" in said
    assert "was below 0.001" in said


def test_who_is_left_alone_is_named_too():
    made = comparison()
    for name in made.strategies:
        if name != "finetune":
            made = changed(made, name, stopped=STOPPED)
    assert race_notes(made)[-1].startswith("finetune was then the only one left")


def test_a_training_that_diverged_is_named():
    lost = (Diverged(seed=2, fraction=1.0, reason="the loss became nan"),
            Diverged(seed=3, fraction=0.1, reason="the loss became nan"))  # fmt: skip
    said = race_notes(changed(comparison(), "scratch", diverged=lost))
    assert said == [
        "scratch: the training with seed 2 is left out, because the loss became nan.",
        "scratch: the training with seed 3 on 10 % of the images is left out, because the loss became nan.",
    ]
