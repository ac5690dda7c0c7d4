"""Put model cards where people look for them: among the files of each model, and as descriptions in the registry."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.common.errors import UserError
from pipeline.tracking.client import NOTE, as_user_error, connect

LONGEST = 5000  # characters of a description that MLflow's database takes
OURS = "\n\n*Written by Headstart, which keeps it up to date; remove this line to keep your own words.*"
ALIASES = {
    "champion": "the one in service",
    "challenger": "the one recommended last",
    "best-<strategy>": "the latest of a strategy",
}
MORE = "\n\nMore is in README.md among the model's files."


@as_user_error
def publish_cards(root: Path, registered: str, versions: Mapping[str, int], cards: Path, about: str) -> None:
    """Write the card of each strategy's version into its model and its description; describe all with `about`.

    `cards` has <strategy>/README.md. Done again, it changes nothing; a description that a person has written stays.
    Raise UserError where a card is missing.
    """
    client = connect(root)
    for name, version in versions.items():
        card = cards / name / "README.md"
        text = short_form(_read(card))
        found = client.get_model_version(registered, str(version))
        model = found.source.removeprefix("models:/")  # the logged model that it points at
        client.log_model_artifact(model, str(card))
        client.set_logged_model_tags(model, {NOTE: text})
        if _may_replace(found.description, text):
            client.update_model_version(registered, str(version), text)
    if _may_replace(client.get_registered_model(registered).description, about + OURS):
        client.update_registered_model(registered, about + OURS)


def registered_model_says(data: str, classes: Sequence[str], aliases: Mapping[str, str]) -> str:
    """Return the description of a registered model; `aliases` tells what each is."""
    named = ", ".join(f"`{name}`" for name in classes[:10]) + (", ..." if len(classes) > 10 else "")
    lines = "\n".join(f"- `{alias}`: {meaning}" for alias, meaning in aliases.items())
    return (
        f"Image classifiers of {data}: {named}. Each version is a strategy that was tuned and measured; its card is "
        f"its description, and README.md among its files.\n\n{lines}"
    )


def short_form(card: str) -> str:
    """Return a card without its YAML fields, as a description: whole sections, as many as there is room for."""
    text = re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL).strip()
    first, *sections = re.split(r"\n\n(?=## )", text)
    room = LONGEST - len(OURS) - len(MORE)
    kept = first[:room]
    for section in sections:
        if len(kept) + len(section) + 2 > room:
            return kept + MORE + OURS
        kept += f"\n\n{section}"
    return kept + OURS


def _may_replace(known: str | None, text: str) -> bool:
    return known != text and (not known or known.endswith(OURS))


def _read(card: Path) -> str:
    try:
        return card.read_text(encoding="utf-8")
    except OSError:
        raise UserError(f"{card}: no such file; run the stage that makes it: dvc repro compare") from None
