"""A typed, frozen view of `params.yaml`: its only reader, and the only place where defaults live."""

from itertools import chain, product
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from pipeline.common.errors import UserError
from pipeline.config import backbone_table
from pipeline.config.cluster import LOCAL, Cluster
from pipeline.config.constraints import Constraints
from pipeline.config.features import Features
from pipeline.config.metric_names import Metric
from pipeline.config.recipe import Recipe
from pipeline.config.renamed import renamed
from pipeline.config.settings import Fraction, Section, explain
from pipeline.config.strategies import Search, Strategy, crossings

Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Data(Section):
    """Name the labelled images."""

    name: Name
    path: str  # a folder, or a .npz file; README: Your own images
    label: str = "label"  # the column to learn


class Entry(Section):
    """Describe a backbone of the user's own: an architecture that a library has, and where its weights are."""

    architecture: str  # a name as a recipe's `backbone` may have it
    weights: str | None = None  # a file (.pt, .pth, .safetensors); None: those that the architecture's name means
    mean: tuple[float, float, float] | None = None  # of the images that the weights were trained on, in [0, 1]
    std: tuple[Positive, Positive, Positive] | None = None
    licence: str | None = None  # of the weights


class Prepare(Section):
    """Say how images are packed and split."""

    # Pixels a side; auto: the images' own size, or the largest image_size of a strategy where that is smaller.
    image_size: Annotated[int, Field(ge=8, le=4096)] | Literal["auto"]
    test_fraction: Fraction
    valid_fraction: Fraction  # of what is not test
    stratify: tuple[str, ...] = ()  # columns of the source, beside the label
    seed: int = Field(ge=0)
    max_images: int | None = Field(None, ge=1)  # look at this many images only (stratified)
    max_pixels: int = Field(50_000_000, ge=1)  # larger images are refused: decompression bombs
    on_problem: Literal["error", "exclude"] = "error"  # exclude: leave out what cannot be used, and list it
    near_duplicate_bits: int | None = Field(2, ge=0, le=16)  # bits in which hashes of images kept together may differ
    workers: int | None = Field(None, ge=1)  # processes that read images; as many as there are cores where null


class Train(Section):
    """Say how often, and on how many images, the best recipe is retrained."""

    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (1.0,)  # of the training images
    epoch_scaling: float = Field(0.5, ge=0, le=1)  # 0: the same epochs for fewer images, 1: the same steps
    racing: bool = True  # a strategy that is behind beyond doubt gets no more seeds and sizes; false: all get all

    @model_validator(mode="after")
    def _distinct(self) -> "Train":
        for name, values in (("seeds", self.seeds), ("fractions", self.fractions)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: name each once")
        if 1.0 not in self.fractions:
            raise ValueError("fractions: must name 1, all training images")
        return self


class Compare(Section):
    """Say how strategies are compared."""

    metric: Literal["auto", Metric]  # that names the winner
    resamples: int = Field(ge=100)  # bootstrap draws: of learning curves, and of single runs (p_run_beats)
    # Of every interval; a difference is significant where its p-value, corrected by Holm, is at most 1 - confidence.
    confidence: Fraction
    worth: float = Field(default=0.005, gt=0, lt=1)  # less of the metric does not matter: 0.005 is half a point
    seed: int = Field(ge=0)


class Register(Section):
    """Name the registered model and the gate in front of it."""

    model: Name
    # Validation accuracy (or balanced) above always naming the commonest class.
    min_gain_over_majority: float = Field(ge=0, lt=1)
    # In the metric that decides, how much worse than the champion a new one may be at worst. Where two networks are
    # right equally often and disagree on 6 % of 650 test images, that is 1.6 points: half a point could never be shown.
    margin: float = Field(0.02, gt=0, lt=1)
    gate: Literal["enabled", "dry_run", "disabled"] = "enabled"  # dry_run: check and record, but move no champion


class Runtime(Section):
    """Describe the machine's share given to one process."""

    threads: int = Field(ge=1)  # part of what identifies a result: sums change order with it
    device: Literal["cpu", "cuda", "auto"]
    precision: Literal["float32", "bf16", "auto"] = "auto"  # of convolutions and products; auto: bf16 on cuda alone
    devices: int = Field(1, ge=1)  # that share each training; part of what identifies a result
    # Images that a device trains on at once; gradients of a larger batch are added up. With 3 no part is of one image.
    micro_batch: int | None = Field(None, ge=3)


class Tracking(Section):
    """Name the MLflow experiment."""

    experiment: str = Field(min_length=1)


class Params(Section):
    """The whole of `params.yaml`."""

    data: Data
    download: tuple[Name, ...] = ()  # data sets to lay out under data/raw: elpv, or torchvision's
    prepare: Prepare
    features: Features
    search: Search
    train: Train
    compare: Compare
    constraints: Constraints = Constraints()
    register_: Register = Field(alias="register")
    runtime: Runtime
    cluster: Cluster = LOCAL
    tracking: Tracking
    # Names for backbones, beside `backbone_table.BACKBONES`.
    backbone_aliases: dict[Name, str | Entry] = Field(default_factory=dict)
    enabled: tuple[Name, ...] = Field(min_length=1)
    backbones: tuple[str, ...] = ()  # on which each strategy of `per_backbone` is run too, beside its own
    per_backbone: tuple[Name, ...] = ()
    strategies: dict[Name, Strategy]

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        used = {"enabled": self.enabled, **({"per_backbone": self.per_backbone} if self.backbones else {})}
        for key, names in used.items():
            if len(set(names)) != len(names):
                raise ValueError(f"{key}: name each strategy once, found {', '.join(names)}")
            for name in names:
                if name not in self.strategies:
                    raise ValueError(f"{key}: no strategy is called {name!r}; there are {', '.join(self.strategies)}")
        if self.runtime.devices > 1 and self.cluster.gpus % 1:
            raise ValueError(f"cluster.gpus: {self.cluster.gpus:g} cannot be a part of one where runtime.devices is "
                             f"{self.runtime.devices}: each of them needs a GPU of its own, or none")  # fmt: skip
        for name in dict.fromkeys(chain(*used.values())):
            self._check_size(name, self.strategies[name])
        return self

    @property
    def own(self) -> dict[str, Any]:
        """Return `backbone_aliases` as `backbone_table.resolve` takes it."""
        return {
            name: entry.model_dump() if isinstance(entry, Entry) else entry
            for name, entry in self.backbone_aliases.items()
        }

    @model_validator(mode="after")
    def _known_backbones(self) -> "Params":
        for name in self.backbone_aliases:
            if name in backbone_table.BACKBONES:
                raise ValueError(f"backbone_aliases.{name}: a packaged backbone has that name; choose another")
            backbone_table.resolve(name, self.own)
        for name, row in {**self.strategies, **self._crossings()}.items():
            for values in product(*(row.values(key) for key in ("backbone", "weights", "cut"))):
                try:
                    recipe = Recipe.model_construct(**dict(zip(("backbone", "weights", "cut"), values)))
                    recipe.check(backbone_table.resolve(recipe.backbone, self.own))
                except ValueError as error:
                    raise ValueError(f"strategies.{name}: {recipe.backbone}: {error}") from None
        return self

    def _crossings(self) -> dict[str, Strategy]:
        """Return each strategy of `per_backbone` on each of `backbones`, by name; raise ValueError if one cannot be."""
        if len(set(self.backbones)) != len(self.backbones):
            raise ValueError(f"backbones: name each once, found {', '.join(self.backbones)}")
        if self.backbones and not self.per_backbone:
            raise ValueError("per_backbone: name the strategies to run with `backbones`, or empty `backbones`")
        known = sorted({*backbone_table.BACKBONES, *self.backbone_aliases})
        for name in self.backbones:
            if name not in known:
                raise ValueError(
                    f"backbones: no backbone is called {name!r}; there are {', '.join(known)}; "
                    "name others in `backbone_aliases`"
                )
        return crossings(self.strategies, self.enabled, self.per_backbone, self.backbones)

    def _check_size(self, name: str, row: Strategy) -> None:
        size, packed = row.largest_image_size, self.prepare.image_size
        if packed != "auto" and size > packed:
            raise UserError(
                f"strategies.{name}: image_size {size} is more than prepare.image_size ({packed}), the size the images "
                "are packed at; raise that, or set it to auto"
            )

    @property
    def arms(self) -> dict[str, Strategy]:
        """Return all that is compared, by name: the enabled strategies, then the per_backbone ones on each backbone."""
        own = {name: self.strategies[name] for name in self.enabled}
        return own | self._crossings()

    @property
    def largest_image_size(self) -> int:
        """Return the largest image_size of all that is compared, in pixels."""
        return max(arm.largest_image_size for arm in self.arms.values())

    def strategy(self, name: str) -> Strategy:
        """Return a row, enabled or not, or a per_backbone strategy, by name; raise UserError naming those there are."""
        found = {**self.strategies, **self.arms}
        if name not in found:
            raise UserError(f"params.yaml has no strategy {name!r}; there are {', '.join(found)}")
        self._check_size(name, found[name])
        return found[name]


def load(path: Path) -> Params:
    """Read and check params.yaml; raise UserError naming every bad key and what it may be."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the repository root or pass --params") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Params:
    """Check the text of params.yaml, which `path` names in errors; raise UserError as `load` does."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path}: expected keys and values at the top level, found {type(raw).__name__}")
    raw, lines = renamed(raw)
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        lines += [explain(problem, Params).strip() for problem in error.errors()]
    if len(lines) == 1:
        raise UserError(f"{path}: {lines[0]}")
    if lines:
        raise UserError(f"{path}: {len(lines)} problems\n" + "\n".join(f"  {line}" for line in lines))
    return params
