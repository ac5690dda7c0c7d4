import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.config.search_space import Dimension


@pytest.mark.parametrize(("axis", "first"), [
    ({"choices": ["a", "b"]}, "a"),
    ({"choices": ["a", "b"], "default": "b"}, "b"),
    ({"low": 0, "high": 1}, 0.5),
    ({"low": 0.01, "high": 1, "log": True}, pytest.approx(0.1)),
    ({"low": 0, "high": 1, "default": 0}, 0),
])  # fmt: skip
def test_what_comes_first_is_the_default_or_the_middle(axis, first):
    assert Dimension(**axis).first() == first


@pytest.mark.parametrize(("axis", "said"), [
    ({"choices": [3, 4], "default": 5}, r"default \(5\) must be one of the choices \[3, 4\]"),
    ({"low": 0, "high": 1, "default": 1.5}, r"default \(1\.5\) must be a number from low \(0\.0\) to high \(1\.0\)"),
    ({"low": 0, "high": 1, "default": "much"}, r"default \(much\) must be a number"),
])  # fmt: skip
def test_a_default_outside_of_its_axis_is_refused(axis, said):
    with pytest.raises(ValidationError, match=said):
        Dimension(**axis)


@given(st.floats(0, 1, exclude_max=True), st.floats(1e-6, 1), st.floats(1.01, 1e6), st.booleans())
def test_every_share_of_an_axis_lies_on_it(share, low, factor, log):
    axis = Dimension(low=low, high=low * factor, log=log)
    assert axis.ends()[0] <= axis.at(share) <= axis.ends()[1]
    assert Dimension(choices=("a", "b", "c")).at(share) == "abc"[int(3 * share)]
