import numpy as np
import pandas as pd
import pytest

from pipeline.config.params import Prepare
from pipeline.data.image_set import load
from pipeline.data.preparation import licence_of, prepare
from pipeline.data.summary import notes_on
from pipeline.inference.decoding import decode

WANTED = Prepare(image_size=24, test_fraction=0.25, valid_fraction=0.2, seed=0, on_problem="exclude", workers=1)


@pytest.fixture
def prepared(lay_out, tmp_path):
    """A function that prepares a folder in which two files cannot be used and one has no label."""
    root = lay_out()
    for name in ("000", "017"):
        (root / f"{name}.png").write_bytes(b"no image")
    table = pd.read_csv(root / "labels.csv", dtype=str)
    table.loc[5, "label"] = ""
    table.to_csv(root / "labels.csv", index=False)

    def run(**changed):
        wanted = WANTED.model_copy(update=changed)
        return root, prepare(root, "label", wanted, 24, tmp_path / "dev", tmp_path / "test")

    return run


@pytest.mark.parametrize("limit", [None, 30])
def test_each_row_holds_the_pixels_of_its_own_file_whatever_was_left_out(prepared, tmp_path, limit):
    root, found = prepared(max_images=limit)
    packed = {name: load(tmp_path / name) for name in ("dev", "test")}
    assert sum(map(len, packed.values())) == len(found.table) == (limit or 45)
    for name, images in packed.items():
        manifest = pd.read_csv(tmp_path / name / "manifest.csv", dtype=str)
        assert images.digest == found.digests[name]
        for row, path in enumerate(manifest["path"]):
            np.testing.assert_array_equal(np.asarray(images.images[row]), decode((root / path).read_bytes(), 24, 1))


def test_what_was_left_out_is_reported_by_kind_and_read_files_in_their_order(prepared):
    _, found = prepared()
    assert found.cleaned.kinds == {"cannot be used": 2, "no label": 1}
    assert found.cleaned.read == sorted(found.cleaned.read)
    assert len(found.cleaned.read) == 47  # one without a label is not read
    assert set(found.table["path"]) < set(found.cleaned.read)


def test_no_decoded_squares_are_left_behind(prepared, tmp_path):
    prepared()
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "dev", "test"}


def test_the_summary_counts_every_image_and_lists_what_was_left_out(prepared):
    _, found = prepared()
    summary = found.summary("tiny")
    assert (summary.name, summary.images, summary.duplicates, summary.channels) == ("tiny", 45, 0, 1)
    assert summary.classes == ("low", "top")
    images = {split: sum(counts.values()) for split, counts in summary.counts.items()}
    assert images == found.table["split"].value_counts().to_dict()
    assert list(images) == ["train", "valid", "test"]
    assert summary.excluded.kinds == {"cannot be used": 2, "no label": 1}
    assert [path for path, _ in summary.excluded.first] == found.cleaned.listing()["path"].tolist()
    assert "Left out: 3 image(s) (cannot be used: 2; no label: 1)" in notes_on(summary)[0]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("LICENCE.txt", "\n  CC BY 4.0,   see\tx \nmore\n", "CC BY 4.0, see x"),
        ("license", "MIT", "MIT"),
        ("License.md", b"\xff free", "\N{REPLACEMENT CHARACTER} free"),
        ("LICENSE", "", ""),
        ("notes.txt", "MIT", ""),
    ],
)
def test_the_licence_of_images_is_the_first_line_of_its_file(tmp_path, name, text, said):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert licence_of(tmp_path) == said
    assert licence_of(tmp_path / name) == ""
