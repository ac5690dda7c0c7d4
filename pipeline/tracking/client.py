"""Connect to MLflow, or say in a sentence why that fails."""

import os
import re
from functools import wraps
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.common.errors import UserError

NOTE = "mlflow.note.content"  # the tag whose text MLflow shows as a description
KEY = "headstart.key"  # the tag with a hash of everything that determines a run, or a model


def as_user_error(method: Any) -> Any:
    """Make a method raise UserError if MLflow fails half-way, for example because the server is gone."""

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return method(*args, **kwargs)
        except MlflowException as error:
            reason = shown(str(error).splitlines()[0])[:200]
            where = shown(os.environ["MLFLOW_TRACKING_URI"])
            raise UserError(f"MLflow at {where}: {reason}\nWhat is trained is kept; run dvc repro again.") from None

    return call


def connect(root: Path) -> Any:
    """Return an MlflowClient; raise UserError, within seconds, if the server does not answer."""
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{root.resolve() / 'mlflow.db'}")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines and a request for each run
    os.environ.pop("MLFLOW_RUN_ID", None)  # `mlflow run` sets it, and all our runs would join that one
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
    uri = os.environ["MLFLOW_TRACKING_URI"]
    from filelock import FileLock
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    _check_reachable(uri)
    try:
        with FileLock(root / ".headstart-mlflow.lock"):  # creating the tables twice at once fails
            client = MlflowClient(tracking_uri=uri, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI") or uri)
            client.search_experiments(max_results=1)
            return client
    except (MlflowException, OSError) as error:
        reason = shown(str(error).splitlines()[0])[:200]
        raise UserError(f"MLflow at {shown(uri)}: {reason}. Start the server, or unset MLFLOW_TRACKING_URI.") from None


def _check_reachable(uri: str) -> None:
    """Raise UserError if a server's address is malformed, or if it does not answer within ten seconds."""
    try:
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https"):
            return
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=10)
        connection.request("GET", f"{parts.path.rstrip('/')}/health")
        connection.getresponse()  # any answer will do: a proxy may ask for a password first
    except (OSError, HTTPException, ValueError) as error:
        raise UserError(
            f"the MLflow server at {shown(uri)} (MLFLOW_TRACKING_URI) does not answer: {error}. "
            "Start it, or unset MLFLOW_TRACKING_URI to write to mlflow.db."
        ) from None


def shown(text: str) -> str:
    """Return a URI, or a message that quotes one, without its password."""
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)
