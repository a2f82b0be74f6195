"""Copy a SQLite store while it is used, and put a copy in its place."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from serving.store.engine import shown
from serving.store.errors import StoreRefused
from serving.store.migrate import VERSION_TABLE

PAGES = 4096
"""Copied between two looks at whether somebody writes: writers wait for none of them."""


def back_up(url: str, target: Path) -> int:
    """Write a copy of a store as it is at one moment, and return its bytes.

    Parameters
    ----------
    url
        Of a SQLite store; it may be read and written meanwhile.
    target
        File that does not exist yet. It is there only when the copy is whole.

    Raises
    ------
    StoreRefused
        When the store is none, is damaged, or lies in another database; when the target exists.
    """
    if target.exists():
        raise StoreRefused(f"{target}: is there already")
    with _copied(file_of(url), target) as part:
        _place(part, target)
    return target.stat().st_size


def restore(source: Path, url: str, *, replaces: bool) -> Path | None:
    """Put a copy in the place of a store.

    Parameters
    ----------
    source
        As `back_up` wrote it.
    url
        Of a SQLite store that nobody has open.
    replaces
        Whether a store that is there already gives way; it is kept beside, never deleted.

    Returns
    -------
    Path or None
        Where the store that gave way is now.

    Raises
    ------
    StoreRefused
        When the copy is damaged or none, when a store is there that may not give way, or when
        somebody has it open.
    """
    target = file_of(url)
    if not target.exists():
        with _copied(source, target) as part:
            _place(part, target)
        return None
    if not replaces:
        raise StoreRefused(f"{target}: a store is there already")
    with _copied(source, target) as part, _alone(target) as old:
        aside = _unused(target)
        with _opened(aside, mode="rwc") as new:
            old.backup(new)
        _flush(aside)
        _place(part, target)
    return aside


def file_of(url: str) -> Path:
    """Return the file of a SQLite store.

    Raises
    ------
    StoreRefused
        When the URL names no file; a PostgreSQL database has tools of its own.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise StoreRefused("a URL that cannot be read") from None
    if parsed.get_backend_name() == "postgresql":
        raise StoreRefused(f"{shown(url)}: copy a PostgreSQL store with pg_dump and pg_restore")
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise StoreRefused(f"{shown(url)}: names no file")
    return Path(parsed.database)


@contextlib.contextmanager
def _copied(source: Path, target: Path) -> Iterator[Path]:
    """Yield a sound copy of a database beside the target; what is left of it goes in the end."""
    if not source.is_file():
        raise StoreRefused(f"{source}: no such file")
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        with _opened(source, mode="ro") as old, _opened(part, mode="rwc") as new:
            old.backup(new, pages=PAGES)
            new.execute("PRAGMA journal_mode=DELETE")
            _check(new, source)
        _flush(part)
        yield part
    except (sqlite3.Error, OSError) as error:
        raise StoreRefused(f"{source} to {target}: {error}") from None
    finally:
        part.unlink(missing_ok=True)


def _place(part: Path, target: Path) -> None:
    """Give a file the target's name; the log of what had it before must not be read into it."""
    for rest in ("-wal", "-shm"):
        target.with_name(f"{target.name}{rest}").unlink(missing_ok=True)
    part.replace(target)
    _flush(target.parent)


def _check(copied: sqlite3.Connection, source: Path) -> None:
    """Refuse a copy that is damaged or no store."""
    (said,) = copied.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise StoreRefused(f"{source}: damaged: {said}")
    named = "SELECT count(*) FROM sqlite_master WHERE name = ?"
    if copied.execute(named, (VERSION_TABLE,)).fetchone() == (0,):
        raise StoreRefused(f"{source}: is no store of this program")


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection to a database that nobody else has open, and that nobody can open."""
    with _opened(file, mode="rw") as connection:
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise StoreRefused(f"{file}: is open elsewhere: {error}") from None
        yield connection


@contextlib.contextmanager
def _opened(file: Path, *, mode: str) -> Iterator[sqlite3.Connection]:
    """Yield a connection, closed at the end."""
    uri = f"{file.resolve().as_uri()}?mode={mode}"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=1.0)) as connection:
        yield connection


def _unused(target: Path) -> Path:
    """Return the first name beside a file that is free."""
    number = 1
    while (beside := target.with_name(f"{target.name}.before-{number}")).exists():
        number += 1
    return beside


def _flush(place: Path) -> None:
    """Bring a file or a directory to the disk."""
    number = os.open(place, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
