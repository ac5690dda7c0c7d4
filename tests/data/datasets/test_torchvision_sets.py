import hashlib
import inspect
import re
import shutil
import tarfile
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets

from pipeline.common.errors import UserError
from pipeline.data.datasets.by_name import SETS, lay_out
from pipeline.data.datasets.torchvision_table import REFUSED, ROWS
from pipeline.data.image_arrays import ImageArray
from pipeline.data.readers import read
from tests.support import vision
from tests.support.vision import CHECKED, PLAIN


def quiet(count):
    return lambda step: None


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """Nothing is behind the proxy that all requests go to."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def trusting(monkeypatch):
    """Let torchvision's table of checksums be that of files made here; all its code is as it was."""

    def trust(root):
        def md5(file):
            return hashlib.md5((root / file).read_bytes()).hexdigest()

        kinds = torchvision.datasets
        for kind, folder in ((kinds.CIFAR10, "cifar-10-batches-py"), (kinds.CIFAR100, "cifar-100-python"),
                             (kinds.STL10, "stl10_binary")):  # fmt: skip
            if (root / folder).is_dir():
                for attribute in ("train_list", "test_list"):
                    listed = [[name, md5(f"{folder}/{name}")] for name, _ in getattr(kind, attribute)]
                    monkeypatch.setattr(kind, attribute, listed)
                if hasattr(kind, "meta"):
                    monkeypatch.setitem(kind.meta, "md5", md5(f"{folder}/{kind.meta['filename']}"))
        for side in ("train", "test"):
            if (root / f"{side}_32x32.mat").exists():
                url, name, _ = kinds.SVHN.split_list[side]
                monkeypatch.setitem(kinds.SVHN.split_list, side, [url, name, md5(name)])
        if (root / "semeion.data").exists():
            monkeypatch.setattr(kinds.SEMEION, "md5_checksum", md5("semeion.data"))
        for key, (name, _) in list(kinds.Flowers102._file_dict.items()):
            if (root / "flowers-102" / name).exists():
                monkeypatch.setitem(kinds.Flowers102._file_dict, key, (name, md5(f"flowers-102/{name}")))
        places = kinds.Places365
        if (root / places._CATEGORIES_META[0]).exists():
            monkeypatch.setattr(places, "_CATEGORIES_META", (name := places._CATEGORIES_META[0], md5(name)))
            for side, (name, _) in list(places._FILE_LIST_META.items()):
                if (root / name).exists():
                    monkeypatch.setitem(places._FILE_LIST_META, side, (name, md5(name)))

    return trust


def check_laid_out(name, made, tmp_path):
    """Lay a data set out and compare what is read of it with what was made."""
    told = []
    out, downloads = tmp_path / "raw" / name, tmp_path / "downloads"
    assert lay_out(name, out, downloads, lambda count: told.append(count) or told.append) == sum(made.values())
    assert told == [sum(made.values()), *[1] * sum(made.values())]
    table = read(out)
    splits = table["split"] if "split" in table else [""] * len(table)
    assert Counter(zip(table["label"], splits)) == made
    assert ROWS[name].terms in (out / "LICENCE.txt").read_text()
    return table, out


@pytest.mark.parametrize("name", PLAIN)
def test_a_data_set_is_laid_out_with_its_names_and_splits(name, tmp_path):
    made = PLAIN[name](tmp_path / "downloads" / name)
    table, out = check_laid_out(name, made, tmp_path)
    if (out / "labels.csv").exists():
        for path in table["path"]:
            assert (out / path).read_bytes() == (tmp_path / "downloads" / name / path).read_bytes()


@pytest.mark.parametrize("name", CHECKED)
def test_a_data_set_whose_files_have_the_known_checksums_is_laid_out(name, tmp_path, trusting):
    root = tmp_path / "downloads" / name
    made = CHECKED[name](root)
    trusting(root)
    check_laid_out(name, made, tmp_path)


@pytest.mark.parametrize("name", CHECKED)
def test_files_with_other_checksums_are_not_read(name, tmp_path):
    CHECKED[name](tmp_path / "downloads" / name)
    with pytest.raises(UserError, match=f"{name} could not be fetched"):
        lay_out(name, tmp_path / "out", tmp_path / "downloads", quiet)
    assert not (tmp_path / "out").exists()


def test_every_set_is_run_here_but_those_that_are_other_parts_of_one_that_is():
    rest = {name: row for name, row in ROWS.items() if name not in {*PLAIN, *CHECKED}}
    assert {name.partition("-")[0] for name in rest} - {"PCAM"} <= {n.partition("-")[0] for n in [*PLAIN, *CHECKED]}


def test_the_set_that_is_not_run_is_asked_for_as_its_class_takes_it():
    taken = inspect.signature(torchvision.datasets.PCAM).parameters
    assert {"root", "download", *(name for asked in ROWS["PCAM"].splits.values() for name in asked)} <= {*taken}
    assert {asked["split"] for asked in ROWS["PCAM"].splits.values()} == {*torchvision.datasets.PCAM._FILES}


def test_pixels_are_those_of_the_files(tmp_path):
    root = tmp_path / "downloads" / "MNIST"
    PLAIN["MNIST"](root)
    lay_out("MNIST", tmp_path / "out", tmp_path / "downloads", quiet)
    raw = b"".join((root / f"MNIST/raw/{side}-images-idx3-ubyte").read_bytes()[16:] for side in ("train", "t10k"))
    assert np.load(tmp_path / "out/images.npy").tobytes() == raw
    assert len(ImageArray(tmp_path / "out/images.npy")) == 8


def test_letters_stand_upright(tmp_path):
    root = tmp_path / "downloads" / "EMNIST-letters"
    PLAIN["EMNIST-letters"](root)
    lay_out("EMNIST-letters", tmp_path / "out", tmp_path / "downloads", quiet)
    raw = np.frombuffer((root / "EMNIST/raw/emnist-letters-train-images-idx3-ubyte").read_bytes()[16:], np.uint8)
    assert np.array_equal(np.load(tmp_path / "out/images.npy")[0], raw.reshape(-1, 28, 28)[0].T)


def test_photos_of_one_sign_are_a_group(tmp_path):
    vision.signs(tmp_path / "downloads" / "GTSRB")
    lay_out("GTSRB", tmp_path / "out", tmp_path / "downloads", quiet)
    groups = read(tmp_path / "out").set_index("path")["group"]
    train = groups[groups.index.str.contains("Training")]
    assert train.nunique() == 2
    assert train.iloc[0] == train.iloc[1] != train.iloc[2]
    assert not set(train) & set(groups.drop(train.index))


# Without a network


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if not row.byhand and not row.packages])
def test_without_a_network_it_is_said_what_to_fetch_and_where_to_put_it(name, tmp_path, capsys):
    downloads = tmp_path / "downloads"
    with pytest.raises(UserError) as caught:
        lay_out(name, tmp_path / "out", downloads, quiet)
    said = str(caught.value)
    assert said.startswith(f"{name} could not be fetched: ")
    url = re.search(r"^  (https?://\S+)$", said, re.MULTILINE)[1]
    assert f"fetch {url.rpartition('/')[2]} elsewhere" in said
    assert f"\n  {downloads / name}\n" in said
    assert len(said.splitlines()) < 12
    assert not (tmp_path / "out").exists()
    # The place that archives are brought to is where torchvision looks for them.
    frames = inspect.getinnerframes(caught.value.__cause__.__traceback__)
    roots = [frame.frame.f_locals["root"] for frame in frames if frame.function == "download_url"]
    wanted = downloads / name / ".unpacking" / ROWS[name].folder
    assert all(str(wanted) == str(root) for root in roots)
    assert roots or ROWS[name].kind in ("MNIST", "FashionMNIST", "KMNIST")  # those try mirrors, and say what each said


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.byhand])
def test_what_only_the_user_can_bring_is_named_with_its_page_and_folder(name, tmp_path):
    with pytest.raises(UserError, match="torchvision cannot fetch it") as caught:
        lay_out(name, tmp_path / "out", tmp_path / "downloads", quiet)
    for part in (ROWS[name].byhand, ROWS[name].page, str(tmp_path / "downloads" / name)):
        assert part in str(caught.value)


def test_a_package_that_is_missing_is_named(tmp_path):
    if all(map(find_spec, ROWS["PCAM"].packages)):
        pytest.skip("h5py and gdown are installed")
    with pytest.raises(UserError, match="uv run --with h5py --with gdown dvc repro"):
        lay_out("PCAM", tmp_path / "out", tmp_path / "downloads", quiet)


# With one


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A proxy that answers every request with the file of that name in tmp_path/served; what it was asked for."""
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            content = (tmp_path / "served" / self.path.rpartition("/")[2]).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as running:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{running.server_port}")
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield asked
        running.shutdown()


def test_a_set_is_fetched_once(server, tmp_path, trusting):
    made = vision.svhn(tmp_path / "served")
    trusting(tmp_path / "served")
    check_laid_out("SVHN", made, tmp_path)
    assert {url.rpartition("/")[2] for url in server} == {"train_32x32.mat", "test_32x32.mat"}
    server.clear()
    shutil.rmtree(tmp_path / "raw")
    check_laid_out("SVHN", made, tmp_path)
    assert server == []


def test_a_file_with_another_checksum_is_not_kept_as_fetched(server, tmp_path, trusting):
    made = vision.svhn(tmp_path / "served")
    trusting(tmp_path / "served")
    test = tmp_path / "served/test_32x32.mat"
    whole = test.read_bytes()
    test.write_bytes(whole[:-9])
    with pytest.raises(UserError, match="SVHN could not be fetched: RuntimeError: File not found or corrupted"):
        lay_out("SVHN", tmp_path / "raw/SVHN", tmp_path / "downloads", quiet)
    test.write_bytes(whole)
    server.clear()
    check_laid_out("SVHN", made, tmp_path)
    assert {url.rpartition("/")[2] for url in server} == {"test_32x32.mat"}  # the other was whole


# With archives that the user brings


def pack(folder, archive):
    with tarfile.open(archive, "w:gz") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, file.name)


@pytest.fixture
def archive(tmp_path):
    """An archive of a data set that has no checksum, made elsewhere, and what is in it."""
    made = vision.aircraft(tmp_path / "elsewhere")
    pack(tmp_path / "elsewhere", tmp_path / "fgvc-aircraft-2013b.tar.gz")
    return tmp_path / "fgvc-aircraft-2013b.tar.gz", made


def bring(archive, tmp_path, name="FGVCAircraft"):
    folder = tmp_path / "downloads" / name
    folder.mkdir(parents=True)
    return Path(shutil.copy(archive, folder))


def test_an_archive_that_was_brought_is_unpacked_and_kept(archive, tmp_path):
    brought = bring(archive[0], tmp_path)
    check_laid_out("FGVCAircraft", archive[1], tmp_path)
    assert brought.read_bytes() == archive[0].read_bytes()
    assert not (brought.parent / ".unpacking").exists()
    shutil.rmtree(tmp_path / "raw")
    brought.unlink()
    check_laid_out("FGVCAircraft", archive[1], tmp_path)  # from what was unpacked


def test_half_of_what_a_killed_run_unpacked_is_not_taken_for_the_whole(archive, tmp_path):
    bring(archive[0], tmp_path)
    half = tmp_path / "downloads/FGVCAircraft/.unpacking/fgvc-aircraft-2013b/data"
    shutil.copytree(tmp_path / "elsewhere/fgvc-aircraft-2013b/data", half)
    (half / "images_variant_test.txt").write_text("")
    check_laid_out("FGVCAircraft", archive[1], tmp_path)


def test_a_damaged_archive_is_refused_and_what_was_brought_instead_is_taken(archive, tmp_path):
    brought = bring(archive[0], tmp_path)
    whole = archive[0].read_bytes()
    brought.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"FGVCAircraft cannot be read: .*\n.*\n.*downloads/FGVCAircraft\n"):
        lay_out("FGVCAircraft", tmp_path / "raw/FGVCAircraft", tmp_path / "downloads", quiet)
    assert not (tmp_path / "raw/FGVCAircraft").exists()
    shutil.copy(archive[0], brought)
    check_laid_out("FGVCAircraft", archive[1], tmp_path)


def test_an_archive_with_another_checksum_is_said_to_have_one(archive, tmp_path):
    bring(shutil.copy(archive[0], tmp_path / "dtd-r1.0.1.tar.gz"), tmp_path, "DTD")
    with pytest.raises(UserError, match="has another checksum than the published one"):
        lay_out("DTD", tmp_path / "out", tmp_path / "downloads", quiet)
    assert (tmp_path / "downloads/DTD/dtd-r1.0.1.tar.gz").read_bytes() == archive[0].read_bytes()


def test_files_that_are_missing_from_an_unpacked_set_are_an_error(archive, tmp_path):
    vision.food(tmp_path / "downloads/Food101")
    (tmp_path / "downloads/Food101/food-101/images/waffles/test1.jpg").unlink()
    with pytest.raises(UserError, match=r"Food101 cannot be read: .*waffles/test1\.jpg"):
        lay_out("Food101", tmp_path / "out", tmp_path / "downloads", quiet)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_image_where_torchvision_opens_it_is_named(tmp_path):
    vision.caltech256(tmp_path / "downloads/Caltech256")
    bad = tmp_path / "downloads/Caltech256/caltech256/256_ObjectCategories/001.ak47/001_0001.jpg"
    bad.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"Caltech256 cannot be read: .*001_0001\.jpg"):
        lay_out("Caltech256", tmp_path / "out", tmp_path / "downloads", quiet)


# Names


def test_sets_that_are_not_taken_say_why(tmp_path):
    for name, why in REFUSED.items():
        with pytest.raises(UserError, match=rf"download: {name} is not supported: {why}"):
            lay_out(name, tmp_path / "out", tmp_path, quiet)
        assert name not in SETS


def test_a_name_that_is_nearly_right_is_proposed(tmp_path):
    with pytest.raises(UserError, match=r"no data set 'cifar-10'; did you mean CIFAR10\?"):
        lay_out("cifar-10", tmp_path / "out", tmp_path, quiet)


def test_names_can_be_names_of_dvc_stages():
    for name in SETS:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name)
