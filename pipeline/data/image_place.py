"""A folder of images wherever it is: on disk, or in a store that fsspec reads, such as s3:// and gs://."""

from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.common.errors import UserError, first_line
from pipeline.data.readers.class_folders import SUFFIXES


class ImagePlace:
    """A folder whose images are known by their paths in it."""

    def __init__(self, place: str) -> None:
        """Open a folder, given by its path or URI; raise UserError where there is none, or no access to it."""
        from fsspec.core import url_to_fs

        self.place = place
        try:
            self._fs, root = url_to_fs(str(Path(place).resolve()) if Path(place).exists() else place)
            self._root = root.rstrip("/")
            kind = self._fs.info(self._root or "/")["type"]
        except FileNotFoundError:
            raise UserError(f"{place}: no such folder of images") from None
        except ImportError as error:
            raise UserError(f"{place}: {_first_line(error)}: `uv add` the package that it names") from None
        except Exception as error:  # of whichever store: no such protocol, no credentials, no connection
            raise UserError(f"{place}: cannot be opened: {_first_line(error)}") from None
        if kind != "directory":
            raise UserError(f"{place}: is a file; name the folder that holds the images")

    @property
    def uri(self) -> str:
        """Return where the folder is, in a form that does not depend on the current folder."""
        return str(self._fs.unstrip_protocol(self._root))

    def images(self) -> list[str]:
        """Return the paths of all images below the folder, sorted; raise UserError where there is none.

        Hidden files and folders are left out, as are files with other suffixes than those of images.
        """
        try:
            found = [file[len(self._root) :].lstrip("/") for file in self._fs.find(self._root)]
        except Exception as error:
            raise UserError(f"{self.place}: cannot be listed: {_first_line(error)}") from None
        images = sorted(path for path in found if _is_image(PurePosixPath(path)))
        if not images:
            kinds = ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
            raise UserError(f"{self.place}: holds no images ({kinds})")
        return images

    def read(self, path: str, most: int) -> bytes:
        """Return an image file of at most so many bytes; raise ValueError with the reason where that fails."""
        file = f"{self._root}/{path}"
        try:
            info: dict[str, Any] = self._fs.info(file)
            if info["type"] == "other":  # reading might never end
                raise ValueError("is a pipe, socket or device, not a file")
            if (info.get("size") or 0) > most:
                raise ValueError(f"{info['size']:,} bytes are over the limit of {most:,}")
            return bytes(self._fs.cat_file(file))
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"cannot be read: {getattr(error, 'strerror', None) or _first_line(error)}") from None


def _is_image(path: PurePosixPath) -> bool:
    return path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.parts)


def _first_line(error: Exception) -> str:
    return first_line(error).rstrip(".")
