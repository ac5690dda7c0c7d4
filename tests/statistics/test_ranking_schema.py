import pytest
from pydantic import ValidationError

from pipeline.statistics.ranking_schema import BackboneRanking


def test_a_ranking_is_the_same_after_it_was_written_and_read_and_knows_two_kinds_alone():
    row = {"backbone": "net", "scores": {"log_me": 0.3}, "outcomes": {"heads": "frozen"}}
    agreement = {"score": "log_me", "outcome": "tuned", "backbones": 4, "tau": 1.0, "same": 6, "pairs": 6,
                 "p_permutation": 1 / 24}  # fmt: skip
    found = BackboneRanking.model_validate({"backbones": [row], "agreement": [agreement]})
    assert BackboneRanking.model_validate_json(found.model_dump_json()) == found
    with pytest.raises(ValidationError):
        BackboneRanking.model_validate({"backbones": [row | {"outcomes": {"other": "a"}}], "agreement": []})
