"""A registry of bundles: a directory of versions, and pointers that name those in use.

    versions/<version>/…   bundles, each under the name its own manifest gives it
    moves/000001.json …    what a pointer was moved to, when, by whom and why; never changed
    champion.json          the move in force: the bundle that answers
    challenger.json        the move in force: the bundle that is scored beside it

A pointer is replaced in one step after its move was written, so that a reader sees the bundle
before or the bundle after, and a crash leaves at most a move that was never in force.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from models.errors import BundleRefused
from models.forecast import bundle
from models.forecast.bundle import Bundle

Alias = Literal["champion", "challenger"]
ALIASES: tuple[Alias, ...] = ("champion", "challenger")
VERSIONS, MOVES, LOCK = "versions", "moves", "lock"

Mark = tuple[int, int, int]
"""Change time, inode and size of a pointer: enough to see that it was replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A pointer that was set.

    Parameters
    ----------
    number
        Counts the moves of a registry from 1.
    version, sha256
        Of the bundle's manifest; None where the pointer was lifted.
    actor
        Who moved it.
    reason
        In their words, or the gate's.
    evidence
        What the gate found, where it was asked.
    is_forced
        Whether the gate was overruled.
    """

    number: int
    alias: Alias
    version: str | None
    sha256: str | None
    at: datetime
    actor: str
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    is_forced: bool = False


def is_registry(directory: Path) -> bool:
    """Return whether a directory holds versions rather than one bundle."""
    return (directory / VERSIONS).is_dir()


def add(registry: Path, directory: Path) -> str:
    """Copy a bundle into the registry and return its version.

    Raises
    ------
    BundleRefused
        When it has no readable manifest.
    """
    version = _hash(directory)[:12]
    place = registry / VERSIONS / version
    if not place.exists():
        draft = registry / VERSIONS / f".{version}.{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(directory, draft)
        for file in draft.iterdir():
            _flush(file)
        with _locked(registry):
            if place.exists():
                shutil.rmtree(draft)
            else:
                draft.rename(place)
                _flush(place.parent)
    return version


def versions(registry: Path) -> list[str]:
    """Return every version, the oldest first."""
    places = [p for p in (registry / VERSIONS).glob("*") if not p.name.startswith(".")]
    return [place.name for place in sorted(places, key=lambda p: (p.stat().st_mtime_ns, p.name))]


def point(
    registry: Path,
    alias: Alias,
    version: str | None,
    *,
    at: datetime,
    actor: str,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    is_forced: bool = False,
) -> Move:
    """Set a pointer, or lift it with None; the move is kept for ever.

    Raises
    ------
    BundleRefused
        When the registry holds no such version.
    """
    (registry / MOVES).mkdir(parents=True, exist_ok=True)
    sha256 = None if version is None else _hash(registry / VERSIONS / version)
    with _locked(registry):
        numbers = [int(file.stem) for file in (registry / MOVES).glob("*.json")]
        move = Move(
            number=max(numbers, default=0) + 1,
            alias=alias,
            version=version,
            sha256=sha256,
            at=at,
            actor=actor,
            reason=reason,
            evidence=evidence or {},
            is_forced=is_forced,
        )
        text = json.dumps({**asdict(move), "at": at.isoformat()}, indent=1) + "\n"
        _replace(registry / MOVES / f"{move.number:06d}.json", text)
        _replace(registry / f"{alias}.json", text)
    return move


def pointer(registry: Path, alias: Alias) -> Move | None:
    """Return the move in force of a pointer; None where it was never set.

    Raises
    ------
    BundleRefused
        When it cannot be read.
    """
    file = registry / f"{alias}.json"
    return _read(file) if file.exists() else None


def history(registry: Path) -> list[Move]:
    """Return every move that was in force, the oldest first."""
    moves = [_read(file) for file in sorted((registry / MOVES).glob("*.json"))]
    last = {alias: pointer(registry, alias) for alias in ALIASES}
    numbers = {alias: 0 if move is None else move.number for alias, move in last.items()}
    return [move for move in moves if move.number <= numbers[move.alias]]


def before(registry: Path, alias: Alias) -> Move | None:
    """Return the newest move to the version that the one in force took the place of, or None.

    A pointer that returns to a version is where it was when it first named it: what it named
    in between does not come back. After A, B, C and back to B, the one before is A.
    """
    line: list[Move] = []
    for move in history(registry):
        if move.alias != alias or move.version is None:
            continue
        places = [place for place, earlier in enumerate(line) if earlier.version == move.version]
        line = [*line[: places[0] if places else len(line)], move]
    return line[-2] if len(line) > 1 else None


def mark(registry: Path, alias: Alias) -> Mark | None:
    """Return what changes when a pointer is replaced, at the cost of one look."""
    try:
        status = (registry / f"{alias}.json").stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def load(
    registry: Path, alias: Alias, *, fingerprint: Callable[[Sequence[str]], str]
) -> Bundle | None:
    """Read and verify the bundle that a pointer names; None where it names none.

    Parameters
    ----------
    fingerprint
        As of `models.forecast.bundle.load`.

    Raises
    ------
    BundleRefused
        When the pointer, the manifest or a file is damaged, foreign or altered, or the
        features differ.
    """
    move = pointer(registry, alias)
    if move is None or move.version is None:
        return None
    place = registry / VERSIONS / move.version
    digest = _hash(place)
    if digest != move.sha256:
        raise BundleRefused(f"{place}: its manifest has hash {digest[:12]}, the pointer another")
    return bundle.load(place, fingerprint=fingerprint)


def _hash(directory: Path) -> str:
    """Return the hash of a bundle's manifest."""
    try:
        return hashlib.sha256((directory / bundle.MANIFEST).read_bytes()).hexdigest()
    except OSError as error:
        raise BundleRefused(f"{directory}: no readable {bundle.MANIFEST}: {error}") from None


def _read(file: Path) -> Move:
    """Return the move of a file."""
    try:
        stored = json.loads(file.read_text())
        return Move(**{**stored, "at": datetime.fromisoformat(stored["at"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BundleRefused(f"{file}: not a readable pointer: {error}") from None


@contextlib.contextmanager
def _locked(registry: Path) -> Iterator[None]:
    """Hold the registry's lock, so that writers take turns."""
    with (registry / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(file: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut."""
    draft = file.with_name(f".{file.name}.draft")
    draft.write_text(text)
    _flush(draft)
    draft.replace(file)
    _flush(file.parent)


def _flush(path: Path) -> None:
    """Wait until what was written is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
