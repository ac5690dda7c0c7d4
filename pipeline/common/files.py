"""What is written to disk: JSON that is the same to the byte for the same values, never half a file."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Epoch:
    """Scores after one epoch: mean training loss (nats), validation scores by metric name."""

    number: int  # from 1
    train_loss: float
    valid: dict[str, float]


@dataclass(frozen=True)
class Cost:
    """Floating-point operations by what they were spent on; sizes in parameters."""

    passes: dict[str, int]  # feature passes over every view of the images, by stem, as if nobody shared them
    fit_flops: int  # forward and backward through what is trained, and the validation passes
    predict_flops: int  # one image through the whole network
    parameters: int
    trainable_parameters: int

    @property
    def train_flops(self) -> int:
        """Return what one training costs on its own."""
        return sum(self.passes.values()) + self.fit_flops

    def measures(self) -> dict[str, float]:
        """Return the sizes under the names they have in results and in MLflow."""
        return {
            "train_flops": self.train_flops,
            "fit_flops": self.fit_flops,
            "predict_flops": self.predict_flops,
            "parameters": self.parameters,
            "trainable_parameters": self.trainable_parameters,
        }


@dataclass(frozen=True)
class Outcome:
    """The result of one unit of work."""

    epochs: list[Epoch]
    cost: Cost
    failed: str = ""  # why it stopped early, where it did
    valid: dict[str, Any] = field(default_factory=dict)  # rows of the images scored, and their probabilities
    test: dict[str, Any] = field(default_factory=dict)  # the same; empty unless the unit was to open the test split
    images: int = 0  # that it was trained on

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> "Outcome":
        """Rebuild an Outcome from `asdict` of one."""
        epochs = [Epoch(**epoch) for epoch in raw["epochs"]]
        return cls(**{**raw, "epochs": epochs, "cost": Cost(**raw["cost"])})


def digest(value: Any) -> str:
    """Return 16 hex digits that identify a JSON-able value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def source_digest(names: tuple[str, ...]) -> str:
    """Return a hash of the code of these modules of the package, so that no result outlives the code that made it.

    Read once a process: files edited while it runs are not the code that it runs.
    """
    files = sorted(Path(__file__).parents[1] / f"{name}.py" for name in names)
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return asdict(value)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without an error.

    Raise UserError where `path` cannot be written. An OSError of the block that names another file passes through.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # names a parent
        raise _unwritable(path, error) from error
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if _is_about(temporary, error):
            raise _unwritable(path, error) from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _is_about(path: Path, error: OSError) -> bool:
    """Say whether an error is one of writing `path`: it names it, or no file at all."""
    named = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return not named or str(path) in named


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot be written: {error.strerror}; free space or rights, then run again")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file: sorted keys, floats to 12 significant digits, a final newline."""
    with atomic(path) as temporary:
        text = json.dumps(_rounded(json.loads(json.dumps(value, default=_plain))), indent=1, sort_keys=True)
        temporary.write_text(text + "\n", encoding="utf-8")


def write_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table with floats to 12 significant digits."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.12g", lineterminator="\n")


def read_csv(path: Path, types: dict[str, type] | None = None) -> "pd.DataFrame":
    """Read a table, columns of these types; raise UserError where it is missing or damaged."""
    import pandas as pd

    try:
        return pd.read_csv(path, dtype=types)
    except FileNotFoundError:
        raise UserError(f"{path}: not there; run the stage that makes it: dvc repro") from None
    except ValueError as error:  # pandas' errors of parsing among them
        raise UserError(f"{path}: not a valid table ({error}); delete it and run dvc repro") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def file_digest(path: Path) -> str:
    """Return a hash of a file's content; raise UserError where it is missing."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except FileNotFoundError:
        raise UserError(f"{path}: not there; run the stage that makes it: dvc repro") from None


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value


def read_json(path: Path) -> Any:
    """Read a JSON file; raise UserError where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not there; run the stage that makes it: dvc repro") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run dvc repro") from None


def once(path: Path, work: Callable[[], Any]) -> Any:
    """Return what the JSON file at `path` holds; where there is none, do the work and write it first."""
    if not path.exists():
        write_json(path, work())
    return read_json(path)
