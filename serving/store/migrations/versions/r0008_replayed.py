"""Replay the events of accounts with one before their first position.

Events that arrived in one batch with it were never applied.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

import sqlalchemy as sa
from alembic import op

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
EXACT = Context(prec=400)
ADDS = {"collateral": "deposit", "debt": "borrow"}


class CannotApply(Exception):  # noqa: N818 - named for what happened
    """Events that cannot apply to what an account held; lists why, with the place of each."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = list(faults)
        super().__init__("; ".join(faults))


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
    except CannotApply as error:
        _note(connection, account, {"refused": error.faults}, now=now)
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


def replay(stated: Sequence[Row], events: Iterable[Row]) -> dict[int, Row]:
    """Return what an account held after each event, by time, as this revision reckons it.

    Each event applies to the version in force. An event at or before the time of a stated
    version is in it; events before the first one apply to nothing.

    Raises
    ------
    CannotApply
        When an event cannot apply to what is held.
    """
    following = list(stated)
    version: Row | None = None
    versions: dict[int, Row] = {}
    for event in events:
        at = event["at"]
        while following and following[0]["at"] <= at:
            version = following.pop(0)
        if version is None or (at == version["at"] and at not in versions):
            continue
        version = versions[at] = {**version, "at": at, "legs": _after(version["legs"], event)}
    return versions


def _after(legs: Sequence[Row], event: Row) -> list[Row]:
    """Return the legs after an event: a deposit and a borrow add, all else takes away."""
    moved = [dict(leg) for leg in legs]
    where = f"/{event['account']}/{event['key']}"
    faults: list[str] = []
    for kind, grows in ADDS.items():
        amount = Decimal(int(event[kind]))
        if amount:
            signed = amount if event["kind"] == grows else -amount
            faults.extend(_move(moved, kind, event[f"{kind}_asset"], signed, where=where))
    if faults:
        raise CannotApply(faults)
    return moved


def _move(
    legs: list[Row], kind: str, asset: str | None, signed: Decimal, *, where: str
) -> list[str]:
    """Change one leg in place and return what is wrong with that."""
    matches = [leg for leg in legs if leg["kind"] == kind and asset in (None, leg["asset"])]
    if not matches and asset is not None:
        legs.append({"kind": kind, "asset": asset, "quantity": "0"})
        matches = legs[-1:]
    if len(matches) != 1:
        detail = f"{len(matches)} {kind} legs could be meant: name the {kind}_asset"
        return [f"{where}/{kind}_asset: {detail}"]
    quantity = Decimal(matches[0]["quantity"])
    left = EXACT.add(quantity, signed)
    if left < 0:
        return [f"{where}/{kind}: takes {-signed} of {quantity} {matches[0]['asset']} held"]
    matches[0]["quantity"] = f"{left:f}"
    return []
