"""`headstart quick` on a folder that params.yaml does not name; tests/test_pipeline.py runs it where DVC prepares."""

import json
import re

import pytest

from pipeline.commands.app import main
from pipeline.statistics.schema import Comparison
from pipeline.training import unit
from pipeline.verdict.schema import Verdict


@pytest.fixture(scope="module")
def made(tmp_path_factory, image_folder, _small_params, write_params):
    """A folder in which a first answer was given."""
    root = tmp_path_factory.mktemp("quick")
    params = {**_small_params, "enabled": ["frozen", "scratch"], "data": {**_small_params["data"], "path": "elsewhere"}}
    file = write_params(root, params)
    before = file.read_bytes()
    assert main(["quick", str(image_folder), "--params", str(file), "--work", str(root / "work")]) == 0
    assert file.read_bytes() == before
    return root


def results(root):
    return {path.name: path.read_bytes() for path in (root / "results" / "quick").iterdir()}


def test_the_page_says_that_it_is_a_first_answer(made):
    page = (made / "results" / "quick" / "report.html").read_text(encoding="utf-8")
    assert "<title>A first answer: " in page
    assert "The test split stays unopened." in page
    assert "uv run headstart init" in page
    assert "Confusion on validation" in page
    words = re.sub(r"<script.*?</script>|<style.*?</style>|data:[^\"]*", "", page, flags=re.DOTALL)
    assert not re.findall(r"[^<>]{0,40}\btest (?:image|accuracy|score)[^<>]{0,9}", words)


def test_results_are_of_validation(made):
    compared = Comparison.load(made / "results" / "quick" / "comparison.json")
    assert compared.split == "validation"
    assert set(compared.strategies) == {"frozen", "scratch"}
    assert Verdict.load(made / "results" / "quick" / "verdict.json").recommended in compared.strategies
    forecast = json.loads((made / "results" / "quick" / "forecast.json").read_text())
    assert set(forecast["strategies"]) == {"frozen", "scratch"}
    assert all(each[stage] > 0 for each in forecast["strategies"].values() for stage in ("tune", "train"))


def test_no_unit_has_seen_a_test_image(made):
    names = {path.name for path in (made / "work" / "units").glob("*/epoch-*.json")}
    assert names
    assert all(name.endswith("-valid.json") for name in names)


def test_again_it_reads_back_what_is_done(made, image_folder, monkeypatch, capsys):
    before = results(made)
    monkeypatch.setattr(unit._Unit, "run", None)
    words = ["quick", str(image_folder), "--params", str(made / "params.yaml"), "--work", str(made / "work")]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert re.search(r"frozen: validation accuracy \d", out)
    assert "To go on: `uv run headstart init" in out
    after = results(made)
    assert after["comparison.json"] == before["comparison.json"]
    assert after["verdict.json"] == before["verdict.json"]


def test_images_that_cannot_be_used_are_refused(made, tmp_path, capsys):
    (tmp_path / "photos" / "a").mkdir(parents=True)
    (tmp_path / "photos" / "a" / "1.png").write_bytes(b"junk")
    assert main(["quick", str(tmp_path / "photos"), "--params", str(made / "params.yaml")]) == 2
    assert "cannot be used yet" in capsys.readouterr().err
