import json

from pipeline.statistics.timings import StrategyTimings
from tests.support.example import timings


def test_what_other_code_measured_as_well_is_ignored(tmp_path):
    made, file = timings(["one"])["one"], tmp_path / "one.json"
    file.write_text(json.dumps(made.model_dump(mode="json") | {"energy_joules": None, "wall_seconds": 60.0}))
    assert StrategyTimings.load(file) == made
