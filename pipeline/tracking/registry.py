"""The model registry of MLflow: versions, and the aliases that point at them."""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.common.errors import UserError
from pipeline.tracking.client import KEY, as_user_error, connect, shown

CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True)
class Version:
    """A version of the model, with the strategy and the digest of the data from its tags."""

    version: int
    strategy: str
    data: str
    run: str | None = field(default=None, compare=False)  # that made the model
    tags: dict[str, str] = field(default_factory=dict, compare=False)


class Registry:
    """Hold the versions of one registered model."""

    @as_user_error
    def __init__(self, root: Path, model: str) -> None:
        """Connect, and create the registered model if need be; raise UserError if that fails."""
        from mlflow.exceptions import MlflowException

        self.client = connect(root)
        self.model, self.root = model, root
        self.uri = os.environ.get("MLFLOW_REGISTRY_URI") or os.environ["MLFLOW_TRACKING_URI"]
        try:
            self.client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    @as_user_error
    def add(
        self, model: str, aliases: Sequence[str], tags: dict[str, str], latest: dict[str, str] | None = None
    ) -> int:
        """Register a logged model, by its id, unless a version has its key (in `tags`) already; point aliases at it.

        Tags say how it came to be, `latest` what was last found of it. Return the version.
        """
        known = [version for version in self.versions() if version.tags.get(KEY) == tags[KEY]]
        latest = latest or {}
        number = known[-1].version if known else self._create_version(model, {**tags, **latest})
        if known:
            self.tag(known[-1], latest)
        for alias in aliases:
            self.point(alias, number)
        return number

    @as_user_error
    def tag(self, version: Version, tags: dict[str, str]) -> None:
        """Give a version those of the tags that it does not have."""
        for name, value in tags.items():
            if version.tags.get(name) != value:
                self.client.set_model_version_tag(self.model, str(version.version), name, value)

    @as_user_error
    def point(self, alias: str, number: int) -> None:
        """Point an alias at a version."""
        self.client.set_registered_model_alias(self.model, alias, str(number))

    @as_user_error
    def versions(self) -> list[Version]:
        """Return all versions, the latest first."""
        found, token = [], None
        while True:
            page = self.client.search_model_versions(f"name = '{self.model}'", page_token=token)
            found += page
            token = page.token
            if not token:
                return sorted(map(_version, found), key=lambda version: -version.version)

    @as_user_error
    def champion(self) -> Version | None:
        """Return the version in service, or None."""
        aliases = self.aliases()
        return self.version(str(aliases[CHAMPION])) if CHAMPION in aliases else None

    @as_user_error
    def aliases(self) -> dict[str, int]:
        """Return the version that each alias points at."""
        aliases = self.client.get_registered_model(self.model).aliases
        return {name: int(number) for name, number in aliases.items()}

    @as_user_error
    def version(self, name: str) -> Version:
        """Return a version by number or alias; raise UserError naming those there are."""
        aliases = self.aliases()
        number = str(aliases.get(name, name))
        known = {str(version.version): version for version in self.versions()}
        if number not in known:
            there = ", ".join([*sorted(known, key=int), *sorted(aliases)]) or "none"
            raise UserError(f"{self.model} has no version {name}; there are {there}")
        return known[number]

    def reference(self, version: Version) -> str:
        """Return the URI by which MLflow loads a version."""
        return f"models:/{self.model}/{version.version}"

    def _create_version(self, model: str, tags: dict[str, str]) -> int:
        logged = self.client.get_logged_model(model)
        made = self.client.create_model_version(
            self.model, logged.model_uri, run_id=logged.source_run_id, tags=tags, model_id=model
        )
        return int(made.version)


def is_there(root: Path) -> bool:
    """Say whether there is a registry to look into; where there is none, MLflow would make a new database."""
    return "MLFLOW_TRACKING_URI" in os.environ or (root / "mlflow.db").exists()


def existing(root: Path, model: str) -> Registry:
    """Open a registered model; raise UserError where nothing has been registered yet."""
    missing = UserError(f"no version of {model} is registered yet; `uv run dvc repro` trains and registers one")
    if not is_there(root):
        raise missing
    registry = Registry(root, model)
    if not registry.versions():
        raise missing
    return registry


def _version(found: Any) -> Version:
    strategy, data = (found.tags.get(tag, "unknown") for tag in ("strategy", "data"))
    return Version(int(found.version), strategy, data, found.run_id, dict(found.tags))


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
