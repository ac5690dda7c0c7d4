"""What is counted before anything is trained is what a unit counts when it is."""

import numpy as np
import pytest
import torch

from pipeline.config.cluster import GPUS
from pipeline.config.params import Train
from pipeline.config.strategies import Search, Strategy
from pipeline.data.folds import train_valid
from pipeline.network.pretrained import PACKAGED
from pipeline.search.workload import Counts, steps
from pipeline.training import unit as units
from pipeline.training.image_costs import ImageCosts
from pipeline.training.sketched_network import SketchedNetwork, Sketches
from tests.support.kinds import KINDS, every_kind, make_context, recipe


@pytest.fixture
def sketches(image_set):
    return Sketches(image_set.size, image_set.channels, len(image_set.classes), PACKAGED, threads=1)


@pytest.fixture(autouse=True)
def _timings_are_short(monkeypatch):
    monkeypatch.setattr("pipeline.training.sketched_network.LEAST", 0.0)


@every_kind
def test_the_operations_of_a_unit_are_known_before_it_is_trained(kind, image_set, sketches, tmp_path):
    context = make_context(image_set, tmp_path)
    train, valid = train_valid(image_set, context.valid_fraction, 1)
    counts = Counts(len(train), len(valid), 0, len(context.views), len(context.scored))
    fixed = recipe(kind).model_dump(exclude={"learning_rate"})
    row = Strategy(trials=1, recipe=fixed, space={"learning_rate": {"low": 0.002, "high": 0.004}})
    first, *_ = steps(row, Search(seed=1, trials_per_round=1, promote_fraction=0.5),
                      Train(seeds=(1,), fractions=(1.0,)), counts, sketches.of, sketches.flops, set())  # fmt: skip
    (planned,) = first.units
    costs = sketches.flops(planned.recipes[0])
    outcome = units.unit(planned.recipes[0], context, 1)
    fitted = planned.fitted * costs.fitted  # its iterations are known afterwards alone
    assert outcome.cost.fit_flops - planned.cost(sketches.flops) + fitted == pytest.approx(0, abs=1.5 * fitted)
    assert max(outcome.cost.passes.values(), default=0) == sum(each.cost(sketches.flops) for each in first.passes)
    stored = sum(file.stat().st_size for file in (tmp_path / "features").glob("*.npy"))
    headers = 128 * len(list((tmp_path / "features").glob("*.npy")))
    assert stored - headers == sum(each.stored for each in first.passes)


def test_a_training_is_timed_and_the_bytes_that_it_moves_are_counted():
    net = SketchedNetwork(recipe("partial"), 32, 1, 2, PACKAGED)
    assert net.cuts == (4, 3)
    for costs in (net.seconds(), net.bytes_moved(), net.flops()):
        assert costs.trained > costs.looked > 0
        assert costs.passes[4] > 0
        assert costs.fitted > 0
    assert net.flops().passes[4] > net.flops().passes[3] > 0


def test_a_copy_moves_each_byte_twice_and_a_view_none():
    from pipeline.training.sketched_network import _moved

    x = torch.zeros(1000)
    assert _moved(lambda: x.view(10, 100)) == 0
    assert _moved(x.clone, training=False) == 2 * x.nbytes


def test_recipes_that_cost_the_same_share_a_network(sketches):
    one = sketches.of(recipe("scratch"))
    assert sketches.of(recipe("scratch", learning_rate=0.5, epochs=9, dropout=0.4)) is one
    assert sketches.of(recipe("scratch", image_size=24)) is not one


def test_a_gpu_takes_as_long_as_its_operations_its_memory_or_what_feeds_it(sketches, monkeypatch):
    wanted, gpu = recipe("scratch"), GPUS["h100"]
    monkeypatch.setattr(SketchedNetwork, "host_seconds", lambda self: ImageCosts({}, 0.0, 7.0, 0.0))
    found = sketches.seconds_on(gpu, wanted)
    flops, moved = sketches.flops(wanted), sketches.bytes_moved(wanted)
    assert found.trained == max(flops.trained / gpu.flops, moved.trained / 2 / gpu.bytes_per_second)
    assert found.looked == 7


@every_kind
def test_what_the_processor_does_for_a_gpu_is_timed(kind):
    found = SketchedNetwork(recipe(kind), 32, 1, 2, PACKAGED).host_seconds()
    assert found.trained > 0
    assert found.looked > 0
    assert (found.fitted > 0) == (kind == "partial")


@pytest.mark.parametrize("head", ["linear", "mlp", "logistic"])
def test_heads_of_every_kind_are_timed(head):
    net = SketchedNetwork(recipe("frozen", head=head), 32, 1, 3, PACKAGED)
    assert net.seconds().passes.keys() == {4}
    assert np.isfinite(net.seconds().trained)
    assert KINDS["frozen"]["cut"] == "head"
