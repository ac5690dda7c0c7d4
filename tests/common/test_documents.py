import json

import pytest
from pydantic import ValidationError

from pipeline.common.documents import Document, VersionedDocument
from pipeline.common.errors import UserError


class Part(Document):
    share: float


class Whole(VersionedDocument):
    schema_version: int = 2
    names: tuple[str, ...]
    parts: dict[str, Part]


WHOLE = Whole(names=("a", "b"), parts={"a": Part(share=1 / 3)})


def test_what_is_saved_is_loaded_with_floats_of_twelve_digits(tmp_path):
    WHOLE.save(tmp_path / "whole.json")
    assert json.loads((tmp_path / "whole.json").read_text())["schema_version"] == 2
    loaded = Whole.load(tmp_path / "whole.json")
    assert loaded == WHOLE.model_copy(update={"parts": {"a": Part(share=0.333333333333)}})
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_a_document_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        WHOLE.names = ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema_version": 1}, "has schema version 1; this code reads version 2. Run dvc repro"),
        ({"schema_version": 3}, "has schema version 3; this code reads version 2. Run dvc repro"),
        ({"schema_version": None}, "has no schema version"),
        ({"parts": {"a": {}}}, "parts/a/share: field required; delete the file and run dvc repro"),
        ({"parts": {"a": {"share": "much"}}}, "parts/a/share: "),
        ({"another": 1}, "another: extra inputs are not permitted"),
        ({"names": "a"}, "names: "),
    ],
)
def test_a_file_of_another_form_is_named_with_what_to_do(tmp_path, changes, words):
    file = tmp_path / "whole.json"
    file.write_text(json.dumps(WHOLE.model_dump() | changes))
    with pytest.raises(UserError) as caught:
        Whole.load(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert words in str(caught.value)


def test_a_file_without_a_version_is_an_old_one(tmp_path):
    file = tmp_path / "whole.json"
    file.write_text(json.dumps({"names": []}))
    with pytest.raises(UserError, match="no schema version, so it was written by older code"):
        Whole.load(file)


@pytest.mark.parametrize("content", ["", "[1, 2", "3", "[]", "null"])
def test_a_damaged_file_is_named(tmp_path, content):
    file = tmp_path / "whole.json"
    file.write_text(content)
    with pytest.raises(UserError, match=r"whole\.json: .*dvc repro"):
        Whole.load(file)
