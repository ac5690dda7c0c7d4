from pipeline.report.figures import scores


def test_equal_costs_are_drawn_side_by_side():
    found = scores.side_by_side({"a": 1e9, "b": 1e9, "c": 1e12})
    assert found["a"] < 1e9 < found["b"] < 1.3e9
    assert found["c"] == 1e12
