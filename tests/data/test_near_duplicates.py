from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data import near_duplicates
from pipeline.data.near_duplicates import NONE, NearDuplicates, find

DISTANCES = (0, 1, 2, 3, 4, 5, 7, 8, 11, 16)


@st.composite
def hashed(draw):
    """Hashes of which some are a few bits from others, some the same, some missing; and a distance."""
    seeds = draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4))
    found = [NONE] * draw(st.integers(0, 2))
    for _ in range(draw(st.integers(1, 12))):
        bits = draw(st.sets(st.integers(0, 63), max_size=9))
        value = (draw(st.sampled_from(seeds)) ^ sum(1 << bit for bit in bits)) & (2**64 - 1)
        found.append(value - 2**64 * (value >= 2**63))
    return np.array(draw(st.permutations(found)), np.int64), draw(st.sampled_from(DISTANCES))


def alike(hashes, distance):
    """Every pair of images at most so many bits apart, one by one."""
    return {
        (i, j) for (i, one), (j, other) in combinations(enumerate(hashes.tolist()), 2)
        if NONE not in (one, other) and ((one ^ other) & (2**64 - 1)).bit_count() <= distance
    }  # fmt: skip


@given(hashed())
def test_all_pairs_within_the_distance_are_found_and_no_others(made):
    hashes, distance = made
    found = find(hashes, distance)
    near = {(min(pair), max(pair)) for pair in found.pairs.tolist()}
    got = {
        (i, j) for i, j in combinations(range(len(hashes)), 2)
        if (a := found.codes[i]) >= 0 and (b := found.codes[j]) >= 0 and (a == b or (min(a, b), max(a, b)) in near)
    }  # fmt: skip
    assert got == alike(hashes, distance)


@given(hashed())
def test_components_are_the_chains_of_images_that_look_alike(made):
    hashes, distance = made
    components = find(hashes, distance).components()
    chains = np.arange(len(hashes))
    for i, j in alike(hashes, distance):
        chains[chains == chains[j]] = chains[i]
    assert {(i, j) for i, j in combinations(range(len(hashes)), 2) if components[i] == components[j]} == {
        (i, j) for i, j in combinations(range(len(hashes)), 2) if chains[i] == chains[j]
    }


@given(hashed(), st.randoms())
def test_an_image_is_matched_with_a_marked_near_duplicate(made, random):
    hashes, distance = made
    marked = np.array([random.random() < 0.4 for _ in hashes])
    found, pairs = find(hashes, distance).matches(marked), alike(hashes, distance)
    for i in range(len(hashes)):
        like = {j for j in range(len(hashes)) if marked[j] and (min(i, j), max(i, j)) in pairs}
        assert (found[i] in like) if like and not marked[i] else found[i] == NONE


@given(hashed(), st.randoms())
def test_pairs_that_look_alike_and_differ_in_a_value_are_listed(made, random):
    hashes, distance = made
    values = np.array([random.randrange(3) for _ in hashes])
    listed, pairs = find(hashes, distance).conflicts(values), alike(hashes, distance)
    assert all(pair in pairs and values[pair[0]] != values[pair[1]] for pair in listed)
    assert bool(listed) == any(values[i] != values[j] for i, j in pairs)


def test_a_hash_that_tells_nothing_apart_is_given_up():
    close = np.array([sum(1 << bit for bit in bits) for bits in combinations(range(14), 2)])  # 91, all 4 bits apart
    assert find(close, 3) is not None
    assert find(np.concatenate([close, close << 20]), 4) is None


def test_a_hundred_thousand_images_are_compared_a_few_at_once(monkeypatch):
    hashes = np.random.default_rng(0).integers(-(2**62), 2**62, 100_000)
    hashes[50_000:] = hashes[:50_000] ^ (1 << np.arange(50_000) % 60)
    compared = []
    candidates = near_duplicates._candidates

    def watched(*args):
        for pair in candidates(*args):
            compared.append(len(pair[0]))
            yield pair

    monkeypatch.setattr(near_duplicates, "_candidates", watched)
    found = find(hashes, 4)
    assert len(found.pairs) == 50_000
    assert sum(compared) < 1e-3 * len(hashes) ** 2
    assert max(compared) <= near_duplicates.AT_ONCE
    assert (found.components()[:50_000] == found.components()[50_000:]).all()


def test_many_images_of_one_hash_cost_no_more_than_one():
    found = find(np.zeros(200_000, np.int64), 8)
    assert (len(found.pairs), set(found.components())) == (0, {0})


@pytest.mark.parametrize("hashes", [[], [NONE], [NONE, NONE]])
def test_images_without_a_hash_are_like_nothing(hashes):
    found = find(np.array(hashes, np.int64), 8)
    assert len(set(found.components())) == len(hashes)
    assert isinstance(found, NearDuplicates)
    assert found.matches(np.ones(len(hashes), bool)).tolist() == [NONE] * len(hashes)
