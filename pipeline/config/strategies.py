"""The strategies that are compared: what is fixed, what is searched, and the same on other backbones."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from pipeline.config.recipe import Recipe
from pipeline.config.settings import Fraction, Section, explain


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


class Search(Section):
    """Say how trials are spent."""

    seed: int = Field(ge=0)  # of the sampler, the split and the initialisation: shared by all trials
    trials_per_round: int = Field(ge=1)  # asked for together, before the result of any is known
    promote_fraction: Fraction  # of a round, promoted from each rung to the next
    budget: float | None = Field(None, gt=0)  # FLOPs that each strategy's search may cost; `trials` caps it too
    workers: int = Field(1, ge=1)  # processes that train units; results do not depend on it


class Strategy(Section):
    """One row of the comparison: what is fixed, what is searched, and for how many trials."""

    trials: int = Field(ge=1)
    rungs: tuple[Annotated[int, Field(ge=1)], ...] = ()  # epochs after which the weakest trials are dropped
    trials_per_round: int | None = Field(None, ge=1)  # in place of search.trials_per_round
    budget: float | None = Field(None, gt=0)  # in place of search.budget
    recipe: dict[str, Any]
    space: dict[str, Dimension]

    def round_size(self, search: Search) -> int:
        """Return how many trials are asked for together."""
        return self.trials_per_round or search.trials_per_round

    def budget_flops(self, search: Search) -> float | None:
        """Return the FLOPs that the search may cost; None for no limit."""
        return self.budget or search.budget

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
