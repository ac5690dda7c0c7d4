from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.data.folds import train_valid
from pipeline.data.group_split import hold_out, joined
from pipeline.data.image_set import ImageSet, stratified_split, three_way
from tests.data.test_image_set import hashed_manifest, manifest, peak_per_row

seeds = st.integers(0, 5)
shares = st.sampled_from([0.1, 0.2, 0.25, 0.5])


@st.composite
def grouped(draw):
    """Ids with copies, a label for each content, and a group for each image; copies may be in several groups."""
    count = draw(st.integers(6, 60))
    contents = np.array(draw(st.lists(st.integers(0, count), min_size=count, max_size=count)))
    labels = np.array(draw(st.lists(st.sampled_from("ab"), min_size=count + 1, max_size=count + 1)))[contents]
    groups = np.array(draw(st.lists(st.integers(0, draw(st.integers(2, 20))), min_size=count, max_size=count)))
    return np.array([f"{number:05}" for number in contents]), labels, groups


def units(ids, groups):
    return len(set(joined(np.unique(ids, return_inverse=True)[1], groups)))


def unless_refused(draw, *args):
    """Return what is drawn, or None where an error says that there are too few groups."""
    try:
        return draw(*args)
    except UserError as error:
        if "group" not in str(error):
            raise
    return None


def apart(values, one, other):
    return not set(values[one]) & set(values[other])


@given(grouped(), shares, seeds)
def test_no_group_and_no_content_is_on_two_sides_and_no_image_is_lost(made, share, seed):
    ids, labels, groups = made
    if units(ids, groups) < 2:
        with pytest.raises(UserError, match="share no image are too few"):
            stratified_split(ids, labels, share, seed, groups)
        return
    rest, held = stratified_split(ids, labels, share, seed, groups)
    assert apart(ids, rest, held)
    assert apart(groups, rest, held)
    assert sorted([*rest, *held]) == list(range(len(ids)))
    assert len(rest)
    assert len(held)
    assert (list(rest), list(held)) == (sorted(rest), sorted(held))


@given(grouped(), shares, shares, seeds)
def test_train_valid_and_test_share_no_group_and_each_has_every_class_or_it_is_said(made, test, valid, seed):
    ids, labels, groups = made
    table = manifest({"x": len(ids)}).assign(id=ids, label=labels, stratum=labels, group=groups.astype(str))
    split = unless_refused(three_way, table, test, valid, seed)
    if split is None:
        return
    for column in ("id", "group"):
        assert (table.assign(split=split).groupby(column)["split"].nunique() == 1).all()
    assert set(zip(labels, split)) == {(label, side) for label in set(labels) for side in ("train", "valid", "test")}
    rows = np.flatnonzero(split != "test")
    parts = unless_refused(train_valid, as_images(ids[rows], labels[rows], groups[rows]), valid, seed)
    if parts is None:
        return
    assert apart(groups[rows], *parts)
    assert set(labels[rows][parts[0]]) == set(labels[rows][parts[1]]) == set(labels)


def as_images(ids, labels, groups):
    classes, codes = np.unique(labels, return_inverse=True)
    empty = np.zeros((len(ids), 1, 1, 1), np.uint8)
    return ImageSet(empty, codes, labels, ids, tuple(classes.tolist()), "", groups)


@given(grouped(), shares, seeds, st.randoms())
def test_neither_order_nor_names_of_groups_change_who_is_held_out(made, share, seed, random):
    ids, labels, groups = made
    assume(units(ids, groups) > 1)
    order = random.sample(range(len(ids)), len(ids))
    _, held = stratified_split(ids, labels, share, seed, groups)
    _, again = stratified_split(ids[order], labels[order], share, seed, -groups[order])
    assert set(ids[held]) == set(ids[order][again])


@given(st.lists(st.integers(1, 9), min_size=8, max_size=60), st.integers(1, 4), shares, seeds)
def test_shares_are_met_but_for_part_of_a_group(sizes, kinds, share, seed):
    of_groups = np.repeat(np.arange(len(sizes)), sizes)
    strata = of_groups % kinds  # each group is of one stratum
    held = hold_out(of_groups, strata, share, seed)
    many = min(Counter(np.arange(len(sizes)) % kinds).values())
    assume(many > 1)
    assert {*strata[held[of_groups]]} == {*strata[~held[of_groups]]} == set(range(kinds))
    for kind in range(kinds):
        of_kind = np.array(sizes)[np.arange(len(sizes)) % kinds == kind]
        assert abs(held[of_groups][strata == kind].sum() - share * of_kind.sum()) <= of_kind.max()


def test_mixed_groups_of_uneven_sizes_keep_the_shares_of_labels():
    rng = np.random.default_rng(0)
    groups, labels = (rng.random(2600) ** 3 * 100).astype(int), rng.choice(list("abc"), 2600, p=[0.6, 0.3, 0.1])
    ids = np.array([f"{n:05}" for n in range(2600)])
    drawn = [stratified_split(ids, labels, 0.25, seed, groups)[1] for seed in range(5)]
    for held in drawn:
        assert abs(len(held) / 2600 - 0.25) < 0.01
        assert all(abs((labels[held] == name).sum() / (labels == name).sum() - 0.25) < 0.03 for name in "abc")
    assert len({tuple(held) for held in drawn}) == 5


def test_a_rare_class_comes_to_both_sides_though_its_share_would_be_missed():
    of_groups = np.repeat(np.arange(22), 10)
    labels = np.where(of_groups < 2, "rare", "common")  # two groups of ten: a tenth of them is less than half a group
    for seed in range(10):
        held = hold_out(of_groups, labels, 0.1, seed)
        assert held[:2].sum() == 1


def test_many_classes_of_few_groups_each_come_to_both_sides():
    numbers = np.arange(1600)
    for seed in range(3):
        held = hold_out(numbers, numbers % 400, 0.1, seed)
        assert set(numbers[held] % 400) == set(numbers[~held] % 400) == set(range(400))


def test_groups_that_share_a_copy_are_one():
    assert joined(np.array([0, 1, 1, 2, 3]), np.array(list("aabcc"))).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("groups", ["aaaa", "aabb"])
def test_one_group_alone_cannot_be_split(groups):
    ids = np.array(["0", "1", "1", "2"])
    with pytest.raises(UserError, match=r"1 group\(s\) that share no image .* drop the column group"):
        stratified_split(ids, np.array(list("xxyy")), 0.5, 0, np.array(list(groups)))


def test_a_class_within_one_group_is_named():
    ids, labels = np.array([f"{n:02}" for n in range(40)]), np.array(["rare"] * 10 + ["common"] * 30)
    with pytest.raises(UserError, match=r"label 'rare' .* split of seed 0; add images of it of other groups"):
        train_valid(as_images(ids, labels, np.maximum(np.arange(40), 9)), 0.2, 0)


def test_groups_take_few_bytes_for_each_image():
    count = 20_000
    table = hashed_manifest(count)
    table["group"] = table["id"].str[:3]
    assert peak_per_row(lambda: three_way(table, 0.25, 0.2, 0), count) < 450
    table["group"] = table["id"]
    assert peak_per_row(lambda: three_way(table, 0.25, 0.2, 0), count) < 600
