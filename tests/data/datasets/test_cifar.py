import io
import os
import pickle

import numpy as np
import pytest

from pipeline.data.datasets.cifar import plain, read
from tests.support.vision import pickled


def test_pixels_are_channels_last_and_in_the_order_of_the_files(tmp_path):
    data = np.arange(3072).astype(np.uint8)[None].repeat(2, 0)
    data[1] = 9
    for name, key in (("a", "labels"), ("b", "fine_labels")):
        pickled(tmp_path / name, {"data": data, key: [3, 4], "coarse_labels": [0, 0]})
    images, targets = read([tmp_path / "a", tmp_path / "b"])
    assert targets == [3, 4, 3, 4]
    assert np.array_equal(images[0].transpose(2, 0, 1).ravel(), data[0])
    assert (images[1] == 9).all()


def python_2(content):
    """Return a pickle as Python 2 wrote those of CIFAR: bytes are text, and numpy has its old address."""
    data = content.tobytes()
    shape = b"".join(b"M" + size.to_bytes(2, "little") for size in content.shape)
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    state = b"(K\x01" + shape + b"\x86" + dtype + b"\x89T" + len(data).to_bytes(4, "little") + data + b"t"
    return b"\x80\x02" + empty + state + b"b."


def test_a_file_that_python_2_wrote_is_read():
    values = np.random.default_rng(0).integers(0, 256, (2, 3072), dtype=np.uint8)
    assert np.array_equal(pickle.loads(python_2(values), encoding="latin1"), values)  # the bytes are right
    assert np.array_equal(plain(io.BytesIO(python_2(values))), values)


class Attack:
    def __init__(self, function, *arguments):
        self.does = function, arguments

    def __reduce__(self):
        return self.does


@pytest.mark.parametrize(
    "attack", [(os.system, "touch here"), (eval, "1"), (exec, "1"), (getattr, "a", "b"), (np.fromfile, "x")]
)
def test_a_pickle_that_calls_anything_is_refused(attack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="which no file of CIFAR does"):
        plain(io.BytesIO(pickle.dumps({"data": Attack(*attack)}, protocol=2)))
    assert os.listdir() == []


@pytest.mark.parametrize("content", [b"", b"junk", b"\x80\x02}", pickle.dumps({"data": np.zeros(3)})[:-9]])
def test_a_damaged_pickle_is_refused(content):
    with pytest.raises(ValueError, match="not a readable pickle"):
        plain(io.BytesIO(content))


@pytest.mark.parametrize("data", [np.zeros((2, 3072)), np.zeros((2, 100), np.uint8), np.zeros((1, 3072), np.uint8)])
def test_pixels_that_do_not_fit_the_labels_are_refused(tmp_path, data):
    pickled(tmp_path / "a", {"data": data, "labels": [0, 1]})
    with pytest.raises(ValueError, match="a: 2 labels, and pixels"):
        read([tmp_path / "a"])
