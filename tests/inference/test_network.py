from typing import get_args

import numpy as np
import pytest
import torch

from pipeline.config.features import View
from pipeline.inference.network import Network, apply_view
from tests.support.networks import images, spec

VIEWS = get_args(View)
SQUARE = torch.arange(2 * 3 * 5 * 5).reshape(2, 3, 5, 5)


def code(images):
    return tuple(images.flatten().tolist())


BY_CONTENT = {code(apply_view(SQUARE, view)): view for view in VIEWS}


def after(first, second):
    return BY_CONTENT[code(apply_view(apply_view(SQUARE, first), second))]


@pytest.mark.parametrize(
    ("view", "same"),
    [
        ("identity", lambda x: x),
        ("hflip", lambda x: x[..., ::-1]),
        ("vflip", lambda x: x[..., ::-1, :]),
        ("rot90", lambda x: np.rot90(x, 1, (-2, -1))),
        ("rot180", lambda x: np.rot90(x, 2, (-2, -1))),
        ("rot270", lambda x: np.rot90(x, 3, (-2, -1))),
        ("transpose", lambda x: x.swapaxes(-1, -2)),
        ("antitranspose", lambda x: np.rot90(x, 2, (-2, -1)).swapaxes(-1, -2)),
    ],
)
def test_a_view_is_what_its_name_says(view, same):
    assert (apply_view(SQUARE, view).numpy() == same(SQUARE.numpy())).all()


def test_the_views_are_the_eight_symmetries_of_a_square():
    assert len(BY_CONTENT) == len(VIEWS) == 8


def test_one_view_after_another_is_a_view_again_and_each_can_be_undone():
    table = [[after(a, b) for b in VIEWS] for a in VIEWS]
    for lines in (table, zip(*table)):
        assert all(sorted(line) == sorted(VIEWS) for line in lines)
    assert after("hflip", "vflip") == after("vflip", "hflip") == "rot180"
    assert after("rot90", "rot270") == after("rot180", "rot180") == "identity"
    assert after("rot90", "hflip") != after("hflip", "rot90")


def test_a_spec_keeps_all_that_a_recipe_says_of_the_network():
    made = spec("compact", head="mlp", hidden=9, dropout=0.4, image_size=24)
    head = Network(made).head
    assert [type(module).__name__ for module in head] == ["Standardize", "Linear", "GELU", "Dropout", "Linear"]
    assert (head[1].out_features, head[3].p, head[4].out_features) == (9, 0.4, 3)
    assert Network(made).preprocess(images()).shape == (3, 3, 24, 24)
