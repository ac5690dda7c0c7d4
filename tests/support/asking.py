"""What a registered model says in a clean process, asked once for each model: every such process takes seconds."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pandas as pd

from pipeline.tracking import served_scores
from pipeline.tracking.registry import Registry, Version

_ask = served_scores.served
_known: dict[str, str] = {}


def _content(registry: Registry, version: Version, images: list[bytes]) -> str | None:
    """Return a digest of all that decides the answer: a model's files, but for MLflow's notes, and the images.

    Return None where there is no model.
    """
    found = hashlib.sha256()
    source = registry.client.get_model_version_download_uri(registry.model, str(version.version))
    folder = Path(source.removeprefix("file://"))
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in (".pyc", ".md")]
    if not any(path.suffix == ".safetensors" for path in files):
        return None
    for path in files:
        if path.name not in ("MLmodel", "registered_model_meta"):  # these hold times and numbers of runs
            found.update(f"{path.relative_to(folder)} ".encode() + hashlib.sha256(path.read_bytes()).digest())
    for image in images:
        found.update(hashlib.sha256(image).digest())
    return found.hexdigest()


def served(registry: Registry, version: Version, images: Iterable[bytes], threads: int) -> pd.DataFrame:
    """Ask the first time; later repeat the answer to the last bit. What fails is asked each time."""
    given = list(images)
    content = _content(registry, version, given)
    key = f"{threads} {content}"
    if key not in _known:
        table = _ask(registry, version, given, threads)
        if content is None:
            return table
        _known[key] = json.dumps([list(table), table.to_numpy(dtype=float).tolist()])
    columns, rows = json.loads(_known[key])
    return pd.DataFrame(rows, columns=columns)


@contextmanager
def asked_once() -> Iterator[None]:
    """Ask each model once in this session."""
    with patch.object(served_scores, "served", served):
        yield
