"""The model registry of MLflow: versions, and the aliases that point at them."""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.common.errors import UserError
from pipeline.tracking.client import KEY, as_user_error, connect, shown

CHAMPION = "champion"


@dataclass(frozen=True)
class Version:
    """A version of the model, with the strategy and the digest of the data from its tags."""

    version: int
    strategy: str
    data: str


class Registry:
    """Hold the versions of one registered model."""

    @as_user_error
    def __init__(self, root: Path, model: str) -> None:
        """Connect, and create the registered model if need be; raise UserError if that fails."""
        from mlflow.exceptions import MlflowException

        self._client = connect(root)
        self._model = model
        try:
            self._client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    @as_user_error
    def add(self, model: str, aliases: Sequence[str], tags: dict[str, str]) -> int:
        """Register a logged model, by its id, unless a version has its key (in `tags`) already; point aliases at it.

        Return the version.
        """
        versions = self._client.search_model_versions(f"name = '{self._model}'")
        known = [int(v.version) for v in versions if v.tags.get(KEY) == tags[KEY]]
        number = min(known) if known else self._create_version(model, tags)
        for alias in aliases:
            self._client.set_registered_model_alias(self._model, alias, str(number))
        return number

    @as_user_error
    def champion(self) -> Version | None:
        """Return the version in service, or None."""
        aliases = self._client.get_registered_model(self._model).aliases
        if CHAMPION not in aliases:
            return None
        found = self._client.get_model_version(self._model, str(aliases[CHAMPION]))
        return Version(int(found.version), *(found.tags.get(tag, "unknown") for tag in ("strategy", "data")))

    def _create_version(self, model: str, tags: dict[str, str]) -> int:
        logged = self._client.get_logged_model(model)
        made = self._client.create_model_version(
            self._model, logged.model_uri, run_id=logged.source_run_id, tags=tags, model_id=model
        )
        return int(made.version)


@contextmanager
def fetch(root: Path, reference: str) -> Iterator[tuple[str, Path]]:
    """Yield (`models:/name/version`, folder of model.json and model.safetensors) of `models:/name@alias` or `/version`.

    Raise UserError where there is no such model, or it is none that this pipeline registered.
    """
    with TemporaryDirectory() as temporary:
        version, folder = _downloaded(root, reference, Path(temporary))
        found = sorted(file.parent for file in folder.rglob("model.json"))
        if len(found) != 1 or not (found[0] / "model.safetensors").is_file():
            raise UserError(f"{reference}: holds no model.json and model.safetensors; name a model that this pipeline "
                            "registered")  # fmt: skip
        yield version, found[0]


@as_user_error
def _downloaded(root: Path, reference: str, folder: Path) -> tuple[str, Path]:
    client = connect(root)
    import mlflow
    from mlflow.exceptions import MlflowException

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    name, alias, number = re.fullmatch(r"models:/([^@/]+)(?:@(.+)|/(.+))", reference).groups()  # type: ignore[union-attr]
    try:
        version = client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, number)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        known = ", ".join(model.name for model in client.search_registered_models()) or "none"
        where = shown(os.environ["MLFLOW_TRACKING_URI"])
        raise UserError(
            f"the registry at {where} has no {reference} (its models: {known}); train and register the source first"
        ) from None
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    # Not by `models:/...`: MLflow would look that up in whichever registry its process last named.
    found = mlflow.artifacts.download_artifacts(
        artifact_uri=client.get_model_version_download_uri(name, version.version), dst_path=str(folder)
    )
    return f"models:/{name}/{version.version}", Path(found)
