import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.data.folds import train_valid
from pipeline.data.image_set import stratified_split
from tests.data.test_group_split import as_images
from tests.data.test_image_set import as_image_set, hashed_manifest, manifest


@st.composite
def folded(draw):
    """Images of 2 to 4 classes with 20 or more each, some copies among them, and the number of folds."""
    sizes = draw(st.lists(st.integers(20, 60), min_size=2, max_size=4))
    table = manifest({f"c{number}": size for number, size in enumerate(sizes)})
    images = as_image_set(table.assign(stratum=table["label"]))
    return images, draw(st.integers(2, 6))


@given(folded(), st.integers(0, 3))
def test_seeds_in_a_row_validate_on_every_image_once(made, drawing):
    images, count = made
    first = 1 + drawing * count
    parts = [train_valid(images, 1 / count, seed) for seed in range(first, first + count)]
    assert sorted(np.concatenate([valid for _, valid in parts])) == list(range(len(images)))
    for train, valid in parts:
        assert sorted([*train, *valid]) == list(range(len(images)))
        assert (list(train), list(valid)) == (sorted(train), sorted(valid))
        assert abs(len(valid) - len(images) / count) <= count
        share = np.bincount(images.labels[valid]) / np.bincount(images.labels)
        assert np.abs(share - 1 / count).max() < 2 / 20


@given(folded())
def test_the_search_validates_on_folds_of_its_own(made):
    images, count = made
    searched = set(train_valid(images, 1 / count, 0)[1])
    shared = [len(searched & set(train_valid(images, 1 / count, seed)[1])) for seed in range(1, count + 1)]
    assert sum(shared) == len(searched)
    assert max(shared) < len(searched)


@pytest.mark.parametrize("fraction", [0.3, 0.4, 0.7])
def test_a_share_that_does_not_divide_the_images_is_kept(fraction):
    images = as_image_set(hashed_manifest())
    folds = [set(train_valid(images, fraction, seed)[1]) for seed in range(1, int(1 / fraction) + 1)]
    assert sum(map(len, folds)) == len(set.union(*folds))
    assert all(abs(len(fold) / len(images) - fraction) < 0.02 for fold in folds)


def test_no_group_and_no_content_is_on_two_sides():
    plain = as_image_set(hashed_manifest())
    images = as_images(plain.ids, plain.labels, np.array([int(name[8:12], 16) % 90 for name in plain.ids]))
    for seed in range(7):
        train, valid = train_valid(images, 0.2, seed)
        assert not set(images.groups[train]) & set(images.groups[valid])
        assert not set(images.ids[train]) & set(images.ids[valid])


def test_groups_too_large_for_even_folds_are_drawn_by_each_seed():
    labels, groups = np.arange(80) % 2, np.repeat(np.arange(4), 20)
    images = as_images(np.array([f"{n:02}" for n in range(80)]), labels, groups)
    for seed in range(1, 4):
        expected = stratified_split(images.ids, images.strata, 0.2, seed, groups)
        assert [list(part) for part in train_valid(images, 0.2, seed)] == [list(part) for part in expected]


def test_the_same_seed_gives_the_same_split_and_another_seed_another(image_set):
    first, again, other = (train_valid(image_set, 0.25, seed)[1].tolist() for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize("seed", [-7, 0, 1, 10**6, 2**40])
def test_any_seed_splits(image_set, seed):
    train, valid = train_valid(image_set, 0.25, seed)
    assert len(train) + len(valid) == len(image_set)


def test_splits_are_to_the_image_what_they_were_when_results_were_published():
    images = as_image_set(hashed_manifest())
    parts = [",".join(map(str, part)) for seed in range(7) for part in train_valid(images, 0.2, seed)]
    found = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    assert found == "97deb053493d4f14e04b39fa595f3c33a97786d2169f6f1894df22b4b970ca8e"


def test_a_class_that_misses_train_or_valid_is_named_with_the_seed():
    images = as_image_set(manifest({"common": 40, "rare": 2}).assign(stratum="all"))
    seen = set()
    for seed in range(20):
        parts = dict(zip(("train", "valid"), stratified_split(images.ids, images.strata, 0.2, seed)))
        missing = [name for name, rows in parts.items() if not (images.labels[rows] == 1).any()]
        seen |= {*missing} or {"none"}
        if not missing:
            assert len(train_valid(images, 0.2, seed)) == 2
            continue
        said = rf"label 'rare' \(2 images .*\) has none in the {missing[0]} split of seed {seed};.*search\.seed, train"
        with pytest.raises(UserError, match=said):
            train_valid(images, 0.2, seed)
    assert seen == {"none", "train", "valid"}
