import copy
import json
import shutil

import pytest

from pipeline.execution.rounds import every_point
from tests.stages.conftest import make_chain

SEEDS, FRACTIONS = [1, 2, 3, 4], [0.5, 0.75, 1]


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory, prepared, _small_params, write_params, mlflow_template):
    """A chain that has raced, with copies of it before and after: what it trains takes long."""
    params = copy.deepcopy(_small_params)
    params["train"] |= {"seeds": SEEDS, "fractions": FRACTIONS}
    root = tmp_path_factory.mktemp("race") / "chain"
    root.mkdir()
    chain = make_chain(root, prepared, params, write_params, mlflow_template)
    for stage in ("tune", "train"):
        for name in ("frozen", "finetune"):
            assert chain.run(stage, name) == 0
    keep(chain, "ready")
    assert chain.run("race") == 0
    keep(chain, "raced")
    return chain


def keep(chain, state):
    shutil.copytree(chain.root, chain.root.with_name(state))


def take_back(chain, state):
    """Put a chain in a state that was kept; the database stays the file that MLflow has open."""
    for path in chain.root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    shutil.copytree(chain.root.with_name(state), chain.root, dirs_exist_ok=True)
    return chain


@pytest.fixture
def ready(trained_once):
    """The chain before the race."""
    return take_back(trained_once, "ready")


@pytest.fixture
def raced(trained_once):
    """The chain after a race in which nobody was stopped."""
    return take_back(trained_once, "raced")


def points(chain, stage, name):
    """Return the points (split, fraction, seed) of a strategy's predictions."""
    table = chain.table(stage, name)
    return {(s, float(f), int(seed)) for s, f, seed in table[["split", "fraction", "seed"]].drop_duplicates().values}


def test_nobody_is_stopped_without_doubt_and_a_rerun_ends_with_the_same_bytes(raced):
    chain = raced
    least = {("test", f, s) for f in (0.5, 1.0) for s in (1, 2, 3)} | {("valid", 1.0, s) for s in (1, 2, 3)}
    assert points(chain, "train", "frozen") == points(chain, "train", "finetune") == least
    more = {("test", 0.75, s) for s in (1, 2, 3)} | {("test", 1.0, 4), ("valid", 1.0, 4)}
    assert points(chain, "race", "frozen") == points(chain, "race", "finetune") == least | more
    found = chain.document("race", "finetune")
    assert found["seeds"] == SEEDS
    assert [point.get("seeds") for point in found["curve"]] == [[1, 2, 3], [1, 2, 3], None]
    assert found["best_seed"] == chain.document("train", "finetune")["best_seed"]
    assert "stopped" not in found
    units = sorted((chain.root / "work" / "units").rglob("*.json"))
    before, files = chain.results(), {path: path.stat().st_mtime_ns for path in units}
    assert chain.run("race") == 0
    assert chain.results() == before
    assert {path: path.stat().st_mtime_ns for path in units} == files
    more = {"finetune seed 4", *(f"finetune seed {seed}, 75 % of the images" for seed in (1, 2, 3))}
    assert set(chain.children("finetune", "race")) == more
    assert chain.run("compare") == chain.run("register") == 0


def test_a_raced_run_trains_the_units_of_a_full_one_and_none_other(raced):
    chain = raced
    before = {name: chain.document("race", name) for name in ("frozen", "finetune")}
    units = set((chain.root / "work" / "units").iterdir())
    without_racing(chain)
    for name in ("frozen", "finetune"):
        assert chain.run("train", name) == 0
        whole = chain.document("train", name)
        assert [point["fraction"] for point in whole["curve"]] == [0.5, 0.75, 1]
        assert (whole["seeds"], whole["test"]) == (before[name]["seeds"], before[name]["test"])
        assert all("seeds" not in point for point in whole["curve"])
    assert units <= set((chain.root / "work" / "units").iterdir())
    assert chain.run("race") == 0
    for kind in ("json", "csv"):
        for name in ("frozen", "finetune"):
            one, other = (chain.root / "results" / stage / f"{name}.{kind}" for stage in ("train", "race"))
            assert one.read_bytes() == other.read_bytes()
    assert len(points(chain, "race", "frozen")) == len(every_point_of(chain)) + len(SEEDS)


def without_racing(chain):
    file = chain.root / "params.yaml"
    file.write_text(file.read_text().replace("racing: true", "racing: false"))


def every_point_of(chain):
    from pipeline.config import params as parameters

    return every_point(parameters.load(chain.root / "params.yaml").train)


def test_who_is_behind_beyond_doubt_keeps_the_minimum_and_says_why(ready, monkeypatch):
    chain = ready
    from pipeline.statistics import racing
    from pipeline.statistics.missing import Stopped

    reason = Stopped(behind="finetune", gap=0.2, p_within=1e-6, level=0.02, seeds=3)
    monkeypatch.setattr(racing, "behind", lambda *given: {"frozen": reason})
    assert chain.run("race") == 0
    assert chain.document("race", "frozen")["stopped"] == reason.model_dump()
    assert points(chain, "race", "frozen") == points(chain, "train", "frozen")
    assert chain.document("race", "finetune")["seeds"] == [1, 2, 3]
    assert [point["fraction"] for point in chain.document("race", "finetune")["curve"]] == [0.5, 0.75, 1]
    assert chain.run("compare") == chain.run("register") == 0
    compared = json.loads((chain.root / "results" / "comparison.json").read_text())
    assert compared["strategies"]["frozen"]["stopped"]["behind"] == "finetune"
    assert [point["fraction"] for point in compared["strategies"]["frozen"]["curve"]] == [0.5, 1]


@pytest.mark.parametrize("missing", ["json", "csv"])
def test_results_that_are_missing_are_asked_for(raced, capsys, missing):
    chain = raced
    without_racing(chain)
    shutil.copytree(chain.root / "results" / "race", chain.root / "results" / "train", dirs_exist_ok=True)
    (chain.root / "results" / "train" / f"frozen.{missing}").unlink()
    assert chain.run("race") == 2
    assert f"frozen.{missing}" in capsys.readouterr().err
