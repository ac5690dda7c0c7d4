"""A trained classifier: image files in, labels and probabilities out."""

import base64
import io
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors.torch import load_file

from .decoding import decode
from .limits import Limits
from .network import Network, apply_view, load_tensors

_BASE64, _PLAIN = re.compile(rb"[A-Za-z0-9+/\s]+={0,2}\s*"), re.compile(rb"P[1-6]\s")
USUAL = Limits()
BATCH = 64  # images that go through the network at a time
UNKNOWN = "unknown"  # the label of what the model is not sure enough of, if that is asked for


class Classifier:
    """A network with its class names, ready to label image files."""

    def __init__(self, folder: Path, limits: Limits = USUAL) -> None:
        """Load `model.json` and `model.safetensors` from a folder."""
        self.limits = limits
        self.spec: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self.network = Network(self.spec)
        load_tensors(self.network, load_file(folder / "model.safetensors"))
        self.network.eval()

    def predict(self, images: Any, unknown: bool = False) -> pd.DataFrame:
        """Label images: return a table with a row for each, of `label`, `probability`, and `p_<class>` for every class.

        With `unknown`, the label is UNKNOWN where the probability is below the threshold that training found.

        Images are a list (or a one-column table) of file contents, as bytes or base64 text (white space is ignored),
        or one uint8 array (N, H, W) or (N, H, W, C). Raise ValueError naming the position of an image that cannot be
        read, for what is over the limits, and where the model has no such threshold.
        """
        listed = _listed(images)
        self.limits.check_images(len(listed))
        return self.classify([self._decoded_at(number, image) for number, image in enumerate(listed)], unknown)

    def decoded(self, image: Any) -> np.ndarray:
        """Return an image as the network takes it, uint8 (H, W, C); raise ValueError or TypeError if that cannot be."""
        content = _content(image, self.limits)
        return decode(content, self.spec["packed_size"], self.spec["channels"], self.limits.max_pixels)

    def classify(self, decoded: Sequence[np.ndarray], unknown: bool = False) -> pd.DataFrame:
        """Label one or more images, however many, that `decoded` has made; return what `predict` does."""
        threshold = self.threshold() if unknown else 0.0
        batches = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).split(BATCH)
        with torch.inference_mode():
            probabilities = torch.cat([self._probabilities(batch) for batch in batches]).numpy()
        best = probabilities.argmax(1)
        table = pd.DataFrame(probabilities, columns=[f"p_{name}" for name in self.spec["classes"]])
        table.insert(0, "label", [self.spec["classes"][i] for i in best])
        table.insert(1, "probability", probabilities.max(1))
        if unknown:
            table.loc[table["probability"] < threshold, "label"] = UNKNOWN
        return table

    def threshold(self) -> float:
        """Return the probability below which an image is unknown; raise ValueError where the model has none."""
        found = self.spec.get("unknown")
        if found is None:
            raise ValueError("this model has no threshold for unknown images: it was trained by an older version")
        return float(found["threshold"])

    def _probabilities(self, batch: torch.Tensor) -> torch.Tensor:
        """Return probabilities (N, classes), averaged over the views that the model was scored with."""
        views = self.spec["views"]
        return sum(self.network(apply_view(batch, view)).double().softmax(1) for view in views) / len(views)

    def _decoded_at(self, position: int, image: Any) -> np.ndarray:
        try:
            return self.decoded(image)
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


def _content(image: Any, limits: Limits) -> bytes:
    """Return the bytes of an image file; arrays become lossless PNG, so that all images take the same path."""
    if isinstance(image, str):
        image = _from_base64(image, limits)
    if isinstance(image, (bytes, bytearray)):
        content = _unpacked(bytes(image))
        limits.check_bytes(len(content))
        return content
    array = np.asarray(image)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ValueError(f"arrays must be (H, W) or (H, W, C), and of uint8; found {array.shape} of {array.dtype}")
    limits.check_pixels(*array.shape[:2])
    if array.dtype != np.uint8 and not (array.dtype.kind in "iu" and array.min() >= 0 and array.max() <= 255):
        raise ValueError(f"arrays must be uint8, found {array.dtype}")
    pixels = array.astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2:] == (1,) else pixels).save(file, "PNG")
    return file.getvalue()


def _from_base64(text: str, limits: Limits) -> bytes:
    packed = "".join(text.split())  # e-mail and `base64` wrap lines
    limits.check_bytes(3 * (len(packed) // 4) - 2)  # at least so many, of any text that is base64
    try:
        return base64.b64decode(packed, validate=True)
    except ValueError:  # not ASCII, or not base64
        raise ValueError("text must be the base64 of an image file") from None


def _unpacked(data: bytes) -> bytes:
    """Return the bytes of an image file, which may be in base64: of `inputs`, MLflow's server hands that on as bytes.

    Of image files, only the plain forms of PPM have no other characters.
    """
    if _BASE64.fullmatch(data) and not _PLAIN.match(data):
        with suppress(ValueError):
            return base64.b64decode(b"".join(data.split()), validate=True)
    return data
