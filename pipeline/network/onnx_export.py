"""A classifier as one ONNX file: preprocessing, network, softmax, and the mean over the views it was scored with."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.common.errors import UserError, first_line
from pipeline.common.files import atomic
from pipeline.inference.classifier import Classifier
from pipeline.inference.network import Network, apply_view

INPUT, OUTPUT = "images", "probabilities"
PARITY = 1e-5  # the largest difference of a probability from PyTorch's
MISSING = "ONNX needs packages of its own: uv sync --extra onnx"


class Probabilities(nn.Module):
    """Probabilities of uint8 images, as `Classifier` averages them; all views go through the network at once."""

    def __init__(self, network: Network, views: list[str]) -> None:
        super().__init__()
        self.network, self.views = network, views

    def forward(self, images: Tensor) -> Tensor:
        """Return probabilities (N, classes), float32, of images (N, C, S, S)."""
        seen = torch.cat([apply_view(images, view) for view in self.views])
        return self.network(seen).softmax(1).unflatten(0, (len(self.views), -1)).mean(0)


def export_onnx(classifier: Classifier, out: Path, described: dict[str, str]) -> float:
    """Write a classifier as ONNX, with `described` among its metadata; return its largest difference from PyTorch.

    It takes uint8 images (N, channels, packed_size, packed_size), however many. Raise UserError where a package is
    missing, the network cannot be exported, or its probabilities differ by more than PARITY: then nothing is written.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError:
        raise UserError(MISSING) from None
    program = _exported(classifier)
    keys = ("classes", "packed_size", "channels", "views")
    program.model.metadata_props.update({key: json.dumps(classifier.spec[key]) for key in keys} | described)
    with atomic(out) as temporary:
        program.save(str(temporary))
        session = onnxruntime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
        gap = _largest_gap(classifier, session)
        if not gap <= PARITY:
            raise UserError(f"{out}: not written: its probabilities differ from PyTorch's by up to {gap:.1g}, which "
                            f"is over {PARITY:.0e}")  # fmt: skip
    return gap


def _exported(classifier: Classifier) -> Any:
    module = Probabilities(classifier.network, classifier.spec["views"]).eval()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.onnx.export(
                module, (random_images(classifier, 2),), dynamo=True, verbose=False, input_names=[INPUT],
                output_names=[OUTPUT], dynamic_shapes=({0: torch.export.Dim("n", min=1)},), external_data=False,
            )  # fmt: skip
    except Exception as error:  # of the exporter, which has many
        name = classifier.spec["architecture"]
        raise UserError(f"{name} cannot be exported to ONNX: {first_line(error)}") from None


def random_images(classifier: Classifier, count: int) -> Tensor:
    """Return noise as a classifier's network takes it, uint8 (count, C, S, S); always the same."""
    size, channels = classifier.spec["packed_size"], classifier.spec["channels"]
    noise = np.random.default_rng(0).integers(0, 256, (count, channels, size, size), dtype=np.uint8)
    return torch.from_numpy(noise)


def _largest_gap(classifier: Classifier, session: Any) -> float:
    """Compare on noise, one image and several: both sizes of a batch must work."""
    gaps = []
    for count in (1, 5):
        images = random_images(classifier, count)
        (found,) = session.run([OUTPUT], {INPUT: images.numpy()})
        expected = classifier.classify([*images.permute(0, 2, 3, 1).numpy()])
        gaps.append(np.abs(found - expected.iloc[:, 2:].to_numpy()).max())
    return float(max(gaps))
