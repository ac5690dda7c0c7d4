import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.common.errors import UserError
from pipeline.config.params import Params
from pipeline.data.preparation import prepare
from pipeline.data.quick_count import CountedImages, quick_count
from tests.support.folders import three_classes


@pytest.fixture
def settings(small_params):
    small_params["prepare"] |= {"stratify": []}
    return Params(**small_params)


def counts(found):
    return found.train, found.valid, found.test


def test_the_counts_are_those_of_the_split_that_prepare_draws(tmp_path, settings):
    root = three_classes(tmp_path / "photos")
    made = prepare(root, "label", settings.prepare, 32, tmp_path / "dev", tmp_path / "test")
    sides = made.table["split"].value_counts()
    found = quick_count(root, settings)
    assert counts(found) == (sides["train"], sides["valid"], sides["test"])
    assert (found.images, found.classes, found.channels, found.side) == (60, 3, 1, 32)


def test_a_split_of_the_users_own_is_counted(lay_out, settings):
    root = lay_out()
    table = pd.read_csv(root / "labels.csv", dtype=str)
    table.assign(split=["test"] * 8 + ["train"] * 40).to_csv(root / "labels.csv", index=False)
    assert counts(quick_count(root, settings)) == (32, 8, 8)


def test_one_image_in_colour_makes_all_of_them_so(lay_out, settings):
    root = lay_out()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(root / "007.png")
    assert quick_count(root, settings).channels == 3


def test_a_limit_of_images_is_kept(lay_out, small_params):
    small_params["prepare"] |= {"max_images": 20}
    assert quick_count(lay_out(), Params(**small_params)).images == 20


def test_other_numbers_of_images_are_split_alike():
    assert counts(CountedImages(60, 15, 25, 2, 1, 32).at(1000)) == (600, 150, 250)


@pytest.mark.parametrize(("table", "said"), [
    ("path,kind\n000.png,a\n001.png,b\n", "with two classes or more, found columns path, kind"),
    ("path,label\n000.png,a\n001.png,a\n", "found one value in column 'label'"),
])  # fmt: skip
def test_a_folder_with_nothing_to_learn_is_refused(lay_out, settings, table, said):
    root = lay_out()
    (root / "labels.csv").write_text(table)
    with pytest.raises(UserError, match=said):
        quick_count(root, settings)
