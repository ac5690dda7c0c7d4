"""What a registered version says of images, asked as it will be in service: loaded anew, in a process without us.

What was found on a set of test images is kept beside the version's run, so that no champion is asked twice.
"""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any

import numpy as np
import pandas as pd

from pipeline.common.errors import UserError
from pipeline.common.files import read_csv, write_csv
from pipeline.common.hashes import file_digest
from pipeline.tracking.client import as_user_error
from pipeline.tracking.registry import Registry, Version

AT_ONCE = 32  # images in a question
FOLDER, TAG = "registered", "headstart.predictions.{}"  # the tag holds the digest of a file that is whole

# `-I` and this path leave the project out of it, where it is installed too: the model must bring all that it needs. It
# stays in this folder, since a database may be named by a path from here.
ANSWER = """
import base64, json, os, pathlib, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
sys.path[:] = [folder for folder in sys.path if not pathlib.Path(folder, "pipeline", "__init__.py").is_file()]
import mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
for line in sys.stdin:
    table = model.predict([base64.b64decode(text) for text in json.loads(line)])
    columns = [name for name in table if name.startswith("p_")]
    print(json.dumps([[name[2:] for name in columns], table[columns].to_numpy(dtype=float).tolist()]), file=answers,
          flush=True)
"""


class UnservableError(UserError):
    """Report that a version does not load, or does not answer."""


def served(registry: Registry, version: Version, images: Iterable[bytes], threads: int) -> pd.DataFrame:
    """Return the probabilities (a row for each image, a column for each class) that a version gives image files.

    Raise UnservableError where it cannot be loaded or asked in a clean process.
    """
    with TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-I", "-W", "ignore", "-c", ANSWER, registry.reference(version)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True,
            env=_environment(threads),
        )  # fmt: skip
        try:
            answers = list(_asked(process, images))
        except UserError:  # of the images
            raise
        except (OSError, ValueError):  # it ended: a pipe broke, or a line is cut off
            process.wait()
            raise UnservableError(f"{registry.reference(version)} gives no answer: {_last_line(complaints)}") from None
        finally:
            process.kill()
            process.wait()
    if not answers:
        raise UserError("there are no images to ask about")
    return pd.DataFrame([row for _, rows in answers for row in rows], columns=answers[0][0])


def _environment(threads: int) -> dict[str, str]:
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return {**os.environ, **one, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}


def _asked(process: "subprocess.Popen[str]", images: Iterable[bytes]) -> Iterator[tuple[list[str], list[list[float]]]]:
    assert process.stdin
    assert process.stdout
    left = iter(images)
    while batch := list(islice(left, AT_ONCE)):
        process.stdin.write(json.dumps([base64.b64encode(image).decode() for image in batch]) + "\n")
        process.stdin.flush()
        classes, rows = json.loads(process.stdout.readline())
        yield classes, rows


def _last_line(complaints: IO[str]) -> str:
    complaints.seek(0)
    lines = [line.strip() for line in complaints if line.strip()]
    return lines[-1][:300] if lines else "its process ended without a word"


@as_user_error
def keep(registry: Registry, version: Version, digest: str, table: pd.DataFrame) -> None:
    """Keep a version's probabilities on the test images with a digest, indexed by the images' ids.

    The tag comes after the file, so that one that is cut off is never read.
    """
    tag = TAG.format(digest)
    if version.run is None or tag in registry.version(str(version.version)).tags:
        return
    with TemporaryDirectory() as folder:
        file = Path(folder) / _name(version, digest)
        write_csv(file, table.add_prefix("p_").rename_axis("id").reset_index())
        registry.client.log_artifact(version.run, str(file), FOLDER)
        registry.client.set_model_version_tag(registry.model, str(version.version), tag, file_digest(file))


def kept(registry: Registry, version: Version, digest: str) -> pd.DataFrame | None:
    """Return what `keep` kept; None where there is nothing, or the file is gone or damaged."""
    wanted = registry.version(str(version.version)).tags.get(TAG.format(digest))
    if wanted is None or version.run is None:
        return None
    from mlflow.exceptions import MlflowException

    with TemporaryDirectory() as folder, suppress(MlflowException, OSError, UserError):
        found = registry.client.download_artifacts(version.run, f"{FOLDER}/{_name(version, digest)}", folder)
        if file_digest(Path(found)) == wanted:
            return read_csv(Path(found), {"id": str}).set_index("id").rename(columns=lambda name: name[2:])
    return None


def _name(version: Version, digest: str) -> str:
    return f"version-{version.version}-{digest}.csv"


def largest_gap(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """Return the largest difference of a probability between two tables of the same rows and columns."""
    gaps: Any = np.abs(one.to_numpy() - other[list(one)].to_numpy())
    return float(gaps.max())
