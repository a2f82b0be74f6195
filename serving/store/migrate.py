"""Bring a database to the newest revision of the schema, or refuse it."""

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from serving.store.errors import StoreRefused
from serving.store.schema import HEAD

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "store_revision"
BEFORE_REVISIONS = "0001"
"""What a store was that counted its schema in a note."""

_LOCK = 5_140_716_004_271_828
"""Any number of our own: two processes that open one PostgreSQL store take turns."""


def upgrade(engine: sa.Engine, **options: bool) -> None:
    """Bring a database to `HEAD` in one transaction.

    Parameters
    ----------
    options
        Execution options of a writing connection.

    Raises
    ------
    StoreRefused
        When the database holds other tables, or a revision that this code does not know.
    """
    with engine.connect() as connection:
        if revision(connection) == HEAD:
            return
    with engine.connect() as connection, connection.execution_options(**options).begin():
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        current = revision(connection)
        if current != HEAD:
            _run(connection, current)


def revision(connection: sa.Connection) -> str | None:
    """Return the revision of a database; None when it is empty.

    Raises
    ------
    StoreRefused
        When it holds tables that are not a store's.
    """
    names = set(sa.inspect(connection).get_table_names())
    if VERSION_TABLE in names:
        table = sa.table(VERSION_TABLE, sa.column("version_num"))
        return str(connection.execute(sa.select(table.c.version_num)).scalar_one())
    if not names:
        return None
    notes = sa.table("notes", sa.column("name"), sa.column("value"))
    version_query = sa.select(notes.c.value).where(notes.c.name == "schema_version")
    if "notes" in names and connection.execute(version_query).scalar() == "1":
        return BEFORE_REVISIONS
    raise StoreRefused(f"holds tables that are not a store's: {', '.join(sorted(names)[:5])}")


def _run(connection: sa.Connection, current: str | None) -> None:
    """Run every revision after the one found."""
    # Loading Alembic takes its time, and a store that is up to date does without.
    from alembic import command  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = configuration(connection)
    revisions = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in revisions:
        raise StoreRefused(f"revision {current[:40]!r} is not known; this code reads up to {HEAD}")
    if (
        current == BEFORE_REVISIONS
        and VERSION_TABLE not in sa.inspect(connection).get_table_names()
    ):
        command.stamp(config, BEFORE_REVISIONS)
    command.upgrade(config, HEAD)


def configuration(connection: sa.Connection) -> "Config":
    """Return Alembic's settings for revisions that run on an open connection."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    place = Path(__file__).resolve().parent / "migrations"
    config.set_main_option("script_location", str(place).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
