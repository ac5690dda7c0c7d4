"""Nothing is ever unpickled: every stage and command runs in a process in which that raises."""

import json
import os
import pickle
import subprocess
import sys

import pytest

from tests.stages.conftest import ENABLED
from tests.support.imports import ROOT

pytestmark = pytest.mark.slow

# What Python runs first of all. Processes of `multiprocessing` talk to each other in pickles, which no file is.
REFUSING = """
import _pickle, pickle, sys

def refusing(real):
    def load(*args, **options):
        if sys._getframe(1).f_globals.get("__name__", "").startswith("multiprocessing."):
            return real(*args, **options)
        raise AssertionError("something was unpickled")
    return load

class Unpickler(pickle._Unpickler):
    def __init__(self, *args, **options):
        raise AssertionError("something was unpickled")

for module in (pickle, _pickle):
    module.load, module.loads = refusing(module.load), refusing(module.loads)
    module.Unpickler = Unpickler
pickle._load, pickle._loads, pickle._Unpickler = pickle.load, pickle.loads, Unpickler
"""

RUN = """
import json, sys
from importlib import import_module

for module, words in json.loads(sys.argv[1]):
    print(module, *words[:2], flush=True)
    assert import_module(module).main(words) == 0, (module, words)
"""

LOAD = """
import sys
from pathlib import Path
import mlflow
image = Path(sys.argv[1]).read_bytes()
print(mlflow.pyfunc.load_model("models:/tiny@best-frozen").predict([image])["label"][0])
"""


@pytest.fixture
def refuse(tmp_path):
    """A function that runs a program in which nothing can be unpickled, and returns what it said."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(REFUSING)

    def run(program, *words, cwd=tmp_path, **environment):
        environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'first'}:{ROOT}", **environment}
        return subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False,
                              cwd=cwd, env=environment)  # fmt: skip

    return run


@pytest.mark.parametrize(
    "load",
    [
        "import pickle; pickle.loads({})",
        "import cloudpickle; cloudpickle.loads({})",
        "import io, joblib; joblib.load(io.BytesIO({}))",
        "import io, numpy; numpy.load(io.BytesIO({}), allow_pickle=True)",
        "import io, torch; torch.load(io.BytesIO({}), weights_only=False)",
    ],
)
def test_whatever_unpickles_is_caught(refuse, load):
    done = refuse(load.format(repr(pickle.dumps([1]))))
    assert done.returncode == 1
    assert "something was unpickled" in done.stderr


def test_no_stage_no_command_and_no_load_of_a_registered_model_unpickles_anything(refuse, new_chain, image_folder):
    chain = new_chain()
    work, params = str(chain.root / "work"), str(chain.root / "params.yaml")
    raw = [sys.argv[0], str(chain.root / "dev"), str(chain.root / "test")]
    prepared = {"dev": raw[1], "test": raw[2], "summary": str(chain.root / "summary"),
                "timings": str(chain.root / "timings.json"), "params": params}  # fmt: skip
    for_each = [(stage, arm) for stage in ("tune", "train") for arm in ENABLED]
    stages = [
        ("prepare", ""),
        ("weights", ""),
        ("views", ""),
        *for_each,
        ("race", ""),
        ("compare", ""),
        ("register", ""),
    ]
    own = {"prepare": [word for name, path in prepared.items() for word in (f"--{name}", path)],
           "weights": ["--out", str(chain.root / "weights"), "--params", params]}  # fmt: skip
    jobs = [(f"pipeline.stages.{stage}", own.get(stage) or chain.command(stage, arm)) for stage, arm in stages]
    folder, out = str(image_folder), str(chain.root / "predictions.csv")
    commands = [
        ["check", folder, "--params", params],
        ["init", folder, "--params", params, "--dry-run"],
        ["rank", "efficientnet_lite0", "--image-size", "32", "--dev", str(chain.prepared.dev), "--work", work,
         "--params", params],
        ["cache", "list", "--work", work],
        ["report", str(chain.root / "results" / "report.html"), "--print"],
        ["predict", folder, "--model", "models:/tiny@best-frozen", "--out", out],
        ["predict", folder, "--model", str(chain.root / "models" / "frozen"), "--out", out, "--overwrite"],
    ]  # fmt: skip
    jobs += [("pipeline.commands.app", words) for words in commands]
    environment = {"MLFLOW_TRACKING_URI": chain.uri, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    done = refuse(RUN, json.dumps(jobs), **environment)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    loaded = refuse(LOAD, str(image_folder / "000.png"), **environment)
    assert loaded.stdout.strip() in ("low", "top"), loaded.stderr[-3000:]


def test_the_command_status_unpickles_nothing(refuse, tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    done = refuse(RUN, json.dumps([("pipeline.commands.app", ["status"])]), cwd=clone)
    assert done.returncode == 0, done.stderr[-3000:]
