import base64
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.report import confusion

TABLE = [[8, 2, 0], [5, 5, 0], [0, 0, 0]]


def test_the_commonest_mistakes_come_first():
    found = confusion.mistakes([[8, 2, 0], [5, 5, 0], [0, 1, 9]], ["a", "b", "c"], 2)
    assert [(m.true, m.predicted, m.images, m.share) for m in found] == [
        ("b", "a", 2.5, 0.5),
        ("a", "b", 1.0, 0.2),
        ("c", "b", 0.5, 0.1),
    ]


def test_shares_are_of_each_class_and_nothing_of_a_class_without_images():
    assert confusion.shares(TABLE).tolist() == [[0.8, 0.2, 0], [0.5, 0.5, 0], [0, 0, 0]]


def test_the_picture_has_a_pixel_for_each_cell_the_denser_the_more_images():
    stream = io.BytesIO(base64.b64decode(confusion.heat(TABLE).partition(",")[2]))
    with Image.open(stream) as image:
        opacity = np.asarray(image)[..., 3]
    assert opacity.shape == (3, 3)
    assert opacity / 255 == pytest.approx(np.sqrt(confusion.shares(TABLE)), abs=0.01)
