"""CIFAR-10 and CIFAR-100, whose files are pickles: fetched and checked by torchvision, read by a reader of our own.

An ordinary unpickler runs whatever a file tells it to. This one makes numpy arrays, text and numbers, and nothing else.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy._core.multiarray import _reconstruct

SHAPE = (3, 32, 32)


def _encoded(text: str, _: str) -> bytes:
    return text.encode("latin1")


class _Plain(pickle.Unpickler):
    """Reads dicts, lists, text, numbers and numpy arrays."""

    known: dict[tuple[str, str], Callable[..., Any]] = {  # noqa: RUF012
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _encoded,  # how Python 3 writes bytes for Python 2
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return one of `known`; raise ValueError for anything else."""
        if (module, name) not in self.known:
            raise ValueError(f"asks for {module}.{name}, which no file of CIFAR does; it may be an attack")
        return self.known[module, name]


def plain(stream: BinaryIO) -> Any:
    """Return what a pickle of plain values holds; raise ValueError for any other."""
    try:
        return _Plain(stream, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"not a readable pickle: {error}") from None


class Batches:
    """Images (H, W, 3) of uint8 and numbers of classes, as a data set of torchvision gives them."""

    def __init__(self, kind: Any, root: Path, train: bool, download: bool) -> None:
        """Fetch the files where they are wanted, and read them.

        `kind` is torchvision's CIFAR10 or CIFAR100. Raise RuntimeError where a file is missing or has another
        checksum than torchvision knows.
        """
        from torchvision.datasets.utils import check_integrity

        files = kind.__new__(kind)  # its own constructor would unpickle
        files.root = str(root)
        if download:
            files.download()
        folder, meta = root / kind.base_folder, kind.meta
        if not files._check_integrity() or not check_integrity(folder / meta["filename"], meta["md5"]):
            raise RuntimeError("a file is missing, or not the one that was published")
        self.images, self.targets = read([folder / name for name, _ in (kind.train_list if train else kind.test_list)])
        with (folder / meta["filename"]).open("rb") as stream:
            self.classes: list[str] = plain(stream)[meta["key"]]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[np.ndarray, int]:
        """Return an image and the number of its class."""
        return self.images[row], self.targets[row]


def read(files: list[Path]) -> tuple[np.ndarray, list[int]]:
    """Return images (N, 32, 32, 3) of uint8 and their (fine) classes; raise ValueError for what is no batch."""
    images, targets = [], []
    for file in files:
        with file.open("rb") as stream:
            batch = plain(stream)
        rows, labels = batch["data"], batch["labels" if "labels" in batch else "fine_labels"]
        if rows.dtype != np.uint8 or rows.shape != (len(labels), int(np.prod(SHAPE))):
            raise ValueError(f"{file.name}: {len(labels)} labels, and pixels {rows.dtype} of the shape {rows.shape}")
        images.append(rows.reshape(-1, *SHAPE).transpose(0, 2, 3, 1))
        targets += labels
    return np.concatenate(images), targets
