"""Typed results on disk: frozen models, written as JSON and read back whole, or not at all."""

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.common.errors import UserError
from pipeline.common.files import read_json, write_json


class Document(BaseModel):
    """Refuse unknown keys and later changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a document; raise UserError where the file is missing, damaged, or not of this form."""
        return cls.parsed(read_json(path), path)

    @classmethod
    def parsed(cls, raw: Any, path: Path) -> Self:
        """Return a document of what a file holds; raise UserError naming the file where it is not of this form."""
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            problem = error.errors()[0]
            key = "/".join(map(str, problem["loc"])) or "the whole"
            raise UserError(
                f"{path}: {key}: {problem['msg'].lower()}; delete the file and run dvc repro to write it anew"
            ) from None


class VersionedDocument(Document):
    """Carry the version of its form, which each class gives a default: a file of another version is refused."""

    schema_version: int

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a document; raise UserError also where the file is of an older or newer version."""
        raw = read_json(path)
        known = cls.model_fields["schema_version"].default
        found = raw.get("schema_version") if isinstance(raw, dict) else known
        if found != known:
            has = "no schema version, so it was written by older code" if found is None else f"schema version {found}"
            raise UserError(f"{path}: has {has}; this code reads version {known}. Run dvc repro to write it anew")
        return cls.parsed(raw, path)

    def save(self, path: Path) -> None:
        """Write the document, whole or not at all."""
        write_json(path, self)
