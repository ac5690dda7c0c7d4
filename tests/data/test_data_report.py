import numpy as np
import pytest
from PIL import Image

from pipeline.data.data_report import contact_sheet
from pipeline.data.summary import DatasetSummary


def test_the_data_report_counts_every_image(prepared):
    summary = DatasetSummary.load(prepared.report / "summary.json")
    assert (summary.name, summary.images, summary.duplicates, summary.channels) == ("tiny", 48, 0, 1)
    assert summary.classes == ("low", "top")
    assert {split: sum(counts.values()) for split, counts in summary.counts.items()} == {
        "train": 28,
        "valid": 8,
        "test": 12,
    }
    text = (prepared.report / "report.md").read_text()
    assert "| class | train | valid | test |" in text
    assert "| low | 14 | 4 | 6 |" in text
    assert summary.digest in text


def test_the_data_report_shows_images_and_their_sizes(prepared):
    for name in ("contact_sheet.png", "sizes.png"):
        with Image.open(prepared.report / name) as image:
            assert image.format == "PNG"
            assert len(np.unique(np.asarray(image.convert("L")))) > 20


@pytest.mark.parametrize("name", ["$\\frac$ $x_", "日本", "long" * 99, "two\nlines"])
def test_a_class_of_any_name_has_its_images_side_by_side_on_the_contact_sheet(tmp_path, name):
    white = np.full((20, 8, 8, 1), 255, np.uint8)
    shown = []
    for names in (("a", "b"), ("a", name)):
        path = contact_sheet(255 - white, np.arange(20) % 2, names, tmp_path / "sheet.png")
        with Image.open(path) as image:
            shown.append(np.flatnonzero((np.asarray(image.convert("L")) < 5).mean(0) > 0.4))
    assert shown[0].tolist() == shown[1].tolist()
    assert len(shown[0]) > 500


def test_the_contact_sheet_shows_images_in_colour(tmp_path):
    red = np.zeros((4, 8, 8, 3), np.uint8)
    red[..., 0] = 255
    path = contact_sheet(red, np.array([0, 1, 0, 1]), ("a", "b"), tmp_path / "sheet.png")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (pixels == [255, 0, 0]).all(1).sum() > 1000
