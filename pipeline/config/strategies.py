"""The strategies that are compared: what is fixed, what is searched, and the same on other backbones."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from pipeline.config.recipe import Recipe
from pipeline.config.search_space import Dimension
from pipeline.config.settings import Fraction, Section, explain

WARM_UP = 0.25  # of the epochs, in which the learning rate rises (training/loop.py, one_cycle)
MOST_TRAININGS = 1e6  # that a budget may be a multiple of; a larger number is one of FLOPs, as it was once
BEGINNING = ("backbone", "weights", "cut")


def _in_trainings(budget: float) -> float:
    if budget > MOST_TRAININGS:
        raise ValueError(
            "the budget is now in multiples of one training of the strategy's default recipe, such as 12, not in FLOPs"
        )
    return budget


Budget = Annotated[float, Field(gt=0), AfterValidator(_in_trainings)]


class Search(Section):
    """Say how trials are spent."""

    seed: int = Field(ge=0)  # of the proposals, the split and the initialisation: shared by all trials
    startup_trials: int = Field(6, ge=1)  # the first round: the default recipe and quasi-random ones; TPE follows
    trials_per_round: int = Field(ge=1)  # of later rounds: asked for together, before the result of any is known
    promote_fraction: Fraction  # of a round, promoted from each rung to the next
    budget: Budget | None = None  # what a search may cost, in trainings of its default recipe; `trials` caps it too
    # Processes that train units; auto is one for each core, or GPU. Results do not depend on it.
    workers: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"


class Strategy(Section):
    """One row of the comparison: what is fixed, what is searched, and for how many trials."""

    trials: int = Field(ge=1)
    startup_trials: int | None = Field(None, ge=1)  # in place of search.startup_trials
    rungs: tuple[Annotated[int, Field(ge=1)], ...] = ()  # epochs after which the weakest trials are dropped
    trials_per_round: int | None = Field(None, ge=1)  # in place of search.trials_per_round
    budget: Budget | None = None  # in place of search.budget
    recipe: dict[str, Any]
    space: dict[str, Dimension]
    # Keys of the recipe that are cheaper while searching, such as `image_size`; the best `confirm` trials are then
    # trained with the whole recipe, and the best of those wins.
    proxy: dict[str, Any] = Field(default_factory=dict)
    confirm: int | None = Field(None, ge=1)

    def rounds(self, search: Search) -> list[range]:
        """Return the numbers of each round's trials; the first has at most half of them, so that TPE proposes some."""
        first = min(self.startup_trials or search.startup_trials, math.ceil(self.trials / 2))
        size = self.trials_per_round or search.trials_per_round
        starts = [0, *range(first, self.trials, size), self.trials]
        return [range(start, end) for start, end in pairwise(starts)]

    def budget_in_trainings(self, search: Search) -> float | None:
        """Return what the search may cost, in trainings of the default recipe; None for no limit."""
        return self.budget or search.budget

    def default_values(self) -> dict[str, Any]:
        """Return the values of the space that the first trial has: of each axis the default, or its middle."""
        return {key: self.value(key, axis.first()) for key, axis in self.space.items()}

    def value(self, key: str, found: Any) -> Any:
        """Return a value of an axis as a recipe takes it: a whole number where the key has whole numbers."""
        return round(found) if is_whole(key) and not self.space[key].choices else found

    def full_recipe(self, values: Mapping[str, Any]) -> Recipe:
        """Return the whole recipe with these values of the space."""
        return Recipe(**{**self.recipe, **values})

    def proxy_recipe(self, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe that a trial with these values of the space is trained with."""
        return Recipe(**{**self.recipe, **values, **self.proxy})

    @property
    def largest_image_size(self) -> int:
        """Return the largest image_size that a trial may have, in pixels."""
        fixed = {"image_size": Recipe.model_fields["image_size"].default, **self.recipe}
        searched = self.space["image_size"].ends() if "image_size" in self.space else (fixed["image_size"],)
        return max(int(size) for size in (*searched, self.proxy.get("image_size", 0)))

    def cuts(self) -> tuple[Any, ...]:
        """Return every cut that a trial of this strategy may ask for."""
        return self.values("cut")

    def values(self, key: str) -> tuple[Any, ...]:
        """Return every choice, or both ends of the range, that a trial may have for a key that a recipe must have."""
        return self.space[key].ends() if key in self.space else (self.recipe[key],)

    def on(self, backbone: str) -> "Strategy":
        """Return the same on another backbone, which is then no longer searched; raise ValidationError."""
        space = {key: axis for key, axis in self.space.items() if key != "backbone"}
        return Strategy(**{**dict(self), "recipe": {**self.recipe, "backbone": backbone}, "space": space})

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
            for value in (axis.ends()[-1], *([] if axis.default is None else [axis.default])):
                _check_recipe({**self.recipe, **lowest, key: value})
        return self

    @model_validator(mode="after")
    def _proxy_is_confirmed(self) -> "Strategy":
        if bool(self.proxy) != bool(self.confirm):
            raise ValueError(
                "`proxy` (keys of the recipe that are cheaper while searching) and `confirm` (how many of the best "
                "trials are then trained with the whole recipe) go together; give both or neither"
            )
        for key in self.proxy:
            if key in self.space:
                raise ValueError(f"proxy.{key}: is searched in `space`; keep one")
            if key in BEGINNING:
                raise ValueError(f"proxy.{key}: says where learning begins, so another one ranks other recipes")
        if self.proxy:
            _check_recipe({**self.recipe, **self.default_values(), **self.proxy})
        return self

    @model_validator(mode="after")
    def _rungs_rise_after_the_warm_up(self) -> "Strategy":
        if sorted(set(self.rungs)) != list(self.rungs):
            raise ValueError(f"rungs: must rise, found {list(self.rungs)}")
        axis = self.space.get("epochs")
        epochs = [int(end) for end in (axis.ends() if axis else ({**self.recipe, **self.proxy}["epochs"],))]
        if self.rungs and self.rungs[-1] >= min(epochs):
            raise ValueError(f"rungs: must be below the recipe's epochs ({min(epochs)}), found {list(self.rungs)}")
        warm = math.ceil(WARM_UP * max(epochs))
        if self.rungs and self.rungs[0] < warm:
            raise ValueError(
                f"rungs: {self.rungs[0]} lies in the warm-up, the first quarter of {max(epochs)} epochs, where the "
                f"loss ranks learning rates alone; the first rung may be {warm}"
            )
        return self


def is_whole(key: str) -> bool:
    """Return whether a key of a recipe has whole numbers only."""
    return Recipe.model_fields[key].annotation is int


def _check_recipe(values: dict[str, Any]) -> None:
    try:
        Recipe(**values)
    except ValidationError as error:
        raise ValueError("\n" + "\n".join(explain(problem, Recipe) for problem in error.errors())) from None


def crossings(
    rows: Mapping[str, Strategy], enabled: Sequence[str], per_backbone: Sequence[str], backbones: Sequence[str]
) -> dict[str, Strategy]:
    """Return each of these rows on each backbone, named `<strategy>-<backbone>`; ValueError where one cannot be."""
    found: dict[str, Strategy] = {}
    for strategy, backbone in product(per_backbone, backbones):
        arm = f"{strategy}-{backbone}"
        if arm in rows or arm in found:
            raise ValueError(f"backbones: {strategy} on {backbone} would be called {arm}, as another strategy is")
        if strategy in enabled and rows[strategy].recipe.get("backbone") == backbone:
            raise ValueError(f"backbones: {strategy} is run on {backbone} already; name others")
        try:
            found[arm] = rows[strategy].on(backbone)
        except ValidationError as error:
            reasons = "".join(explain(problem, Strategy).strip() for problem in error.errors())
            raise ValueError(
                f"backbones: strategies.{strategy} cannot be run on {backbone}: {reasons}\n"
                f"change that row, or take {strategy} out of `per_backbone` or {backbone} out of `backbones`"
            ) from None
    return found
