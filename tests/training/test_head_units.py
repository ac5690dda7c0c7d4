from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config.features import Features
from pipeline.config.params import Runtime
from pipeline.config.recipe import Recipe
from pipeline.data.image_set import ImageSet
from pipeline.training import head_units
from pipeline.training.run_context import RunContext, drop_states, make_run_context, unit_folder
from pipeline.training.unit import unit

COHORT = "a cohort"


def recipe(**wanted: Any) -> Recipe:
    plain = {"backbone": "compact", "weights": "random", "cut": "head", "image_size": 32, "epochs": 3, "batch_size": 8}
    return Recipe(**{**plain, "hidden": 8, "learning_rate": 0.003, "dropout": 0.2, **wanted})


RECIPES = tuple(recipe(learning_rate=rate, head="mlp") for rate in (0.001, 0.003, 0.01))


def make_setting(images: ImageSet, work: Path) -> RunContext:
    return make_run_context(images, 0.2, Features(views=("identity", "hflip"), tta=True), work,
                  Runtime(threads=1, device="cpu"))  # fmt: skip


@pytest.fixture
def context(image_set, tmp_path):
    return make_setting(image_set, tmp_path / "work")


def halve(context: RunContext, heads: Callable[..., Any] = head_units.heads) -> list[Any]:
    """Train three heads for an epoch, and the first and the last of them to the end."""
    first = heads(RECIPES, context, 1, 1, COHORT)
    last = heads((RECIPES[0], RECIPES[2]), context, 1, 3, COHORT)
    return [first, last]


@pytest.fixture(scope="module")
def uninterrupted(image_set, tmp_path_factory):
    return halve(make_setting(image_set, tmp_path_factory.mktemp("whole")))


def fail_if_trained(*event: object) -> None:
    pytest.fail(f"trained again: {event}")


def test_promoted_heads_go_on_from_where_they_were(uninterrupted):
    first, last = uninterrupted
    assert [len(outcome.epochs) for outcome in first + last] == [1, 1, 1, 3, 3]
    assert [outcome.epochs[:1] for outcome in last] == [first[0].epochs, first[2].epochs]


def test_what_is_done_is_read_back(context, uninterrupted):
    assert halve(context) == uninterrupted
    assert head_units.heads(RECIPES, context, 1, 1, COHORT, fail_if_trained, fail_if_trained) == uninterrupted[0]


@given(st.integers(1, 7))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=7)
def test_heads_killed_in_any_epoch_give_the_same_outcomes(image_set, tmp_path_factory, uninterrupted, fatal):
    context, heard = make_setting(image_set, tmp_path_factory.mktemp("killed")), []

    def die(position, epoch):
        heard.append(position)
        if len(heard) == fatal:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        halve(context, lambda *arguments: head_units.heads(*arguments, die))
    assert halve(context) == uninterrupted


@pytest.mark.parametrize("written", range(10))
def test_heads_killed_at_any_write_give_the_same_outcomes(context, uninterrupted, monkeypatch, written):
    left = iter(range(written))

    def count(real):
        def write(*arguments, **keywords):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return real(*arguments, **keywords)

        return write

    with monkeypatch.context() as patch:
        patch.setattr(head_units, "write_json", count(head_units.write_json))
        patch.setattr(head_units, "save_state", count(head_units.save_state))
        try:
            halve(context)
        except KeyboardInterrupt:
            pass
        else:
            assert written >= 8  # three states and three results, then two results
    assert halve(context) == uninterrupted


def test_heads_cost_and_score_what_each_would_alone(context):
    together = head_units.heads((recipe(dropout=0.0), recipe(dropout=0.0, learning_rate=0.01)), context, 1, 3, COHORT)
    alone = [unit(recipe(dropout=0.0, learning_rate=rate), context, 1) for rate in (0.003, 0.01)]
    for ours, theirs in zip(together, alone):
        assert ours.cost == theirs.cost
        assert [e.valid["log_loss"] for e in ours.epochs] == pytest.approx(
            [e.valid["log_loss"] for e in theirs.epochs], rel=1e-4
        )


def test_weighted_heads_score_what_each_would_alone(context, image_set):
    dev = replace(image_set, weights=np.linspace(0.1, 9, len(image_set)), digest="weighted")
    context, chosen = (
        replace(context, dev=dev),
        [recipe(dropout=0.0, class_weight_power=class_weight_power) for class_weight_power in (0.0, 1.0)],
    )
    together = head_units.heads(chosen, context, 1, 3, COHORT)
    for each, ours in zip(chosen, together):
        losses = [[e.train_loss for e in outcome.epochs] for outcome in (ours, unit(each, context, 1))]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_head_that_diverges_is_an_outcome_and_no_error(context):
    good, bad = head_units.heads((recipe(), recipe(learning_rate=1e30)), context, 1, 3, COHORT)
    assert "became" in bad.failed
    assert len(bad.epochs) < 3
    assert (good.failed, len(good.epochs)) == ("", 3)
    assert all(np.isfinite(list(epoch.valid.values())).all() for epoch in good.epochs)


def test_another_cohort_is_another_unit(context):
    folders = {unit_folder(recipe(), context, 1, cohort) for cohort in ("", "a", "b")}
    assert len(folders) == 3
    assert unit_folder(recipe(), replace(context, valid_fraction=0.3), 1, "a") not in folders


def test_dropped_states_leave_the_results(context, uninterrupted):
    first = head_units.heads(RECIPES, context, 1, 1, COHORT)
    for each in RECIPES:
        drop_states(each, context, 1, COHORT)
        assert sorted(p.name for p in unit_folder(each, context, 1, COHORT).iterdir()) == ["epoch-1.json"]
    assert head_units.heads(RECIPES, context, 1, 1, COHORT, fail_if_trained) == first == uninterrupted[0]
