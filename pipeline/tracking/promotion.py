"""Who is champion, who was, and how that changes: one process moves the alias at a time, and each change is recorded.

The history is kept in tags of the registered model, one for each line. MLflow writes a tag as it writes an alias, in
one transaction, and hands out tags and aliases together; an artifact can be cut off half-way, and two writers of one
file lose lines. A move is a line that says what is about to happen, then the alias, then the line again, as done. What
a killed process left open is settled by where the alias points: the move is done, or never happened.
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pipeline.common.errors import UserError
from pipeline.common.files import unwritable
from pipeline.common.provenance import commit
from pipeline.tracking.client import as_user_error
from pipeline.tracking.registry import CHAMPION, Registry

PREFIX = "headstart.history."
LONGEST = 5000  # characters that every store keeps in a tag

Action = Literal["promoted", "rolled back", "refused", "dry run"]
MOVES = ("promoted", "rolled back")


class DisplacedError(UserError):
    """Report that another process has changed the champion meanwhile."""


@dataclass(frozen=True)
class Entry:
    """A line of the history."""

    action: Action
    version: int  # the one that is in service since, or that was refused
    before: int | None  # the champion until then
    said: str  # why
    numbers: dict[str, Any] = field(default_factory=dict)  # on which that rests
    at: str = ""  # UTC
    by: str = ""
    commit: str = ""
    done: bool = True
    key: str = ""  # the name of its tag; in order of time

    @property
    def moves(self) -> bool:
        """Say whether the alias moves."""
        return self.action in MOVES

    def says_the_same(self, other: "Entry") -> bool:
        """Say whether nothing but time and place differs."""
        return [self.action, self.version, self.before, self.said] == [
            other.action, other.version, other.before, other.said]  # fmt: skip


class Promotions:
    """The changes of a registered model's champion."""

    def __init__(self, registry: Registry) -> None:
        """Keep the history of this registered model."""
        self._registry, self._client, self._model = registry, registry.client, registry.model

    @as_user_error
    def history(self) -> list[Entry]:
        """Return the lines of the history, the oldest first, without those of moves that never happened."""
        with _alone(self._registry):
            entries, champion = self._read()
        return [replace(e, done=True) for e in entries if e.done or champion == e.version]

    def record(self, entry: Entry) -> bool:
        """Add a line, and move the champion if it says so; return whether anything is new. Raise DisplacedError."""
        return self._move(entry) if entry.moves else self._note(entry)

    @as_user_error
    def _note(self, entry: Entry) -> bool:
        """Add a line that moves nothing, unless the latest on that version says the same."""
        with _alone(self._registry):
            entries, _ = self._read()
            known = [each for each in entries if each.version == entry.version]
            new = not known or not known[-1].says_the_same(entry)
            if new:
                self._write(self._signed(entry))
        return new

    @as_user_error
    def _move(self, wanted: Entry) -> bool:
        """Make a version champion instead of `wanted.before`; return False where it is already.

        Raise DisplacedError where another version is champion by now: whatever was found out, was about `before`.
        """
        with _alone(self._registry):
            champion = self._settle()
            if champion == wanted.version:
                return False
            if champion != wanted.before:
                raise DisplacedError(
                    f"version {wanted.version} was to follow {_named(wanted.before)}, but by now {_named(champion)} is "
                    "champion: another process was quicker. Nothing was changed; run again to compare it with that one"
                )
            entry = replace(self._signed(wanted), done=False)
            self._write(entry)
            self._registry.point(CHAMPION, entry.version)
            self._write(replace(entry, done=True))
            self._confirm(entry)
        return True

    @as_user_error
    def finish(self) -> Entry | None:
        """Settle a move that was cut off; return its line where that move happened and was left open."""
        with _alone(self._registry):
            entries, _ = self._read()
            champion = self._settle()
        return next((entry for entry in entries if not entry.done and entry.version == champion), None)

    def previous(self) -> int | None:
        """Return the version that was champion before the present one, rollbacks undone; None where there was none."""
        stack: list[int] = []
        for entry in (each for each in self.history() if each.moves):
            if entry.before is not None and entry.before not in stack[-1:]:
                stack.append(entry.before)  # somebody moved the alias by hand, or before there was a history
            if entry.action == "rolled back":
                while entry.version in stack:
                    if stack.pop() == entry.version:
                        break
            stack.append(entry.version)
        champion = self._registry.champion()
        while champion and stack[-1:] == [champion.version]:
            stack.pop()
        return stack[-1] if stack else None

    def was_taken_back(self, version: int) -> bool:
        """Say whether the latest move that concerns a version rolled it back."""
        moves = [e for e in self.history() if e.moves and version in (e.version, e.before)]
        return bool(moves) and moves[-1].action == "rolled back" and moves[-1].before == version

    def promoted(self, version: int) -> Entry | None:
        """Return the latest line by which a version became champion, or None."""
        return next((e for e in reversed(self.history()) if e.moves and e.version == version), None)

    def _read(self) -> tuple[list[Entry], int | None]:
        """Return all lines, the oldest first, and the champion."""
        found = self._client.get_registered_model(self._model)
        kept = {key: value for key, value in found.tags.items() if key.startswith(PREFIX)}
        entries = [Entry(**json.loads(kept[key]), key=key) for key in sorted(kept)]
        champion = found.aliases.get(CHAMPION)
        return entries, None if champion is None else int(champion)

    def _settle(self) -> int | None:
        """Complete, or take out, the line of a move that was cut off; return the champion."""
        entries, champion = self._read()
        for entry in entries:
            if not entry.done and entry.version == champion:
                self._write(replace(entry, done=True))
            elif not entry.done:
                self._client.delete_registered_model_tag(self._model, entry.key)
        return champion

    def _signed(self, entry: Entry) -> Entry:
        now = datetime.now(UTC)
        key = f"{PREFIX}{now:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(2)}"
        return replace(entry, key=key, at=f"{now:%Y-%m-%d %H:%M:%S}", by=_user(), commit=commit(self._registry.root))

    def _write(self, entry: Entry) -> None:
        raw = {name: value for name, value in asdict(entry).items() if name != "key"}
        text = json.dumps(raw)
        if len(text) > LONGEST:
            text = json.dumps(raw | {"said": entry.said[: LONGEST // 4]})
        self._client.set_registered_model_tag(self._model, entry.key, text)

    def _confirm(self, entry: Entry) -> None:
        """Raise DisplacedError where somebody who does not heed the lock has moved the alias since."""
        _, champion = self._read()
        if champion != entry.version:
            raise DisplacedError(
                f"version {entry.version} was made champion, but another process has put {_named(champion)} in its "
                "place since; run again to compare it with that one"
            )


def _named(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"


def _user() -> str:
    try:
        return getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"


@contextmanager
def _alone(registry: Registry) -> Iterator[None]:
    """Wait until no other process is in this block.

    For a database in a file that holds for all who use it. On a server it holds for this checkout alone, since MLflow
    has no compare-and-set: of two machines that promote within the same tenth of a second, both may see the old
    champion. The later one then stays, both lines are in the history, and the earlier is told if it reads it again in
    time.
    """
    from filelock import FileLock

    lock = _lock(registry)
    held = FileLock(lock)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except OSError as error:
        raise unwritable(lock, error.strerror) from error
    try:
        yield
    finally:
        held.release()


def _lock(registry: Registry) -> Path:
    uri = urlsplit(registry.uri)
    if uri.scheme.startswith("sqlite") and uri.path.strip("/"):
        database = Path(unquote(uri.path[1:]))
        return database.with_name(f"{database.name}.promotions.lock")
    return registry.root / ".headstart" / "promotions.lock"
