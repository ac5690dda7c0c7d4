import json

import pytest

from pipeline.execution.rounds import every_point

SEEDS, FRACTIONS = [1, 2, 3, 4], [0.5, 0.75, 1]


def race_params(small_params, **changes):
    """Change the params of a chain so that there is something to race for."""
    small_params["train"] |= {"seeds": SEEDS, "fractions": FRACTIONS, **changes}
    return small_params


def ready(new_chain):
    """Return a chain in which both strategies have their minimum."""
    chain = new_chain()
    for stage in ("tune", "train"):
        for name in ("frozen", "finetune"):
            assert chain.run(stage, name) == 0
    return chain


def points(chain, stage, name):
    """Return the points (split, fraction, seed) of a strategy's predictions."""
    table = chain.table(stage, name)
    return {(s, float(f), int(seed)) for s, f, seed in table[["split", "fraction", "seed"]].drop_duplicates().values}


def test_nobody_is_stopped_without_doubt_and_a_rerun_ends_with_the_same_bytes(new_chain, small_params):
    race_params(small_params)
    chain = ready(new_chain)
    least = {("test", f, s) for f in (0.5, 1.0) for s in (1, 2, 3)} | {("valid", 1.0, s) for s in (1, 2, 3)}
    assert points(chain, "train", "frozen") == points(chain, "train", "finetune") == least
    assert chain.run("race") == 0
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


def test_a_raced_run_trains_the_units_of_a_full_one_and_none_other(new_chain, small_params):
    race_params(small_params)
    chain = ready(new_chain)
    assert chain.run("race") == 0
    raced = {name: chain.document("race", name) for name in ("frozen", "finetune")}
    units = set((chain.root / "work" / "units").iterdir())
    params = (chain.root / "params.yaml").read_text()
    (chain.root / "params.yaml").write_text(params.replace("racing: true", "racing: false"))
    for name in ("frozen", "finetune"):
        assert chain.run("train", name) == 0
        whole = chain.document("train", name)
        assert [point["fraction"] for point in whole["curve"]] == [0.5, 0.75, 1]
        assert (whole["seeds"], whole["test"]) == (raced[name]["seeds"], raced[name]["test"])
        assert all("seeds" not in point for point in whole["curve"])
    assert units <= set((chain.root / "work" / "units").iterdir())
    assert chain.run("race") == 0
    for kind in ("json", "csv"):
        for name in ("frozen", "finetune"):
            one, other = (chain.root / "results" / stage / f"{name}.{kind}" for stage in ("train", "race"))
            assert one.read_bytes() == other.read_bytes()
    assert len(points(chain, "race", "frozen")) == len(every_point_of(chain)) + len(SEEDS)


def every_point_of(chain):
    from pipeline.config import params as parameters

    return every_point(parameters.load(chain.root / "params.yaml").train)


def test_who_is_behind_beyond_doubt_keeps_the_minimum_and_says_why(new_chain, small_params, monkeypatch):
    race_params(small_params)
    chain = ready(new_chain)
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
def test_results_that_are_missing_are_asked_for(new_chain, small_params, capsys, missing):
    race_params(small_params, seeds=[1], fractions=[1])
    chain = ready(new_chain)
    (chain.root / "results" / "train" / f"frozen.{missing}").unlink()
    assert chain.run("race") == 2
    assert f"frozen.{missing}" in capsys.readouterr().err
