"""MLflow's experiments: one of arms, which compares by itself, and one of stages; and what is said of every run."""

import getpass
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.common.hashes import digest
from pipeline.common.provenance import commit
from pipeline.data.image_set import ImageSet

# Without the tag, the UI opens in its mode for language-model applications.
KIND, MODELS = "mlflow.experimentKind", "custom_model_development"
# What `Share` in MLflow's list of runs stores; a link with the key opens the list so.
VIEW, SHARED = "strategies", "mlflow.sharedViewState."
STAGES = "{}-stages"  # the name of the experiment of stages, from that of the arms'


@dataclass(frozen=True)
class Dataset:
    """A data set, identified by the digest of its content."""

    name: str
    digest: str
    source: str
    context: str = ""  # what it was used for: train, valid or test
    profile: str = ""  # a word on its content


def train_and_valid(name: str, folder: Path, images: ImageSet) -> list[Dataset]:
    """Return train and valid, which a seed divides: both are known by the digest of all their images."""
    said = f"drawn anew for each seed from {len(images):,} images"
    return [Dataset(f"{name}-{split}", images.digest, str(folder), split, said) for split in ("train", "valid")]


def held_out(name: str, folder: Path, images: ImageSet) -> Dataset:
    """Return the test images."""
    return Dataset(f"{name}-test", images.digest, str(folder), "test", f"{len(images):,} images")


def open_experiment(client: Any, root: Path, name: str) -> str:
    """Return the id of an experiment, which is created if need be."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found:
        if KIND not in found.tags:  # made by another tool, or by older code
            client.set_experiment_tag(found.experiment_id, KIND, MODELS)
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name, artifact_location=_location(root, name), tags={KIND: MODELS}))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another stage was quicker
            raise
        return str(client.get_experiment_by_name(name).experiment_id)


def arms_view(metrics: Sequence[str]) -> str:
    """Return how MLflow's list of runs shows arms: these metrics and the verdict, the best in the first on top."""
    columns = [*(f"metrics.`{name}`" for name in metrics), "tags.`verdict`"]
    state = {"searchFilter": "tags.stage = 'arm'", "orderByKey": columns[0], "orderByAsc": False, "startTime": "ALL",
             "lifecycleFilter": "Active", "modelVersionFilter": "All Runs", "datasetsFilter": [],
             "selectedColumns": columns, "runsExpanded": {}, "runsPinned": [], "runsHidden": [],
             "runListHidden": False, "viewMaximized": True}  # fmt: skip
    return json.dumps(state)


def _location(root: Path, name: str) -> str | None:
    """Return where an experiment's artifacts go; None leaves it to the server that is asked."""
    if os.environ["MLFLOW_TRACKING_URI"].startswith(("http:", "https:")):
        return None
    # A database that is written to without a server: the same variable names the store that a server would be given.
    store = os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT")
    return f"{store.rstrip('/')}/{name}" if store else (root.resolve() / "mlartifacts").as_uri()


def provenance(root: Path) -> dict[str, str]:
    """Return tags that lead from a run back to the code and the data, in MLflow's own fields where it has them."""
    lock, made = root / "dvc.lock", commit(root)
    tags = {
        "mlflow.source.name": _source(root),
        "mlflow.source.type": "LOCAL",
        "dvc_lock": digest(lock.read_text(encoding="utf-8")) if lock.exists() else "none",
    }
    if made:
        dirty = str(made.endswith("-dirty")).lower()
        tags |= {"mlflow.source.git.commit": made.removesuffix("-dirty"), "mlflow.source.git.dirty": dirty}
    with suppress(OSError, KeyError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    return tags


def _source(root: Path) -> str:
    """Return the program that runs, by its path in the repository where it is there."""
    program = Path(sys.argv[0] or "python").resolve()
    return str(program.relative_to(root.resolve()) if program.is_relative_to(root.resolve()) else program)


def dataset_inputs(datasets: tuple[Dataset, ...]) -> list[Any]:
    """Return data sets as MLflow logs them."""
    from mlflow.entities import Dataset as MlflowDataset
    from mlflow.entities import DatasetInput, InputTag

    return [
        DatasetInput(
            MlflowDataset(each.name, each.digest, "local", json.dumps({"uri": each.source}),
                          profile=json.dumps(each.profile)),
            [InputTag("mlflow.data.context", each.context)] if each.context else [],
        )
        for each in datasets
    ]  # fmt: skip
