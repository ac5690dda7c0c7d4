"""A trained classifier: image files in, labels and probabilities out."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors.torch import load_file

from .decoding import decode
from .network import Network, apply_view, load_tensors


class Classifier:
    """A network with its class names, ready to label image files."""

    def __init__(self, folder: Path) -> None:
        """Load `model.json` and `model.safetensors` from a folder."""
        self.spec: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self.network = Network(self.spec)
        load_tensors(self.network, load_file(folder / "model.safetensors"))
        self.network.eval()

    def predict(self, images: Any) -> pd.DataFrame:
        """Label images: return a table with a row for each, of `label`, `probability`, and `p_<class>` for every class.

        Images are a list (or a one-column table) of file contents, as bytes or base64 text (white space is ignored),
        or one uint8 array (N, H, W) or (N, H, W, C). Raise ValueError naming the position of an image that cannot be
        read.
        """
        pixels = torch.from_numpy(np.stack([self._pixels(i, image) for i, image in enumerate(_listed(images))]))
        batches = pixels.permute(0, 3, 1, 2).split(64)
        with torch.inference_mode():
            probabilities = torch.cat([self._probabilities(batch) for batch in batches]).numpy()
        best = probabilities.argmax(1)
        table = pd.DataFrame(probabilities, columns=[f"p_{name}" for name in self.spec["classes"]])
        table.insert(0, "label", [self.spec["classes"][i] for i in best])
        table.insert(1, "probability", probabilities.max(1))
        return table

    def _probabilities(self, batch: torch.Tensor) -> torch.Tensor:
        """Return probabilities (N, classes), averaged over the views that the model was scored with."""
        views = self.spec["views"]
        return sum(self.network(apply_view(batch, view)).double().softmax(1) for view in views) / len(views)

    def _pixels(self, position: int, image: Any) -> np.ndarray:
        try:
            return decode(_content(image), self.spec["packed_size"], self.spec["channels"])
        except (ValueError, TypeError) as error:
            raise ValueError(f"image {position}: {error}") from None


def _listed(images: Any) -> list[Any]:
    if isinstance(images, pd.DataFrame):
        images = images["image"] if "image" in images else images.iloc[:, 0]
    if isinstance(images, (bytes, str)):
        images = [images]
    listed = list(images)
    if not listed:
        raise ValueError("no images: give a list of file contents or a uint8 array (N, H, W, C)")
    return listed


def _content(image: Any) -> bytes:
    """Return the bytes of an image file; arrays become lossless PNG, so that all images take the same path."""
    if isinstance(image, (bytes, bytearray)):
        return bytes(image)
    if isinstance(image, str):
        try:
            return base64.b64decode("".join(image.split()), validate=True)  # e-mail and `base64` wrap lines
        except ValueError:  # not ASCII, or not base64
            raise ValueError("text must be the base64 of an image file") from None
    array = np.asarray(image)
    if array.dtype != np.uint8 and not (array.dtype.kind in "iu" and array.min() >= 0 and array.max() <= 255):
        raise ValueError(f"arrays must be uint8, found {array.dtype}")
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ValueError(f"arrays must be (H, W) or (H, W, C), found {array.shape}")
    file = io.BytesIO()
    Image.fromarray(array.astype(np.uint8).squeeze(2) if array.shape[2:] == (1,) else array.astype(np.uint8)).save(
        file, "PNG"
    )
    return file.getvalue()


def _load_pyfunc(folder: str) -> Classifier:
    """Load the classifier of a registered model: the function that MLflow's pyfunc flavor calls."""
    return Classifier(Path(folder))
