"""Databases to test against: SQLite always, PostgreSQL wherever its server can be started."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from serving.store import Store, open_store

SERVER = "FOREWARN_TEST_POSTGRES"
"""URL of a database on a running server whose user may create databases."""

SETTINGS = "-c listen_addresses= -c fsync=off -c full_page_writes=off -c max_connections=60"


def _binaries() -> Path | None:
    """Return where the newest server's programs are, or None."""
    found = shutil.which("pg_ctl")
    if found is not None:
        return Path(found).resolve().parent
    places = Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")
    newest = max(places, key=lambda place: int(place.parts[4]), default=None)
    return None if newest is None else newest.parent


def _run(*command: str | Path) -> None:
    """Run a program of the server, which refuses to be root."""
    user = "postgres" if os.geteuid() == 0 else None
    subprocess.run(
        [str(part) for part in command],
        check=True,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
        cwd="/",
    )


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """Yield the URL of a PostgreSQL server, the one named or one of our own."""
    named = os.environ.get(SERVER)
    if named:
        yield named
        return
    binaries = _binaries()
    if binaries is None:
        pytest.skip(f"no PostgreSQL server: install postgresql or name one in {SERVER}")
    place = Path(tempfile.mkdtemp(prefix="forewarn-pg-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(place, "postgres", "postgres")
    data = place / "data"
    try:
        _run(binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
        control = (binaries / "pg_ctl", "-D", data, "-w")
        settings = f"{SETTINGS} -c unix_socket_directories={place}"
        _run(*control, "-l", place / "log", "-o", settings, "start")
        try:
            yield f"postgresql://postgres@/postgres?host={place}"
        finally:
            _run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite3'}"
        return
    server: str = request.getfixturevalue("postgresql_url")
    name = f"forewarn_{os.getpid()}_{tmp_path.name}"[:60].lower()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        parts = urlsplit(server)
        yield urlunsplit((parts.scheme, parts.netloc, f"/{name}", parts.query, ""))
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            connection.execute(drop)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """Yield an open store on each kind of database."""
    opened = open_store(database)
    yield opened
    opened.close()
