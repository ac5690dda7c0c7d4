import numpy as np
import pytest

from pipeline.config.params import Prepare
from pipeline.data import packed_size as module
from pipeline.data import readers
from pipeline.data.inspection import inspect
from pipeline.data.packed_size import packed_size
from pipeline.data.preparation import prepare
from tests.support.arrays import kinds, written
from tests.support.folders import picture

AUTO = Prepare(image_size="auto", test_fraction=0.25, valid_fraction=0.2, seed=0, workers=1)


def sizes(root, *shapes):
    """Write an image of each shape (height, width), in two classes; return the folder."""
    for number, shape in enumerate(shapes):
        picture(root / "ab"[number % 2] / f"{number:03}.png", number, shape)
    return root


def chosen(root, largest=128, wanted=AUTO):
    return packed_size(root, list(readers.read(root)["path"]), wanted, largest)


@pytest.mark.parametrize(("shapes", "largest", "side"), [
    ([(28, 28)] * 3, 128, 32), ([(48, 40), (40, 48), (300, 2)], 128, 48), ([(49, 2), (49, 2)], 128, 56),
    ([(40, 3), (3, 50)], 128, 48), ([(300, 200)] * 3, 128, 128), ([(300, 200)] * 3, 100, 100), ([(5, 4)] * 2, 96, 8),
    ([(90, 90)] * 2, 92, 92), ([(96, 96)] * 2, 96, 96),
], ids=str)  # fmt: skip
def test_auto_is_the_images_own_size_rounded_up_or_the_largest_that_is_asked_for(tmp_path, shapes, largest, side):
    assert chosen(sizes(tmp_path, *shapes), largest).side == side


def test_a_number_is_taken_as_it_is_and_no_file_is_opened(tmp_path):
    found = packed_size(tmp_path / "nowhere", ["a.png"], AUTO.model_copy(update={"image_size": 37}), 128)
    assert found == (37, ())


@kinds
def test_the_size_of_packed_arrays_is_that_of_their_rows(tmp_path, kind):
    _, root = written(tmp_path, kind, np.zeros((12, 20, 45, 3), np.uint8))
    assert chosen(root).side == 48


def test_what_was_chosen_and_why_is_one_sentence(tmp_path):
    root = sizes(tmp_path, (45, 3), (45, 3), (3, 46))
    start = "Images are packed at {0}x{0} pixels (prepare.image_size: auto), "
    assert chosen(root).notes == (
        start.format(48) + "close to their own size (the median longer side is 45); a strategy that asks for more, up "
        "to 128, scales them up in its network.",
    )
    assert chosen(root, 32).notes == (
        start.format(32) + "the most that any strategy asks for; their median longer side is 45.",
    )


def test_the_sample_is_spread_over_the_list_and_the_same_each_time(tmp_path, monkeypatch):
    root = sizes(tmp_path, *[(8 + 2 * number, 3) for number in range(40)])
    paths = list(readers.read(root)["path"])
    monkeypatch.setattr(module, "SAMPLED", 10)
    found = [packed_size(root, paths, AUTO, 128) for _ in range(3)]
    assert len(set(found)) == 1
    assert "in a sample of 10)" in found[0].notes[0]
    assert found[0].side == 48  # of 8 to 86: neither the smallest, which come first in each class, nor the largest


def test_images_whose_header_says_nothing_or_too_much_are_passed_over(tmp_path):
    root = sizes(tmp_path, (40, 40), (40, 40), (40, 40), (400, 400), (400, 400))
    (root / "a" / "000.png").write_bytes(b"")
    (root / "b" / "001.png").write_bytes(b"no image")
    (root / "a" / "none.png").symlink_to("nowhere.png")
    assert chosen(root, wanted=AUTO.model_copy(update={"max_pixels": 100_000})).side == 40


def test_where_no_header_can_be_read_images_are_packed_at_what_is_asked_for(tmp_path):
    root = sizes(tmp_path, (40, 40), (40, 40))
    for file in root.rglob("*.png"):
        file.write_bytes(b"no image")
    found = chosen(root, 96)
    assert found.side == 96
    assert found.notes[0].endswith("the most that any strategy asks for; no header gives their own.")


def test_what_is_checked_is_what_is_packed(tmp_path):
    root = sizes(tmp_path / "raw", *[(20, 10 + number) for number in range(40)])
    packed = prepare(root, "label", AUTO, 128, tmp_path / "dev", tmp_path / "test")
    for part in ("dev", "test"):
        assert np.load(tmp_path / part / "images.npy").shape[1:3] == (32, 32)
    (note,) = [note for note in packed.summary("tiny").notes if "packed" in note]
    assert note.startswith("Images are packed at 32x32 pixels (prepare.image_size: auto), close to their own size")
    assert inspect(root, AUTO, 128, lambda count: lambda step: None).notes == [note]


def test_a_number_leaves_no_note(tmp_path):
    root = sizes(tmp_path / "raw", *[(20, 10 + number) for number in range(40)])
    wanted = AUTO.model_copy(update={"image_size": 24})
    assert prepare(root, "label", wanted, 128, tmp_path / "dev", tmp_path / "test").notes == []
    assert inspect(root, wanted, 128, lambda count: lambda step: None).notes == []
