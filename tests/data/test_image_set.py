import hashlib
import json
import os
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.data.folds import train_valid
from pipeline.data.image_set import (
    ImageMemmap,
    ImageSet,
    load,
    mapped,
    nested_subset,
    stratified_split,
    three_way,
)

fractions = st.sampled_from([0.1, 0.2, 0.25, 0.5])
seeds = st.integers(0, 5)


@st.composite
def contents(draw):
    """Ids that are all different, and the stratum of each: 2 to 4 strata of two images or more."""
    sizes = draw(st.lists(st.integers(2, 30), min_size=2, max_size=4))
    strata = np.array([f"s{number}" for number, size in enumerate(sizes) for _ in range(size)])
    ids = np.array([f"{number:05}" for number in draw(st.permutations(range(len(strata))))])
    return ids, strata


def split_or_skip(*args):
    try:
        return stratified_split(*args)
    except UserError:
        assume(False)


@given(contents(), fractions, seeds)
def test_a_split_is_disjoint_complete_and_in_order(made, fraction, seed):
    rest, held = split_or_skip(*made, fraction, seed)
    assert sorted([*rest, *held]) == list(range(len(made[0])))
    assert (list(rest), list(held)) == (sorted(rest), sorted(held))
    assert len(held) == np.ceil(fraction * len(made[0]))


@given(contents(), fractions, seeds)
def test_each_stratum_is_held_out_in_proportion_within_one_image(made, fraction, seed):
    _, held = split_or_skip(*made, fraction, seed)
    share = len(held) / len(made[0])
    of_all, of_held = Counter(made[1]), Counter(made[1][held])
    assert all(abs(of_held[stratum] - count * share) < 1 for stratum, count in of_all.items())


@given(contents(), fractions, seeds, st.randoms())
def test_the_order_of_images_does_not_change_who_is_held_out(made, fraction, seed, random):
    ids, strata = made
    order = random.sample(range(len(ids)), len(ids))
    _, held = split_or_skip(ids, strata, fraction, seed)
    _, again = split_or_skip(ids[order], strata[order], fraction, seed)
    assert set(ids[held]) == set(ids[order][again])


@given(contents(), fractions, seeds, st.data())
def test_copies_of_an_image_stay_on_one_side_and_move_no_other(made, fraction, seed, data):
    ids, strata = made
    extra = data.draw(st.lists(st.integers(0, len(ids) - 1), max_size=10))
    rest, held = split_or_skip(np.append(ids, ids[extra]), np.append(strata, strata[extra]), fraction, seed)
    everyone = np.append(ids, ids[extra])
    assert not set(everyone[rest]) & set(everyone[held])
    assert set(everyone[held]) == set(ids[split_or_skip(ids, strata, fraction, seed)[1]])


def test_a_stratum_of_one_image_is_drawn_with_the_commonest():
    ids, strata = np.array([f"{n:02}" for n in range(24)]), np.array(["a"] * 15 + ["b"] * 8 + ["c"])
    held = [stratified_split(ids, strata, 0.25, seed)[1] for seed in range(20)]
    assert {23 in positions for positions in held} == {True, False}
    assert {Counter(strata[positions])["b"] for positions in held} == {2}


def hashed_manifest(count=600):
    """A table of three classes, with copies, strata of one image, and names beyond ASCII."""
    numbers = np.random.default_rng(5).integers(0, 5 * count // 6, count)
    ids = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in numbers]
    kinds = [int(name[:6], 16) for name in ids]
    labels = [("intact", "defective", "größe")[kind % 3] for kind in kinds]
    strata = [f"{label}/{'abc'[kind // 3 % 3] if kind % 50 else kind}" for label, kind in zip(labels, kinds)]
    return pd.DataFrame({"id": ids, "label": labels, "stratum": strata})


def as_image_set(table):
    classes, labels = np.unique(table["label"].to_numpy(dtype=str), return_inverse=True)
    strata, ids = (table[column].to_numpy(dtype=str) for column in ("stratum", "id"))
    return ImageSet(np.zeros((len(table), 1, 1, 1), np.uint8), labels, strata, ids, tuple(classes.tolist()), "")


def test_splits_are_to_the_image_what_they_were_when_results_were_published():
    table = hashed_manifest()
    images, parts = as_image_set(table), []
    for seed in range(4):
        parts.append(",".join(three_way(table, 0.25, 0.2, seed)))
        parts += [",".join(map(str, held)) for held in stratified_split(images.ids, images.strata, 37, seed)]
    found = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    assert found == "25eabdc6b772bdb7815598ea810eb4e67a195fbbcdbd0f4a379ec4630a857805"


def test_too_few_images_to_hold_any_out_is_the_users_mistake():
    with pytest.raises(UserError, match=r"4 different images in 2 strata.*prepare\.stratify"):
        stratified_split(np.array(list("abcd")), np.array(list("xxyy")), 0.1, 0)


def manifest(counts):
    labels = [label for label, count in counts.items() for _ in range(count)]
    return pd.DataFrame({"id": [f"{n:05}" for n in range(len(labels))], "label": labels, "stratum": labels})


@given(st.integers(10, 40), st.integers(10, 40), seeds)
def test_three_ways_leave_every_label_in_every_split_at_the_shares_asked_for(a, b, seed):
    table = manifest({"a": a, "b": b})
    split = three_way(table, 0.25, 0.2, seed)
    assert pd.crosstab(table["label"], split).to_numpy().min() > 0
    counts = Counter(split)
    assert counts["test"] == np.ceil(0.25 * (a + b))
    assert counts["valid"] == np.ceil(0.2 * (counts["valid"] + counts["train"]))


def test_a_label_that_misses_a_split_is_named():
    table = manifest({"common": 20, "rare": 2})
    with pytest.raises(UserError, match=r"label 'rare' \(2 images\) has none in the \w+ split"):
        three_way(table, 0.25, 0.2, 0)


def test_a_prepared_folder_is_loaded_as_it_was_packed(prepared, image_set):
    table = pd.read_csv(prepared.dev / "manifest.csv", dtype=str)
    assert image_set.classes == ("low", "top")
    assert [image_set.classes[label] for label in image_set.labels] == table["label"].tolist()
    assert image_set.ids.tolist() == table["id"].tolist()
    assert image_set.digest == json.loads((prepared.dev / "about.json").read_text())["digest"]
    assert (len(image_set), image_set.size, image_set.channels) == (36, 32, 1)
    assert image_set.images.dtype == np.uint8


def test_loaded_images_show_what_their_labels_say(image_set):
    bright = image_set.images[..., 0] > 128
    lower, upper = bright[:, 16:].sum((1, 2)), bright[:, :16].sum((1, 2))
    assert ((upper > lower) == (image_set.labels == image_set.classes.index("top"))).all()


def test_images_stay_on_disk_until_they_are_used(image_set):
    assert isinstance(image_set.images, np.memmap)


@pytest.fixture(scope="module")
def array_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("packed") / "array.npy"
    np.save(file, np.arange(20 * 3 * 2, dtype=np.uint16).reshape(20, 3, 2))
    return file


positions = st.lists(st.integers(-20, 19), max_size=30)
indices = st.one_of(
    st.lists(st.integers(0, 19), min_size=1).map(np.array),
    positions.map(lambda rows: np.array(rows, dtype=np.int64)),
    positions.map(lambda rows: np.array(rows, dtype=np.int64).reshape(-1, 1)),
    st.lists(st.booleans(), min_size=20, max_size=20).map(np.array),
    st.integers(-20, 19),
    st.slices(20),
)


@given(indices, st.slices(20), indices)
def test_rows_read_from_the_file_are_those_of_the_array(array_file, index, part, inner):
    packed, plain = mapped(array_file), np.load(array_file)
    np.testing.assert_array_equal(packed[index], plain[index])
    assert type(packed[index]) in (np.ndarray, np.uint16)
    for whole in (packed, packed.view(), packed[:]):
        np.testing.assert_array_equal(whole[part], plain[part])
    if isinstance(inner, np.ndarray) and inner.dtype != bool and inner.size:
        rows = inner % 20
        np.testing.assert_array_equal(np.flip(packed, 0)[rows], np.flip(plain, 0)[rows])
        np.testing.assert_array_equal(packed.transpose(0, 2, 1)[rows], plain.transpose(0, 2, 1)[rows])


@pytest.mark.parametrize("row", [20, -21])
def test_a_row_that_is_not_there_is_an_error(array_file, row):
    with pytest.raises(IndexError):
        mapped(array_file)[np.array([0, row])]


def test_a_file_that_became_shorter_is_named(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros((20, 1000)))
    packed = mapped(tmp_path / "array.npy")
    os.truncate(tmp_path / "array.npy", 9000)
    assert packed[np.array([0])].shape == (1, 1000)
    with pytest.raises(UserError, match=r"array\.npy: is shorter than.*dvc repro"):
        packed[np.array([0, 1])]


def test_files_are_closed_with_their_arrays(array_file):
    def opened():
        return sum(os.path.realpath(f"/proc/self/fd/{name}") == str(array_file) for name in os.listdir("/proc/self/fd"))

    packed = mapped(array_file)
    assert opened() > 0
    del packed
    assert opened() == 0


def resident_file_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[2])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("opened", [mapped, lambda file: np.load(file, mmap_mode="r")], ids=["packed", "plain"])
def test_images_that_were_read_do_not_stay_in_memory(tmp_path, opened):
    count, size = 4096, 2**14  # 64 MiB of nothing
    np.lib.format.open_memmap(tmp_path / "array.npy", "w+", np.uint8, (count, size))
    array, before = opened(tmp_path / "array.npy"), resident_file_bytes()
    for batch in np.random.default_rng(0).permutation(count).reshape(-1, 64):
        array[batch]
    kept = (resident_file_bytes() - before) / (count * size)
    assert (kept < 0.1) == isinstance(array, ImageMemmap), kept


def peak_per_row(work, count):
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / count


def test_loading_and_splitting_take_few_bytes_for_each_image(tmp_path):
    count = 20_000
    table = hashed_manifest(count)
    table["stratum"] += "/" + "a long name of a camera" * 9
    table.to_csv(tmp_path / "manifest.csv", index=False)
    np.save(tmp_path / "images.npy", np.zeros((count, 1), np.uint8))
    about = {"classes": sorted(set(table["label"])), "digest": "", "images": count}
    (tmp_path / "about.json").write_text(json.dumps(about))
    assert peak_per_row(lambda: three_way(table, 0.25, 0.2, 0), count) < 300
    assert peak_per_row(lambda: train_valid(load(tmp_path), 0.2, 0), count) < 450


def test_a_folder_that_was_not_prepared_is_named_with_what_to_do(tmp_path):
    with pytest.raises(UserError, match="dvc repro") as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value)


@given(st.lists(st.integers(0, 4), min_size=4, max_size=60), st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 9))
def test_shares_are_nested_keep_each_class_and_its_share(labels, one, other, seed):
    labels = np.array(labels)
    rows = np.flatnonzero(np.arange(len(labels)) % 3 != 1)  # the training images; others are not theirs
    small, large = (nested_subset(rows, labels, share, seed) for share in sorted((one, other)))
    assert set(small) <= set(large) <= set(rows)
    assert list(small) == sorted(set(small))
    classes = np.unique(labels[rows])
    assert len(large) == max(round(max(one, other) * len(rows)), len(classes))
    for label in classes:
        count, kept = int((labels[rows] == label).sum()), int((labels[large] == label).sum())
        assert kept >= 1
        assert abs(kept - len(large) / len(rows) * count) <= len(classes)
    assert list(nested_subset(rows, labels, 1.0, seed)) == list(rows)


def test_another_seed_takes_other_images():
    labels = np.zeros(100, int)
    assert len({tuple(nested_subset(np.arange(100), labels, 0.1, seed)) for seed in range(5)}) == 5
