"""One training of one tool, in a process of its own: what it scores on test, and all the CPU time of that process."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline.common.errors import UserError
from pipeline.common.files import read_json, write_json
from pipeline.common.progress import one_thread_pool, quiet

ROOT = Path(__file__).resolve().parent.parent.parent


def in_a_process(task: str, folder: Path, tool: str, valid_fraction: float, seed: int) -> dict[str, Any]:
    """Train and score; return what `train` does. Raise UserError where that process fails."""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "found.json"
        job = {"task": task, "folder": str(folder.resolve()), "tool": tool, "valid_fraction": valid_fraction,
               "seed": seed, "out": str(out)}  # fmt: skip
        command = [sys.executable, "-m", "benchmarks.peers.training", json.dumps(job)]
        ended = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})
        if ended.returncode:
            raise UserError(f"{tool} on {task}, seed {seed}: ended with code {ended.returncode}; what it said is above")
        found: dict[str, Any] = read_json(out)
        return found


def train(task: str, folder: Path, tool: str, valid_fraction: float, seed: int) -> dict[str, Any]:
    """Train a tool on a task's train and valid, then open test; return scores, CPU-seconds and settings."""
    import torch

    from benchmarks.peers.tasks import Folders
    from benchmarks.peers.tools import TOOLS
    from pipeline.common.timing import cpu_seconds
    from pipeline.training.metrics import score

    def show(epoch: int, of: int) -> None:
        print(f"\r{task}, {tool}, seed {seed}: epoch {epoch} of {of}, {cpu_seconds():.0f} CPU-seconds",
              end="\n" if epoch == of else "", file=sys.stderr, flush=True)  # fmt: skip

    torch.set_num_threads(1)
    folders = Folders(folder)
    data = folders.training(valid_fraction, seed)
    predict, settings, chosen = TOOLS[tool].fit()(data, seed, show)
    test = folders.testing()
    found = score(test.labels, predict(test.paths))
    return {
        "seed": seed,
        "accuracy": found["accuracy"],
        "auc": found["roc_auc"],
        "log_loss": found["log_loss"],
        "cpu_seconds": cpu_seconds(),  # of the whole process, imports too, as a stage of ours is measured
        "chosen": chosen,
        "settings": {"image_size": data.size, **settings},
    }


def main(text: str) -> None:
    """Run a job that is given as JSON."""
    one_thread_pool(1)
    quiet()
    job = json.loads(text)
    out = Path(job.pop("out"))
    write_json(out, train(**{**job, "folder": Path(job["folder"])}))


if __name__ == "__main__":
    main(sys.argv[1])
