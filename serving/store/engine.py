"""Open a store and speak to it in transactions: SQLite by default, PostgreSQL by its URL.

SQLite runs with a write-ahead log, so that readers never wait for the writer; a second writer
waits up to `BUSY_SECONDS`; foreign keys hold; `synchronous=FULL` means that what was committed
outlives a power cut. A reading transaction sees one moment of the database on both.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from serving.store import changes
from serving.store.errors import StoreFailed, StoreRefused
from serving.store.migrate import revision, upgrade

Transaction = sa.Connection
"""An open transaction; what the functions of this package write to and read from."""

BUSY_SECONDS = 10
DIALECTS = ("sqlite", "postgresql")
_WRITES = "forewarn_writes"
_SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


@dataclass(frozen=True, slots=True)
class Store:
    """An open store.

    Parameters
    ----------
    engine
        Pool of connections that write; known to this package alone, as the others are.
    readers
        Pool of connections that read: no reader waits for writers that hold every connection.
    probes
        Pool of a few connections for short readings (keys, readiness), which nobody may hold up.
    """

    engine: sa.Engine
    readers: sa.Engine
    probes: sa.Engine

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    def close(self) -> None:
        """Give back every connection."""
        for pool in (self.engine, self.readers, self.probes):
            pool.dispose()

    @contextlib.contextmanager
    def begin(self) -> Iterator[Transaction]:
        """Yield a writing transaction, committed at the end and undone on any error.

        Raises
        ------
        StoreFailed
            When the database fails: locked for too long, full, stopped.
        """
        options = {_WRITES: True}
        with (
            _translated_errors(),
            _connected(self.engine, options) as connection,
            connection.begin(),
        ):
            changes.begin(connection)
            yield connection
            changes.number(connection)

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """Yield a transaction that sees one moment of the store and writes nothing.

        Raises
        ------
        StoreFailed
            When the database fails.
        """
        with self._reading(self.readers) as connection:
            yield connection

    @contextlib.contextmanager
    def probe(self) -> Iterator[Transaction]:
        """Yield a transaction as `read` does, on connections that only short readings use.

        Raises
        ------
        StoreFailed
            When the database fails.
        """
        with self._reading(self.probes) as connection:
            yield connection

    @contextlib.contextmanager
    def _reading(self, pool: sa.Engine) -> Iterator[Transaction]:
        """Yield a reading transaction on a connection of a pool."""
        options = _SNAPSHOT if self.dialect == "postgresql" else {}
        with _translated_errors(), _connected(pool, options) as connection, connection.begin():
            yield connection


def open_store(url: str) -> Store:
    """Open a store, laying its tables when it is new and bringing older ones up to date.

    Parameters
    ----------
    url
        Such as `sqlite:////var/lib/forewarn/book.sqlite3` or `postgresql://user@host/book`.

    Raises
    ------
    StoreRefused
        When it cannot be opened, holds what is not Forewarn's, or was written by a newer version.
    """
    engine = _engine(url)
    try:
        upgrade(engine, **{_WRITES: True})
    except sa.exc.SQLAlchemyError as error:
        engine.dispose()
        raise StoreRefused(f"{shown(url)}: {reason(error)}") from None
    except StoreRefused as error:
        engine.dispose()
        raise StoreRefused(f"{shown(url)}: {error}") from None
    return Store(engine, readers=_engine(url), probes=_engine(url))


def revision_of(url: str) -> str | None:
    """Return the revision of a store without bringing it up to date; None where there is none.

    Raises
    ------
    StoreRefused
        When it cannot be read, or holds what is not Forewarn's.
    """
    file = sa.make_url(url).database if url.startswith("sqlite") else None
    if file is not None and not Path(file).exists():
        return None
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            return revision(connection)
    except sa.exc.SQLAlchemyError as error:
        raise StoreRefused(f"{shown(url)}: {reason(error)}") from None
    finally:
        engine.dispose()


def shown(url: str) -> str:
    """Return a URL as it may be shown: without its password."""
    try:
        return sa.make_url(url).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return "a URL that cannot be read"


def reason(error: sa.exc.SQLAlchemyError) -> str:
    """Return the database's message, without the statement and its values."""
    said = getattr(error, "orig", None) or error
    return " ".join(str(said).split()) or type(said).__name__


def _connected(pool: sa.Engine, options: Mapping[str, Any]) -> sa.Connection:
    """Return a connection on which no transaction has begun."""
    return pool.connect().execution_options(**options)


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    """Raise a failure of the database as `StoreFailed`."""
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        raise StoreFailed(reason(error)) from error


def _engine(url: str) -> sa.Engine:
    """Return an engine whose transactions begin as this package means them.

    Raises
    ------
    StoreRefused
        When the URL cannot be read or names another database.
    """
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() not in DIALECTS:
            raise StoreRefused(f"{shown(url)}: not one of {', '.join(DIALECTS)}")
        if parsed.get_backend_name() == "postgresql":
            return _postgresql(parsed)
        return _sqlite(parsed)
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise StoreRefused(f"{shown(url)}: {error}") from None


def _postgresql(url: sa.URL) -> sa.Engine:
    """Return an engine that survives a restart of its server."""
    driven = url.set(drivername="postgresql+psycopg")
    patience = {} if "connect_timeout" in url.query else {"connect_timeout": BUSY_SECONDS}
    engine = sa.create_engine(driven, pool_pre_ping=True, connect_args=patience)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        # Stepping through an index is reckoned dear before it runs, and takes a millisecond:
        # compiling the statement first took seconds, each time.
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('jit', 'off', false)")
        connection.commit()

    return engine


def _sqlite(url: sa.URL) -> sa.Engine:
    """Return an engine that begins its own transactions, which the driver would delay."""
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={int(BUSY_SECONDS * 1000)}",
            "foreign_keys=ON",
            "journal_mode=WAL",
            "synchronous=FULL",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A writer that began as a reader could be refused half-way through.
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
