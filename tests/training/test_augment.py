import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.augment import jitter

strengths, seeds = st.floats(0, 1), st.integers(0, 99)


def noise(count=3, side=12, seed=0):
    return torch.randint(0, 256, (count, 1, side, side), generator=torch.Generator().manual_seed(seed)).float()


def jittered(images, strength, seed):
    return jitter(images, strength, torch.Generator().manual_seed(seed))


@given(strengths, seeds)
def test_jittered_images_are_images_of_the_same_shape(strength, seed):
    images = noise(seed=seed)
    out = jittered(images, strength, seed)
    assert out.shape == images.shape
    assert 0 <= out.min() <= out.max() <= 255


@given(strengths, seeds)
def test_the_same_seed_jitters_the_same_way(strength, seed):
    assert torch.equal(jittered(noise(), strength, seed), jittered(noise(), strength, seed))


@given(seeds)
def test_no_strength_changes_nothing(seed):
    assert torch.equal(jittered(noise(), 0.0, seed), noise())


@given(strengths, seeds, st.integers(0, 255))
def test_levels_move_by_no_more_than_the_strength_allows(strength, seed, level):
    out = jittered(torch.full((4, 1, 6, 6), float(level)), strength, seed)
    assert (out - level).abs().max() <= strength * (abs(level - 127.5) + 127.5) + 1e-3


def spots(strength, seed):
    """Return where a spot in the middle of 21x21 pixels is after jitter."""
    images = torch.full((1, 1, 21, 21), 100.0)
    images[..., 10, 10] = 140
    out = jittered(images, strength, seed)[0, 0]
    return torch.nonzero(out > out.median()).tolist()


@given(st.floats(0, 0.9), seeds)
def test_a_spot_moves_by_no_more_than_a_third_of_the_side_times_the_strength(strength, seed):
    ((down, right),) = spots(strength, seed)
    assert max(abs(down - 10), abs(right - 10)) <= 7 * strength


def test_spots_move_everywhere_they_may():
    moved = {tuple(spot) for seed in range(300) for spot in spots(0.3, seed)}
    assert moved == {(down, right) for down in range(8, 13) for right in range(8, 13)}


def test_images_of_a_batch_differ_in_brightness():
    out = jittered(torch.full((8, 1, 6, 6), 127.5), 0.5, 0)
    assert len(out[:, 0, 0, 0].unique()) == 8


def test_images_given_are_left_as_they_were():
    images = noise()
    jittered(images, 0.8, 1)
    assert torch.equal(images, noise())
