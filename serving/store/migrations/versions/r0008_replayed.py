"""Replay the events of accounts with one before their first position.

Events that arrived in one batch with it were never applied.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

from models.errors import InvalidInput
from models.ledger import replay

revision = "0008"
down_revision = "0007"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def _table(name: str, *columns: str) -> sa.TableClause:
    """Return a table by the columns that are read or written here."""
    return sa.table(name, *map(sa.column, columns))


POSITIONS = _table(
    "positions", "account", "at", "origin", "legs", "options", "terms", "received_at"
)
EVENTS = _table(
    "events", "account", "key", "at", "kind", "collateral", "debt", "collateral_asset", "debt_asset"
)
HOLDINGS = _table("holdings", "asset", "account", "kind")
AUDIT = _table("audit", "at", "actor", "action", "subject", "request_id", "detail")

Row = dict[str, Any]


def upgrade() -> None:
    """Write the positions anew that differ, and an audit line for each such account.

    An account whose events cannot apply to what it held keeps its positions; its audit line
    says why.
    """
    connection = op.get_bind()
    now = (datetime.now(UTC) - EPOCH) // MICROSECOND
    firsts = (
        sa.select(POSITIONS.c.account, sa.func.min(POSITIONS.c.at).label("at"))
        .group_by(POSITIONS.c.account)
        .subquery()
    )
    early = sa.and_(EVENTS.c.account == firsts.c.account, EVENTS.c.at < firsts.c.at)
    chosen = sa.select(EVENTS.c.account).distinct().join(firsts, early)
    for account in sorted(connection.execute(chosen).scalars()):
        _mend(connection, account, now=now)


def _mend(connection: sa.Connection, account: str, *, now: int) -> None:
    """Replay the events of one account."""
    versions = _rows(connection, POSITIONS, account, "at")
    stated = [
        {**row, "legs": json.loads(row["legs"])} for row in versions if row["origin"] == "stated"
    ]
    before = {row["at"]: json.loads(row["legs"]) for row in versions if row["origin"] == "events"}
    try:
        replayed = replay(stated, _rows(connection, EVENTS, account, "at", "key"))
    except InvalidInput as error:
        _note(connection, account, {"refused": [str(fault) for fault in error.faults]}, now=now)
        return
    after = {at: row["legs"] for at, row in replayed.items()}
    if after == before:
        return
    reckoned = sa.and_(POSITIONS.c.account == account, POSITIONS.c.origin == "events")
    connection.execute(sa.delete(POSITIONS).where(reckoned))
    rows = [
        {**row, "legs": _text(row["legs"]), "origin": "events", "received_at": now}
        for row in replayed.values()
    ]
    if rows:
        connection.execute(sa.insert(POSITIONS), rows)
    newest = max([*stated, *replayed.values()], key=lambda row: row["at"])
    connection.execute(sa.delete(HOLDINGS).where(HOLDINGS.c.account == account))
    holdings = {(leg["asset"], leg["kind"]) for leg in newest["legs"]}
    if holdings:
        named = [
            {"account": account, "asset": asset, "kind": kind} for asset, kind in sorted(holdings)
        ]
        connection.execute(sa.insert(HOLDINGS), named)
    _note(connection, account, {"versions": len(after), "legs": newest["legs"]}, now=now)


def _rows(connection: sa.Connection, table: sa.TableClause, account: str, *order: str) -> list[Row]:
    """Return the rows of an account."""
    chosen = sa.select(table).where(table.c.account == account)
    ordered = chosen.order_by(*(table.c[name] for name in order))
    return [dict(row) for row in connection.execute(ordered).mappings()]


def _note(connection: sa.Connection, account: str, detail: Row, *, now: int) -> None:
    """Write an audit line."""
    line = {"at": now, "actor": "forewarn", "action": "positions.replay", "subject": account}
    connection.execute(
        sa.insert(AUDIT), [{**line, "request_id": f"revision-{revision}", "detail": _text(detail)}]
    )


def _text(value: Any) -> str:
    """Return a tree as the store keeps it."""
    return json.dumps(value, separators=(",", ":"))
