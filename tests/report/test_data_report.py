import numpy as np
import pytest
from PIL import Image

from pipeline.data.summary import DatasetSummary, ExcludedImages
from pipeline.report.data_report import contact_sheet, write_data_report


@pytest.fixture(scope="module")
def described(prepared, tmp_path_factory):
    """A folder with the report on the small data set."""
    folder = tmp_path_factory.mktemp("described")
    write_data_report(DatasetSummary.load(prepared.summary / "summary.json"), prepared.dev, folder)
    return folder


def test_the_report_counts_every_image_and_names_the_data(described, prepared):
    text = (described / "report.md").read_text()
    assert text.startswith("# tiny: 48 images, 2 classes\n")
    assert "| class | train | valid | test |" in text
    assert "| low | 14 | 4 | 6 |" in text
    assert DatasetSummary.load(prepared.summary / "summary.json").digest in text


def test_what_was_left_out_is_listed_and_the_rest_is_counted(prepared, tmp_path):
    summary = DatasetSummary.load(prepared.summary / "summary.json")
    left = ExcludedImages(kinds={"cannot be used": 3}, first=(("a|b.png", "cannot be used: the file is empty"),))
    write_data_report(summary.model_copy(update={"excluded": left}), prepared.dev, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "\n- a\\|b.png: cannot be used: the file is empty\n- and 2 more\n" in text
    assert "Left out: 3 image(s) (cannot be used: 3); results/data/excluded.csv lists them." in text


def test_pictures_show_images_and_their_sizes(described):
    for name in ("contact_sheet.png", "sizes.png"):
        with Image.open(described / name) as image:
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
