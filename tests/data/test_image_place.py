import os

import fsspec
import pytest

from pipeline.common.errors import UserError
from pipeline.data.image_place import ImagePlace
from tests.support.pictures import saved, smooth

PICTURE = saved(smooth())


@pytest.fixture
def photos(tmp_path):
    for name in ("b.png", "a/c.JPG", "a/é.png", "notes.txt", ".hidden.png", ".git/d.png"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(PICTURE)
    return tmp_path / "photos"


def test_images_are_found_in_all_folders_and_known_by_their_paths(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    for place in (str(photos), "photos", "photos/", f"file://{photos}"):
        opened = ImagePlace(place)
        assert opened.images() == ["a/c.JPG", "a/é.png", "b.png"]
        assert opened.read("a/é.png", 1000) == PICTURE
        assert opened.uri == f"file://{photos}"


def test_a_store_that_fsspec_knows_is_read_alike():
    memory = fsspec.filesystem("memory")
    memory.pipe({"/bucket/photos/x/1.png": PICTURE, "/bucket/photos/2.png": PICTURE, "/bucket/other.png": PICTURE})
    opened = ImagePlace("memory://bucket/photos")
    assert opened.images() == ["2.png", "x/1.png"]
    assert opened.read("x/1.png", 1000) == PICTURE
    with pytest.raises(ValueError, match="bytes are over the limit of 99"):
        opened.read("x/1.png", 99)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere", "nowhere: no such folder of images"),
        ("photos/b.png", "photos/b.png: is a file; name the folder that holds the images"),
        ("photos/empty", r"photos/empty: holds no images \(bmp, gif"),
        ("nothing://x", "nothing://x: cannot be opened: Protocol not known: nothing"),
        ("s3://bucket/x", "s3://bucket/x: Install s3fs to access S3: `uv add` the package that it names"),
        ("memory://no/bucket", "memory://no/bucket: no such folder of images"),
    ],
)
def test_what_is_no_folder_of_images_is_told(photos, monkeypatch, place, said):
    (photos / "empty").mkdir()
    monkeypatch.chdir(photos.parent)
    with pytest.raises(UserError, match=f"^{said}"):
        ImagePlace(place).images()


def test_what_cannot_be_read_says_why_and_never_blocks(photos):
    os.mkfifo(photos / "pipe.png")
    (photos / "gone.png").symlink_to("nowhere")
    opened = ImagePlace(str(photos))
    assert {"pipe.png", "gone.png"} <= set(opened.images())
    with pytest.raises(ValueError, match="is a pipe, socket or device"):
        opened.read("pipe.png", 1000)
    for name in ("gone.png", "none.png"):
        with pytest.raises(ValueError, match="cannot be read: No such file or directory"):
            opened.read(name, 1000)
