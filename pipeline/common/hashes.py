"""Short hashes that tell values and files apart."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError


def digest(value: Any) -> str:
    """Return 16 hex digits that identify a JSON-able value; models of pydantic and dataclasses are JSON-able too."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=jsonable)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return 16 hex digits that identify a file's content; raise UserError where it is missing."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it: dvc repro") from None


def jsonable(value: Any) -> Any:
    """Return a pydantic model or a dataclass as plain values, for `json.dumps`; raise TypeError for anything else."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return asdict(value)
