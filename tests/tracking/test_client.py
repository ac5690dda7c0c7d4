import http.server
import os
import socket
import threading
import time

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import pytest

from pipeline.common.errors import UserError
from pipeline.tracking.client import connect


@pytest.fixture
def refused():
    """A port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield free.getsockname()[1]


@pytest.fixture
def silent():
    """A port at which somebody listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


class Foreign(http.server.BaseHTTPRequestHandler):
    """A web server that knows nothing of MLflow."""

    def log_message(self, *parts):
        pass


class Broken(Foreign):
    """A server that is well until it is asked for something."""

    def do_GET(self):
        if self.path.endswith("/health"):
            self.send_response(200)
            self.end_headers()

    do_POST = do_GET  # noqa: N815


@pytest.fixture
def serve():
    """A function that starts a web server and returns its port."""
    servers = []

    def start(handler):
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[0].serve_forever, args=(0.01,), daemon=True).start()
        return servers[0].server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["refused", "silent", "foreign", "broken"])
def port(request, serve):
    """The port of something on this machine that is no MLflow server."""
    handlers = {"foreign": Foreign, "broken": Broken}
    kind = request.param
    return serve(handlers[kind]) if kind in handlers else request.getfixturevalue(kind)


def test_a_server_that_does_not_answer_is_named_within_seconds_and_its_password_is_not(port, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:s3cret@127.0.0.1:{port}")
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        connect(tmp_path)
    assert time.monotonic() - began < 20
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "MLFLOW_TRACKING_URI" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:notaport", "nonsense://somewhere", "sqlite:////dev/null/a.db"])
def test_an_address_that_is_none_is_the_users_mistake(uri, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI"):
        connect(tmp_path)


def test_a_run_that_surrounds_the_process_is_forgotten(tracking_uri, tmp_path, monkeypatch):
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):  # `mlflow run` sets both
        monkeypatch.setenv(name, "7")
    connect(tmp_path)
    assert not {"MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"} & set(os.environ)
