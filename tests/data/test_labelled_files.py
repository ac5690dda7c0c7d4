import numpy as np
import pytest

from pipeline.common.errors import UserError
from pipeline.data import image_set
from pipeline.data.labelled_files import folder_files
from pipeline.data.labelled_files import test_files as files_of_test
from tests.support.folders import picture


@pytest.fixture
def images(prepared, image_folder):
    return files_of_test(prepared.test, image_folder)


def test_the_test_images_are_those_that_were_packed_in_their_order(images, prepared):
    packed = image_set.load(prepared.test)
    assert (list(images.ids), images.digest) == (list(packed.ids), packed.digest)
    np.testing.assert_array_equal(images.targets(packed.classes), packed.labels)
    assert len(list(images.contents())) == len(images) == len(packed)
    assert all(content.startswith(b"\x89PNG") for content in images.contents(np.array([0, 3])))


def test_an_image_that_is_gone_is_named(prepared, tmp_path):
    with pytest.raises(UserError, match=r"\.png: No such file or directory; bring the images back"):
        list(files_of_test(prepared.test, tmp_path).contents())


def test_a_folder_is_read_as_prepare_reads_it(image_folder, tmp_path):
    assert set(folder_files(image_folder, "camera").labels) == {"a", "b"}
    with pytest.raises(UserError, match="there is no column 'grade'; there are path, label, camera"):
        folder_files(image_folder, "grade")
    for number in range(4):
        picture(tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.png", number)
    found = folder_files(tmp_path / "photos", "label")
    assert (sorted(found.labels), found.digest) == (["cat", "cat", "dog", "dog"], "")
    assert found.ids == found.paths


def test_a_label_that_a_model_does_not_know_is_named(images):
    with pytest.raises(UserError, match=r"label\(s\) top are none of the model's classes, low, high"):
        images.targets(("low", "high"))
