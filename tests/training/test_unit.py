from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.config.backbone_table import Backbone, resolve
from pipeline.data.folds import train_valid
from pipeline.inference.classifier import Classifier
from pipeline.network.build import export_model
from pipeline.training.metrics import score
from pipeline.training.run_context import drop_states, unit_folder
from pipeline.training.unit import timing, unit
from tests.support.kinds import KINDS, every_kind, make_context, recipe


def fail_if_trained(epoch: object) -> None:
    pytest.fail(f"trained again: {epoch}")


@every_kind
def test_a_finished_unit_is_read_back(kind, context, test_set):
    first = unit(recipe(kind), context, 1, test=test_set)
    assert unit(recipe(kind), context, 1, test=test_set, on_epoch=fail_if_trained, on_images=fail_if_trained) == first


@every_kind
def test_a_unit_taken_further_is_the_one_trained_at_a_stretch(kind, context, image_set, tmp_path):
    heard: list[int] = []
    short = unit(recipe(kind), context, 1, until=1, on_epoch=lambda epoch: heard.append(epoch.number))
    long = unit(recipe(kind), context, 1, until=3, on_epoch=lambda epoch: heard.append(epoch.number))
    assert heard == [1, 2, 3]
    assert long.epochs[:1] == short.epochs
    assert long == unit(recipe(kind), make_context(image_set, tmp_path / "elsewhere"), 1)


@pytest.mark.parametrize("died_in", [2, 3])
@pytest.mark.parametrize("kind", ["scratch", "partial"])
def test_a_unit_that_was_interrupted_gives_the_same_outcome(kind, died_in, context, image_set, tmp_path):
    def die(epoch):
        if epoch.number == died_in:
            raise KeyboardInterrupt

    unit(recipe(kind), context, 1, until=1)
    with pytest.raises(KeyboardInterrupt):
        unit(recipe(kind), context, 1, on_epoch=die)
    assert unit(recipe(kind), context, 1) == unit(recipe(kind), make_context(image_set, tmp_path / "elsewhere"), 1)


@pytest.mark.parametrize("kind", ["scratch", "partial"])
def test_a_long_training_that_is_killed_goes_on_from_its_checkpoint(kind, context, image_set, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.training.unit.CHECKPOINT_SECONDS", 0.0)

    def die(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unit(recipe(kind), context, 1, on_epoch=die)
    heard: list[int] = []
    gone_on = unit(recipe(kind), context, 1, on_epoch=lambda epoch: heard.append(epoch.number))
    assert heard == [3]
    elsewhere = make_context(image_set, tmp_path / "elsewhere")
    assert gone_on == unit(recipe(kind), elsewhere, 1)
    assert not list(unit_folder(recipe(kind), context, 1).glob("*.pt"))
    assert timing(recipe(kind), context, 1)["cpu_seconds"] > 0


def test_a_unit_without_the_state_to_go_on_from_starts_anew_to_the_same_outcome(context, image_set, tmp_path):
    unit(recipe("partial"), context, 1, until=2)
    drop_states(recipe("partial"), context, 1)
    elsewhere = make_context(image_set, tmp_path / "elsewhere")
    assert unit(recipe("partial"), context, 1) == unit(recipe("partial"), elsewhere, 1)


def test_a_unit_asked_for_an_earlier_epoch_does_not_lose_or_use_a_later_one(context):
    late = unit(recipe(), context, 1, until=2)
    early = unit(recipe(), context, 1, until=1)
    assert early.epochs == late.epochs[:1]
    assert unit(recipe(), context, 1).epochs[:2] == late.epochs


@every_kind
def test_weights_and_balance_change_what_is_learned_and_not_how_it_is_scored(kind, context, image_set):
    plain = unit(recipe(kind, epochs=1), context, 1)
    weights = np.where(image_set.labels == 0, 50.0, 1.0)
    dev = replace(image_set, weights=weights, digest="weighted")
    heavy = unit(recipe(kind, epochs=1), replace(context, dev=dev), 1)
    evened = unit(recipe(kind, epochs=1, class_weight_power=1.0), replace(context, dev=dev), 1)
    assert heavy.epochs != plain.epochs
    # Balanced to the full, what all images of a class have in common counts no more.
    assert evened.epochs[0].train_loss == pytest.approx(plain.epochs[0].train_loss, rel=1e-3)
    assert evened.epochs[0].valid == pytest.approx(plain.epochs[0].valid, rel=1e-3)
    if not recipe(kind).probe:  # whose fit takes as many iterations as it needs
        assert heavy.cost == plain.cost


def test_the_head_that_is_fitted_first_is_weighed_too(context, image_set):
    slow = recipe("partial", learning_rate=1e-30, epochs=1)
    dev = replace(image_set, weights=np.where(image_set.labels == 0, 50.0, 1.0), digest="weighted")
    assert unit(slow, context, 1).epochs[0].valid != pytest.approx(
        unit(slow, replace(context, dev=dev), 1).epochs[0].valid, rel=1e-3
    )


@every_kind
def test_a_backbone_is_looked_up_once_for_a_unit_and_before_its_training(kind, context, monkeypatch):
    looked: list[str] = []

    def note(name: str, *args: Any) -> Backbone:
        looked.append(name)
        return resolve(name, *args)

    monkeypatch.setattr("pipeline.network.pretrained.resolve", note)
    unit(recipe(kind), context, 1, on_images=lambda count: looked.append("images"), on_epoch=looked.append)
    assert [found for found in looked if isinstance(found, str) and found != "images"] == ["compact"]
    assert looked[0] == "compact"


def test_cuts_asked_for_elsewhere_change_no_outcome(context, image_set, tmp_path):
    busy = make_context(image_set, tmp_path / "busy", cuts=(1, 2, 3, "head"))
    assert unit(recipe("partial"), busy, 1) == unit(recipe("partial"), context, 1)


@every_kind
def test_the_test_split_is_scored_when_it_is_given_and_then_alone(kind, context, test_set):
    closed = unit(recipe(kind), context, 1)
    assert closed.test == {}
    assert not (unit_folder(recipe(kind), context, 1) / "model.json").exists()
    opened = unit(recipe(kind), context, 1, test=test_set)
    assert opened.test["rows"] == list(range(len(test_set)))
    assert (opened.epochs, opened.cost) == (closed.epochs, closed.cost)


@every_kind
def test_a_trial_is_judged_after_its_last_epoch_by_what_would_be_served(kind, context, image_set, test_set):
    outcome = unit(recipe(kind), context, 1, test=test_set)
    served = score(image_set.labels[outcome.valid["rows"]], np.array(outcome.valid["probabilities"]))
    assert outcome.epochs[-1].valid == pytest.approx(served)
    assert len(context.scored) > 1


@every_kind
@pytest.mark.parametrize("tta", [True, False])
def test_what_is_served_is_what_was_scored(kind, tta, image_set, test_set, tmp_path):
    context = make_context(image_set, tmp_path, tta)
    outcome = unit(recipe(kind), context, 1, test=test_set)
    export_model(unit_folder(recipe(kind), context, 1), tmp_path / "model")
    table = Classifier(tmp_path / "model").predict(np.asarray(test_set.images))
    expected = np.array(outcome.test["probabilities"])
    # Maps at a cut are kept in half precision, and a probe of a few separable images has large weights.
    np.testing.assert_allclose(table[["p_low", "p_top"]], expected, atol=1e-2 if kind == "partial" else 2e-3)
    assert [test_set.classes[i] for i in expected.argmax(1)] == list(table["label"])


@every_kind
def test_a_network_that_scales_its_images_up_is_served_as_it_was_trained(kind, context, test_set, tmp_path):
    assert test_set.size == 32
    larger = recipe(kind, image_size=48)
    outcome = unit(larger, context, 1, test=test_set)
    assert outcome.cost.predict_flops > 2 * unit(recipe(kind), context, 1).cost.predict_flops
    export_model(unit_folder(larger, context, 1), tmp_path / "model")
    table = Classifier(tmp_path / "model").predict(np.asarray(test_set.images))
    np.testing.assert_allclose(table[["p_low", "p_top"]], outcome.test["probabilities"], atol=1e-2)


def test_validation_images_are_those_of_the_seed_s_split(context, test_set):
    outcome = unit(recipe(), replace(context, scored=("identity",)), 1, test=test_set)
    train, valid = train_valid(context.dev, 0.2, 1)
    assert outcome.valid["rows"] == valid.tolist()
    assert not set(train) & set(valid)
    scores = score(context.dev.labels[valid], np.array(outcome.valid["probabilities"]))
    assert scores == pytest.approx(outcome.epochs[-1].valid)


def test_costs_count_what_is_trained_and_what_is_passed_through_the_stem(context):
    costs = {kind: unit(recipe(kind, head="linear"), context, 1).cost for kind in KINDS}
    assert costs["scratch"].parameters == costs["scratch"].trainable_parameters
    assert costs["frozen"].trainable_parameters == 2 * 128 + 2
    assert 2 * 128 + 2 < costs["partial"].trainable_parameters < costs["partial"].parameters
    assert {kind: list(cost.passes) for kind, cost in costs.items()} == {
        "scratch": [],
        "frozen": ["compact/random/32/head"],
        "partial": ["compact/random/32/3", "compact/random/32/head"],
    }
    assert costs["frozen"].fit_flops < costs["partial"].fit_flops < costs["scratch"].fit_flops
    assert len({cost.predict_flops for cost in costs.values()}) == 1
    for cost in costs.values():
        assert cost.train_flops == sum(cost.passes.values()) + cost.fit_flops


def test_a_linear_head_s_cost_is_what_it_comes_to_by_hand(context):
    train, valid = train_valid(context.dev, 0.2, 1)
    cost = unit(recipe("frozen", head="linear"), context, 1).cost
    looks = 3 + 1  # after the last epoch at two views
    assert cost.fit_flops == 3 * 2 * (2 * 128 * 2) * len(train) + looks * 2 * 128 * 2 * len(valid)
    backbone = cost.predict_flops // 2 - 2 * 128 * 2  # two views are averaged
    assert cost.passes == {"compact/random/32/head": backbone * 2 * len(context.dev)}


def test_steps_that_a_recipe_asks_for_beyond_its_epochs_are_paid_for(context):
    train, valid = train_valid(context.dev, 0.2, 1)
    few = recipe("frozen", head="linear", batch_size=len(train))  # one step for each of its three epochs
    costs = [unit(each, context, 1).cost.fit_flops for each in (few, few.model_copy(update={"min_steps": 12}))]
    looked = (3 + 1) * 2 * 128 * 2 * len(valid)
    assert costs[1] - looked == 4 * (costs[0] - looked)


DIVERGING = {
    "while it trains": recipe(learning_rate=1e30),
    "in the last step of an epoch": recipe(learning_rate=1e30, batch_size=64),
    "on the head alone": recipe("frozen", learning_rate=1e30),
}


@pytest.mark.parametrize("when", DIVERGING)
def test_a_training_that_diverges_is_an_outcome_and_no_error(when, context, test_set):
    outcome = unit(DIVERGING[when], context, 1, test=test_set)
    assert "became" in outcome.failed
    assert outcome.test == {}
    assert unit(DIVERGING[when], context, 1, test=test_set, on_epoch=fail_if_trained) == outcome


@every_kind
def test_a_share_of_the_images_is_trained_on_and_test_alone_is_scored(kind, context, test_set, image_set):
    whole = unit(recipe(kind), context, 1, test=test_set)
    half = unit(recipe(kind), context, 1, test=test_set, fraction=0.5)
    train, valid = train_valid(image_set, 0.2, 1)
    assert (whole.images, half.images) == (len(train), round(len(train) / 2))
    assert half.test["rows"] == whole.test["rows"]
    assert half.test["probabilities"] != whole.test["probabilities"]
    assert not half.valid
    assert not list(unit_folder(recipe(kind), context, 1, fraction=0.5).glob("model*"))
    for name, flops in half.cost.passes.items():  # a pass over what is seen alone
        assert flops / whole.cost.passes[name] == pytest.approx((half.images + len(valid)) / len(image_set))
    again = unit(recipe(kind), context, 1, test=test_set, fraction=0.5, on_epoch=fail_if_trained)
    assert again == half


@pytest.mark.parametrize("features", ["last", "stages"])
@pytest.mark.parametrize("cut", ["input", 2])
def test_fine_tuning_from_a_probe_begins_where_the_frozen_head_ends(context, features, cut):
    frozen = unit(recipe("frozen", head="logistic", features=features), context, 1)
    begun = unit(recipe("partial", cut=cut, features=features, learning_rate=1e-30, epochs=1), context, 1)
    assert [epoch.number for epoch in frozen.epochs] == [1]
    # Maps at a cut are kept in half precision; at the input there are none.
    assert begun.epochs[0].valid == pytest.approx(frozen.epochs[0].valid, rel=1e-4 if cut == "input" else 2e-2)


def test_a_logistic_head_is_the_same_whatever_it_does_not_depend_on(context):
    one = recipe("frozen", head="logistic", epochs=7, learning_rate=0.1, dropout=0.4)
    assert one == recipe("frozen", head="logistic", epochs=2, learning_rate=0.2, weight_decay=3.0)
    assert unit(one, context, 1, until=one.epochs).epochs[0].valid


@every_kind
@pytest.mark.parametrize("fraction", [0.5, 1.0])
def test_a_validated_unit_keeps_its_predictions_on_validation_and_opens_no_test(kind, fraction, context, image_set):
    made = unit(recipe(kind), context, 1, fraction=fraction, validated=True)
    _, valid = train_valid(image_set, context.valid_fraction, 1)
    assert made.valid["rows"] == valid.tolist()
    assert np.shape(made.valid["probabilities"]) == (len(valid), 2)
    assert made.test == {}


@every_kind
def test_a_validated_unit_answers_whoever_asks_for_the_same_without_predictions(kind, context, image_set, tmp_path):
    validated = unit(recipe(kind), context, 1, validated=True)
    plain = unit(recipe(kind), context, 1, on_epoch=fail_if_trained, on_images=fail_if_trained)
    assert plain == replace(validated, valid={}) == unit(recipe(kind), make_context(image_set, tmp_path / "other"), 1)


def test_a_validated_units_predictions_are_those_of_the_unit_that_opens_test(context, test_set, image_set, tmp_path):
    elsewhere = make_context(image_set, tmp_path / "elsewhere")
    validated = unit(recipe(), context, 1, validated=True)
    tested = unit(recipe(), elsewhere, 1, test=test_set)
    assert replace(tested, test={}) == validated
