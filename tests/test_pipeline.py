"""The whole pipeline as a user runs it: `dvc repro` in a clone, with small params."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from pipeline.statistics.schema import Comparison
from pipeline.verdict.schema import Verdict
from tests.smoke import shrink
from tests.support.imports import ROOT

pytestmark = pytest.mark.slow


class Clone:
    """A clone of this working tree, uncommitted changes included, in which DVC runs."""

    def __init__(self, root):
        self.root = root
        self.params = root / "params.yaml"
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_", "GIT_"))}
        self.environment = {**ours, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._run("git", "clone", "-q", str(ROOT), ".")
        changed = subprocess.check_output(["git", "ls-files", "-mo", "--exclude-standard"], cwd=ROOT, text=True)
        for name in changed.splitlines():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).exists():
                shutil.copyfile(ROOT / name, root / name)
            else:
                (root / name).unlink()
        self.edit(shrink)
        self._run("git", "add", "--all")
        self._run("git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "small", "--allow-empty")

    def _run(self, *command):
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    def edit(self, change):
        params = yaml.safe_load(self.params.read_text(encoding="utf-8"))
        self.params.write_text(yaml.safe_dump(change(params), sort_keys=False), encoding="utf-8")

    def repro(self):
        """Run `dvc repro`; return the stages that ran, and what was printed."""
        said = self._run(sys.executable, "-m", "dvc", "repro")
        return re.findall(r"Running stage '(.+)'", said), said

    def results(self):
        files = [path for path in (self.root / "results").rglob("*.json") if "timings" not in path.parts]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}

    def runs(self):
        client = MlflowClient(f"sqlite:///{self.root / 'mlflow.db'}")
        found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
        return {run.info.run_id: run.info.status for run in found}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in which the pipeline has run."""
    made = Clone(tmp_path_factory.mktemp("clone"))
    made.ran, made.said = made.repro()
    made.made = made.results()
    return made


def test_a_fresh_clone_runs_every_stage_and_prints_a_short_summary(clone):
    enabled = yaml.safe_load(clone.params.read_text(encoding="utf-8"))["enabled"]
    assert set(clone.ran) == {
        "download@elpv", "prepare", "describe", "weights", "views", "race", "compare", "register",
        *(f"{stage}@{name}" for stage in ("tune", "train") for name in enabled),
    }  # fmt: skip
    summary, registered = clone.said.split("Running stage 'compare'")[1].split("Running stage 'register'")
    verdict = Verdict.load(clone.root / "results" / "verdict.json")
    assert verdict.unconstrained.answers.use in summary
    assert "champion" in registered
    assert (clone.root / "results" / "report.md").exists()
    assert set(clone.runs().values()) == {"FINISHED"}


def test_a_second_run_runs_nothing_and_logs_nothing(clone):
    before = clone.runs(), clone.results()
    stages, said = clone.repro()
    assert stages == []
    assert "up to date" in said
    assert (clone.runs(), clone.results()) == before


def test_dvc_shows_metrics_and_plots(clone, tmp_path):
    shown = json.loads(clone._run(sys.executable, "-m", "dvc", "metrics", "show", "--json"))
    numbers = shown[""]["data"]["results/metrics.json"]["data"]
    assert {"accuracy", "log_loss", "calibration_error", "train_flops"} <= set(numbers["frozen"])
    clone._run(sys.executable, "-m", "dvc", "metrics", "diff")
    clone._run(sys.executable, "-m", "dvc", "plots", "show", "--out", str(tmp_path))
    page = (tmp_path / "index.html").read_text()
    for title in (
        "Accuracy by number of training images",
        "Best log loss so far",
        "Confusion on test",
        "confidence of 0.9",
    ):
        assert title in page
    assert "<DVC_METRIC" not in page


def test_the_page_opens_without_a_network(clone):
    page = (clone.root / "results" / "report.html").read_text()
    assert len(page) < 3_000_000
    verdict = Verdict.load(clone.root / "results" / "verdict.json")
    assert verdict.answers.use.split(":")[0] in html.unescape(page)


def test_editing_one_key_of_a_strategy_reruns_that_strategy_and_what_depends_on_it(clone):
    def one_trial_more(params):
        params["strategies"]["finetune"]["trials"] += 1
        return params

    clone.edit(one_trial_more)
    stages, _ = clone.repro()
    assert sorted(stages) == ["compare", "prepare", "register", "train@finetune", "tune@finetune", "weights"]
    assert set(clone.runs().values()) == {"FINISHED"}


def test_the_repository_stays_clean(clone):
    changed = subprocess.check_output(["git", "status", "--porcelain"], cwd=clone.root, text=True).split("\n")
    assert {line[3:] for line in changed if line} <= {"dvc.lock", "params.yaml"}


def test_another_backbone_runs_its_own_arms_alone_and_can_be_taken_out_again(clone):
    def per_backbone(params):
        return params | {"backbones": ["compact"], "per_backbone": ["random-features"]}

    before = clone.results()
    clone.edit(per_backbone)
    stages, _ = clone.repro()
    arm = "random-features-compact"
    assert sorted(stages) == ["compare", "prepare", "register", f"train-on@{arm}", f"tune-on@{arm}", "weights"]
    compared = Comparison.load(clone.root / "results" / "comparison.json")
    assert set(compared.strategies) == {"frozen", "finetune", "scratch", arm}
    assert compared.strategies[arm].recipe.backbone == "compact"
    assert arm in json.loads(clone.results()["results/registry.json"])["versions"]
    assert set(clone.runs().values()) == {"FINISHED"}
    clone.edit(lambda params: params | {"backbones": []})
    stages, _ = clone.repro()
    assert sorted(stages) == ["compare", "prepare", "register", "weights"]
    assert {name: clone.results()[name] for name in before} == before


def test_another_clone_with_more_workers_gives_the_same_results_to_the_byte(clone, tmp_path):
    def two_workers(params):
        params["search"]["workers"] = 2
        return params

    other = Clone(tmp_path)
    other.edit(two_workers)
    other.repro()
    assert other.results() == clone.made


def test_how_much_disk_the_cache_may_take_reruns_nothing(clone):
    def roomier(params):
        params["features"]["cache_gb"] *= 2
        return params

    clone.edit(roomier)
    assert clone.repro()[0] == []


def test_a_docstring_edited_in_training_retrains_nothing(clone):
    def units():
        files = [path for path in (clone.root / ".headstart" / "units").rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}

    before, results = units(), clone.results()
    file = clone.root / "pipeline" / "training" / "loop.py"
    code = file.read_text(encoding="utf-8")
    file.write_text(code.replace('"""Return', '"""Give back'), encoding="utf-8")
    assert file.read_text(encoding="utf-8") != code
    stages, _ = clone.repro()
    enabled = yaml.safe_load(clone.params.read_text(encoding="utf-8"))["enabled"]
    assert {f"{stage}@{name}" for stage in ("tune", "train") for name in enabled} <= set(stages)
    assert not {"prepare", "weights", "register"} & set(stages)
    assert before
    assert units() == before
    assert clone.results() == results
