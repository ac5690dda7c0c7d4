import json

import pytest

from pipeline.common.errors import UserError
from pipeline.statistics.recommendation import Recommendation
from pipeline.verdict.schema import Verdict
from tests.support.reports import inputs


def test_the_recommendation_is_read_from_a_verdict_and_from_no_other_version_of_one(tmp_path):
    verdict, file = inputs().verdict, tmp_path / "verdict.json"
    verdict.save(file)
    assert Recommendation.load(file).recommended == verdict.recommended
    assert Verdict.load(file) == verdict
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schema_version": 0}))
    for kind in (Recommendation, Verdict):
        with pytest.raises(UserError, match=r"verdict\.json: has schema version 0; this code reads version 2"):
            kind.load(file)


def test_a_verdict_with_an_unknown_key_is_refused(tmp_path):
    file = tmp_path / "verdict.json"
    file.write_text(json.dumps(json.loads(inputs().verdict.model_dump_json()) | {"told": True}))
    with pytest.raises(UserError, match="told"):
        Verdict.load(file)
