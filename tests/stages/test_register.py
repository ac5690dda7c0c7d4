import json
import os
import shutil
from pathlib import Path
from unittest.mock import patch

import pytest

from pipeline.common.dvc_experiment import BASELINE, NAME
from pipeline.statistics.recommendation import Recommendation
from pipeline.statistics.schema import Comparison
from pipeline.tracking.by_hand import roll_back
from pipeline.tracking.promotion import Promotions
from pipeline.tracking.registry import Registry

NAMES = ["best-finetune", "best-frozen"]


def aliases(chain):
    return {name: int(number) for name, number in chain.client.get_registered_model("tiny").aliases.items()}


def lines(chain):
    """Return what the history of a chain's registry says."""
    with patch.dict(os.environ, {"MLFLOW_TRACKING_URI": chain.uri}):
        history = Promotions(Registry(chain.root, "tiny")).history()
    return [(entry.action, entry.version, entry.before) for entry in history]


@pytest.fixture
def registry(chain):
    return json.loads((chain.root / "results" / "registry.json").read_text())


def test_the_recommended_strategy_is_champion_and_every_strategy_has_its_best(chain, registry):
    versions = {name: entry["version"] for name, entry in registry["versions"].items()}
    assert sorted(versions.values()) == [1, 2]
    champion = {"champion": versions[registry["recommended"]]} if registry["gate"]["passed"] else {}
    assert bool(champion) == (registry["champion"] is not None)
    challenger = {"challenger": versions[registry["recommended"]]}
    assert aliases(chain) == {f"best-{name}": number for name, number in versions.items()} | champion | challenger
    verdict = Recommendation.load(chain.root / "results" / "verdict.json")
    assert (registry["model"], registry["recommended"]) == ("tiny", verdict.recommended)


def test_versions_say_which_strategy_data_and_run_they_come_from(chain, registry):
    compared = Comparison.load(chain.root / "results" / "comparison.json")
    for name, entry in registry["versions"].items():
        version = chain.client.get_model_version("tiny", str(entry["version"]))
        assert (version.tags["strategy"], version.tags["data"]) == (name, compared.dataset.digest)
        assert version.tags["backbone"] == compared.strategies[name].recipe.backbone
        assert version.run_id == chain.runs()[name].info.run_id


def test_every_version_has_its_card_as_description_and_among_its_files(chain, registry):
    for name, entry in registry["versions"].items():
        version = chain.client.get_model_version("tiny", str(entry["version"]))
        assert version.description.startswith(f"# {name}: test accuracy ")
        assert "## Scores on test" in version.description
        card = (chain.root / "results" / "cards" / name / "README.md").read_bytes()
        files = Path(chain.client.get_model_version_download_uri("tiny", version.version).removeprefix("file://"))
        assert (files / "README.md").read_bytes() == card
    assert "`champion`: the one in service" in chain.client.get_registered_model("tiny").description


def test_running_every_stage_again_changes_no_result_and_adds_no_run(chain):
    results, runs, versions = chain.results(), chain.runs(), chain.client.search_model_versions("name = 'tiny'")
    models = {path: path.read_bytes() for path in chain.root.glob("models/*/*")}
    shutil.rmtree(chain.root / "results")  # as DVC does before a stage
    shutil.rmtree(chain.root / "models")
    chain.run_all()
    assert chain.results() == results
    assert {path: path.read_bytes() for path in chain.root.glob("models/*/*")} == models
    again = chain.runs()
    assert {name: (r.info.run_id, r.info.status) for name, r in again.items()} == {
        name: (r.info.run_id, "FINISHED") for name, r in runs.items()
    }
    assert {name: r.data.metrics for name, r in again.items()} == {name: r.data.metrics for name, r in runs.items()}
    assert len(chain.client.search_model_versions("name = 'tiny'")) == len(versions) == 2


def test_the_run_holds_the_gain_and_what_was_registered(chain, registry):
    run = chain.runs()["register"]
    assert lines(chain) == [("promoted", registry["champion"]["version"], None)]
    assert run.data.metrics == {"gain_over_majority": pytest.approx(registry["gate"]["gain_over_majority"])}
    assert [file.path for file in chain.client.list_artifacts(run.info.run_id)] == ["registry.json"]


@pytest.fixture
def gated(chain, new_chain, small_params):
    """A function that registers what the chain has trained behind another gate, in a registry of its own."""

    def run(min_gain_over_majority, **gate):
        small_params["register"] |= {"min_gain_over_majority": min_gain_over_majority, "margin": 0.9, **gate}
        other = new_chain()
        shutil.copytree(chain.root / "results", other.root / "results")
        shutil.copytree(chain.root / "models", other.root / "models")
        assert other.run("register") == 0
        return other

    return run


@pytest.fixture
def refused(small_params, write_params, capsys):
    """A function that closes the gate of a chain and registers again; it returns what was said and written."""

    def run(other):
        small_params["register"] |= {"min_gain_over_majority": 0.99, "gate": "enabled"}
        write_params(other.root, {**small_params, "enabled": ["frozen", "finetune"]})
        capsys.readouterr()
        assert other.run("register") == 0
        return capsys.readouterr().out, json.loads((other.root / "results" / "registry.json").read_text())

    return run


def test_a_recommended_strategy_that_gains_too_little_is_no_champion_and_the_terminal_says_so(gated, capsys):
    other = gated(0.99)
    said = capsys.readouterr().out
    assert "No champion: on validation" in said
    assert "register.min_gain_over_majority requires 99.0" in said
    assert sorted(aliases(other)) == [*NAMES, "challenger"]
    registry = json.loads((other.root / "results" / "registry.json").read_text())
    assert registry["gate"] | {"gain_over_majority": 0, "against": ""} == {
        "mode": "enabled", "passed": False, "gain_over_majority": 0, "min_gain_over_majority": 0.99, "margin": 0.9,
        "against": "", "compared": None,
    }  # fmt: skip
    assert registry["gate"]["against"].endswith("requires 99.0")
    assert lines(other) == [("refused", registry["versions"][registry["recommended"]]["version"], None)]
    assert all("champion" not in entry["aliases"] for entry in registry["versions"].values())
    assert registry["champion"] is None


def test_an_older_champion_stays_in_service_and_is_named_with_its_data(gated, refused):
    other = gated(0, gate="disabled")
    before, file = aliases(other), other.root / "results" / "comparison.json"
    compared = json.loads(file.read_text())
    verdict = json.loads((other.root / "results" / "verdict.json").read_text())
    chosen, data = verdict["recommended"], compared["dataset"]["digest"]
    file.write_text(json.dumps(compared | {"dataset": compared["dataset"] | {"digest": "other"}}))
    for model in other.root.glob("models/*/model.json"):
        model.write_text(model.read_text() + "\n")  # another model, made with other data
    said, registry = refused(other)
    champion = before["champion"]
    assert said.splitlines()[-1].startswith(f"No new champion: on validation {chosen} is ")
    assert said.endswith(f"models:/tiny@champion stays version {champion} ({chosen}, data {data}).\n")
    assert registry["champion"] == {"version": champion, "strategy": chosen, "data": data}
    assert {name: entry["aliases"] for name, entry in registry["versions"].items()} == {
        name: [f"best-{name}", *(["challenger"] if name == chosen else [])] for name in registry["versions"]
    }
    after, versions = aliases(other), {name: entry["version"] for name, entry in registry["versions"].items()}
    assert after == {f"best-{name}": version for name, version in versions.items()} | {
        "champion": champion, "challenger": versions[chosen]
    }  # fmt: skip
    assert champion not in [after[name] for name in NAMES]


def test_a_gate_closed_behind_the_champion_leaves_it_in_service_and_says_so(gated, refused):
    other = gated(0, gate="disabled")
    before = aliases(other)
    said, registry = refused(other)
    assert f"models:/tiny@champion stays version {before['champion']} " in said
    assert aliases(other) == before
    chosen = registry["recommended"]
    assert registry["versions"][chosen]["aliases"] == [f"best-{chosen}", "challenger", "champion"]


def test_what_was_registered_is_reported_in_a_sentence(gated, capsys):
    other = gated(0)
    said = capsys.readouterr().out.strip()
    chosen = json.loads((other.root / "results" / "registry.json").read_text())["recommended"]
    assert said == f"Registered: models:/tiny@champion is {chosen}, which the verdict recommends."
    assert "champion" in aliases(other)


def test_the_champion_follows_the_verdict_and_stays_where_nothing_meets_the_constraints(gated, capsys):
    other = gated(0)
    file = other.root / "results" / "verdict.json"
    verdict = json.loads(file.read_text())
    for name in ("finetune", "frozen"):
        file.write_text(json.dumps(verdict | {"recommended": name}))
        assert other.run("register") == 0
        assert aliases(other)["champion"] == aliases(other)[f"best-{name}"]
    file.write_text(json.dumps(verdict | {"recommended": None}))
    capsys.readouterr()
    assert other.run("register") == 0
    assert "No new champion: no strategy meets the constraints." in capsys.readouterr().out
    found = aliases(other)
    assert found["champion"] == found["best-frozen"]
    assert lines(other)[-1] == ("promoted", found["best-frozen"], found["best-finetune"])
    version = other.client.get_model_version("tiny", str(found["champion"]))
    assert version.tags["gate"] == "passed"
    assert float(version.tags["gate.worst"]) >= -0.9


@pytest.mark.parametrize(("mode", "environment", "said"), [
    ("dry_run", {}, "Dry run (register.gate: dry_run): "),
    ("disabled", {BASELINE: "abc", NAME: "sappy-dice"}, "Dry run (experiment sappy-dice of DVC): "),
])  # fmt: skip
def test_a_dry_run_asks_the_gate_and_moves_no_champion(mode, environment, said, gated, capsys, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    other = gated(0, gate=mode)
    registry = json.loads((other.root / "results" / "registry.json").read_text())
    chosen = registry["recommended"]
    assert f"{said}{chosen} may become champion: there was no champion. To make it so: uv run headstart registry " in (
        capsys.readouterr().out
    )
    assert "champion" not in aliases(other)
    assert (registry["gate"]["mode"], registry["gate"]["passed"], registry["champion"]) == ("dry_run", True, None)
    assert lines(other) == [("dry run", registry["versions"][chosen]["version"], None)]


def test_a_gate_that_is_disabled_lets_everything_pass(gated):
    other = gated(0.99, gate="disabled")
    found = aliases(other)
    assert found["champion"] == found["challenger"]
    assert lines(other) == [("promoted", found["champion"], None)]


def test_what_was_rolled_back_is_not_promoted_again_by_a_rerun(gated, small_params, write_params, capsys):
    other = gated(0, gate="disabled")
    first = aliases(other)["champion"]
    file = other.root / "results" / "verdict.json"
    verdict = json.loads(file.read_text())
    (second,) = {"finetune", "frozen"} - {verdict["recommended"]}
    file.write_text(json.dumps(verdict | {"recommended": second}))
    assert other.run("register") == 0
    with patch.dict(os.environ, {"MLFLOW_TRACKING_URI": other.uri}):
        assert roll_back(Registry(other.root, "tiny"), None)[0].version == first
    small_params["register"]["gate"] = "enabled"
    write_params(other.root, {**small_params, "enabled": ["frozen", "finetune"]})
    capsys.readouterr()
    assert other.run("register") == 0
    assert "was champion and was rolled back. If it is to be champion again: uv run " in capsys.readouterr().out
    assert aliases(other)["champion"] == first
