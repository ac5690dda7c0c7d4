"""`headstart export`: a registered model, or one of models/, as a file that other runtimes read."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import ModelName
from pipeline.commands.predict import opened
from pipeline.common.errors import UserError


def export(
    model: ModelName,
    onnx: Annotated[Path, typer.Option("--onnx", metavar="FILE", help="The ONNX file to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")] = False,
) -> None:
    """Write a model as ONNX: pixels in, probabilities out.

    The file is checked against the model before it is written.
    """
    from pipeline.common.progress import quiet

    if onnx.exists() and not overwrite:
        raise UserError(f"{onnx}: is there already; name another file, or give --overwrite")
    quiet()
    with opened(model) as (classifier, key):
        from pipeline.network.onnx_export import export_onnx

        gap = export_onnx(classifier, onnx, {"model": model, "digest": key})
    size, channels = classifier.spec["packed_size"], classifier.spec["channels"]
    print(f"{onnx}: {onnx.stat().st_size / 1e6:.1f} MB; takes uint8 images (N, {channels}, {size}, {size}); its "
          f"probabilities are the model's to {gap:.0e}.")  # fmt: skip
