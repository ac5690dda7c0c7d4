"""Image files that tests make, and a reader of them that dies."""

import io
import os
import signal

import numpy as np
from PIL import Image

SIZE = 24


def smooth(channels=3, size=SIZE):
    """Return an image (size, size[, 3]) whose corners differ and whose levels change slowly."""
    ramp = np.linspace(0, 255, size)
    red, green = np.meshgrid(ramp, ramp)
    pixels = np.stack([red, green, (red + 2 * green) / 3], 2).astype(np.uint8)
    return pixels if channels == 3 else pixels[..., 2]


def saved(image, form="PNG", **options):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, form, **options)
    return file.getvalue()


def die(*job):
    """End this process as running out of memory does."""
    os.kill(os.getpid(), signal.SIGKILL)
