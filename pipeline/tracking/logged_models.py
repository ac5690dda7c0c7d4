"""MLflow's logged models: what an arm trained, with its signature, an example and what it needs to run.

Versions in the registry point at them.
"""

import io
import json
import logging
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from pipeline.common.hashes import digest, file_digest
from pipeline.tracking.client import KEY

CODE = Path(__file__).parents[1] / "inference"  # the package that models carry
SERVED = ("mlflow", "numpy", "pandas", "pillow", "safetensors", "timm", "torch", "torchvision")


def model_key(folder: Path) -> str:
    """Return 16 hex digits that identify a model by its two files; raise UserError where one is missing."""
    return digest([file_digest(folder / f"model.{end}") for end in ("json", "safetensors")])


def find(client: Any, experiment: str, folder: Path) -> str | None:
    """Return the id of the model of a folder that an experiment holds, or None."""
    for found in client.search_logged_models([experiment], filter_string=f"tags.`{KEY}` = '{model_key(folder)}'"):
        if str(found.status) == "READY":
            return str(found.model_id)
        client.delete_logged_model(found.model_id)  # a killed process left it half logged
    return None


def find_or_log(
    client: Any, run: str, folder: Path, name: str, params: dict[str, Any], example: np.ndarray | None = None
) -> str:
    """Return the id of the logged model of a folder; log it as a result of `run` where there is none.

    It is the package `inference` beside safetensors: nothing in it is pickled. `example` is an image, uint8 (H, W, C).
    """
    import mlflow
    import pandas as pd
    from mlflow.models import Model

    experiment = client.get_run(run).info.experiment_id
    found = find(client, experiment, folder)
    if found:
        return found
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    mlflow.set_experiment(experiment_id=experiment)
    with TemporaryDirectory() as temporary:
        code = _shipped_code(Path(temporary))
        # Not `pyfunc.log_model` inside `start_run`: that would close a run that is not done yet.
        info = Model.log(
            None,
            mlflow.pyfunc,
            name=name,
            run_id=run,
            params={key: str(value) for key, value in params.items()},
            tags={KEY: model_key(folder)},
            loader_module=f"{code.name}.served",
            data_path=str(folder),
            code_paths=[str(code)],
            pip_requirements=[f"{package}=={version(package).split('+')[0]}" for package in SERVED],
            signature=_signature(folder),
            input_example=None if example is None else pd.DataFrame({"image": [_jpeg(example)]}),
        )
    return str(info.model_id)


def _jpeg(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(file, "JPEG")
    return file.getvalue()


def _signature(folder: Path) -> Any:
    """Return a signature: image files in; label, its probability, and the probability of each class out.

    The parameter `unknown` asks for that label where the model is not sure. The column of images has no name, so that
    a list of files is accepted too, and not only a table.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    classes = json.loads((folder / "model.json").read_text(encoding="utf-8"))["classes"]
    probabilities = [ColSpec(DataType.double, name) for name in ("probability", *(f"p_{each}" for each in classes))]
    return ModelSignature(Schema([ColSpec(DataType.binary)]),
                          Schema([ColSpec(DataType.string, "label"), *probabilities]),
                          ParamSchema([ParamSpec("unknown", DataType.boolean, False)]))  # fmt: skip


def _shipped_code(folder: Path) -> Path:
    """Copy the package that a model carries into a folder; return the copy.

    It is named by its content. MLflow puts the code of each model that a process loads on `sys.path`, so models with
    different code under one name would all get the code of the first.
    """
    files = sorted(CODE.glob("*.py"))
    code = folder / f"headstart_inference_{digest({file.name: file.read_text(encoding='utf-8') for file in files})}"
    code.mkdir()
    for file in files:
        shutil.copy(file, code)
    return code
