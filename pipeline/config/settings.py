"""What every block of settings has in common: unknown keys are refused, and a mistake is told in a line."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """Refuse unknown keys and later changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def explain(problem: Any, model: type[BaseModel]) -> str:
    """Return a line for one of pydantic's errors: the key, what it may be, and what was found."""
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
