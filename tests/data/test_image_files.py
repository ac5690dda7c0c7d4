import os
import socket
import unicodedata

import numpy as np
import pytest

from pipeline.common.errors import UserError
from pipeline.data.image_files import ImageFiles
from tests.support.pictures import saved, smooth


@pytest.fixture
def root(tmp_path):
    (tmp_path / "outside.png").write_bytes(b"secret")
    (root := tmp_path / "root").mkdir()
    (root / "inside.png").write_bytes(b"content")
    return root


def found(root, path):
    with ImageFiles(root) as contents:
        return contents.read(path)


def link(root, to):
    (root / "link.png").symlink_to(to)
    return "link.png"


def folder_link(root, to):
    (root / "folder").symlink_to(to)
    return "folder"


def pipe(root):
    os.mkfifo(root / "pipe.png")
    return "pipe.png"


def listening(root):
    socket.socket(socket.AF_UNIX).bind(str(root / "socket.png"))
    return "socket.png"


def folder(root):
    (root / "folder.jpg").mkdir()
    return "folder.jpg"


def huge(root):
    with (root / "huge.png").open("wb") as file:
        file.truncate(2**29 + 1)
    return "huge.png"


def empty(root):
    (root / "empty.png").write_bytes(b"")
    return "empty.png"


def text(root):
    (root / "notes.txt").write_text("no array")
    return "notes.txt/0000001"


REFUSED = {
    "a missing file": (lambda root: "none.png", "No such file"),
    "an empty file": (empty, "the file is empty"),
    "a folder": (folder, "Is a directory"),
    "a pipe, which would be waited for": (pipe, "is a pipe, socket or device"),
    "a socket": (listening, "is a pipe, socket or device"),
    "a device": (lambda root: link(root, "/dev/zero"), "leads out of the data folder"),
    "what the kernel makes up": (lambda root: link(root, "/proc/self/maps"), "leads out of the data folder"),
    "a file of half a gigabyte": (huge, "537 MB are over the limit of 537 MB"),
    "a broken link": (lambda root: link(root, "nowhere.png"), "No such file"),
    "a link to itself": (lambda root: link(root, "link.png"), "Too many levels of symbolic links"),
    "a link out of the folder": (lambda root: link(root, "../outside.png"), "leads out of the data folder"),
    "a folder that is a link out": (lambda root: folder_link(root, "..") + "/outside.png", "leads out"),
    "a path out": (lambda root: "../outside.png", "leads out of the data folder"),
    "a path out of a folder": (lambda root: folder(root) + "/../../outside.png", "leads out of the data folder"),
    "the folder above": (lambda root: "..", "leads out of the data folder"),
    "a path from the root of the disk": (lambda root: str(root.parent / "outside.png"), "leads out"),
    "a folder whose name begins as ours": (lambda root: "../root.png", "leads out of the data folder"),
    "a name of over 255 bytes": (lambda root: 300 * "x" + ".png", "File name too long"),
    "a name with a zero byte": (lambda root: "a\0b.png", "null byte"),
    "a name that no file can have": (lambda root: "\ud800.png", "surrogates not allowed"),
    "a row of a text file": (text, "magic string is not correct"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_with_a_reason(root, case):
    make, said = REFUSED[case]
    with pytest.raises(ValueError, match=said) as caught:
        found(root, make(root))
    assert not isinstance(caught.value, UserError)


@pytest.mark.parametrize("case", REFUSED)
def test_where_nothing_can_be_read_there_is_no_size(root, case):
    with ImageFiles(root) as files, pytest.raises(ValueError, match=r".") as caught:
        files.size(REFUSED[case][0](root))
    assert not isinstance(caught.value, UserError)


def test_the_size_of_an_image_is_its_width_and_height(root):
    (root / "whole.png").write_bytes(saved(np.zeros((30, 20), np.uint8)))
    (root / "cut.png").write_bytes(saved(smooth())[:100])
    np.save(root / "rows.npy", np.zeros((3, 5, 7), np.uint8))
    os.rename(root / "whole.png", root / unicodedata.normalize("NFD", "é.png"))
    with ImageFiles(root) as files:
        assert files.size(unicodedata.normalize("NFC", "é.png")) == (20, 30)
        assert files.size("cut.png") == (24, 24)
        assert files.size("rows.npy/0000001") == (7, 5)
        with pytest.raises(ValueError, match="no row 3"):
            files.size("rows.npy/3")


@pytest.mark.parametrize(
    "name", ["日本語.png", "é.png", "a\nb.png", " .png", "a'b\".png", "caf\udce9.png", ".hidden.png"]
)
def test_files_of_any_name_are_read(root, name):
    os.rename(root / "inside.png", root / name)
    assert found(root, name) == b"content"


@pytest.mark.parametrize(("stored", "listed"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_name_may_be_written_in_another_form_than_on_disk(root, stored, listed):
    os.rename(root / "inside.png", root / unicodedata.normalize(stored, "é.png"))
    assert found(root, unicodedata.normalize(listed, "é.png")) == b"content"


def test_links_within_the_folder_are_followed(root):
    (root / "deep").mkdir()
    (root / "deep" / "link.png").symlink_to("../inside.png")
    (root / "again").symlink_to("deep")
    assert found(root, "again/link.png") == b"content"
    assert found(root, "deep/../inside.png") == b"content"


def test_the_folder_itself_may_be_a_link(root):
    (root.parent / "there").symlink_to("root")
    assert found(root.parent / "there", "inside.png") == b"content"
