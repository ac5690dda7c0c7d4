"""Images and labels in packed arrays, in the three forms that are read."""

import io

import numpy as np
import pytest
from PIL import Image

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3


def pixels(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def written(folder, kind, images=IMAGES, **others):
    """Write arrays in one of three forms; return the file of images and what data.path would be."""
    others = {"labels": LABELS, **others}
    others = {name: values for name, values in others.items() if values is not None}
    if kind == "npy":
        for name, values in {"images": images, **others}.items():
            np.save(folder / f"{name}.npy", values)
        return folder / "images.npy", folder
    save = np.savez_compressed if kind == "packed" else np.savez
    save(folder / "photos.npz", images=images, **others)
    return folder / "photos.npz", folder / "photos.npz"


kinds = pytest.mark.parametrize("kind", ["npy", "npz", "packed"])
