"""What made the results: the commit, the packages, and where each test image came from."""

import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

PACKAGES = ("torch", "torchvision", "timm", "optuna", "mlflow", "dvc", "scikit-learn", "numpy", "pandas")


def commit(root: Path) -> str:
    """Return the commit of a folder, marked where files differ from it; empty outside of a repository."""
    git = subprocess.run(["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
                         capture_output=True, text=True, check=False)  # fmt: skip
    return git.stdout.strip()


def about(root: Path, manifest: Path) -> dict[str, Any]:
    """Return what the report says of how to reproduce it; the manifest tells the path of each test image."""
    made = commit(root)
    rows = pd.read_csv(manifest, dtype=str, usecols=["id", "path"])
    checkout = [f"git checkout {made.removesuffix('-dirty')}"] if made else []
    return {
        "commit": made,
        "versions": {name: version(name) for name in PACKAGES},
        "commands": [*checkout, "pip install uv", "uv run dvc repro"],
        "paths": dict(zip(rows["id"], rows["path"])),
    }
