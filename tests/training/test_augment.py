import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.inference.network import Tap
from pipeline.network.taps import Carry, _packed, _unpacked
from pipeline.training.augment import augmentation, color_jitter, crop_and_rotate, erase, shift

PLAIN = {"backbone": "compact", "weights": "random", "cut": "input", "epochs": 4, "learning_rate": 0.01}
CHANGES = {
    "shift": lambda images, generator: shift(images, generator, 0.3),
    "crop": lambda images, generator: crop_and_rotate(images, generator, 0.3, 0.0),
    "rotation": lambda images, generator: crop_and_rotate(images, generator, 1.0, 30.0),
    "color": lambda images, generator: color_jitter(images, generator, 0.5),
    "erasing": lambda images, generator: erase(images, generator, 0.7),
}
every_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def noise(count=3, channels=1, side=12, seed=0):
    return torch.randint(0, 256, (count, channels, side, side), generator=seeded(seed)).float()


@every_change
@pytest.mark.parametrize("channels", [1, 3])
def test_changed_images_are_images_of_the_same_shape(change, channels):
    images = noise(8, channels)
    out = change(images, seeded(1))
    assert (out.shape, out.dtype) == (images.shape, images.dtype)
    assert -1e-3 <= out.min() <= out.max() <= 255 + 1e-3
    assert not torch.equal(out, images)
    assert torch.equal(images, noise(8, channels)), "the images given are left as they were"


@every_change
def test_changes_come_from_the_generator_given_alone(change):
    first = change(noise(8), seeded(1))
    torch.manual_seed(5)
    assert torch.equal(change(noise(8), seeded(1)), first)
    assert not torch.equal(change(noise(8), seeded(2)), first)


@every_change
def test_each_image_of_a_batch_is_changed_in_its_own_way(change):
    out = change(noise(1, side=16).expand(16, -1, -1, -1), seeded(0))
    assert len({tuple(image.flatten().tolist()) for image in out}) > 8


@given(st.integers(1, 30))
def test_an_image_that_shows_another_one_keeps_its_neighbours_as_they_were(other):
    """What happens to an image does not depend on the pixels of the others."""
    images = noise(4)
    replaced = torch.cat([images[:3], noise(1, seed=other)])
    for change in CHANGES.values():
        assert torch.equal(change(images, seeded(3))[:3], change(replaced, seeded(3))[:3])


def test_a_recipe_without_augmentation_changes_nothing():
    assert augmentation(Recipe(**PLAIN), pixels=True) is None


@pytest.mark.parametrize("key", ["shift", "rotation", "color_jitter", "erasing", "crop_scale"])
def test_each_key_of_a_recipe_changes_pixels_and_shift_alone_feature_maps(key):
    recipe = Recipe(**PLAIN, **{key: 0.4})
    change = augmentation(recipe, pixels=True)
    assert not torch.equal(change(noise(16), seeded(0)), noise(16))
    on_maps = augmentation(recipe, pixels=False)
    assert (on_maps is not None) == (key == "shift")


def test_pooled_features_cannot_be_shifted():
    features = torch.rand(4, 7)
    assert torch.equal(augmentation(Recipe(**PLAIN, shift=0.5), pixels=False)(features, seeded(0)), features)


def test_what_maps_carry_of_earlier_stages_is_not_shifted():
    first, taps = nn.Identity(), [Tap("before", 5, 1)]
    body = Carry(first, taps, Tap("here", 3, 1))
    own, carried = torch.randn(2, 3, 4, 4), torch.randn(2, 10)
    packed = _packed(own, carried, 1)
    change = augmentation(Recipe(**PLAIN, shift=0.5), False, body)
    changed, still = _unpacked(change(packed, seeded(1)), 10, 1)
    assert torch.equal(still, carried)
    assert torch.equal(changed, augmentation(Recipe(**PLAIN, shift=0.5), False)(own, seeded(1)))
    assert not torch.equal(changed, own)


# shift


def where(images):
    """Return where the brightest cell of each image is."""
    side = images.shape[-1]
    return [divmod(int(image.argmax()), side) for image in images]


def test_a_spot_moves_by_whole_cells_everywhere_it_may():
    images = torch.zeros(600, 1, 21, 21)
    images[..., 10, 10] = 1
    moved = where(shift(images, seeded(0), 0.1))
    assert set(moved) == {(row, column) for row in range(8, 13) for column in range(8, 13)}


def test_borders_reflect():
    columns = torch.arange(6.0).expand(40, 1, 6, 6)
    rows = {tuple(image[0, 0].tolist()) for image in shift(columns, seeded(0), 0.34)}
    assert rows == {(0, 1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 4), (2, 3, 4, 5, 4, 3), (1, 0, 1, 2, 3, 4), (2, 1, 0, 1, 2, 3)}


def test_maps_of_a_few_cells_move_only_where_the_share_reaches_a_cell():
    maps = torch.rand(4, 5, 4, 4)
    assert torch.equal(shift(maps, seeded(0), 0.2), maps)
    assert not torch.equal(shift(maps, seeded(0), 0.25), maps)


# crop and rotation


@given(st.integers(0, 50))
def test_a_crop_of_the_whole_area_and_no_rotation_show_the_image_as_it_is(seed):
    images = noise()
    torch.testing.assert_close(crop_and_rotate(images, seeded(seed), 1.0, 0.0), images, atol=0.05, rtol=0)


@given(st.floats(0.1, 0.9), st.integers(0, 50))
def test_a_crop_shows_at_least_the_share_asked_for(crop_scale, seed):
    """On ramps along both sides, the range of values is the crop's height and width."""
    ramp = torch.linspace(0, 1, 64)
    images = torch.stack([ramp.expand(64, 64), ramp.view(-1, 1).expand(64, 64)])
    out = crop_and_rotate(images.expand(8, -1, -1, -1), seeded(seed), crop_scale, 0.0)
    width, height = (out.amax((2, 3)) - out.amin((2, 3))).unbind(1)
    cell = 2 / 64
    assert (((width + cell) * (height + cell)) >= min(crop_scale, 0.75)).all()
    assert ((width / height) <= 4 / 3 + 0.2).all()


def test_a_quarter_turn_is_one():
    """Angles are uniform up to the largest, so that a spot at the edge stays within that arc of the circle."""
    images = torch.zeros(400, 1, 33, 33)
    images[:, :, 15:18, 28:31] = 1
    turned = torch.nn.functional.avg_pool2d(crop_and_rotate(images, seeded(0), 1.0, 90.0), 3, 1, 1)
    angles = [math.degrees(math.atan2(row - 16, column - 16)) for row, column in where(turned)]
    assert min(angles) == pytest.approx(-90, abs=8)
    assert max(angles) == pytest.approx(90, abs=8)


# colour and erasing


@given(st.floats(0, 1), st.integers(0, 99), st.integers(0, 255))
def test_brightness_changes_by_a_factor_up_to_the_strength(strength, seed, level):
    out = color_jitter(torch.full((4, 1, 6, 6), float(level)), seeded(seed), strength)
    assert (out - level).abs().max() <= strength * level + 1e-2


def test_grey_pictures_in_colour_stay_grey():
    grey = noise(4).expand(-1, 3, -1, -1)
    out = color_jitter(grey, seeded(0), 0.8)
    torch.testing.assert_close(out, out[:, :1].expand(-1, 3, -1, -1), atol=0.02, rtol=0)


def test_a_share_of_the_images_loses_a_rectangle_of_2_to_33_percent():
    images = noise(500, side=32) / 2 + 100  # no pixel has the mean's value
    out = erase(images, seeded(0), 0.4)
    changed = (out != images).flatten(1).float().mean(1)
    assert (changed > 0).float().mean() == pytest.approx(0.4, abs=0.08)
    assert changed.max() <= 0.36
    touched = (out != images)[changed > 0, 0]
    assert all(bool(hole[hole.any(1)][:, hole.any(0)].all()) for hole in touched), "holes are rectangles"
