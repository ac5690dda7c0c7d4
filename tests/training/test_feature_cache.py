import re
import resource
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from pipeline.common.errors import UserError
from pipeline.common.lru_store import Store, shown
from pipeline.config.recipe import Recipe
from pipeline.data.image_set import ImageSet, load
from pipeline.network.build import build as build_network
from pipeline.network.cut import stages
from pipeline.network.devices import AT_ONCE
from pipeline.training.feature_cache import Cached, cached, keys
from pipeline.training.feature_pass import Pixels
from tests.support.imports import PACKAGE, closure, counted_modules
from tests.support.networks import Live
from tests.support.packing import pack
from tests.support.processes import FORK, Child

CPU = torch.device("cpu")
IDENTITY, BOTH = ("identity",), ("identity", "hflip")


def build(images: ImageSet, seed: int = 1, **recipe: Any) -> list[nn.Module]:
    plain = {"backbone": "compact", "weights": "random", "cut": "input", "epochs": 1, "learning_rate": 0.001}
    return stages(build_network(Recipe(**{**plain, "image_size": 32, **recipe}), images, seed))


@pytest.fixture
def network(image_set):
    """The stages of a small network."""
    return build(image_set)


@pytest.fixture(scope="module")
def network_once(image_set):
    """The same, to be left as it is."""
    return build(image_set)


def run(network: Sequence[nn.Module], cut: int, images: ImageSet, cache: Path, **wanted: Any) -> Cached:
    return cached(network, cut, images, **{"views": IDENTITY, "cache": cache, "device": CPU, **wanted})


def files(cache: Path) -> dict[str, int]:
    """Return the finished files of the cache: the same number means that a file was not written anew."""
    return {path.name: path.stat().st_ino for path in cache.glob("*.npy")}


def whole(inputs: Cached, view: int = 0) -> torch.Tensor:
    rows = np.arange(len(inputs.activations[0]))
    return inputs.take(rows, np.full(len(rows), view))


def live(network: Sequence[nn.Module], cut: int, images: ImageSet, view: str = "identity") -> torch.Tensor:
    rows = np.arange(len(images))
    return Live(nn.Sequential(*network[:cut]), Pixels(images.images, (view,))).take(rows, np.zeros(len(rows), int))


def test_a_second_call_computes_nothing(network, image_set, tmp_path):
    counted: list[int] = []
    first = run(network, 2, image_set, tmp_path, views=BOTH, progress=counted.append)
    written = files(tmp_path)
    assert sum(counted) == len(written) * len(image_set) == 2 * len(image_set)
    second = run(network, 2, image_set, tmp_path, views=BOTH, progress=counted.append)
    assert sum(counted) == 2 * len(image_set)
    assert files(tmp_path) == written
    assert torch.equal(whole(first, 1), whole(second, 1))


@pytest.mark.parametrize("cut", [1, 3, 4])
def test_what_is_cached_is_what_the_stem_makes(network, cut, image_set, tmp_path):
    inputs = run(network, cut, image_set, tmp_path, views=BOTH)
    for number, view in enumerate(BOTH):
        torch.testing.assert_close(whole(inputs, number), live(network, cut, image_set, view), rtol=2e-3, atol=2e-3)
    assert not torch.equal(whole(inputs, 0), whole(inputs, 1))


def test_maps_are_kept_in_half_precision_and_vectors_in_single(network, image_set, tmp_path):
    maps, vectors = (run(network, cut, image_set, tmp_path).activations[0] for cut in (2, 4))
    assert (maps.ndim, maps.dtype) == (4, np.float16)
    assert (vectors.ndim, vectors.dtype) == (2, np.float32)
    assert whole(Cached([maps])).dtype == torch.float32


CHANGES: dict[str, Any] = {
    "image": lambda images: {"images": replace(images, digest="another")},
    "weight": lambda images: {"network": build(images, seed=2)},
    "structure": lambda images: {"network": build(images, backbone="efficientnet_lite0")},
    "image size": lambda images: {"network": build(images, image_size=24)},
    "cut": lambda images: {"cut": 3},
    "view": lambda images: {"views": ("vflip",)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_all_that_changes_the_features_changes_the_file(change, image_set, tmp_path):
    plain = {"network": build(image_set), "cut": 2, "images": image_set, "cache": tmp_path}
    run(**plain)
    before = files(tmp_path)
    run(**{**plain, **CHANGES[change](image_set)})
    assert len(files(tmp_path)) == 2, f"another {change} was taken for the same features"
    run(**{**plain, "network": build(image_set)})
    assert before.items() <= files(tmp_path).items()
    assert len(files(tmp_path)) == 2


def test_a_single_changed_weight_or_statistic_counts_and_one_behind_the_cut_does_not(network, image_set, tmp_path):
    def count():
        run(network, 2, image_set, tmp_path)
        return len(files(tmp_path))

    assert count() == 1
    with torch.no_grad():
        next(network[2].parameters())[0] += 1e-6
    assert count() == 1
    with torch.no_grad():
        next(network[1].parameters())[0] += 1e-6
    assert count() == 2
    next(buffer for name, buffer in network[0].named_buffers() if "running_var" in name)[0] += 1e-6
    assert count() == 3


@pytest.mark.parametrize("died_at", [1, 2])
def test_a_half_written_file_is_never_used(network, died_at, image_set, tmp_path):
    calls: list[int] = []

    def die(count):
        calls.append(count)
        if len(calls) == died_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(network, 2, image_set, tmp_path, views=BOTH, progress=die)
    assert len(files(tmp_path)) == died_at - 1
    assert torch.equal(
        whole(run(network, 2, image_set, tmp_path, views=BOTH), 1),
        whole(run(network, 2, image_set, tmp_path / "other", views=BOTH), 1),
    )


def test_what_a_killed_process_left_behind_is_not_taken_for_features(network, image_set, tmp_path):
    run(network, 2, image_set, tmp_path)
    file = next(tmp_path.glob("*.npy"))
    expected = file.read_bytes()
    file.rename(file.with_name(f".{file.name}.1"))
    file.with_name(f".{file.name}.1").write_bytes(expected[: len(expected) // 2])
    run(network, 2, image_set, tmp_path)
    assert file.read_bytes() == expected
    assert not list(tmp_path.glob(".*.npy.*"))


def test_one_pass_serves_several_cuts(network, image_set, tmp_path):
    counted: list[int] = []
    for cut in (2, 3, 1):
        together = run(network, cut, image_set, tmp_path / "a", also=[1, 2, 3], progress=counted.append)
        assert torch.equal(whole(together), whole(run(network, cut, image_set, tmp_path / "b")))
    assert sum(counted) == len(image_set)
    assert files(tmp_path / "a").keys() == files(tmp_path / "b").keys()


def test_a_later_pass_keeps_what_is_there(network, image_set, tmp_path):
    run(network, 1, image_set, tmp_path)
    before = files(tmp_path)
    run(network, 3, image_set, tmp_path, also=[1, 2])
    assert before.items() <= files(tmp_path).items()
    assert len(files(tmp_path)) == 3


@given(st.data())
def test_a_batch_takes_each_row_from_the_view_asked_for(data):
    arrays = [np.random.default_rng(view).normal(size=(7, 2)).astype(np.float32) for view in range(3)]
    pairs = data.draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), min_size=1))
    rows, views = (np.array(part) for part in zip(*pairs))
    expected = np.stack([arrays[view][row] for row, view in pairs])
    assert np.array_equal(Cached(arrays).take(rows, views).numpy(), expected)


# Never stale

# What a feature's code imports and what cannot change a value: the key holds what these decide.
DECIDED_ELSEWHERE = {
    "common/code_digest": "names of files",
    "common/errors": "text",
    "common/files": "how files are written",
    "common/hashes": "names of files",
    "common/lru_store": "which files stay",
    "common/seeding": "which images are trained on",
    "common/syntax": "names of files",
    "config/backbone_table": "a name and options, of which weights and structure come",
    "config/recipe": "settings, of which weights and structure come",
    "config/settings": "the form of settings",
    "data/group_split": "which images are trained on",
    "data/image_set": "the images, which have a digest",
    "training/feature_cache": "which files, and when",
}


def test_all_code_that_can_change_a_feature_is_in_its_key():
    seen = closure(PACKAGE / "training" / "feature_cache.py") | closure(PACKAGE / "network" / "cut.py")
    modules = {file.relative_to(PACKAGE).with_suffix("").as_posix() for file in seen}
    in_key = counted_modules("features")
    assert modules == in_key | DECIDED_ELSEWHERE.keys()
    assert not in_key & DECIDED_ELSEWHERE.keys()


def test_the_key_follows_the_code_it_names(network, image_set, monkeypatch):
    before = names_of(network, image_set)
    monkeypatch.setattr("pipeline.training.feature_cache.code_digest", {"features": "another"}.__getitem__)
    assert names_of(network, image_set) != before


def names_of(network: Sequence[nn.Module], images: ImageSet, views: tuple[str, ...] = IDENTITY) -> dict[Any, str]:
    return keys(network, range(1, len(network)), images, views, CPU)


def pack_one(folder: Path, pixels: np.ndarray, size: int = 12) -> ImageSet:
    folder.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(folder / "a.png")
    table = pd.DataFrame({"path": ["a.png"], "id": ["same"], "label": ["x"], "stratum": ["x"], "grey": [True]})
    pack(folder, table, folder / "packed", size)
    return load(folder / "packed")


@given(st.integers(0, 11), st.integers(0, 11), st.integers(1, 255))
def test_any_pixel_and_the_packed_size_are_in_the_key(network_once, tmp_path_factory, row, column, step):
    folder = tmp_path_factory.getbasetemp() / "one"
    pixels = np.arange(144, dtype=np.uint8).reshape(12, 12)  # an image of one level is refused
    before = names_of(network_once, pack_one(folder, pixels))
    smaller = names_of(network_once, pack_one(folder, pixels, size=10))
    pixels[row, column] += np.uint8(step)
    after = names_of(network_once, pack_one(folder, pixels))
    pixels[row, column] -= np.uint8(step)
    assert names_of(network_once, pack_one(folder, pixels)) == before
    assert not {*before.values()} & {*after.values()}
    assert not {*before.values()} & {*smaller.values()}


@given(st.data())
def test_any_weight_is_in_the_keys_of_the_cuts_behind_it_and_no_others(image_set, network_once, data):
    stage = data.draw(st.integers(0, len(network_once) - 2))
    tensors = [*network_once[stage].parameters(), *network_once[stage].buffers()]
    tensor = data.draw(st.sampled_from([tensor for tensor in tensors if tensor.is_floating_point()])).data
    flat = tensor.as_strided((tensor.numel(),), (1,))  # whatever its layout
    place = data.draw(st.integers(0, len(flat) - 1))
    before, value = names_of(network_once, image_set), flat[place].clone()
    flat[place] = torch.nextafter(value, torch.tensor(torch.inf))
    after = names_of(network_once, image_set)
    flat[place] = value
    assert names_of(network_once, image_set) == before
    assert {at for _, at in before if before["identity", at] != after["identity", at]} == {
        *range(stage + 1, len(network_once))
    }


@given(st.sampled_from([16, 24, 32]), st.sampled_from([16, 24, 32]))
def test_the_size_that_a_stem_sees_is_in_the_key(image_set, one, other):
    first, second = (names_of(build(image_set, image_size=size), image_set) for size in (one, other))
    assert (first == second) == (one == other)
    assert bool({*first.values()} & {*second.values()}) == (one == other)


def test_every_cut_and_view_has_a_key_of_its_own(network, image_set):
    found = names_of(network, image_set, ("identity", "hflip", "vflip", "rot90"))
    assert len(set(found.values())) == len(found) == 4 * (len(network) - 1)


def test_threads_and_precision_are_in_the_key(network, image_set):
    before = names_of(network, image_set)
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        torch.set_num_threads(threads + 1)
        more = names_of(network, image_set)
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("medium")
        coarse = names_of(network, image_set)
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
    assert names_of(network, image_set) == before
    assert not {*before.values()} & {*more.values(), *coarse.values()}


def test_a_name_says_what_a_file_is_and_changes_no_key(network, image_set, tmp_path):
    run(network, 2, image_set, tmp_path, views=BOTH, label="compact/random 32")
    assert sorted(name.rpartition(".")[0].rpartition(".")[0] for name in files(tmp_path)) == [
        "compact-random-32.cut2.hflip",
        "compact-random-32.cut2.identity",
    ]
    assert {name.split(".")[-2] for name in files(tmp_path)} == {*keys(network, [2], image_set, BOTH, CPU).values()}


# Bounded


def size(cut: int, network: Sequence[nn.Module], images: ImageSet, folder: Path) -> int:
    run(network, cut, images, folder / f"size{cut}")
    (path,) = (folder / f"size{cut}").glob("*.npy")
    return path.stat().st_size


def test_the_cache_stays_within_its_limit_and_keeps_what_was_used_last(image_set, tmp_path):
    networks = [build(image_set, seed) for seed in range(5)]
    limit = 2 * size(2, networks[0], image_set, tmp_path) + 100
    cache, counted = tmp_path / "cache", []
    for number, passes in [(0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (3, 4), (2, 5), (4, 6)]:
        run(networks[number], 2, image_set, cache, limit=limit, progress=counted.append)
        assert sum(counted) == passes * len(image_set), number
        assert sum(path.stat().st_size for path in cache.glob("*") if path.is_file()) <= limit


def test_maps_outlive_the_eviction_and_the_clearing_of_their_files(image_set, tmp_path):
    first, second = build(image_set, 1), build(image_set, 2)
    limit = size(2, first, image_set, tmp_path) + 100
    kept = run(first, 2, image_set, tmp_path / "cache", limit=limit)
    expected = whole(run(first, 2, image_set, tmp_path / "size2")).clone()
    other = run(second, 2, image_set, tmp_path / "cache", limit=limit)
    Store(tmp_path / "cache").clear()
    assert files(tmp_path / "cache") == {}
    assert torch.equal(whole(kept), expected)
    assert not torch.equal(whole(other), expected)


def test_what_is_too_big_for_the_limit_is_refused_before_a_pass(network, image_set, tmp_path):
    one, counted = size(2, network, image_set, tmp_path), []
    run(build(image_set, 2), 2, image_set, tmp_path / "cache")
    before = files(tmp_path / "cache")
    wanted = {"views": BOTH, "progress": counted.append, "also": [1, 3]}
    said = (
        rf"{shown(2 * one)}, and the cache may hold {shown(2 * one - 1)}; raise features.cache_gb, or take a later cut"
    )
    with pytest.raises(UserError, match=said):
        run(network, 2, image_set, tmp_path / "cache", limit=2 * one - 1, **wanted)
    assert counted == []
    assert files(tmp_path / "cache") == before
    run(network, 2, image_set, tmp_path / "cache", limit=2 * one, **wanted)
    assert sum(counted) == 2 * len(image_set)


def test_what_is_too_big_for_the_disk_is_refused_before_a_pass(network, image_set, tmp_path):
    pixels = np.broadcast_to(image_set.images[:1], (10**11, *image_set.images.shape[1:]))
    counted: list[int] = []
    with pytest.raises(UserError, match=r"at cut 2 need .* TB, and the disk has .*; free space"):
        run(network, 2, replace(image_set, images=pixels), tmp_path, progress=counted.append)
    assert counted == []
    assert files(tmp_path) == {}


def test_other_cuts_are_kept_as_far_as_there_is_room_the_deepest_first(network, image_set, tmp_path):
    sizes = {cut: size(cut, network, image_set, tmp_path) for cut in (1, 2, 3)}
    assert sizes[1] > sizes[2] > sizes[3]
    for limit, kept in [(sizes[2], {2}), (sizes[2] + sizes[1], {2, 3}), (sum(sizes.values()), {1, 2, 3})]:
        cache = tmp_path / str(limit)
        run(network, 2, image_set, cache, also=[1, 2, 3], limit=limit)
        assert {int(name.split(".")[1].removeprefix("cut")) for name in files(cache)} == kept


def in_little_space(network: Sequence[nn.Module], images: ImageSet, cache: Path, most: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    run(network, 2, images, cache)


def test_a_disk_that_fills_up_is_reported_and_leaves_no_file(network, image_set, tmp_path):
    answer = Child(lambda: in_little_space(network, image_set, tmp_path, 10_000)).result()
    assert re.match(r"UserError: .*\.npy\.[\w-]+: .* are needed: File too large; free space", answer)
    assert not [path for path in tmp_path.rglob("*.npy*") if path.parent == tmp_path]


# Several processes


def counted_run(network: Sequence[nn.Module], images: ImageSet, cache: Path, **wanted: Any) -> tuple[int, float]:
    counted: list[int] = []
    inputs = run(network, 2, images, cache, **{"progress": counted.append, **wanted})
    return sum(counted), whole(inputs).double().sum().item()


def test_of_processes_that_race_for_a_pass_one_computes_it(network, image_set, tmp_path):
    line = FORK.Barrier(3)

    def race() -> tuple[int, float]:
        line.wait(30)
        return counted_run(network, image_set, tmp_path, views=BOTH, also=[1, 3])

    results = [child.result() for child in [Child(race) for _ in range(3)]]
    assert sorted(count for count, _ in results) == [0, 0, 2 * len(image_set)]
    assert len({total for _, total in results}) == 1
    assert len(files(tmp_path)) == 6


@pytest.fixture
def stuck(network, image_set, tmp_path):
    """A process in the middle of the pass of `network`, until it may go on or is killed."""
    reached, go_on = FORK.Event(), FORK.Event()

    def wait(done: int) -> None:
        reached.set()
        go_on.wait(30)

    child = Child(lambda: counted_run(network, image_set, tmp_path, progress=wait)[1])
    assert reached.wait(30)
    yield child, go_on
    child.kill()


def test_a_pass_that_another_process_makes_is_waited_for_and_others_are_not(network, image_set, tmp_path, stuck):
    child, go_on = stuck
    same = Child(lambda: counted_run(network, image_set, tmp_path))
    assert counted_run(build(image_set, 2), image_set, tmp_path)[0] == len(image_set)
    assert counted_run(network, image_set, tmp_path, views=("hflip",))[0] == len(image_set)
    assert same.process.is_alive()
    go_on.set()
    assert same.result() == (0, child.result())


def test_a_pass_whose_process_was_killed_is_taken_over(network, image_set, tmp_path, stuck):
    child, _ = stuck
    same = Child(lambda: counted_run(network, image_set, tmp_path))
    child.kill()
    assert same.result()[0] == len(image_set)
    assert len(files(tmp_path)) == 1
    assert not list(tmp_path.glob(".*.npy.*"))


def test_clearing_while_a_pass_is_made_harms_neither(network, image_set, tmp_path, stuck):
    child, go_on = stuck
    assert Store(tmp_path).clear() == 0
    go_on.set()
    assert child.result() == pytest.approx(whole(run(network, 2, image_set, tmp_path)).double().sum().item())


def test_files_that_vanish_between_two_calls_are_made_again(network, image_set, tmp_path):
    counted: list[int] = []
    for _ in range(2):
        run(network, 2, image_set, tmp_path, progress=counted.append)
        Store(tmp_path).clear()
    assert sum(counted) == 2 * len(image_set)


# Damage and overflow


@pytest.mark.parametrize("length", [0, 5, 9, 100, 128, 129, 5000, -1])
def test_a_truncated_file_is_made_again(network, image_set, tmp_path, length):
    expected = whole(run(network, 2, image_set, tmp_path)).clone()
    (path,) = tmp_path.glob("*.npy")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:length])
    assert torch.equal(whole(run(network, 2, image_set, tmp_path, also=[2, 3])), expected)
    assert path.read_bytes() == content


@pytest.fixture(scope="module")
def intact(image_set, tmp_path_factory):
    """A network, its cache of one file, and what the file holds."""
    network, cache = build(image_set), tmp_path_factory.mktemp("intact")
    run(network, 4, image_set, cache)
    (path,) = cache.glob("*.npy")
    return network, path, path.read_bytes()


@given(st.data())
def test_a_damaged_header_is_no_traceback(intact, image_set, data):
    network, path, content = intact
    place, new = data.draw(st.integers(0, 127)), data.draw(st.binary(min_size=1, max_size=3))
    path.unlink(missing_ok=True)
    path.write_bytes(content[:place] + new + content[place + len(new) :])
    inputs = run(network, 4, image_set, path.parent)
    assert whole(inputs).shape == (len(image_set), 128)


@pytest.mark.parametrize(("was", "now"), [(b"128)", b" 28)"), (b"False", b"True "), (b"<f4", b"<f2")])
def test_a_header_that_reads_well_but_is_not_the_file_s_is_damage(intact, image_set, was, now):
    network, path, content = intact
    assert was in content[:128]
    path.unlink(missing_ok=True)
    path.write_bytes(content.replace(was, now, 1))
    assert whole(run(network, 4, image_set, path.parent)).shape == (len(image_set), 128)
    assert path.read_bytes() == content


class Bright(nn.Module):
    """Give values past half precision where the first pixel of an image is a given one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x[:, :1, :1, :1] == 255, x * 1000, x)


def images_like(images: ImageSet, bright: Sequence[int], count: int) -> ImageSet:
    pixels = np.resize(images.images, (count, *images.images.shape[1:])).clip(0, 200)
    pixels[list(bright), 0, 0] = 255
    return replace(images, images=pixels, digest=f"bright {bright}")


def test_maps_that_do_not_fit_half_precision_are_kept_in_single(image_set, tmp_path):
    network, counted = [nn.Identity(), Bright(), nn.AvgPool2d(2), nn.Flatten()], []
    images = images_like(image_set, [AT_ONCE + 3], AT_ONCE + 10)
    inputs = run(network, 2, images, tmp_path, also=[1, 3, 4], progress=counted.append)
    dtypes = {name.split(".")[1]: np.load(tmp_path / name, mmap_mode="r").dtype for name in files(tmp_path)}
    assert dtypes == {"cut1": np.float16, "cut2": np.float32, "cut3": np.float32, "cut4": np.float32}
    assert sum(counted) == len(images.images)
    assert torch.isfinite(whole(inputs)).all()
    assert whole(inputs).max() == 255_000
    assert torch.equal(whole(inputs), network[1](torch.from_numpy(images.images).permute(0, 3, 1, 2).float()))
    assert run(network, 2, images, tmp_path, progress=counted.append).activations[0].dtype == np.float32
    assert sum(counted) == len(images.images)


def test_the_precision_of_a_view_does_not_depend_on_what_was_made_before(image_set, tmp_path):
    network, images = [nn.Identity(), Bright()], images_like(image_set, [3], 10)
    together = run(network, 2, images, tmp_path / "a", views=BOTH)
    alone = run(network, 2, images, tmp_path / "b", views=("hflip",))
    assert [array.dtype for array in together.activations] == [np.float32, np.float16]
    assert alone.activations[0].dtype == np.float16
    assert torch.equal(whole(together, 1), whole(alone))


def test_the_limit_counts_what_single_precision_takes(image_set, tmp_path):
    network, images = [nn.Identity(), Bright()], images_like(image_set, [3], 10)
    half, single = images.images.size * 2 + 128, images.images.size * 4 + 128
    with pytest.raises(UserError, match=shown(single)):
        run(network, 2, images, tmp_path, limit=single - 1)
    run(network, 2, images_like(image_set, [], 10), tmp_path, limit=half)
    run(network, 2, images, tmp_path, limit=single)
    assert [path.stat().st_size for path in tmp_path.glob("*.npy")] == [single]
