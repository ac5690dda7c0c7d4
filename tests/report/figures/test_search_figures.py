import numpy as np
import pandas as pd
import pytest

from pipeline.report.figures import drawing, search_figures
from tests.support.reports import trials


def test_tick_labels_are_not_cut_short():
    table = trials(0).assign(learning_rate=np.geomspace(0.00023, 0.01, 12))
    look = drawing.SeriesStyle.of(["a"])["a"]
    assert ">0.00023<" in drawing.svg(search_figures.parallel("a", table, look))


@pytest.mark.parametrize("count", [1, 3, 400])
def test_searches_of_any_length_are_drawn(count):
    table = trials(1, count)
    for picture in search_figures.pictures({"a": table}).values():
        text = drawing.svg(picture)
        assert f"{count} trials" in picture.text
        assert len(text) < 150_000


def test_a_search_without_a_finished_trial_says_so():
    table = trials(0).assign(state="PRUNED")
    found = search_figures.pictures({"a": table})
    assert "none trained to the end" in found["search"].text
    assert "None was trained to the end." in found["trials_a"].text
    assert drawing.svg(found["trials_a"])


def test_trials_stand_in_the_order_of_how_long_and_how_well():
    table = pd.DataFrame({"state": ["PRUNED", "COMPLETE", "PRUNED", "COMPLETE", "PRUNED"],
                          "value": [0.1, 0.5, 0.2, 0.4, np.inf], "epochs": [1, 6, 2, 6, 2]})  # fmt: skip
    assert search_figures.trial_ranks(table).tolist() == [5, 2, 3, 1, 4]


def test_what_goes_with_the_ranks_is_found():
    table = trials(0, 40).assign(state="COMPLETE", epochs=6, value=np.linspace(0.1, 1, 40))
    table["learning_rate"] = np.geomspace(1e-5, 1, 40)
    table["head"] = ["linear", "mlp"] * 20
    found = search_figures.association(table)
    assert list(found) == ["learning_rate", "head"]
    assert found["learning_rate"] == pytest.approx(1)
    assert found["head"] < 0.05
    table["head"] = np.where(np.arange(40) < 20, "linear", "mlp")
    assert search_figures.association(table)["head"] == pytest.approx(0.75, abs=0.02)
    assert search_figures.association(table[:7]) == {}


def test_the_best_of_a_search_by_proxy_is_the_best_of_those_confirmed():
    table = trials(0).assign(state="COMPLETE", confirms=pd.NA)
    table.loc[table.index[-2:], "state"], table.loc[table.index[-2:], "confirms"] = "CONFIRMED", [1, 2]
    table["value"] = [0.1] * (len(table) - 2) + [0.5, 0.4]
    found = search_figures.pictures({"a": table}, "balanced log loss")
    assert "best 0.400" in found["search"].text
    assert "Best validation balanced log loss" in found["search"].text
    assert "validation log loss of 0.400" in found["trials_a"].text
    assert search_figures.trial_ranks(table)[-2:].tolist() == [2, 1]
    assert "confirms" not in search_figures.searched(table)
    assert drawing.svg(found["search"])
