"""The classification data sets of torchvision: a row for each, read by `torchvision_sets`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Splits = Mapping[str, Mapping[str, Any]]  # train, valid, test, or "" for none -> keywords that request that part

TRAIN: Splits = {"train": {"train": True}, "test": {"train": False}}
TWO: Splits = {"train": {"split": "train"}, "test": {"split": "test"}}
THREE: Splits = {**TWO, "valid": {"split": "val"}}
VAL: Splits = {"train": {"split": "train"}, "test": {"split": "val"}}  # the only other part that has labels
NONE: Splits = {"": {}}

SIGNS = (
    *(f"speed limit {limit} km/h" for limit in (20, 30, 50, 60, 70, 80)), "end of speed limit 80 km/h",
    "speed limit 100 km/h", "speed limit 120 km/h", "no passing", "no passing over 3.5 t", "right-of-way",
    "priority road", "yield", "stop", "no vehicles", "no vehicles over 3.5 t", "no entry", "general caution",
    "curve to the left", "curve to the right", "double curve", "bumpy road", "slippery road", "road narrows",
    "road work", "traffic signals", "pedestrians", "children", "bicycles", "ice or snow", "wild animals",
    "end of all limits", "turn right", "turn left", "ahead only", "ahead or right", "ahead or left", "keep right",
    "keep left", "roundabout", "end of no passing", "end of no passing over 3.5 t",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A data set: its class in torchvision.datasets, how to request its parts, and how to get its images."""

    kind: str
    splits: Splits
    page: str
    terms: str  # of use, as far as known
    # "arrays", "loader" (its constructor takes one), "opened" (it gives open files), or the name of the
    # attribute that lists files, with or without their labels.
    images: str = "arrays"
    folder: str = "."  # for its archives, below torchvision's root
    options: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()  # names, where torchvision has only numbers
    packages: tuple[str, ...] = ()  # that it needs beyond those of this project
    checked: bool = True  # archives have checksums
    turned: bool = False  # images are transposed
    tracks: bool = False  # files are named <track>_<frame>; the frames of a track are one group
    byhand: str = ""  # what the user must provide, since torchvision cannot fetch it
    archives: tuple[str, ...] = ()  # those of them that torchvision can unpack


ASK = "not stated; ask its authors"
RESEARCH = "non-commercial research"
OXFORD = "https://www.robots.ox.ac.uk/~vgg/data"
CLIP = "https://github.com/openai/CLIP/blob/main/data"

ROWS: dict[str, Row] = {
    "CIFAR10": Row("CIFAR10", TRAIN, "https://www.cs.toronto.edu/~kriz/cifar.html", ASK),
    "CIFAR100": Row("CIFAR100", TRAIN, "https://www.cs.toronto.edu/~kriz/cifar.html", ASK),
    "MNIST": Row("MNIST", TRAIN, "http://yann.lecun.com/exdb/mnist", "CC BY-SA 3.0", folder="MNIST/raw"),
    "FashionMNIST": Row("FashionMNIST", TRAIN, "https://github.com/zalandoresearch/fashion-mnist", "MIT",
                        folder="FashionMNIST/raw"),
    "KMNIST": Row("KMNIST", TRAIN, "https://github.com/rois-codh/kmnist", "CC BY-SA 4.0", folder="KMNIST/raw"),
    "QMNIST": Row("QMNIST", TRAIN, "https://github.com/facebookresearch/qmnist", ASK, folder="QMNIST/raw"),
    **{
        f"EMNIST-{part}": Row("EMNIST", TRAIN, "https://www.nist.gov/itl/products-and-services/emnist-dataset", ASK,
                              folder="EMNIST/raw", options={"split": part}, turned=True)
        for part in ("balanced", "byclass", "bymerge", "digits", "letters", "mnist")
    },
    "USPS": Row("USPS", TRAIN, "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass.html#usps", ASK,
                checked=False),
    "SEMEION": Row("SEMEION", NONE, "https://archive.ics.uci.edu/dataset/178", "CC BY 4.0"),
    "SVHN": Row("SVHN", TWO, "http://ufldl.stanford.edu/housenumbers", "non-commercial use"),
    "STL10": Row("STL10", TWO, "https://cs.stanford.edu/~acoates/stl10", ASK),
    "PCAM": Row("PCAM", THREE, "https://github.com/basveeling/pcam", "CC0", folder="pcam",
                classes=("normal", "metastatic"), packages=("h5py", "gdown")),
    "Flowers102": Row("Flowers102", THREE, f"{OXFORD}/flowers/102", ASK, "loader", "flowers-102"),
    "OxfordIIITPet": Row("OxfordIIITPet", {"train": {"split": "trainval"}, "test": {"split": "test"}},
                         f"{OXFORD}/pets", "CC BY-SA 4.0", "_images", "oxford-iiit-pet"),
    "DTD": Row("DTD", THREE, f"{OXFORD}/dtd", RESEARCH, "loader", "dtd"),
    "FGVCAircraft": Row("FGVCAircraft", THREE, f"{OXFORD}/fgvc-aircraft", RESEARCH, "loader", checked=False),
    "Food101": Row("Food101", TWO, "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101", "research",
                   "loader"),
    "GTSRB": Row("GTSRB", TWO, "https://benchmark.ini.rub.de", ASK, "_samples", "gtsrb", classes=SIGNS, tracks=True),
    "EuroSAT": Row("EuroSAT", NONE, "https://github.com/phelber/eurosat", "MIT", "loader", "eurosat"),
    "RenderedSST2": Row("RenderedSST2", THREE, f"{CLIP}/rendered-sst2.md", ASK, "loader"),
    "Country211": Row("Country211", {**TWO, "valid": {"split": "valid"}}, f"{CLIP}/country211.md",
                      "Creative Commons, a licence for each photo", "loader"),
    "Caltech101": Row("Caltech101", NONE, "https://data.caltech.edu/records/mzrjq-6wc02", "CC BY 4.0", "opened",
                      "caltech101"),
    "Caltech256": Row("Caltech256", NONE, "https://data.caltech.edu/records/nyy15-4j048", "CC BY 4.0", "opened",
                      "caltech256"),
    "SUN397": Row("SUN397", NONE, "https://vision.princeton.edu/projects/2010/SUN", "research", "loader"),
    **{
        f"Imagenette{size and '-'}{size}": Row(
            "Imagenette", VAL, "https://github.com/fastai/imagenette", "photos of ImageNet: " + RESEARCH, "loader",
            options={"size": size or "full"})
        for size in ("", "320px", "160px")
    },
    "Places365": Row("Places365", {"train": {"split": "train-standard"}, "test": {"split": "val"}},
                     "http://places2.csail.mit.edu", "research and education", "loader", options={"small": True}),
    "StanfordCars": Row(
        "StanfordCars", TWO, "https://github.com/pytorch/vision/issues/7545", RESEARCH, "loader",
        byhand="the folder stanford_cars with cars_train/, cars_test/, devkit/ and cars_test_annos_withlabels.mat"),
    "ImageNet": Row("ImageNet", VAL, "https://image-net.org/challenges/LSVRC/2012/2012-downloads.php", RESEARCH,
                    "loader", byhand="the files ILSVRC2012_devkit_t12.tar.gz, ILSVRC2012_img_train.tar and "
                    "ILSVRC2012_img_val.tar", archives=("ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_img_train.tar",
                                                        "ILSVRC2012_img_val.tar")),
}  # fmt: skip

# Data sets of torchvision that are not supported, and why.
REFUSED = {
    "CelebA": "each of its images has 40 labels, and a comparison learns one",
    "EMNIST": "it has six parts with classes of their own: name one, such as EMNIST-balanced",
    "INaturalist": "its versions name species at seven levels; lay out the one that you want",
    "LFWPeople": "torchvision no longer fetches it, and most people in it have a single photo",
    "LSUN": "its images are in databases that torchvision no longer fetches",
    "Omniglot": "its two parts have no class in common, so that one cannot test what the other taught",
}
