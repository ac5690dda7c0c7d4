import pytest
from hypothesis import given

from pipeline.verdict.advice import advise
from pipeline.verdict.schema import Verdict
from tests.support.worlds import limits, measured, worlds


@given(worlds(), limits())
def test_a_verdict_is_the_same_after_it_was_written_and_read(compared, constraints):
    verdict = advise(compared, constraints, measured(compared))
    raw = verdict.model_dump(mode="json")
    assert Verdict.model_validate(raw) == verdict
    assert raw["schema_version"] == 2


@pytest.mark.parametrize("asked", [{}, {"latency_ms": 5.0}, {"min_recall": {"ash": 0.5}, "images": 400}])
@given(worlds())
def test_constraints_are_written_as_they_were_given(asked, compared):
    verdict = advise(compared).model_copy(update={"constraints": advise(compared).constraints.model_copy(update=asked)})
    assert verdict.model_dump()["constraints"] == asked
    assert verdict.constrained == bool(asked)
