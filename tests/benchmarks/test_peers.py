"""Peers: they get our splits and no label of test, what is done is not done again, and runs of ours are read."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.peers import __main__ as peers
from benchmarks.peers import ours, records, tasks, training
from benchmarks.peers.tools import TOOLS
from pipeline.common.errors import UserError
from pipeline.common.files import read_json, write_json
from pipeline.config import params as parameters
from pipeline.data import folds, image_set
from pipeline.data.preparation import prepare
from tests.support import example
from tests.support.imports import ROOT

PARAMS = parameters.load(ROOT / "params.yaml")
FRACTION = PARAMS.prepare.valid_fraction
COLOURS = {"blue": 2, "green": 1, "red": 0}


def lay_out(root: Path, each: int = 48) -> Path:
    """Write noise in a class's colour, 40 pixels a side, in folders by class."""
    rng = np.random.default_rng(0)
    for name, channel in COLOURS.items():
        (root / name).mkdir(parents=True)
        for number in range(each):
            pixels = rng.integers(0, 120, (40, 40, 3), dtype=np.uint8)
            pixels[..., channel] += 100
            Image.fromarray(pixels).save(root / name / f"{number:02}.png")
    return root


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """A task in the place of one of the zoo, prepared as that would be."""
    folders = tasks.Folders(tmp_path_factory.mktemp("peers") / "textures")
    lay_out(folders.raw)
    prepare(folders.raw, "label", tasks.settings("textures", PARAMS.prepare), tasks.MOST, folders.dev, folders.test)
    return folders


def test_a_training_gets_the_split_of_a_training_of_ours_with_that_seed(task):
    images = image_set.load(task.dev)
    for seed in (1, 2):
        data = task.training(FRACTION, seed)
        for split, rows in zip((data.train, data.valid), folds.train_valid(images, FRACTION, seed)):
            assert split.labels.tolist() == images.labels[rows].tolist()
            assert [path.parent.name for path in split.paths] == [data.classes[label] for label in split.labels]
    test = set(task.testing().paths)
    assert len(test) == 36
    assert not test & {*data.train.paths, *data.valid.paths}


def test_the_digest_of_test_depends_on_its_images_not_on_their_size(task, tmp_path):
    other = tasks.Folders(tmp_path)
    wanted = tasks.settings("textures", PARAMS.prepare).model_copy(update={"image_size": 16})
    prepare(task.raw, "label", wanted, tasks.MOST, other.dev, other.test)
    assert other.test_digest() == task.test_digest()
    prepare(task.raw, "label", wanted.model_copy(update={"seed": 1}), tasks.MOST, other.dev, other.test)
    assert other.test_digest() != task.test_digest()


@pytest.mark.parametrize(("name", "size"), [("demo", 224), ("furniture", 128), ("hebrew", 64)])
def test_images_keep_their_own_size_between_64_and_224_pixels(name, size):
    assert tasks.settings(name, PARAMS.prepare).image_size == size


DEAR = ("timm", "torchvision")  # they train a whole network; scikit-learn trains a head


@pytest.mark.parametrize("tool", [pytest.param(t, marks=[pytest.mark.slow] if t in DEAR else []) for t in TOOLS])
def test_a_tool_trains_on_image_files_and_predicts_probabilities(tool, task, monkeypatch):
    pytest.importorskip("sklearn" if tool == "scikit-learn" else tool)
    few_epochs(tool, monkeypatch)
    data, heard = task.training(FRACTION, 1), []
    fitted = TOOLS[tool].fit()(data, 1, lambda *epoch: heard.append(epoch))
    found = fitted.predict(task.testing().paths)
    assert found.shape == (36, 3)
    assert found.sum(1) == pytest.approx(np.ones(36))
    assert heard
    assert heard[-1][0] == heard[-1][1]
    json.dumps({**fitted.settings, **fitted.chosen})
    if TOOLS[tool].arm != "scratch":
        assert (found.argmax(1) == task.testing().labels).mean() > 0.5
    assert np.array_equal(found, TOOLS[tool].fit()(data, 1, lambda *_: None).predict(task.testing().paths))


def few_epochs(tool, monkeypatch):
    module = sys.modules.get(TOOLS[tool].fit().__module__)
    if tool == "fastai":
        monkeypatch.setattr(module, "EPOCHS", 20)  # of one step each
    elif tool == "timm":
        monkeypatch.setattr(module, "EPOCHS", {128: 6})
        monkeypatch.setitem(module.SETTINGS, "lr", 0.005)
        monkeypatch.setitem(module.SETTINGS, "batch_size", 16)
    elif tool == "torchvision":
        monkeypatch.setitem(module.SETTINGS, "epochs", 4)
        monkeypatch.setitem(module.SETTINGS, "batch_size", 16)


def run(task, file, monkeypatch, **wanted):
    """Run with the task of the tests in place of textures, in this process; return how many trainings there were."""
    begun = []

    def in_a_process(*job):
        begun.append(job)
        return training.train(*job)

    monkeypatch.setattr(tasks, "make", lambda *_: task)
    monkeypatch.setattr(training, "in_a_process", in_a_process)
    monkeypatch.chdir(ROOT)
    peers.run(["textures"], ["scikit-learn"], work=file.parent / "work", file=file, **wanted)
    return len(begun)


def test_what_is_done_is_kept_and_not_done_again(task, tmp_path, monkeypatch):
    file = tmp_path / "peers.json"
    assert run(task, file, monkeypatch, seeds=[1]) == 1
    first = read_json(file)
    assert run(task, file, monkeypatch, seeds=[1, 2]) == 1
    (both,) = read_json(file)
    assert both["trainings"][0] == first[0]["trainings"][0]
    for name in records.SCORES:
        assert both[name] == pytest.approx(np.mean([each[name] for each in both["trainings"]]))
    assert (both["task"], both["arm"], both["tool"]) == ("textures", "frozen", "scikit-learn")
    assert "| textures | frozen | scikit-learn |" in file.with_suffix(".md").read_text()


def test_a_training_that_fails_is_named_and_leaves_no_record(task, tmp_path, monkeypatch):
    file = tmp_path / "peers.json"
    monkeypatch.setattr(tasks, "make", lambda *_: task)
    monkeypatch.setattr(training, "sys", type("Python", (), {"executable": "false"}))
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match="scikit-learn on textures, seed 1: ended with code 1"):
        peers.run(["textures"], ["scikit-learn"], [1], tmp_path / "work", file)
    assert not file.exists()


def record(**changes):
    scores = {"accuracy": 0.5, "auc": 0.5, "log_loss": 1.0, "cpu_seconds": 2.0}
    settings = {"image_size": 64}
    return {"task": "demo", "arm": "frozen", "tool": "timm", "test_split": "a", **scores, "trainings": [],
            "settings": settings, **changes}  # fmt: skip


def test_a_record_takes_the_place_of_its_forerunner_alone(tmp_path):
    file = tmp_path / "peers.json"
    for each in (record(), record(arm="finetune"), record(accuracy=0.7)):
        records.put(file, each)
    assert [(r["arm"], r["accuracy"]) for r in records.load(file)] == [("finetune", 0.5), ("frozen", 0.7)]


def test_scores_of_other_test_images_are_refused(tmp_path):
    file = tmp_path / "peers.json"
    records.put(file, record())
    with pytest.raises(UserError, match=r"headstart, frozen: its test images are not those of timm on demo; prepare"):
        records.put(file, record(tool="headstart", test_split="b"))
    records.put(file, record(task="hebrew", test_split="b"))


def test_a_damaged_file_of_records_is_refused(tmp_path):
    write_json(tmp_path / "peers.json", [{"task": "demo"}])
    with pytest.raises(UserError, match="restore it from git"):
        records.load(tmp_path / "peers.json")


# Runs of ours


@pytest.fixture
def finished(tmp_path):
    """The results of a run, as the stages write them."""
    compared, results = example.comparison(seeds=2, fractions=(0.5, 1.0)), tmp_path / "results"
    compared.save(results / "comparison.json")
    for name, strategy in compared.strategies.items():
        scores = [{metric: score.per_seed[seed] for metric, score in strategy.test.items()} for seed in range(2)]
        points = [{"fraction": p.fraction, "images": p.images, "train_flops": flops, "test": scores}
                  for p, flops in zip(strategy.curve, (100, 300))]  # fmt: skip
        whole = strategy.model_dump(mode="json")
        write_json(results / f"train/{name}.json", {
            "strategy": name, "recipe": whole["recipe"], "seeds": [1, 2], "best_seed": 1, "cost": whole["cost"],
            "curve": points, "transfer": whole["transfer"], "valid": scores, "test": scores,
        })  # fmt: skip
        rows = [("valid", 1.0, 1, "v"), *(("test", f, s, i) for f in (0.5, 1.0) for s in (1, 2) for i in "ab")]
        table = pd.DataFrame(rows, columns=["split", "fraction", "seed", "id"])
        table.to_csv(results / f"train/{name}.csv", index=False)
        write_json(results / f"timings/tune/{name}.json", {"cpu_seconds": 50.0})
        write_json(results / f"timings/train/{name}.json", {"cpu_seconds": 90.0, "train": {"cpu_seconds": 80.0}})
    return results, compared


def test_arms_of_ours_are_read_from_a_finished_run(finished, tmp_path):
    results, compared = finished
    assert peers.main(["--out", str(tmp_path), "ours", str(results), "--task", "demo"]) == 0
    found = {r["arm"]: r for r in records.load(tmp_path / "peers.json")}
    assert set(found) == {"frozen", "finetune", "scratch"}
    for arm, r in found.items():
        test = compared.strategies[arm].test
        assert (r["accuracy"], r["auc"], r["log_loss"]) == pytest.approx(
            tuple(test[metric].mean for metric in ("accuracy", "roc_auc", "log_loss"))
        )
        assert r["tool"] == "headstart"
        assert r["cpu_seconds"] == pytest.approx(50 + 80 * 300 / (2 * 400))
        assert r["run_cpu_seconds"] == 130  # a run that was interrupted has lost the time of its first process
        assert r["test_split"] == tasks.digest_of(["b", "a"])
    assert (tmp_path / "peers.md").read_text().count("| headstart |") == 3


def test_a_run_of_one_seed_on_all_images_is_one_training(finished):
    results, _ = finished
    raw = read_json(results / "train/frozen.json")
    one = ours.TrainResult(**{**raw, "seeds": [1], "curve": raw["curve"][1:]})
    assert ours.share_of_one(one) == 1


def test_results_that_are_missing_are_named(tmp_path, capsys):
    assert peers.main(["--out", str(tmp_path), "ours", str(tmp_path), "--task", "demo"]) == 2
    assert "comparison.json: no such file" in capsys.readouterr().err


def test_the_committed_records_are_of_known_tasks_and_tools():
    for each in records.load(peers.RESULTS / "peers.json"):
        assert each["task"] in tasks.NAMES
        assert each["tool"] in {*TOOLS, ours.TOOL}
        assert 0 <= each["accuracy"] <= 1
        assert os.sep + "tmp" not in json.dumps(each)
