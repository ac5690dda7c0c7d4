"""The tables in the repository are what their JSON files say: no figure is typed by hand."""

import pytest

from benchmarks import decoding, kills, memory, search, statistics
from pipeline.common.files import read_json
from tests.support.imports import ROOT

RESULTS = ROOT / "benchmarks" / "results"
TABLES = {"search": search.table, "memory": memory.table, "kills": kills.show, "statistics": statistics.table,
          "decoding": decoding.table}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_made_from_its_figures(name):
    assert (RESULTS / f"{name}.md").read_text(encoding="utf-8") == TABLES[name](read_json(RESULTS / f"{name}.json"))
