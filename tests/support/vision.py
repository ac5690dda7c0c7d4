"""Tiny data sets in the file formats that torchvision reads, below its root as it unpacks them."""

import bz2
import csv
import json
import pickle
import struct
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import scipy.io
import torch
from PIL import Image

NUMBERS = count(1)
Made = Counter  # of (label, split)


def image(path: Path) -> Path:
    """Write an image that is like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(next(NUMBERS)).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def idx(path: Path, values: np.ndarray) -> None:
    """Write an array of uint8 or int32 in the format of MNIST."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {np.dtype(np.uint8): 8, np.dtype(np.int32): 12}[values.dtype]
    head = struct.pack(f">I{values.ndim}I", kind << 8 | values.ndim, *values.shape)
    path.write_bytes(head + values.astype(values.dtype.newbyteorder(">")).tobytes())


def pixels(number: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(next(NUMBERS)).integers(0, 256, (number, *shape), dtype=np.uint8)


def mnist(folder: str, prefix: str, sides: tuple[str, str], names: list[str], first: int = 0) -> Callable[[Path], Made]:
    def make(root: Path) -> Made:
        made: Made = Counter()
        for side, split, number in (*zip(sides, ("train", "test"), (5, 3)),):
            labels = np.arange(number, dtype=np.uint8) % 3 + first
            idx(root / folder / "raw" / f"{prefix}{side}-images-idx3-ubyte", pixels(number, 28, 28))
            idx(root / folder / "raw" / f"{prefix}{side}-labels-idx1-ubyte", labels)
            made.update((names[label], split) for label in labels)
        return made

    return make


def qmnist(root: Path) -> Made:
    for side in ("train", "test"):
        idx(root / "QMNIST/raw" / f"qmnist-{side}-images-idx3-ubyte", pixels(2, 28, 28))
        idx(root / "QMNIST/raw" / f"qmnist-{side}-labels-idx2-int", np.array([[7] * 8, [1] * 8], np.int32))
    return Counter((name, side) for side in ("train", "test") for name in ("7 - seven", "1 - one"))


def usps(root: Path) -> Made:
    root.mkdir(parents=True, exist_ok=True)
    for name in ("usps.bz2", "usps.t.bz2"):
        values = pixels(2, 256) / 127.5 - 1
        lines = [
            f"{label} " + " ".join(f"{n}:{v:.4f}" for n, v in enumerate(row, 1)) for label, row in zip((1, 10), values)
        ]
        (root / name).write_bytes(bz2.compress(("\n".join(lines) + "\n").encode()))
    return Counter((label, side) for side in ("train", "test") for label in "09")


def svhn(root: Path) -> Made:
    root.mkdir(parents=True, exist_ok=True)
    for side in ("train", "test"):
        scipy.io.savemat(root / f"{side}_32x32.mat", {"X": pixels(32, 32, 3, 2), "y": np.array([[1], [10]], np.uint8)})
    return Counter((label, side) for side in ("train", "test") for label in "10")


def stl10(root: Path) -> Made:
    for side in ("train", "test"):
        text(root / "stl10_binary/class_names.txt", "airplane\nbird\n")
        (root / f"stl10_binary/{side}_X.bin").write_bytes(pixels(2, 3, 96, 96).tobytes())
        (root / f"stl10_binary/{side}_y.bin").write_bytes(bytes([2, 1]))
    (root / "stl10_binary/unlabeled_X.bin").write_bytes(b"")
    return Counter((label, side) for side in ("train", "test") for label in ("bird", "airplane"))


def semeion(root: Path) -> Made:
    rows = [np.concatenate([pixels(256) > 127, np.eye(10)[digit]]) for digit in (3, 8)]
    text(root / "semeion.data", "\n".join(" ".join(f"{value:.4f}" for value in row) for row in rows) + "\n")
    return Counter([("3", ""), ("8", "")])


def cifar10(root: Path) -> Made:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        pickled(folder / name, {"data": pixels(2, 3072), "labels": [1, 0], "filenames": ["a.png", "b.png"]})
    pickled(folder / "batches.meta", {"label_names": ["airplane", "automobile"], "num_vis": 3072})
    return Counter({(name, split): number for name in ("airplane", "automobile")
                    for split, number in (("train", 5), ("test", 1))})  # fmt: skip


def cifar100(root: Path) -> Made:
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    for name in ("train", "test"):
        pickled(folder / name, {"data": pixels(2, 3072), "fine_labels": [1, 0], "coarse_labels": [0, 0]})
    pickled(folder / "meta", {"fine_label_names": ["apple", "aquarium_fish"], "coarse_label_names": ["fish"]})
    return Counter((name, split) for name in ("apple", "aquarium_fish") for split in ("train", "test"))


def pickled(path: Path, content: object) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


def pets(root: Path) -> Made:
    folder, made = root / "oxford-iiit-pet", Counter()
    for side, split in (("trainval", "train"), ("test", "test")):
        lines = []
        for breed, label, species in (("Abyssinian", 1, 1), ("american_bulldog", 2, 2)):
            lines.append(f"{breed}_{side} {label} {species} 1")
            image(folder / "images" / f"{breed}_{side}.jpg")
            made[breed.replace("_", " ").title(), split] += 1
        text(folder / "annotations" / f"{side}.txt", "\n".join(lines) + "\n")
    return made


def dtd(root: Path) -> Made:
    folder, made = root / "dtd/dtd", Counter()
    for side, split in (("train", "train"), ("val", "valid"), ("test", "test")):
        names = [f"{name}/{name}_{side}.jpg" for name in ("banded", "zigzagged")]
        for name in names:
            image(folder / "images" / name)
            made[name.partition("/")[0], split] += 1
        text(folder / "labels" / f"{side}1.txt", "\n".join(names) + "\n")
    return made


def aircraft(root: Path) -> Made:
    folder, made = root / "fgvc-aircraft-2013b/data", Counter()
    text(folder / "variants.txt", "707-320\nA340 300\n")
    for number, (side, split) in enumerate((("train", "train"), ("val", "valid"), ("test", "test"))):
        lines = [f"{number}{row} {name}" for row, name in enumerate(("707-320", "A340 300"))]
        for line in lines:
            image(folder / "images" / f"{line.split()[0]}.jpg")
            made[line.partition(" ")[2], split] += 1
        text(folder / f"images_variant_{side}.txt", "\n".join(lines) + "\n")
    return made


def food(root: Path) -> Made:
    folder, made = root / "food-101", Counter()
    for side in ("train", "test"):
        listed = {name: [f"{name}/{side}{number}" for number in range(2)] for name in ("apple_pie", "waffles")}
        for name, paths in listed.items():
            for path in paths:
                image(folder / "images" / f"{path}.jpg")
            made[name, side] += 2
        text(folder / "meta" / f"{side}.json", json.dumps(listed))
    return made


def signs(root: Path) -> Made:
    folder = root / "gtsrb"
    for name in ("00000/00000_00000", "00000/00000_00001", "00001/00000_00000"):
        image(folder / "GTSRB/Training" / f"{name}.ppm")
    with (folder / "GT-final_test.csv").open("w", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["Filename", "Width", "Height", "ClassId"])
        for number, label in enumerate((1, 0)):
            image(folder / "GTSRB/Final_Test/Images" / f"{number:05}.ppm")
            rows.writerow([f"{number:05}.ppm", 6, 5, label])
    return Counter({("speed limit 20 km/h", "train"): 2, ("speed limit 30 km/h", "train"): 1,
                    ("speed limit 30 km/h", "test"): 1, ("speed limit 20 km/h", "test"): 1})  # fmt: skip


def folders(*parts: tuple[str, str], names: dict[str, str], suffix: str = "png", first: str = "") -> Callable:
    """Return what makes a folder of images per class below each part (folder, split)."""

    def make(root: Path) -> Made:
        made: Made = Counter()
        for folder, split in parts:
            for name, label in names.items():
                for number in (1, 2):
                    image(root / folder / name / f"{first}{number:04}.{suffix}")
                    made[label, split] += 1
        return made

    return make


def same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def caltech101(root: Path) -> Made:
    base = "caltech101/101_ObjectCategories"
    image(root / base / "BACKGROUND_Google/image_0001.jpg")
    return folders((base, ""), names=same("ant", "Faces"), suffix="jpg", first="image_")(root)


def caltech256(root: Path) -> Made:
    for number, name in enumerate(("001.ak47", "002.american-flag"), 1):
        for row in (1, 2):
            image(root / "caltech256/256_ObjectCategories" / name / f"{number:03}_{row:04}.jpg")
    return Counter({("001.ak47", ""): 2, ("002.american-flag", ""): 2})


def sun397(root: Path) -> Made:
    text(root / "SUN397/ClassName.txt", "/a/abbey\n/b/balcony/exterior\n")
    for name in ("a/abbey", "b/balcony/exterior"):
        for number in range(2):
            image(root / "SUN397" / name / f"sun_{next(NUMBERS)}{number}.jpg")
    return Counter({("abbey", ""): 2, ("balcony/exterior", ""): 2})


def cars(root: Path) -> Made:
    folder, made = root / "stanford_cars", Counter()
    (folder / "devkit").mkdir(parents=True)
    names = np.array(["AM General Hummer SUV 2000", "Acura RL Sedan 2012"], dtype=object)
    scipy.io.savemat(folder / "devkit/cars_meta.mat", {"class_names": names})
    for side, file in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        rows = np.zeros((1, 2), dtype=[("fname", object), ("class", object)])
        for number in range(2):
            rows[0, number] = (f"{number:05}.jpg", number + 1)
            image(folder / f"cars_{side}" / f"{number:05}.jpg")
            made[names[number], side] += 1
        scipy.io.savemat(folder / file, {"annotations": rows})
    return made


def imagenet(root: Path) -> Made:
    labels = {"n02012849": "crane (0)", "n03126707": "crane (2)", "n02102040": "springer"}
    made = folders(("train", "train"), ("val", "test"), suffix="jpeg", names=labels)(root)
    names = {"n02012849": ("crane",), "n03126707": ("crane",), "n02102040": ("springer", "spaniel")}
    torch.save((names, ["n02012849"]), root / "meta.bin")
    return made


def flowers(root: Path) -> Made:
    folder = root / "flowers-102"
    for number in range(1, 7):
        image(folder / "jpg" / f"image_{number:05}.jpg")
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": np.array([1, 2, 1, 2, 1, 2])})
    scipy.io.savemat(folder / "setid.mat", {"trnid": [1, 2], "valid": [3, 4], "tstid": [5, 6]})
    names = ("pink primrose", "hard-leaved pocket orchid")
    return Counter((name, split) for name in names for split in ("train", "valid", "test"))


def places(root: Path) -> Made:
    text(root / "categories_places365.txt", "/a/airfield 0\n/b/bridge 1\n")
    for file, folder in (("train_standard", "data_256_standard"), ("val", "val_256")):
        for name in ("airfield", "bridge"):
            image(root / folder / f"{name}.jpg")
        text(root / f"places365_{file}.txt", "airfield.jpg 0\nbridge.jpg 1\n")
    return Counter((name, split) for name in ("/a/airfield", "/b/bridge") for split in ("train", "test"))


DIGITS = ["0 - zero", "1 - one", "2 - two"]
MNIST_SIDES = ("train", "t10k")
SIDES = (("train", "train"), ("valid", "valid"), ("test", "test"))
# Those whose files torchvision takes as they are.
PLAIN: dict[str, Callable[[Path], Made]] = {
    "MNIST": mnist("MNIST", "", MNIST_SIDES, DIGITS),
    "FashionMNIST": mnist("FashionMNIST", "", MNIST_SIDES, ["T-shirt/top", "Trouser", "Pullover"]),
    "KMNIST": mnist("KMNIST", "", MNIST_SIDES, ["o", "ki", "su"]),
    "EMNIST-letters": mnist("EMNIST", "emnist-letters-", ("train", "test"), ["N/A", "a", "b", "c"], 1),
    "QMNIST": qmnist,
    "USPS": usps,
    "OxfordIIITPet": pets,
    "DTD": dtd,
    "FGVCAircraft": aircraft,
    "Food101": food,
    "GTSRB": signs,
    "EuroSAT": folders(("eurosat/2750", ""), names=same("Forest", "River"), suffix="jpg"),
    "RenderedSST2": folders(*((f"rendered-sst2/{a}", b) for a, b in SIDES), names=same("negative", "positive")),
    "Country211": folders(*((f"country211/{a}", b) for a, b in SIDES), names=same("AD", "CH"), suffix="jpg"),
    "Caltech101": caltech101,
    "Caltech256": caltech256,
    "SUN397": sun397,
    "Imagenette-160px": folders(("imagenette2-160/train", "train"), ("imagenette2-160/val", "test"), suffix="jpeg",
                                names={"n01440764": "tench", "n03888257": "parachute"}),
    "StanfordCars": cars,
    "ImageNet": imagenet,
}  # fmt: skip
# Those of which it compares a checksum with the published file's each time that it reads them.
CHECKED: dict[str, Callable[[Path], Made]] = {
    "CIFAR10": cifar10,
    "CIFAR100": cifar100,
    "SVHN": svhn,
    "STL10": stl10,
    "SEMEION": semeion,
    "Flowers102": flowers,
    "Places365": places,
}
