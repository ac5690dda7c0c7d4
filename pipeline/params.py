"""A typed, frozen view of `params.yaml`: its only reader, and the only place where defaults live."""

from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from pipeline.constraints import Constraints
from pipeline.errors import UserError
from pipeline.recipe import Recipe
from pipeline.settings import Section, explain

Fraction = Annotated[float, Field(gt=0, lt=1)]
View = Literal["identity", "hflip", "vflip", "rot180", "rot90", "rot270", "transpose", "antitranspose"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


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
    generation: int | None = Field(None, ge=1)  # in place of search.generation
    budget: float | None = Field(None, gt=0)  # in place of search.budget
    recipe: dict[str, Any]
    space: dict[str, Dimension]

    def size(self, search: "Search") -> int:
        """Return how many trials are asked for together."""
        return self.generation or search.generation

    def spend(self, search: "Search") -> float | None:
        """Return the FLOPs that the search may cost; None for no limit."""
        return self.budget or search.budget

    def cuts(self) -> tuple[Any, ...]:
        """Return every cut that a trial of this strategy may ask for."""
        return self.space["cut"].ends() if "cut" in self.space else (self.recipe["cut"],)

    @model_validator(mode="after")
    def _valid_recipes(self) -> "Strategy":
        if twice := sorted(self.recipe.keys() & self.space.keys()):
            raise ValueError(f"{', '.join(twice)}: both fixed in `recipe` and searched in `space`; keep one")
        stepwise = {name for name, field in Recipe.model_fields.items() if field.annotation not in (int, float)}
        for key, axis in self.space.items():
            if key in stepwise and not axis.choices:
                raise ValueError(f"space.{key}: has no range; give `choices: [...]`")
        chosen = [key for key, axis in self.space.items() if axis.choices]
        lowest = {key: axis.ends()[0] for key, axis in self.space.items()}
        for values in product(*(self.space[key].ends() for key in chosen)):
            _check_recipe({**self.recipe, **lowest, **dict(zip(chosen, values))})
        for key, axis in self.space.items():
            _check_recipe({**self.recipe, **lowest, key: axis.ends()[-1]})
        return self

    @model_validator(mode="after")
    def _rungs_rise(self) -> "Strategy":
        if sorted(set(self.rungs)) != list(self.rungs):
            raise ValueError(f"rungs: must rise, found {list(self.rungs)}")
        axis = self.space.get("epochs")
        shortest = min(int(end) for end in (axis.ends() if axis else (self.recipe["epochs"],)))
        if self.rungs and self.rungs[-1] >= shortest:
            raise ValueError(f"rungs: must be below the recipe's epochs ({shortest}), found {list(self.rungs)}")
        return self


def _check_recipe(values: dict[str, Any]) -> None:
    try:
        Recipe(**values)
    except ValidationError as error:
        raise ValueError("\n" + "\n".join(explain(problem, Recipe) for problem in error.errors())) from None


class Data(Section):
    """Name the labelled images."""

    name: Name
    path: str  # a folder, or a .npz file; README: Your own images
    label: str = "label"  # the column to learn


class Prepare(Section):
    """Say how images are packed and split."""

    image_size: int = Field(ge=8, le=4096)
    test_fraction: Fraction
    valid_fraction: Fraction  # of what is not test
    stratify: tuple[str, ...] = ()  # columns of the source, beside the label
    seed: int = Field(ge=0)
    limit: int | None = Field(None, ge=1)  # look at this many images only (stratified)
    max_pixels: int = Field(50_000_000, ge=1)  # larger images are refused: decompression bombs
    on_problem: Literal["error", "exclude"] = "error"  # exclude: leave out what cannot be used, and list it
    near_duplicates: int | None = Field(2, ge=0, le=16)  # bits in which hashes of images kept together may differ
    workers: int | None = Field(None, ge=1)  # processes that read images; as many as there are cores where null


class Features(Section):
    """Say which views of each image a stem is run on, and how much of what it makes is kept."""

    views: tuple[View, ...] = Field(min_length=1)
    cache_gb: float = Field(20.0, gt=0)  # of 10^9 bytes; what was used least recently makes room
    average: bool  # final predictions over all views: better, and as many times dearer per image

    @property
    def cache_bytes(self) -> int:
        """Return the limit of the cache in bytes."""
        return int(self.cache_gb * 10**9)

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
    budget: float | None = Field(None, gt=0)  # FLOPs that each strategy's search may cost; `trials` caps it too
    workers: int = Field(1, ge=1)  # processes that train units; results do not depend on it


class Train(Section):
    """Say how often, and on how many images, the best recipe is retrained."""

    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (1.0,)  # of the training images
    stretch: float = Field(0.5, ge=0, le=1)  # epochs grow by fraction ** -stretch: 0 keeps epochs, 1 keeps steps

    @model_validator(mode="after")
    def _distinct(self) -> "Train":
        for name, values in (("seeds", self.seeds), ("fractions", self.fractions)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: name each once")
        if 1.0 not in self.fractions:
            raise ValueError("fractions: must name 1, all training images")
        return self


class Compare(Section):
    """Say how sure is sure."""

    metric: Literal["auto", "accuracy", "balanced_accuracy", "roc_auc", "log_loss"]  # that names the winner
    resamples: int = Field(ge=100)  # of the hierarchical bootstrap
    confidence: Fraction  # P(A beats B) from which a difference is called
    seed: int = Field(ge=0)


class Register(Section):
    """Name the registered model and the gate in front of it."""

    model: Name
    min_gain: float = Field(ge=0, lt=1)  # validation accuracy (or balanced) above always naming the commonest class


class Runtime(Section):
    """Describe the machine's share given to one process."""

    threads: int = Field(ge=1)  # part of what identifies a result: sums change order with it
    device: Literal["cpu", "cuda", "auto"]
    precision: Literal["float32", "bf16", "auto"] = "auto"  # of convolutions and products; auto: bf16 on cuda alone


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
    constraints: Constraints = Constraints()
    register_: Register = Field(alias="register")
    runtime: Runtime
    tracking: Tracking
    enabled: tuple[Name, ...] = Field(min_length=1)
    strategies: dict[Name, Strategy]

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        if len(set(self.enabled)) != len(self.enabled):
            raise ValueError(f"enabled: name each strategy once, found {', '.join(self.enabled)}")
        for name in self.enabled:
            if name not in self.strategies:
                raise ValueError(f"enabled: no strategy is called {name!r}; there are {', '.join(self.strategies)}")
        for name, row in self.strategies.items():
            if (size := self._size(row)) > self.prepare.image_size:
                raise ValueError(
                    f"strategies.{name}: image_size {size} is more than prepare.image_size "
                    f"({self.prepare.image_size}), the size the images are packed at"
                )
        return self

    @staticmethod
    def _size(row: Strategy) -> int:
        axis = row.space.get("image_size")
        fixed = row.recipe.get("image_size", Recipe.model_fields["image_size"].default)
        return max(int(size) for size in (axis.ends() if axis else (fixed,)))

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
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path}: expected keys and values at the top level, found {type(raw).__name__}")
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        lines = [explain(problem, Params) for problem in error.errors()]
        raise UserError(f"{path}: {len(lines)} problem(s)\n" + "\n".join(lines)) from None
