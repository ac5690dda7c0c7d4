from itertools import chain

import pytest

from pipeline.config.params import Train
from pipeline.config.recipe import Recipe
from pipeline.execution.rounds import every_point, minimum, race, rounds, whole_retrainings

WHOLE = Train(seeds=(1, 2, 3, 4, 5), fractions=(0.1, 0.3, 1.0))
NAMES = ["a", "b", "c"]


def outcomes(points):
    """Return what stands for the outcomes of some points."""
    found = {}
    for fraction, seed in points:
        found.setdefault(fraction, {})[seed] = (fraction, seed)
    return found


def raced(train, judge, names=NAMES):
    """Race strategies; return what each got, in order, and why some were stopped."""
    got = {name: [] for name in names}

    def do(asked):
        for name, points in asked.items():
            got[name] += points
        return {name: outcomes(points) for name, points in asked.items()}

    trained, stopped = race(names, train, do, judge)
    assert trained == {name: outcomes(points) for name, points in got.items()}
    return got, stopped


def test_the_minimum_is_three_seeds_on_all_images_and_on_the_smallest_share():
    assert minimum(WHOLE) == [(f, seed) for f in (1.0, 0.1) for seed in (1, 2, 3)]
    assert rounds(WHOLE) == [[(1.0, 4), (0.3, 1), (0.3, 2), (0.3, 3)], [(1.0, 5)]]


def test_without_a_race_every_strategy_gets_everything_at_once():
    off = WHOLE.model_copy(update={"racing": False})
    assert minimum(off) == every_point(off)
    assert len(every_point(off)) == 15
    assert rounds(off) == []


@pytest.mark.parametrize(
    ("seeds", "fractions", "found"),
    [((1, 2), (0.5, 1.0), []), ((1,), (1.0,), []), ((1, 2, 3), (0.1, 0.3, 1.0), [[(0.3, s) for s in (1, 2, 3)]])],
)
def test_few_seeds_are_all_in_the_minimum(seeds, fractions, found):
    train = Train(seeds=seeds, fractions=fractions)
    assert rounds(train) == found
    assert sorted([*minimum(train), *chain(*found)]) == sorted(every_point(train))


def test_who_is_stopped_keeps_the_minimum_and_the_others_go_on():
    got, stopped = raced(WHOLE, lambda trained: {"c": "behind"} if "c" in trained else {})
    assert got["c"] == minimum(WHOLE)
    assert got["a"] == got["b"] == [*minimum(WHOLE), *chain(*rounds(WHOLE))]
    assert stopped == {"c": "behind"}


def test_who_is_left_alone_gets_its_curve_and_no_more_seeds():
    got, _ = raced(WHOLE, lambda trained: {"b": "behind", "c": "behind"})
    assert got["a"] == [*minimum(WHOLE), (0.3, 1), (0.3, 2), (0.3, 3)]


def test_a_single_strategy_gets_everything_that_a_race_gives():
    got, stopped = raced(WHOLE, lambda trained: pytest.fail("nobody to judge"), ["a"])
    assert got["a"] == [*minimum(WHOLE), *chain(*rounds(WHOLE))]
    assert not stopped


def test_the_judge_is_asked_before_each_round_of_those_still_in_the_race():
    seen = []

    def judge(trained):
        seen.append({name: sorted(found[1.0]) for name, found in trained.items()})
        return {"b": 1} if len(seen) == 1 else {}

    raced(WHOLE, judge)
    assert seen == [{name: [1, 2, 3] for name in NAMES}, {name: [1, 2, 3, 4] for name in ("a", "c")}]


def test_trainings_cost_their_images_times_their_epochs():
    train = Train(seeds=(1, 2), fractions=(0.25, 1.0), epoch_scaling=0.5)
    recipe = Recipe(backbone="compact", weights="random", cut="input", epochs=10, learning_rate=0.1)
    assert whole_retrainings(recipe, train, every_point(train)) == 2 * (
        1 + 0.25 * 2
    )  # a quarter of the images for twice the epochs
