from pipeline.verdict.sentences.first_answer import first_answer
from tests.support.example import comparison

COUNTS = {"ash": 20, "beech": 10, "oak": 10}


def told(**changes):
    compared = comparison(seeds=2, fractions=(0.3, 1.0), validated=COUNTS, **changes)
    whole = {name: s.recipe for name, s in compared.strategies.items()}
    scratch = whole["scratch"]
    whole["scratch"] = scratch.model_copy(update={"epochs": 4 * scratch.epochs, "image_size": 224})
    return first_answer(compared, whole, 240.0, 1800.0, "`uv run dvc repro`")


def test_what_it_rests_on_is_said():
    first, second, *_ = told()
    assert "after 4 min of processor time" in first
    assert "To be quick, scratch with 96 px instead of 224 px and 20 epochs instead of 80 epochs." in first
    assert "finetune" not in first
    assert "validation images, 40 for each of 2 seeds" in second
    assert "The test split stays unopened." in second


def test_what_going_on_may_bring_and_takes_is_said():
    *_, gain, on = told()
    assert gain.startswith("Expected gain of going on: ")
    assert " of accuracy against the best of these" in gain
    assert "To go on: `uv run dvc repro`. It takes about 30 min of processor time at most" in on
