"""What `headstart predict --explain` writes: each image in grey, coloured where the model saw its answer."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.common.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from pipeline.inference.classifier import Classifier

AT_ONCE = 16  # images: a backward pass keeps all maps of all stages


class Explanations:
    """A folder with a PNG for each image, under the image's own path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, classifier: "Classifier", images: Mapping[str, "np.ndarray"]) -> None:
        """Write the maps of decoded images by path; raise UserError where that cannot be."""
        from PIL import Image

        from pipeline.common.files import atomic
        from pipeline.network.saliency import overlay, saliency

        paths = list(images)
        for start in range(0, len(paths), AT_ONCE):
            some = paths[start : start + AT_ONCE]
            for path, seen in zip(some, saliency(classifier, [images[path] for path in some]), strict=True):
                with atomic(self.place(path)) as temporary:
                    Image.fromarray(overlay(images[path], seen)).save(temporary, "PNG")

    def place(self, path: str) -> Path:
        """Return the file for an image; raise UserError where the path leads out of the folder."""
        found = self.folder / f"{path}.png"
        if ".." in Path(path).parts or Path(path).is_absolute():
            raise UserError(f"{path}: leads out of the folder; rename it")
        return found
