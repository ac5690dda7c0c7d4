"""Which test images to show: those that every strategy gets wrong, and those on which the strategies disagree."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

SIDE = 160  # pixels of a thumbnail, at most


@dataclass(frozen=True)
class Answers:
    """What each strategy predicts for each test image, on average over the seeds."""

    ids: np.ndarray  # str (N,)
    labels: np.ndarray  # int (N,)
    said: dict[str, np.ndarray]  # int (N,): the predicted class, by strategy
    confidence: dict[str, np.ndarray]  # float (N,): the mean probability of that class
    right: dict[str, np.ndarray]  # bool (N,)


def answers(predictions: Mapping[str, pd.DataFrame]) -> Answers:
    """Return the strategies' predictions for the test images, in the order of their ids.

    `predictions` are the tables that train exports: split, seed, id, label and p_<class>. Images of one content and one
    label count once.
    """
    means = {}
    for name, table in sorted(predictions.items()):
        columns = [c for c in map(str, table) if c.startswith("p_")]
        test = table[table["split"] == "test"].sort_values(["id", "label", "seed", *columns], kind="stable")
        means[name] = test.groupby(["id", "label"], sort=True)[columns].mean()
    index = next(iter(means.values())).index
    for table in means.values():  # of a first answer, each seed has its own images, and a seed may have diverged
        index = index.intersection(table.index, sort=True)
    ids = index.get_level_values("id").to_numpy(dtype=str)
    labels = index.get_level_values("label").to_numpy(dtype=int)
    shares = {name: table.reindex(index).to_numpy() for name, table in means.items()}
    said = {name: share.argmax(1) for name, share in shares.items()}
    return Answers(
        ids, labels, said, {n: s.max(1) for n, s in shares.items()}, {n: s == labels for n, s in said.items()}
    )


def all_wrong(found: Answers) -> np.ndarray:
    """Return the positions of the images that every strategy gets wrong, the most confident mistakes first."""
    wrong = ~np.any(list(found.right.values()), axis=0)
    return _ranked(np.flatnonzero(wrong), found)


def disputed(found: Answers) -> np.ndarray:
    """Return the positions of the images on which strategies disagree, the most confident predictions first."""
    said = np.stack(list(found.said.values()))
    return _ranked(np.flatnonzero((said != said[0]).any(0)), found)


def _ranked(rows: np.ndarray, found: Answers) -> np.ndarray:
    confidence = np.mean(list(found.confidence.values()), axis=0)
    return rows[np.lexsort((found.labels[rows], found.ids[rows], -confidence[rows].round(9)))]


def patterns(found: Answers, most: int = 16) -> list[dict[str, Any]]:
    """Return how many images each combination of strategies gets right, the most frequent first, and the rest."""
    names = sorted(found.right)
    keys, counts = np.unique(np.stack([found.right[n] for n in names], 1), axis=0, return_counts=True)
    order = np.lexsort((*(~keys).T[::-1], -counts))
    rows: list[dict[str, Any]] = [
        {"right": dict(zip(names, map(bool, keys[i]))), "images": int(counts[i])} for i in order
    ]
    rest = int(counts[order[most:]].sum())
    return rows[:most] + ([{"right": None, "images": rest}] if rest else [])


def card(
    row: int, found: Answers, classes: Sequence[str], images: "Thumbnails | None", paths: dict[str, str]
) -> dict[str, Any]:
    """Return what the page shows of one image: thumbnail, label, id, path, and each strategy's prediction."""
    name, label = str(found.ids[row]), classes[found.labels[row]]
    said = [
        {
            "strategy": strategy,
            "says": classes[found.said[strategy][row]],
            "confidence": float(found.confidence[strategy][row]),
            "right": bool(found.right[strategy][row]),
        }
        for strategy in sorted(found.said)
    ]
    words = "; ".join(f"{a['strategy']} predicts {a['says']} ({100 * a['confidence']:.0f} %)" for a in said)
    title = paths.get(name) or name
    return {
        "id": name,
        "title": title,
        "label": label,
        "picture": images.of(name) if images else None,
        "text": f"Test image {title}, labelled {label}; {words}",
        "answers": said,
    }


class Thumbnails:
    """Small pictures of packed images as data URIs, until a budget of bytes is spent."""

    def __init__(self, images: np.ndarray, ids: Iterable[str], budget: int) -> None:
        """Take packed images, uint8 (N, H, W, C) with C 1 or 3, their ids (N,), and the most bytes to return."""
        self._images = images
        self._rows = {str(name): row for row, name in reversed(list(enumerate(ids)))}
        self._made: dict[str, str | None] = {}
        self.left = budget

    def of(self, name: str) -> str | None:
        """Return an image's data URI; None where there is no such image, or no budget for it."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> str | None:
        if name not in self._rows:
            return None
        text = data_uri(np.asarray(self._images[self._rows[name]]))
        if len(text) > self.left:
            return None
        self.left -= len(text)
        return text


def data_uri(image: np.ndarray) -> str:
    """Return a uint8 image (H, W, C), C 1 or 3, as the shorter of a PNG and a JPEG of at most 160 pixels a side."""
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    encoded = {}
    for kind, options in (("png", {"optimize": True}), ("jpeg", {"quality": 88})):
        stream = io.BytesIO()
        picture.save(stream, kind, **options)
        encoded[kind] = stream.getvalue()
    kind = min(encoded, key=lambda k: (len(encoded[k]), k))
    return f"data:image/{kind};base64,{base64.b64encode(encoded[kind]).decode()}"
