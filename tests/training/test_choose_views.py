from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pipeline.config.features import Features
from pipeline.training.choose_views import CANDIDATES, choose_views, document, seen
from tests.support.kinds import make_context, recipe

VIEWS = ("identity", *CANDIDATES)


@pytest.fixture(scope="module")
def sorted_by(image_set):
    """A function that relabels the images, noise with a bright spot each, by where the spot is."""

    def relabelled(where):
        rng = np.random.default_rng(0)
        count, side = len(image_set), 32
        pixels = rng.integers(0, 60, (count, side, side, 3), dtype=np.uint8)
        labels = np.arange(count) % 2
        for picture, label in zip(pixels, labels):
            row, column = where(label, rng)
            picture[row : row + 6, column : column + 6] = 255
        return replace(image_set, images=pixels, labels=labels, digest=f"spots-{where.__name__}")

    return relabelled


def upper_or_lower(label, rng):
    return (3 if label else 23), rng.integers(0, 26)


@pytest.fixture
def chosen(tmp_path):
    def choose(images):
        context = make_context(images, tmp_path, views=VIEWS, scored=VIEWS)
        return choose_views(recipe("frozen", head="logistic", features="stages"), context, True, lambda count: None)

    return choose


def test_a_flip_that_makes_labels_false_is_left_out(chosen, sorted_by):
    found = {each.view: each.kept for each in chosen(sorted_by(upper_or_lower))}
    assert list(found) == list(CANDIDATES)
    assert not found["vflip"]
    assert not found["rot180"]


def test_a_flip_that_helps_is_kept_and_the_next_begins_from_it(chosen, sorted_by):
    found = chosen(sorted_by(upper_or_lower))
    assert found[0].view == "hflip"
    for one, following in pairwise(found):
        assert following.before == (one.after if one.kept else one.before)


def test_views_are_the_same_on_every_run(chosen, sorted_by):
    images = sorted_by(upper_or_lower)
    assert chosen(images) == chosen(images)


def test_the_choice_is_read_back(tmp_path, chosen, sorted_by):
    from pipeline.common.files import write_json

    tried = chosen(sorted_by(upper_or_lower))
    write_json(tmp_path / "views.json", document(["identity", "rot180"], tried))
    assert seen(tmp_path / "views.json", False, 3) == Features(views=("identity", "rot180"), tta=False, cache_gb=3)
