"""What serving adds to the network: `mlflow models serve` at batch 1, beside the bare forward pass, ONNX beside torch.

`python -m benchmarks.serving models/frozen models/finetune` writes benchmarks/results/serving.json and .md. All are
timed in turn, in one run and with one thread, so that what else the machine does falls on all of them.
"""

import argparse
import base64
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.machine import machine, sentence
from pipeline.common.files import read_json, write_json, write_text
from pipeline.inference.classifier import Classifier
from pipeline.inference.network import apply_view
from pipeline.network.onnx_export import export_onnx

OUT = Path(__file__).parent / "results"
ONE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
MOST = 1.3  # times the bare network that serving may take, decoding apart


def logged(folder: Path, root: Path) -> str:
    """Log a model in a database of its own; return the URI of its files."""
    from mlflow import MlflowClient

    from pipeline.tracking import logged_models

    uri = os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{root / 'mlflow.db'}"
    client = MlflowClient(uri, uri)
    run = client.create_run(client.create_experiment(folder.name, (root / "mlartifacts").as_uri())).info.run_id
    return str(
        client.get_logged_model(logged_models.find_or_log(client, run, folder, folder.name, {})).artifact_location
    )


@contextmanager
def serving(model: str, log: Path) -> Iterator[int]:
    """Run `mlflow models serve` on loopback; yield its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local", "--port", str(port)]
    with log.open("wb") as said:
        process = subprocess.Popen([sys.executable, *words], env={**os.environ, **ONE}, stdout=said, stderr=said,
                                   start_new_session=True)  # fmt: skip
        try:
            latest = time.monotonic() + 300
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > latest:
                    raise RuntimeError(log.read_text()[-2000:])
                time.sleep(0.5)
            yield port
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except OSError:
        return False


def measure(folder: Path, rounds: int, root: Path) -> dict[str, Any]:
    """Return the median milliseconds of each way to label one image."""
    import onnxruntime

    classifier = Classifier(folder)
    size, channels = classifier.spec["packed_size"], classifier.spec["channels"]
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, channels), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if channels == 1 else pixels).save(file, "PNG")
    body = json.dumps({"inputs": [base64.b64encode(file.getvalue()).decode()]})
    batch = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)
    gap = export_onnx(classifier, root / "m.onnx", {})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(root / "m.onnx"), options, providers=["CPUExecutionProvider"])
    views = classifier.spec["views"]

    def network() -> None:
        with torch.inference_mode():
            for view in views:
                classifier.network(apply_view(batch, view)).softmax(1)

    with serving(logged(folder, root), root / "log") as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

        def served() -> None:
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()

        ways = {
            "decoding": lambda: classifier.decoded(file.getvalue()),
            "network": network,
            "classifier": lambda: classifier.predict([file.getvalue()]),
            "served": served,
            "onnx": lambda: session.run(None, {"images": batch.numpy()}),
        }
        taken = _in_turn(ways, rounds)
    served_alone = taken["served"] - taken["decoding"]
    return {
        "milliseconds": taken,
        "views": len(views),
        "parity": gap,
        "served_over_network": served_alone / taken["network"],
        "onnx_over_network": taken["onnx"] / taken["network"],
    }


def _in_turn(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each way; they take turns, so that noise falls on all alike."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 5):
        for name, call in ways.items():
            start = time.perf_counter()
            call()
            if number >= 5:  # the first ones warm up
                taken[name].append(1000 * (time.perf_counter() - start))
    return {name: float(np.median(times)) for name, times in taken.items()}


def show(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    names = ("decoding", "network", "classifier", "served", "onnx")
    lines = [
        "# One image at a time", "",
        f"Medians of {result['rounds']} calls in milliseconds, one thread, all in turn. {sentence(result['machine'])}",
        "",
        "`network` is the forward pass of all views, from pixels to probabilities; `classifier` adds decoding and the "
        "table; `served` is `mlflow models serve`, asked over HTTP with a PNG in base64. No ratio has decoding.",
        "", f"| model | views | {' | '.join(names)} | served / network | onnx / network |",
        "|---|" + "---:|" * (len(names) + 3),
    ]  # fmt: skip
    for model, found in result["models"].items():
        times = " | ".join(f"{found['milliseconds'][name]:.1f}" for name in names)
        lines.append(f"| {model} | {found['views']} | {times} | {found['served_over_network']:.2f} | "
                     f"{found['onnx_over_network']:.2f} |")  # fmt: skip
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 where serving takes more than MOST times the network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", help="folders of models/")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--out", type=Path, default=OUT, help="folder for serving.json and .md")
    args = parser.parse_args(argv)
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true"}
    torch.set_num_threads(1)
    found = {}
    for folder in args.models:
        with tempfile.TemporaryDirectory() as root:
            found[folder.name] = measure(folder.resolve(), args.rounds, Path(root))
    result = {"models": found, "rounds": args.rounds, "machine": machine("mlflow", "torch", "onnxruntime")}
    write_json(args.out / "serving.json", result)
    shown = show(read_json(args.out / "serving.json"))
    write_text(args.out / "serving.md", shown)
    print(shown)
    return 0 if all(each["served_over_network"] <= MOST for each in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
