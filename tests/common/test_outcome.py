import json
from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.outcome import Cost, Epoch, Outcome

finite = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**60)
scores = st.dictionaries(st.text(), finite, max_size=3)
outcomes = st.builds(
    Outcome,
    st.lists(st.builds(Epoch, counts, finite, scores), max_size=3),
    st.builds(Cost, st.dictionaries(st.text(), counts, max_size=2), counts, counts, counts, counts),
    st.text(),
    st.just({"rows": [1, 2], "probabilities": [[0.5, 0.5], [1.0, 0.0]]}),
)


@given(outcomes)
def test_an_outcome_survives_the_disk(outcome):
    assert Outcome.from_dict(json.loads(json.dumps(asdict(outcome)))) == outcome


def test_a_training_costs_its_feature_passes_and_its_fit():
    cost = Cost({"a": 5, "b": 7}, fit_flops=100, predict_flops=3, parameters=2, trainable_parameters=1)
    assert cost.train_flops == cost.measures()["train_flops"] == 112
