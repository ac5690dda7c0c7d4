"""A typed, frozen view of `params.yaml`: its only reader, and the only place where defaults live."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.catalog import BACKBONES
from pipeline.errors import UserError

Fraction = Annotated[float, Field(gt=0, lt=1)]
View = Literal["identity", "hflip", "vflip", "rot180", "rot90", "rot270", "transpose", "antitranspose"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Section(BaseModel):
    """Refuse unknown keys and later changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Recipe(Section):
    """Say everything that training one network needs, beside the data and the seed."""

    backbone: str
    weights: Literal["pretrained", "random"]
    # Where the gradient stops: `head` trains the head alone, `input` trains all,
    # k trains the stages from number k on (0 is the same as `input`).
    cut: Literal["head", "input"] | Annotated[int, Field(ge=0)]
    head: Literal["linear", "mlp"] = "linear"
    hidden: int = Field(256, ge=1)  # width of the mlp head
    # Epochs for which the head alone is fitted on cached features first (LP-FT); 0 starts from a fresh head.
    # BatchNorm then keeps the source's statistics, to which that head was fitted; otherwise it measures each batch.
    probe_epochs: int = Field(0, ge=0)
    probe_learning_rate: float = Field(0.003, gt=0)
    image_size: int = Field(128, ge=8, le=4096)  # pixels; at most prepare.image_size
    epochs: int = Field(ge=1)
    batch_size: int = Field(32, ge=2)  # BatchNorm needs two images
    learning_rate: float = Field(gt=0)  # peak of the one-cycle schedule, at the head
    depth_decay: float = Field(1.0, gt=0, le=1)  # learning-rate factor per stage away from the head
    weight_decay: float = Field(0.05, ge=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    # Strength of the random shift, contrast and brightness of pixel inputs. Cached stems have views alone.
    jitter: float = Field(0.0, ge=0, le=1)

    @field_validator("backbone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in BACKBONES:
            raise ValueError(f"no such backbone; choose one of {', '.join(sorted(BACKBONES))}")
        return name

    @model_validator(mode="after")
    def _has_that_stage(self) -> "Recipe":
        stages = BACKBONES[self.backbone].stages
        if isinstance(self.cut, int) and self.cut > stages:
            raise ValueError(f"cut: {self.backbone} has {stages} stages; use 0 to {stages}, `input` or `head`")
        return self

    @model_validator(mode="after")
    def _has_weights(self) -> "Recipe":
        if self.weights == "pretrained" and BACKBONES[self.backbone].package is None:
            raise ValueError(f"backbone {self.backbone!r} has no pretrained weights; use `weights: random`")
        return self


class Dimension(Section):
    """One axis of a search space: either `choices`, or `low` and `high`."""

    choices: tuple[bool | int | float | str, ...] | None = None
    low: float | None = None
    high: float | None = None
    log: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> "Dimension":
        ends = [end for end in (self.low, self.high) if end is not None]
        if len(ends) != (0 if self.choices else 2):
            raise ValueError("give either `choices: [...]` or both `low` and `high`")
        if ends and not ends[0] < ends[1]:
            raise ValueError(f"low ({ends[0]}) must be below high ({ends[1]})")
        if self.log and not (ends and ends[0] > 0):
            raise ValueError("a log scale needs low > 0")
        return self

    def ends(self) -> tuple[Any, ...]:
        """Return every choice, or both ends of the range."""
        return self.choices if self.choices else (self.low, self.high)


class Strategy(Section):
    """One row of the comparison: what is fixed, what is searched, and for how many trials."""

    trials: int = Field(ge=1)
    rungs: tuple[Annotated[int, Field(ge=1)], ...] = ()  # epochs after which the weakest trials are dropped
    recipe: dict[str, Any]
    space: dict[str, Dimension]

    @model_validator(mode="after")
    def _rungs_rise(self) -> "Strategy":
        if sorted(set(self.rungs)) != list(self.rungs):
            raise ValueError(f"rungs: must rise, found {list(self.rungs)}")
        return self

    def cuts(self) -> tuple[Any, ...]:
        """Return every cut that a trial of this strategy may ask for."""
        return self.space["cut"].ends() if "cut" in self.space else (self.recipe["cut"],)

    @model_validator(mode="after")
    def _valid_recipes(self) -> "Strategy":
        if twice := sorted(self.recipe.keys() & self.space.keys()):
            raise ValueError(f"{', '.join(twice)}: both fixed in `recipe` and searched in `space`; keep one")
        middle = {key: axis.ends()[0] for key, axis in self.space.items()}
        for key, axis in {**self.space, "": Dimension(choices=(0,))}.items():
            for value in axis.ends():
                _check_recipe({**self.recipe, **middle, **({key: value} if key else {})})
        return self


def _check_recipe(values: dict[str, Any]) -> None:
    try:
        Recipe(**values)
    except ValidationError as error:
        raise ValueError("\n" + "\n".join(_explain(problem, Recipe) for problem in error.errors())) from None


class Data(Section):
    """Name the labelled images."""

    name: Name
    path: str  # a folder with labels.csv (columns path, label, ...)
    label: str = "label"  # the column to learn


class Prepare(Section):
    """Say how images are packed and split."""

    image_size: int = Field(ge=8, le=4096)
    test_fraction: Fraction
    valid_fraction: Fraction  # of what is not test
    stratify: tuple[str, ...] = ()  # columns of labels.csv, beside the label
    seed: int = Field(ge=0)
    limit: int | None = Field(None, ge=1)  # look at this many images only (stratified)
    max_pixels: int = Field(50_000_000, ge=1)  # larger images are refused: decompression bombs


class Features(Section):
    """Say which views of each image a stem is run on."""

    views: tuple[View, ...] = Field(min_length=1)
    # Average the final predictions over all views: better, and as many times dearer per image.
    average: bool

    @model_validator(mode="after")
    def _starts_with_identity(self) -> "Features":
        if self.views[0] != "identity" or len(set(self.views)) != len(self.views):
            raise ValueError("views must start with `identity`, which scoring uses, and name each view once")
        return self


class Search(Section):
    """Say how trials are spent."""

    seed: int = Field(ge=0)  # of the sampler, the split and the initialisation: shared by all trials
    generation: int = Field(ge=1)  # trials asked for together, before any of them is told
    keep: Fraction  # of a generation, promoted from each rung to the next


class Train(Section):
    """Say how often the best recipe is retrained."""

    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> "Train":
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("name each seed once")
        return self


class Compare(Section):
    """Say how sure is sure."""

    metric: Literal["accuracy", "balanced_accuracy", "roc_auc", "log_loss"]  # that names the winner
    resamples: int = Field(ge=100)  # of the hierarchical bootstrap
    confidence: Fraction  # P(A beats B) from which a difference is called
    seed: int = Field(ge=0)


class Register(Section):
    """Name the registered model and the gate in front of it."""

    model: Name
    min_gain: float = Field(ge=0, lt=1)  # validation accuracy above always naming the commonest class


class Runtime(Section):
    """Describe the machine's share given to one process."""

    threads: int = Field(ge=1)  # part of what identifies a result: sums change order with it
    device: Literal["cpu", "cuda", "auto"]


class Tracking(Section):
    """Name the MLflow experiment."""

    experiment: str = Field(min_length=1)


class Params(Section):
    """The whole of `params.yaml`."""

    data: Data
    demo: tuple[Name, ...] = ()  # demo data sets for the download stage to lay out under data/raw
    prepare: Prepare
    features: Features
    search: Search
    train: Train
    compare: Compare
    register_: Register = Field(alias="register")
    runtime: Runtime
    tracking: Tracking
    enabled: tuple[Name, ...] = Field(min_length=1)
    strategies: dict[Name, Strategy]

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        for name in self.enabled:
            if name not in self.strategies:
                raise ValueError(f"enabled: no strategy is called {name!r}; there are {', '.join(self.strategies)}")
        for name, row in self.strategies.items():
            sizes = row.space["image_size"].ends() if "image_size" in row.space else (self._size(row),)
            if max(sizes) > self.prepare.image_size:
                raise ValueError(
                    f"strategies.{name}: image_size {max(sizes)} is more than prepare.image_size "
                    f"({self.prepare.image_size}), the size the images are packed at"
                )
        return self

    @staticmethod
    def _size(row: Strategy) -> int:
        return int(row.recipe.get("image_size", Recipe.model_fields["image_size"].default))

    def strategy(self, name: str) -> Strategy:
        """Return a row by name, or raise UserError naming the rows there are."""
        if name not in self.strategies:
            raise UserError(f"params.yaml has no strategy {name!r}; there are {', '.join(self.strategies)}")
        return self.strategies[name]


def load(path: Path) -> Params:
    """Read and check params.yaml; raise UserError naming every bad key and what it may be."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the repository root or pass --params") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path}: expected keys and values at the top level, found {type(raw).__name__}")
    try:
        return Params(**raw)
    except ValidationError as error:
        lines = [_explain(problem, Params) for problem in error.errors()]
        raise UserError(f"{path}: {len(lines)} problem(s)\n" + "\n".join(lines)) from None


def _explain(problem: Any, model: type[BaseModel]) -> str:
    # pydantic adds the branches of a union, such as "constrained-int", to the path.
    parts = [str(part) for part in problem["loc"] if not re.match(r"constrained-|literal\[|function-", str(part))]
    key = f"{'.'.join(parts)}: " if parts else ""
    given = problem.get("input")
    shown = "" if isinstance(given, (dict, list, BaseModel)) else f" (found {given!r})"
    message = problem["msg"].removeprefix("Value error, ").replace("\n", "\n  ")
    if problem["type"] == "extra_forbidden":
        message, shown = f"unknown key; allowed here: {', '.join(_siblings(model, problem['loc']))}", ""
    return f"  {key}{message}{shown}"


def _siblings(root: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """Return the keys allowed beside the last part of `loc`."""
    model: Any = root
    for part in loc[:-1]:
        fields = getattr(model, "model_fields", None)
        if fields is None:
            break
        by_alias = {field.alias or name: field.annotation for name, field in fields.items()}
        annotation = by_alias.get(part)
        inner = [a for a in getattr(annotation, "__args__", ()) if hasattr(a, "model_fields")]
        model = inner[-1] if inner else annotation if annotation is not None else model
    fields = getattr(model, "model_fields", {})
    return sorted(field.alias or name for name, field in fields.items())
