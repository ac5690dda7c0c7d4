"""The zoo: its table is sound, its halves share nothing, and what it builds is the same every time."""

import io
import tarfile
from collections import Counter
from importlib import import_module
from itertools import islice

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.zoo import __main__ as zoo
from benchmarks.zoo import fetch
from benchmarks.zoo.build import build
from benchmarks.zoo.folder import Picture, checksum, write
from benchmarks.zoo.sources import Package
from benchmarks.zoo.table import table
from benchmarks.zoo.tasks import DISTANCES, HALVES, TASKS, halves
from pipeline.common.errors import UserError
from pipeline.common.files import read_json
from pipeline.data.readers import read

BY_NAME = {task.name: task for task in TASKS}
SOME = Package("debian", "no-such-package", "1.0-1", 64 * "0")


def builder(task):
    module, function = task.builder.split(".")
    return getattr(import_module(f"benchmarks.zoo.{module}"), function)


def test_there_are_enough_tasks_of_the_sizes_that_were_asked_for():
    assert len(BY_NAME) == len(TASKS) >= 10
    assert all(100 <= task.images <= 20_000 and 2 <= task.classes <= 50 for task in TASKS)
    assert {task.distance for task in TASKS} == set(DISTANCES)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_has_a_licence_a_checksum_and_a_builder(task):
    assert task.licence
    assert task.about
    assert len(task.sha256) == 64 == len(f"{int(task.sha256, 16):064x}")
    assert all(len(f"{int(package.sha256, 16):064x}") == 64 and package.version for package in task.packages)
    assert callable(builder(task))


def test_the_halves_are_of_one_size_at_every_distance():
    half = halves(TASKS)
    for distance in DISTANCES:
        sizes = Counter(half[task.name] for task in TASKS if task.distance == distance)
        assert sizes[HALVES[0]] == sizes[HALVES[1]]


def test_no_package_and_no_family_is_in_both_halves():
    half = halves(TASKS)
    sides = {}
    for task in TASKS:
        for shared in (*task.packages, task.family or task.name):
            assert sides.setdefault(shared, half[task.name]) == half[task.name]


def test_the_halves_do_not_depend_on_the_order_of_the_table():
    assert halves(TASKS[::-1]) == halves(TASKS)


def test_the_readme_is_what_the_table_and_the_results_say():
    assert (zoo.HERE / "README.md").read_text(encoding="utf-8") == table(read_json(zoo.RESULTS))


@pytest.mark.parametrize("name", ["automata", "charts", "counting", "textures"])
def test_what_code_draws_is_the_same_every_time(name, tmp_path):
    first, second = (list(islice(builder(BY_NAME[name])(tmp_path), 5)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.pixels.dtype == np.uint8
        assert one.pixels.tobytes() == other.pixels.tobytes()
        assert one[1:] == other[1:]


@pytest.mark.parametrize("name", [pytest.param("automata", marks=pytest.mark.slow), "digits"])
def test_a_task_is_built_as_its_checksum_says_and_our_readers_read_it(name, tmp_path):
    task, out = BY_NAME[name], tmp_path / name
    assert build(task, out, tmp_path / "packages")
    found = read(out)
    assert len(found) == task.images
    assert found["label"].nunique() == task.classes
    with Image.open(out / found["path"][0]) as image:
        assert image.size == (task.side, task.side)
    assert task.licence in (out / "LICENCE.txt").read_text(encoding="utf-8")
    assert not build(task, out, tmp_path / "packages")


def test_another_folder_is_not_overwritten(tmp_path):
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "labels.csv").write_text("path,label\n", encoding="utf-8")
    with pytest.raises(UserError, match="remove it"):
        build(BY_NAME["digits"], tmp_path / "digits", tmp_path)


def test_other_images_than_those_of_the_table_leave_no_folder(tmp_path):
    task = BY_NAME["digits"]._replace(sha256=64 * "0")
    with pytest.raises(UserError, match="expected images of checksum 0000"):
        build(task, tmp_path / "digits", tmp_path)
    assert not list(tmp_path.iterdir())


def pictures(count):
    rng = np.random.default_rng(0)
    return [Picture(rng.integers(0, 256, (4, 4), dtype=np.uint8), f"label {number % 2}") for number in range(count)]


def test_the_order_in_which_pictures_come_leaves_no_trace(tmp_path):
    write(tmp_path / "one", some := pictures(9), "free")
    write(tmp_path / "other", some[::-1], "free")
    assert checksum(tmp_path / "one") == checksum(tmp_path / "other")


def test_an_image_is_kept_once_and_not_at_all_with_two_labels(tmp_path):
    one, other, *_ = pictures(2)
    write(tmp_path, [one, one, other, other._replace(label="label 0"), other], "free")
    found = pd.read_csv(tmp_path / "labels.csv")
    assert list(found["label"]) == ["label 0"]
    assert list(found) == ["path", "label"]


def test_a_changed_pixel_changes_the_checksum(tmp_path):
    write(tmp_path, pictures(3), "free")
    before = checksum(tmp_path)
    with Image.open(tmp_path / "images/00002.png") as image:
        pixels = np.array(image)
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(tmp_path / "images/00002.png")
    assert checksum(tmp_path) != before


def packed(name):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as files:
        entry = tarfile.TarInfo(name)
        entry.size = 3
        files.addfile(entry, io.BytesIO(b"abc"))
    return data.getvalue()


def member(name, data):
    """A member of an ar archive, padded to an even length."""
    return f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)


def test_the_files_of_a_debian_package_are_unpacked(tmp_path):
    archive = tmp_path / "some.deb"
    parts = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", packed("control") + b"x"),
        ("data.tar.xz", packed("usr/a")),
    ]
    archive.write_bytes(b"!<arch>\n" + b"".join(member(*part) for part in parts))
    fetch._unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/usr/a").read_bytes() == b"abc"


@pytest.mark.parametrize("registry", fetch.CLIENTS)
def test_a_missing_client_is_named(registry, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=f"comes by {fetch.CLIENTS[registry]}, which is not on this machine"):
        fetch.unpacked(SOME._replace(registry=registry), tmp_path / "packages")


def client(folder, name, script):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


def test_a_client_that_fails_is_quoted_and_leaves_nothing(tmp_path, monkeypatch):
    client(tmp_path / "bin", "apt-get", "echo 'E: Unable to locate package' >&2; exit 100")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with pytest.raises(UserError, match="Unable to locate package; see that the machine reaches the registry"):
        fetch.unpacked(SOME, tmp_path / "packages")
    assert not list((tmp_path / "packages").iterdir())


def test_another_archive_than_the_pinned_one_is_refused(tmp_path, monkeypatch):
    client(tmp_path / "bin", "npm", "echo other > some.tgz")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with pytest.raises(UserError, match="expected an archive of SHA-256 0000"):
        fetch.unpacked(SOME._replace(registry="npm"), tmp_path / "packages")
    assert not list((tmp_path / "packages").iterdir())


def test_an_unknown_task_is_named(capsys):
    assert zoo.main(["build", "penguins"]) == 1
    assert "there is no task penguins" in capsys.readouterr().err


def test_all_tasks_are_listed(capsys):
    assert zoo.main(["list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(TASKS)
