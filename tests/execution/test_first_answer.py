import pytest

from pipeline.config.params import Params
from pipeline.config.quick import quick
from pipeline.execution.first_answer import open_data, train
from pipeline.training import unit


@pytest.fixture
def small(small_params):
    small_params["enabled"] = ["frozen", "scratch"]
    return quick(Params(**small_params))


def test_each_arm_is_trained_at_each_point_and_reported_as_soon_as_it_is_done(small, prepared, tmp_path):
    said = []
    made = train(small, open_data(small, prepared.dev, tmp_path, None), lambda name, *_: said.append(name))
    assert said == ["frozen", "scratch"]
    for name, by_fraction in made.trained.items():
        assert {fraction: [*by_seed] for fraction, by_seed in by_fraction.items()} == {1.0: [0, 1], 0.5: [0, 1]}
        assert all(
            outcome.valid and not outcome.test for by_seed in by_fraction.values() for outcome in by_seed.values()
        )
        assert len(made.seconds[name]) == 4
        assert made.model_bytes[name] > 0


def test_what_is_done_is_read_back(small, prepared, tmp_path, monkeypatch):
    make_context = open_data(small, prepared.dev, tmp_path, None)
    first = train(small, make_context, lambda *_: None)
    monkeypatch.setattr(unit._Unit, "run", None)
    again = train(small, make_context, lambda *_: None)
    assert again.seconds == first.seconds
    assert again.recipes == first.recipes


def test_views_that_do_not_hurt_are_chosen(small_params, prepared, tmp_path):
    small_params |= {"enabled": ["frozen"], "features": {**small_params["features"], "views": "auto"}}
    seen = open_data(quick(Params(**small_params)), prepared.dev, tmp_path, None)().run_context.views
    assert seen[0] == "identity"
    assert set(seen) <= {"identity", "hflip", "vflip", "rot180"}
