"""Describe the machine that figures were measured on, without naming it."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path


def machine(*packages: str) -> dict[str, str | int | None]:
    """Return processor, cores, and the versions of Python and these packages."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if sys.platform == "linux" else ""
    names = {line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")}
    processor = ", ".join(sorted(names)) or platform.processor()
    found = {name: version(name) for name in packages}
    return {"processor": processor, "cores": os.cpu_count(), "python": platform.python_version(), **found}


def sentence(described: dict[str, str | int | None]) -> str:
    """Return it as a line of text."""
    first = ("processor", "cores", "python")
    names = [*first, *sorted(described.keys() - set(first))]
    return "Machine: " + "; ".join(f"{name} {described[name]}" for name in names) + "."
