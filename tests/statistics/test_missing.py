from pathlib import Path

import pytest

from pipeline.common.errors import UserError
from pipeline.statistics.missing import Diverged, Stopped

STOPPED = {"behind": "finetune", "gap": 0.08, "p_within": 0.0001, "level": 0.004, "seeds": 3}


def test_reasons_are_read_as_they_are_written():
    assert Stopped.model_validate(STOPPED).model_dump() == STOPPED
    diverged = {"seed": 2, "fraction": 0.1, "reason": "the loss became nan in epoch 3"}
    assert Diverged.model_validate(diverged).model_dump() == diverged


def test_another_reason_is_refused():
    with pytest.raises(UserError, match=r"race\.json: tired"):
        Stopped.parsed({**STOPPED, "tired": True}, Path("race.json"))
