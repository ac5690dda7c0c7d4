"""A registered model behind `mlflow models serve`, over HTTP: what it answers, and what it refuses."""

import base64
import json
import os
import random
import re
import shlex
import signal
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

import pytest
from mlflow import MlflowClient

from pipeline.inference.classifier import Classifier
from pipeline.tracking import logged_models
from tests.support.imports import ROOT
from tests.support.pictures import saved, smooth
from tests.support.served import tiny_model
from tests.support.servers import free_port

pytestmark = pytest.mark.slow
PICTURE = saved(smooth())
TEXT = base64.b64encode(PICTURE).decode()
MODEL = "headstart-elpv"  # the name that the documents have


@pytest.fixture(scope="module")
def registered(mlflow_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Path]:
    """The environment in which models:/headstart-elpv@champion is registered, and the folder it was made of."""
    root = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{root / 'mlflow.db'}"
    (root / "mlflow.db").write_bytes(mlflow_template.read_bytes())
    folder, client = tiny_model(root / "model"), MlflowClient(uri, uri)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLFLOW_TRACKING_URI", uri)
        run = client.create_run(client.create_experiment("tiny", (root / "mlartifacts").as_uri())).info.run_id
        model = logged_models.find_or_log(client, run, folder, "frozen", {}, smooth())
    client.create_registered_model(MODEL)
    version = client.create_model_version(MODEL, f"models:/{model}", model_id=model)
    client.set_registered_model_alias(MODEL, "champion", version.version)
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    return environment | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}, folder


def documented(words: str) -> list[str]:
    """Return the words of the one command of docs/models.md that begins so."""
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = re.findall(rf"^(?:\w+=\S+ )*uv run ({words} .*)$", text, re.MULTILINE)
    return shlex.split(line)


class Server:
    """What answers at an address."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.url, self.process = f"http://127.0.0.1:{port}", process

    def send(self, body: Any, kind: str = "application/json") -> tuple[int, Any]:
        """Post a body, bytes or what becomes JSON; return the status and the answer, which must be JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/invocations", data, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else text.decode()

    def memory(self) -> float:
        """Return the memory of its processes, in MB."""
        group = os.getpgid(self.process.pid)
        found = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdecimal()]
        return sum(_resident(pid) for pid in found if _group(pid) == group)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -1


def _resident(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0


@pytest.fixture(scope="module")
def server(registered: tuple[dict[str, str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The documented command, at a free port."""
    port, environment = free_port(), registered[0]
    words = documented("mlflow models serve")
    words[words.index("--port") + 1] = str(port)
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(words, env=environment, stdout=out, stderr=out, cwd=log.parent,
                                   start_new_session=True)  # fmt: skip
    started, latest = Server(port, process), time.monotonic() + 120
    try:
        while True:
            try:
                urllib.request.urlopen(f"{started.url}/ping", timeout=5)
                break
            except OSError:
                assert process.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < latest, log.read_text()[-3000:]
                time.sleep(0.3)
        yield started
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_base64_image_is_answered_in_each_form_of_a_request(server, registered):
    (expected,) = Classifier(registered[1]).predict([PICTURE]).to_dict("records")
    label = expected.pop("label")
    table = {"columns": ["image"], "data": [[TEXT]]}
    for body in ({"inputs": [TEXT]}, {"instances": [TEXT]}, {"dataframe_split": table},
                 {"dataframe_records": [{"image": TEXT}]}):  # fmt: skip
        status, answer = server.send(body)
        assert status == 200, (body, answer)
        (row,) = answer["predictions"]
        assert (row.pop("label"), row) == (label, pytest.approx(expected, rel=1e-5)), body


def test_the_documented_request_is_answered(server, tmp_path):
    example = next(code for code in python_blocks() if "/invocations" in code)
    (tmp_path / "photo.png").write_bytes(PICTURE)
    code = example.replace("http://127.0.0.1:5001", server.url)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("{'predictions': [{'label': '")


def test_the_documented_example_in_python_is_answered(registered, tmp_path):
    environment, _ = registered
    example = next(code for code in python_blocks() if "mlflow.pyfunc.load_model" in code)
    assert 'mlflow.set_tracking_uri("sqlite:///mlflow.db")' in example
    (tmp_path / "cell0001.png").write_bytes(PICTURE)
    code = example.replace("sqlite:///mlflow.db", environment["MLFLOW_TRACKING_URI"])
    code = code.replace("data/raw/elpv/images/", "")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.split()[:4] == ["label", "probability", "p_low", "p_top"]


def test_the_documented_commands_label_a_file_of_images_and_a_folder(registered, tmp_path):
    environment, folder = registered
    (expected,) = Classifier(folder).predict([PICTURE]).to_dict("records")
    (tmp_path / "images.json").write_text(json.dumps({"inputs": [TEXT]}))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.png").write_bytes(PICTURE)
    for words in (documented("mlflow models predict"), documented("headstart predict")):
        if words[0] == "headstart":
            words[:1] = [sys.executable, "-m", "pipeline.commands"]
        done = subprocess.run(words, cwd=tmp_path, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True,
                              text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
    (row,) = json.loads((tmp_path / "answers.json").read_text())["predictions"]
    assert row["label"] == expected["label"]
    assert row["p_low"] == pytest.approx(expected["p_low"], rel=1e-5)
    assert f"one.png,{expected['label']}," in (tmp_path / "predictions.csv").read_text()


def python_blocks() -> list[str]:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def bomb(side: int) -> bytes:
    """Return a PNG file of a few kilobytes, black and with this many pixels a side."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packed, row = zlib.compressobj(9), bytes(side // 8 + 1)
    lines = b"".join([*(packed.compress(row) for _ in range(side)), packed.flush()])
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def as_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


REFUSED: dict[str, tuple[Any, str]] = {
    "no image": ({"inputs": [as_text(b"hello")]}, r"^image 0: not a readable image \(of no known format\)$"),
    "a truncated PNG": ({"inputs": [TEXT, as_text(PICTURE[:100])]}, "^image 1: not a readable image"),
    "a bomb": ({"inputs": [as_text(bomb(20_000))]}, "^image 0: its pixels are over the limit of 50000000$"),
    "a huge batch": ({"inputs": [TEXT] * 1001}, "^1001 images are over the limit of 1000 in one call; send fewer"),
    "none": ({"inputs": []}, ""),
    "an empty file": ({"inputs": [""]}, "^image 0: the file is empty$"),
    "bad base64": ({"dataframe_split": {"columns": ["image"], "data": [["no base64!"]]}}, ""),
    "a number": ({"inputs": [5]}, ""),
    "null": ({"inputs": None}, ""),
    "nested": ({"inputs": [[[TEXT]]]}, ""),
    "an object": ({"inputs": {"a": {"b": 1}}}, ""),
    "a list": ([], ""),
    "no key": ({"image": TEXT}, ""),
    "no JSON": (b"{", ""),
    "no text": (b"\xff\xfe", ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_labelled_is_refused_with_a_sentence(server, name):
    body, said = REFUSED[name]
    status, answer = server.send(body)
    assert (status, set(answer) >= {"error_code", "message"}) == (400, True), answer
    assert re.search(said, answer["message"]), answer
    assert server.send({"inputs": [TEXT]})[0] == 200


def mutated(rng: random.Random) -> Any:
    """Return what a careless or hostile client may send."""
    data = bytearray(saved(smooth(), rng.choice(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "ICO", "PPM"])))
    kind = rng.randrange(7)
    if kind == 0:
        return rng.randbytes(rng.randrange(300))
    if kind == 1:
        data = data[: rng.randrange(len(data))]
    if kind == 2:
        for _ in range(rng.randrange(1, 30)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    if kind == 3:  # sizes and lengths stand at the beginning
        for _ in range(rng.randrange(1, 8)):
            data[rng.randrange(min(80, len(data)))] = rng.choice((0, 127, 128, 255))
    if kind == 4:
        wrong = [None, True, -1, 1e300, "", "é", [], {}, [TEXT], {"b": TEXT}, "A" * rng.randrange(50)]
        return {rng.choice(["inputs", "instances", "dataframe_records", "x"]): rng.choices(wrong, k=rng.randrange(4))}
    if kind == 5:
        text = bytearray(json.dumps({"inputs": [TEXT]}).encode())
        for _ in range(rng.randrange(1, 9)):
            text[rng.randrange(len(text))] = rng.randrange(256)
        return bytes(text)
    if kind == 6:
        return {"inputs": [TEXT] * rng.choice((1, 2, 1500, 4000))}
    return {"inputs": [as_text(bytes(data))]}


def test_a_thousand_fuzzed_requests_are_answered_or_refused_and_memory_stays_bounded(server):
    rng, seen = random.Random(0), {200: 0, 400: 0}
    for _ in range(50):
        server.send(mutated(rng))
    before = server.memory()
    for number in range(1000):
        body = mutated(rng)
        status, answer = server.send(body)
        assert status in seen, (number, status, answer, str(body)[:300])
        assert isinstance(answer, dict), (number, status, answer)
        seen[status] += 1
    assert min(seen.values()) > 100
    assert server.memory() < before + 400
    assert server.send({"inputs": [TEXT]})[0] == 200
