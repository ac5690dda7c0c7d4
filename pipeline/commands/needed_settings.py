"""The settings that have to change for params.yaml to use a folder of images: check shows them, init writes them."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.config.params import Params
    from pipeline.data.inspection import Inspection

Settings = dict[str, Any]  # nested as in params.yaml


def needed_settings(found: "Inspection", file: Path, settings: "Params") -> Settings:
    """Return the settings that have to change for `file` to use the images, nested as it is."""
    from pipeline.config.features import AUTO
    from pipeline.data.inspection import DISTANCE

    name = re.sub(r"[^A-Za-z0-9_-]+", "-", found.root.resolve().stem).strip("-_") or "images"
    wanted: dict[str, Any] = {"data.name": name, "data.path": path_from(file, found.root), "data.label": found.label}
    wanted |= {"download": [], "prepare.stratify": [], "register.model": f"headstart-{name}"}
    if settings.prepare.near_duplicate_bits is None:
        wanted["prepare.near_duplicate_bits"] = DISTANCE
    if settings.data.path != wanted["data.path"]:  # what suits other images may not suit these
        wanted["prepare.image_size"] = "auto"
        if settings.features.views != AUTO:
            wanted["features.views"] = "auto"
    now = settings.model_dump(mode="json", by_alias=True)
    nested: Settings = {}
    for key, value in wanted.items():
        section, _, inner = key.partition(".")
        if inner and now[section][inner] != value:
            nested.setdefault(section, {})[inner] = value
        elif not inner and now[section] != value:
            nested[section] = value
    return {key: nested[key] for key in now if key in nested}


def path_from(file: Path, root: Path) -> str:
    """Return the path of `root` as `file` has it: from the folder that `file` is in, where it leads into that."""
    there, base = root.resolve(), file.resolve().parent
    return (there.relative_to(base) if there.is_relative_to(base) else there).as_posix()


def as_yaml(wanted: Settings) -> str:
    """Return settings as they stand in params.yaml."""
    import yaml

    return yaml.safe_dump(wanted, allow_unicode=True, sort_keys=False, width=1000)
