"""`headstart predict`: label every image of a folder with a registered model, or one of models/."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.explanations import Explanations
from pipeline.commands.options import ModelName
from pipeline.commands.prediction_table import Row, partial_table, write_table
from pipeline.common.errors import UserError, first_line

if TYPE_CHECKING:
    import numpy as np

    from pipeline.data.image_place import ImagePlace
    from pipeline.inference.classifier import Classifier

BATCH = 64
READERS = 8  # threads: from a store over the network, images come one round trip each


def predict(
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="A folder of images, or its URI: s3://bucket/photos.")
    ],
    model: ModelName,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The table to write: .csv or .parquet.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a table that is there already.")] = False,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Label as unknown what is less sure than it ought to be.")
    ] = False,
    explain: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write where the model saw its answer.")
    ] = None,
) -> None:
    """Label every image of a folder.

    The table has a row for each image: its path, the label, the probability of each class, or the error that says why
    it could not be read. Stop it whenever you like: the same command goes on from there.
    """
    from pipeline.common.progress import Progress, quiet

    quiet()
    with opened(model) as (classifier, key):
        from pipeline.data.image_place import ImagePlace

        ask = _Question(classifier, unknown, Explanations(explain) if explain else None)
        place = ImagePlace(folder)
        paths = place.images()
        with partial_table(out, {"model": key, "images": place.uri} | ask.told(), overwrite) as table:
            # What could not be read is tried again: a store may have been out of reach.
            left = [path for path in paths if table.rows.get(path, {"error": ""})["error"] is not None]
            with Progress("predict", len(paths), "image") as bar:
                bar.step(len(paths) - len(left))
                for rows in labelled(ask, place, left):
                    table.add(rows)
                    bar.step(len(rows))
            rows = [table.rows[path] for path in paths]
            write_table(out, rows, columns(classifier))
    failed = sum(row["error"] is not None for row in rows)
    print(f"{out}: {len(rows) - failed:,} of {len(rows):,} images are labelled" + (
        f"; the column error says why {failed:,} could not be read." if failed else "."))  # fmt: skip
    if explain:
        print(f"{explain}: maps of {len(rows) - failed:,} images.")


@contextmanager
def opened(model: str) -> Iterator[tuple["Classifier", str]]:
    """Yield the classifier of a registered model or a folder, and the hash of its files.

    No code that came with the model is run. Raise UserError where there is no such model, or it is damaged.
    """
    with _model_folder(model) as folder:
        from pipeline.inference.classifier import Classifier
        from pipeline.tracking.logged_models import model_key

        try:
            classifier = Classifier(folder)
        except Exception as error:  # safetensors, JSON and PyTorch each have their own
            raise UserError(f"{model}: its files are damaged, or of another version: {first_line(error)}") from None
        yield classifier, model_key(folder)


@contextmanager
def _model_folder(model: str) -> Iterator[Path]:
    if not model.startswith("models:"):
        folder = Path(model)
        if not ((folder / "model.json").is_file() and (folder / "model.safetensors").is_file()):
            raise UserError(f"{model}: no folder with model.json and model.safetensors; name one of models/, or a "
                            "registered model, such as models:/<name>@champion")  # fmt: skip
        yield folder
        return
    if not re.fullmatch(r"models:/[^@/]+(@[^@/]+|/[1-9][0-9]*)", model):
        raise UserError(f"{model}: write models:/<name>@<alias> or models:/<name>/<version>")
    from pipeline.tracking import registry

    if not registry.is_there(Path()):
        raise UserError(f"{model}: there is no registry here, which is mlflow.db or where MLFLOW_TRACKING_URI points; "
                        "run this in the folder of a finished `dvc repro`")  # fmt: skip
    with registry.fetch(Path(), model) as (_, folder):
        yield folder


def columns(classifier: "Classifier") -> list[str]:
    """Return the columns of the table."""
    return ["path", "label", "probability", *(f"p_{name}" for name in classifier.spec["classes"]), "error"]


@dataclass(frozen=True)
class _Question:
    """What is asked of each image."""

    classifier: "Classifier"
    unknown: bool
    explanations: Explanations | None

    def __post_init__(self) -> None:
        if self.unknown:
            try:
                self.classifier.threshold()
            except ValueError as error:
                raise UserError(f"--unknown: {error}; train it anew: uv run dvc repro") from None

    def told(self) -> dict[str, str]:
        """Return what makes the table another than that of a plain question."""
        explained = {"explained": str(self.explanations.folder.resolve())} if self.explanations else {}
        return ({"unknown": "told"} if self.unknown else {}) | explained

    def answer(self, images: "Mapping[str, np.ndarray]") -> dict[str, Row]:
        """Return the row of each decoded image, without path and error; the maps are written before it returns."""
        if not images:
            return {}
        said = self.classifier.classify([*images.values()], self.unknown).to_dict("records")
        if self.explanations:
            self.explanations.write(self.classifier, images)
        return {path: {str(name): value for name, value in row.items()} for path, row in zip(images, said)}


def labelled(ask: _Question, place: "ImagePlace", paths: Sequence[str]) -> Iterator[list[Row]]:
    """Yield the rows of images in batches; the next one is read while one is labelled."""

    def decoded(path: str) -> "np.ndarray | str":
        try:
            return ask.classifier.decoded(place.read(path, ask.classifier.limits.max_bytes))
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(READERS) as pool:
        try:
            coming: list[tuple[Sequence[str], list[Future]]] = []
            for start in range(0, len(paths), BATCH):
                batch = paths[start : start + BATCH]
                coming.append((batch, [pool.submit(decoded, path) for path in batch]))
                if len(coming) > 1:
                    yield _rows(ask, *coming.pop(0))
            for batch, read in coming:
                yield _rows(ask, batch, read)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _rows(ask: _Question, batch: Sequence[str], read: Iterable[Future]) -> list[Row]:
    found = dict(zip(batch, (each.result() for each in read), strict=True))
    answers = ask.answer({path: pixels for path, pixels in found.items() if not isinstance(pixels, str)})
    return [{"path": path, **answers.get(path, {}), "error": None if path in answers else found[path]}
            for path in batch]  # fmt: skip
