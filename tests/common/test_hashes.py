import json

import pytest
from hypothesis import given

from pipeline.common.errors import UserError
from pipeline.common.hashes import digest, file_digest
from pipeline.config.params import load
from tests.support.values import turned, values


@given(values, values)
def test_digests_are_equal_where_values_are(a, b):
    assert digest(a) == digest(turned(a))
    assert (digest(a) == digest(b)) == (json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True))


def test_a_digest_changes_with_any_setting(small_params, write_params, tmp_path):
    before = load(write_params(tmp_path, small_params))
    small_params["prepare"]["seed"] += 1
    after = load(write_params(tmp_path, small_params))
    assert digest(before.prepare) != digest(after.prepare)
    assert digest(before.train) == digest(after.train)
    assert len(digest(before)) == 16


def test_a_file_s_digest_is_that_of_its_content_and_one_that_is_missing_is_named(tmp_path):
    for name, text in (("a", "same"), ("b", "same"), ("c", "other")):
        (tmp_path / name).write_text(text)
    a, b, c = (file_digest(tmp_path / name) for name in "abc")
    assert a == b != c
    with pytest.raises(UserError, match=r"none: no such file; run the stage that makes it"):
        file_digest(tmp_path / "none")
