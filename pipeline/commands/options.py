"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

PARAMS, WORK = Path("params.yaml"), Path(".headstart")

ParamsFile = Annotated[Path, typer.Option("--params", metavar="FILE", help="The parameters.")]
WorkFolder = Annotated[Path, typer.Option("--work", metavar="FOLDER", help="What is kept between runs.")]
ImageFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of images, or a .npz file.")]
ModelName = Annotated[
    str,
    typer.Option(
        "--model", metavar="MODEL", help="models:/<name>@champion, models:/<name>/<version>, or a folder of models/."
    ),
]
