import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.training.loop import Fit
from pipeline.training.ranks import ALONE, Ranks, current
from pipeline.training.samples import Samples
from tests.support.fits import CPU, PLAIN
from tests.support.ranks import Maps, learn, learn_together, processes


@pytest.fixture(scope="module")
def together():
    with processes() as made:
        yield made


@given(st.integers(0, 50), st.integers(1, 9))
def test_every_thing_is_of_one_process_and_their_parts_are_of_a_size(count, size):
    parts = [range(count)[Ranks(rank, size).part(count)] for rank in range(size)]
    assert [thing for part in parts for thing in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_the_first_process_draws_what_one_alone_would_and_the_others_something_else():
    assert ALONE.seed(5) == Ranks(0, 3).seed(5) == 5
    assert len({Ranks(rank, 3).seed(5) for rank in range(3)}) == 3


def test_a_process_alone_agrees_with_itself():
    own = torch.ones(2)
    assert current() == ALONE
    assert ALONE.total(own) is own
    assert ALONE.agreed(7) == 7
    assert ALONE.leader_first(lambda: "found") == "found"


def agree(path):
    ranks = current()
    own = torch.tensor([1.0, 10.0]) * (ranks.rank + 1)

    def look():
        seen = Path(path).exists()
        Path(path).touch()
        return seen

    return ranks.rank, ranks.size, ranks.total(own).tolist(), own.tolist(), ranks.agreed(5 + ranks.rank), \
        ranks.leader_first(look)  # fmt: skip


def test_processes_agree_on_sums_and_on_what_the_first_says_and_it_goes_first(together, tmp_path):
    first, second = together(agree, tmp_path / "mark")
    assert first == (0, 2, [3.0, 30.0], [1.0, 10.0], 5, False)
    assert second == (1, 2, [3.0, 30.0], [2.0, 20.0], 5, True)


def listening():
    """Return the addresses at which this process listens, as /proc/net has them."""
    own = {os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.exists()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                found.add(fields[1].rpartition(":")[0])
    return found


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="Linux says who listens where")
def test_nothing_listens_beyond_the_loopback_interface(together):
    assert set().union(*together(listening)) <= {"0100007F", "00000000000000000000000001000000"}


# The law: two processes learn what one would, at the same global batch

CASES = {
    "as it is": {},
    "statistics kept": {"batchnorm": "keep"},
    "weighted": {"class_weight_power": 0.7, "label_smoothing": 0.1},
    "clipped and averaged": {"gradient_clip": 0.1, "ema": 0.9},
    "with a floor of steps": {"min_steps": 20, "layer_decay": 0.7, "head_rate": 0.5},
    "in parts": {"batchnorm": "keep", "micro_batch": 2},  # of 2 and 3 images
}


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one_after_ten_steps(together, case):
    alone, shared = learn(4, **CASES[case]), together(learn_together, 4, **CASES[case])
    for each in shared:
        assert each["losses"] == pytest.approx(alone["losses"], abs=1e-5)
        np.testing.assert_allclose(each["predicted"], alone["predicted"], atol=1e-5)
        for name, value in alone["state"].items():
            np.testing.assert_allclose(each["state"][name], value, atol=1e-5, err_msg=name)
    assert alone["losses"][-1] < alone["losses"][0]


@pytest.mark.parametrize("case", [{}, {"mixup": 0.4, "ema": 0.9}, {"micro_batch": 2}])
def test_all_processes_hold_the_same_bits(together, case):
    first, second = together(learn_together, 3, **case)
    assert first["losses"] == second["losses"]
    for name, value in first["state"].items():
        np.testing.assert_array_equal(value, second["state"][name], err_msg=name)
    np.testing.assert_array_equal(first["predicted"], second["predicted"])


def test_the_same_training_shared_again_gives_the_same_bits(together):
    one, again = together(learn_together, 3)[0], together(learn_together, 3)[0]
    assert one["losses"] == again["losses"]
    np.testing.assert_array_equal(one["predicted"], again["predicted"])


def draw():
    """Return what a process draws in an epoch: for augmentation, and for dropout."""
    found = []

    def transform(batch, generator):
        found.append(float(torch.rand((), generator=generator)))
        return batch

    fit = Fit(nn.Sequential(nn.Flatten(), nn.Linear(108, 3)), Recipe(**{**PLAIN, "learning_rate": 0.1}), 1, CPU,
              ranks=current())  # fmt: skip
    fit.epoch(Samples(Maps(13), np.arange(13) % 3, np.arange(13)), transform)
    return [*found, float(torch.rand(()))]


def test_each_process_draws_its_own_and_the_first_what_one_alone_draws(together):
    first, second = together(draw)
    assert first == draw()
    assert not set(first) & set(second)
