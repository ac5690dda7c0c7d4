import numpy as np
import pandas as pd
import pytest

from pipeline.common.files import write_csv, write_json
from pipeline.data.image_set import load
from pipeline.statistics import stored_results
from pipeline.training import results
from pipeline.training.metrics import score
from tests.support.example import TRANSFER
from tests.support.outcomes import on_half_of_the_images, two_seeds
from tests.support.trained import RECIPE


def test_what_was_written_for_a_strategy_is_rebuilt_for_the_comparison(image_set, prepared, tmp_path):
    test_set = load(prepared.test)
    done = two_seeds(image_set, test_set)
    trained = {1.0: done, 0.5: dict.fromkeys((1, 2), on_half_of_the_images(done[1]))}
    points, scores = results.curve(trained, image_set, test_set), results.summarise(done, image_set, test_set)
    tuned = {"strategy": "mine", "recipe": RECIPE.model_dump(), "search_flops": 77}
    write_csv(tmp_path / "mine.csv", results.predictions(trained, image_set, test_set))
    write_json(tmp_path / "mine.json", results.document(scores, trained, points, tuned, 1234, TRANSFER))
    stored = stored_results.TrainResult.load(tmp_path / "mine.json")
    found = stored_results.predictions(stored, pd.read_csv(tmp_path / "mine.csv"))
    for part, written in ((found.valid, found.valid_scores), (found.test, found.test_scores)):
        assert [score(*pair) for pair in zip(part.labels, part.probabilities)] == [pytest.approx(s) for s in written]
    assert np.allclose(found.test.probabilities[1], done[2].test["probabilities"], rtol=1e-11)
    assert (stored.recipe, stored.cost.search_flops, stored.transfer.log_me) == (RECIPE, 77, TRANSFER["log_me"])
    assert found.curve[0.5]["accuracy"].scores.tolist() == [point["accuracy"] for point in points[0]["test"]]
    assert [(point.fraction, point.images) for point in stored.curve] == [(0.5, 15), (1.0, 30)]
