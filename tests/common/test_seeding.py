from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.seeding import derive

parts = st.lists(st.integers(0, 10**6) | st.text("abc-", min_size=1), min_size=1, max_size=4)


@given(parts)
def test_a_seed_fits_where_seeds_go(parts):
    assert 0 <= derive(*parts) < 2**31


@given(parts)
def test_the_same_parts_give_the_same_seed_whatever_ran_before(parts):
    first = derive(*parts)
    derive("something", "else")
    assert derive(*parts) == first


@given(parts, parts)
def test_other_parts_give_another_seed(a, b):
    assert (derive(*a) == derive(*b)) == (list(map(str, a)) == list(map(str, b)))


def test_a_seed_stays_what_it_was_between_versions():
    assert derive("trial", 0, 7) == 105413064


def test_neighbouring_seeds_do_not_collide():
    assert len({derive("epoch", seed, number) for seed in range(30) for number in range(30)}) == 900
