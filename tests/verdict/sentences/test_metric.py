from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.metric_names import resolve_metric
from pipeline.verdict.sentences.metric import metric_sentence


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 400), min_size=2, max_size=6))
def test_the_commonest_and_the_rarest_class_are_why_a_metric_was_chosen(counts):
    text = metric_sentence(resolve_metric("auto", counts), counts)
    assert f"{max(counts.values())} training images" in text
    assert f": {min(counts.values())})" in text
    assert ("less than" in text) == (resolve_metric("auto", counts) == "accuracy")
