import json
import shutil
from pathlib import Path

import pytest

from pipeline.statistics.recommendation import Recommendation
from pipeline.statistics.schema import Comparison

NAMES = ["best-finetune", "best-frozen"]


def aliases(chain):
    return {name: int(number) for name, number in chain.client.get_registered_model("tiny").aliases.items()}


@pytest.fixture
def registry(chain):
    return json.loads((chain.root / "results" / "registry.json").read_text())


def test_the_recommended_strategy_is_champion_and_every_strategy_has_its_best(chain, registry):
    versions = {name: entry["version"] for name, entry in registry["versions"].items()}
    assert sorted(versions.values()) == [1, 2]
    champion = {"champion": versions[registry["recommended"]]} if registry["gate"]["passed"] else {}
    assert bool(champion) == (registry["champion"] is not None)
    assert aliases(chain) == {f"best-{name}": number for name, number in versions.items()} | champion
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
    assert run.data.metrics == {"gain_over_majority": pytest.approx(registry["gate"]["gain_over_majority"])}
    assert [file.path for file in chain.client.list_artifacts(run.info.run_id)] == ["registry.json"]


@pytest.fixture
def gated(chain, new_chain, small_params):
    """A function that registers what the chain has trained behind another gate, in a registry of its own."""

    def run(min_gain_over_majority):
        small_params["register"]["min_gain_over_majority"] = min_gain_over_majority
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
        small_params["register"]["min_gain_over_majority"] = 0.99
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
    assert sorted(aliases(other)) == NAMES
    registry = json.loads((other.root / "results" / "registry.json").read_text())
    assert registry["gate"] | {"gain_over_majority": 0} == {
        "gain_over_majority": 0,
        "min_gain_over_majority": 0.99,
        "passed": False,
    }
    assert all("champion" not in entry["aliases"] for entry in registry["versions"].values())
    assert registry["champion"] is None


def test_an_older_champion_stays_in_service_and_is_named_with_its_data(gated, refused):
    other = gated(0)
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
        name: [f"best-{name}"] for name in registry["versions"]
    }
    after = aliases(other)
    assert after == {f"best-{name}": entry["version"] for name, entry in registry["versions"].items()} | {
        "champion": champion
    }
    assert champion not in [after[name] for name in NAMES]


def test_a_gate_closed_behind_the_champion_leaves_it_in_service_and_says_so(gated, refused):
    other = gated(0)
    before = aliases(other)
    said, registry = refused(other)
    assert f"models:/tiny@champion stays version {before['champion']} " in said
    assert aliases(other) == before
    chosen = registry["recommended"]
    assert registry["versions"][chosen]["aliases"] == [f"best-{chosen}", "champion"]


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
    assert aliases(other)["champion"] == aliases(other)["best-frozen"]
