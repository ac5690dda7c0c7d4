import os
import tempfile
from pathlib import Path, PurePath

import pytest

from pipeline.common.errors import UserError
from pipeline.data.readers import class_folders, read


def test_folders_of_images_are_classes(tmp_path):
    for name in ("cat/b.png", "cat/a.JPG", "dog/c.webp", "dog/.hidden.png", "dog/notes.txt", ".old/a.png", "top.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert read(tmp_path).to_dict("list") == {
        "path": ["cat/a.JPG", "cat/b.png", "dog/c.webp"],
        "label": ["cat", "cat", "dog"],
    }


@pytest.fixture
def as_nobody():
    """A folder that all may enter; the test goes on as a user who is not root, whom no lock would hold."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
        if os.getuid() == 0:
            os.seteuid(0)


@pytest.mark.parametrize("locked", [".", "dog", "train", "train/dog"])
def test_a_folder_that_cannot_be_listed_is_named(as_nobody, locked):
    for name in ("cat/a.png", "dog/b.png") if "train" not in locked else ("train/cat/a.png", "train/dog/b.png"):
        (as_nobody / name).parent.mkdir(parents=True, exist_ok=True)
        (as_nobody / name).write_bytes(b"")
    mode = (as_nobody / locked).stat().st_mode
    (as_nobody / locked).chmod(0o000)
    if os.getuid() == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(UserError, match=f"{as_nobody / locked}: cannot be listed: Permission denied"):
            read(as_nobody)
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        (as_nobody / locked).chmod(mode)


def test_of_many_folders_only_as_much_is_listed_as_tells_the_kind(tmp_path, monkeypatch):
    for number in range(50):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "a.png").write_bytes(b"")
    looked, name = [], PurePath.name
    monkeypatch.setattr(PurePath, "name", property(lambda path: looked.append(path) or name.fget(path)))
    assert class_folders.matches(tmp_path)
    assert len(looked) < 10
