"""A context, and a test split, of the images that tests share."""

import pytest

from pipeline.data.image_set import load
from tests.support.kinds import make_context


@pytest.fixture
def context(image_set, tmp_path):
    return make_context(image_set, tmp_path / "work")


@pytest.fixture
def test_set(prepared):
    return load(prepared.test)
