"""The tables in the repository are what their JSON files say: no figure is typed by hand."""

import json

import pytest

from benchmarks import cluster, decoding, kills, memory, registry_kills, same_results, search, statistics, verdict
from benchmarks.peers import table as peers
from pipeline.common.files import read_json
from tests.support.imports import ROOT

RESULTS = ROOT / "benchmarks" / "results"
TABLES = {"search": search.table, "memory": memory.table, "kills": kills.show, "statistics": statistics.table,
          "decoding": decoding.table, "peers": peers.table, "verdict": verdict.table,
          "cluster": cluster.table, "registry_kills": registry_kills.show}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_made_from_its_figures(name):
    assert (RESULTS / f"{name}.md").read_text(encoding="utf-8") == TABLES[name](read_json(RESULTS / f"{name}.json"))


# Two folders of results


def write_results(folder, name, tree, table="trial,depth_decay\n0,0.5\n"):
    for file, text in (("comparison.json", json.dumps(tree)), ("tune/a.csv", table), ("timings/a.json", f'["{name}"]')):
        (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / file).write_text(text)
    return str(folder / name)


OLD = {"told": True, "verdict": "a is told better.", "ranking": None,
       "pairs": [{"a": "x", "accuracy": {"ci95": [0.25, 0.5]}}]}  # fmt: skip
NEW = {"schema_version": 2, "pairs": [{"a": "x", "differences": {"accuracy": {"ci": [0.25, 0.5]}}}]}


def test_results_are_the_same_whatever_their_keys_are_called_and_their_sentences_say(tmp_path, capsys):
    old = write_results(tmp_path, "old", OLD)
    new = write_results(tmp_path, "new", NEW, "layer_decay,trial\n0.5,0\n")
    (tmp_path / "new" / "verdict.json").write_text('{"unconstrained": {"significant": true, "sentence": "Use a."}}')
    assert same_results.main([old, new]) == 0
    assert capsys.readouterr().out.endswith("0 differences\n")


def test_a_number_that_changed_in_its_last_digit_or_went_is_named(tmp_path, capsys):
    old = write_results(tmp_path, "old", {"a": {"b": [0.1, 0.2]}, "c": "name"})
    new = write_results(tmp_path, "new", {"a": {"b": [0.1, 0.20000000000000004]}}, "trial,layer_decay\n0,0.25\n")
    assert same_results.main([old, new]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "comparison.json:a/b/1: 0.2 became 0.20000000000000004",
        "comparison.json:c: 'name' is missing",
        "tune/a.csv:layer_decay[0]: 0.5 became 0.25",
        "5 numbers and names compared, 3 differences",
    ]
