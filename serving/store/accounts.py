"""Accounts, what they held at any moment, and what happened to them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from models.alerting.signals import BOOK
from models.domain import MarketId
from models.errors import Fault, InvalidInput
from serving.store import positions
from serving.store.engine import Transaction
from serving.store.rows import Added, add, chunks, put
from serving.store.schema import ACCOUNTS, EVENTS, HOLDINGS, POSITIONS

CARRIED_FORWARD = ("owner", "opened_at")
"""What stays as it stands where a statement does not speak of it."""


def upsert(
    transaction: Transaction, bodies: Iterable[Mapping[str, Any]], *, at: datetime, now: datetime
) -> None:
    """Write accounts and what they hold from a moment on.

    Parameters
    ----------
    bodies
        Objects as in a request, with exact amounts as text and without their events; `opened_at`
        is an aware time, `owner` a name. Either that is absent stays as it stands; None ends it.
    at
        From when the positions stand.
    now
        When they were received.

    Raises
    ------
    InvalidInput
        An account that is called as the whole book is.
    """
    write(transaction, [(at, body) for body in bodies], now=now)


def write(
    transaction: Transaction,
    statements: Sequence[tuple[datetime, Mapping[str, Any]]],
    *,
    now: datetime,
) -> None:
    """Write accounts and their positions, each from its own moment; see `upsert`."""
    if faults := [
        Fault(f"/{place}/id", f"{BOOK!r} stands for the whole book")
        for place, (_, body) in enumerate(statements)
        if body["id"] == BOOK
    ]:
        raise InvalidInput(faults)
    ordered = sorted(statements, key=lambda statement: statement[0])
    for rows in _alike(_account_row(body) for _, body in ordered):
        put(transaction, ACCOUNTS, rows)
    position_rows = [_position_row(body, at=at) for at, body in ordered]
    positions.write(transaction, position_rows, now=now)


def push_events(
    transaction: Transaction, events: Sequence[Mapping[str, Any]], *, now: datetime
) -> Added:
    """Add events, each exactly once by account and `key`, and what the accounts hold after them.

    Parameters
    ----------
    events
        `account`, `key`, `at` (aware), `kind`, `collateral` and `debt` (unsigned integers);
        `collateral_asset` and `debt_asset` where an account has several such legs.

    Raises
    ------
    StoreConflict
        When an event stands with another body.
    InvalidInput
        When the store does not know an account, or an event moves more than is held.
    """
    names = {event["account"] for event in events}
    stored = _locked(transaction, sorted(names))
    faults = [
        Fault(f"/{place}/account", f"the store knows no account {str(event['account'])[:80]!r}")
        for place, event in enumerate(events)
        if event["account"] not in stored
    ]
    if faults:
        raise InvalidInput(faults)
    rows = [
        {"collateral_asset": None, "debt_asset": None, **event, "received_at": now}
        for event in events
    ]
    added = add(transaction, EVENTS, rows)
    if added.written:
        since: dict[str, datetime] = {}
        for row in rows:
            since[row["account"]] = min(row["at"], since.get(row["account"], row["at"]))
        positions.reckon(transaction, since, now=now)
    return added


def keys(transaction: Transaction) -> list[str]:
    """Return every account's key, ascending."""
    rows = transaction.execute(sa.select(ACCOUNTS.c.account).order_by(ACCOUNTS.c.account))
    return [str(key) for (key,) in rows]


def markets(transaction: Transaction) -> set[MarketId]:
    """Return every market that an account is in."""
    parts = [ACCOUNTS.c[part] for part in MarketId._fields]
    return {MarketId(*row) for row in transaction.execute(sa.select(*parts).distinct())}


def owners(transaction: Transaction, keys: Sequence[str]) -> dict[str, tuple[str | None, str]]:
    """Return owner and venue of accounts; one that is not known is absent."""
    by_account: dict[str, tuple[str | None, str]] = {}
    for some in chunks(list(dict.fromkeys(keys))):
        chosen = sa.select(ACCOUNTS.c.account, ACCOUNTS.c.owner, ACCOUNTS.c.venue)
        rows = transaction.execute(chosen.where(ACCOUNTS.c.account.in_(some)))
        by_account.update({str(row.account): (row.owner, str(row.venue)) for row in rows})
    return by_account


def assets_of(transaction: Transaction, market: MarketId) -> set[str]:
    """Return what the accounts of a market hold or owe."""
    joined = HOLDINGS.join(ACCOUNTS, ACCOUNTS.c.account == HOLDINGS.c.account)
    conditions = [ACCOUNTS.c[part] == value for part, value in market._asdict().items()]
    chosen = sa.select(HOLDINGS.c.asset).select_from(joined).where(*conditions).distinct()
    return {str(asset) for asset in transaction.execute(chosen).scalars()}


def read(
    transaction: Transaction, keys: Sequence[str], *, at: datetime | None = None
) -> dict[str, dict[str, Any]]:
    """Return accounts with their events as they would stand in a request.

    Parameters
    ----------
    keys
        An account that is not known, or held nothing yet, is absent from the answer.
    at
        As they stood then; as they stand last when left out.
    """
    bodies: dict[str, dict[str, Any]] = {}
    for some in chunks(list(dict.fromkeys(keys))):
        rows = transaction.execute(_standing(some, at=at)).mappings()
        bodies.update({str(row["account"]): _body(row) for row in rows})
        for row in transaction.execute(_happened(some, at=at)).mappings():
            if row["account"] in bodies:
                bodies[row["account"]]["events"].append(_event(row))
    return bodies


def since(transaction: Transaction, keys: Sequence[str], *, at: datetime) -> dict[str, datetime]:
    """Return from when each account's position at a moment has stood."""
    starts: dict[str, datetime] = {}
    for some in chunks(list(dict.fromkeys(keys))):
        newest = sa.func.max(POSITIONS.c.at).label("since")
        chosen = sa.select(POSITIONS.c.account, newest).where(
            POSITIONS.c.account.in_(some), POSITIONS.c.at <= at
        )
        rows = transaction.execute(chosen.group_by(POSITIONS.c.account))
        starts.update({str(row.account): row.since for row in rows})
    return starts


def liquidations_received(transaction: Transaction, keys: Sequence[str]) -> dict[str, datetime]:
    """Return when the last liquidation of each account that had one was received."""
    received: dict[str, datetime] = {}
    for some in chunks(list(dict.fromkeys(keys))):
        chosen = sa.select(EVENTS.c.account, EVENTS.c.received_at).where(
            EVENTS.c.account.in_(some), EVENTS.c.kind == "liquidate"
        )
        ordered = chosen.order_by(EVENTS.c.account, EVENTS.c.at, EVENTS.c.received_at)
        received.update({str(row.account): row.received_at for row in transaction.execute(ordered)})
    return received


def _standing(keys: Sequence[str], *, at: datetime | None) -> sa.Select[Any]:
    """Return a selection of accounts with the position in force."""
    other = POSITIONS.alias("other")
    newest = sa.select(sa.func.max(other.c.at)).where(other.c.account == ACCOUNTS.c.account)
    if at is not None:
        newest = newest.where(other.c.at <= at)
    position = sa.and_(
        POSITIONS.c.account == ACCOUNTS.c.account, POSITIONS.c.at == newest.scalar_subquery()
    )
    columns = [POSITIONS.c[name] for name in ("legs", "options", "terms")]
    chosen = sa.select(ACCOUNTS, *columns).select_from(ACCOUNTS.join(POSITIONS, position))
    return chosen.where(ACCOUNTS.c.account.in_(keys)).order_by(ACCOUNTS.c.account)


def _happened(keys: Sequence[str], *, at: datetime | None) -> sa.Select[Any]:
    """Return a selection of the events of accounts, oldest first."""
    chosen = sa.select(EVENTS).where(EVENTS.c.account.in_(keys))
    if at is not None:
        chosen = chosen.where(EVENTS.c.at <= at)
    return chosen.order_by(EVENTS.c.account, EVENTS.c.at, EVENTS.c.key)


def _locked(transaction: Transaction, names: Sequence[str]) -> set[str]:
    """Return which accounts the store knows, and keep other writers from them."""
    locked: set[str] = set()
    for some in chunks(names):
        chosen = sa.select(ACCOUNTS.c.account).where(ACCOUNTS.c.account.in_(some))
        ordered = chosen.order_by(ACCOUNTS.c.account).with_for_update()
        locked.update(transaction.execute(ordered).scalars())
    return locked


def _alike(rows: Iterable[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    """Return what the rows say of each account together, in lists of rows with equal columns."""
    merged: dict[str, dict[str, Any]] = {}
    for row in rows:
        merged[row["account"]] = {**merged.get(row["account"], {}), **row}
    alike: dict[frozenset[str], list[dict[str, Any]]] = {}
    for row in merged.values():
        alike.setdefault(frozenset(row), []).append(row)
    return alike.values()


def _account_row(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of an account."""
    return {
        "account": body["id"],
        "venue": body["venue"],
        "version": body.get("version"),
        "market": body["market"],
        "chain": body.get("chain") or "",
        **{name: body[name] for name in CARRIED_FORWARD if name in body},
    }


def _position_row(body: Mapping[str, Any], *, at: datetime) -> dict[str, Any]:
    """Return what an account holds, as a row."""
    return {
        "account": body["id"],
        "at": at,
        "legs": body["legs"],
        "options": body.get("options", {}),
        "terms": body.get("terms"),
    }


def market_of(body: Mapping[str, Any]) -> MarketId:
    """Return the market of an account as it stands in a request."""
    return MarketId(body["venue"], body["market"], body.get("chain") or "")


def _body(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return an account as it would stand in a request."""
    opened = row["opened_at"]
    return {
        "id": row["account"],
        "venue": row["venue"],
        "version": row["version"],
        "market": row["market"],
        "chain": row["chain"] or None,
        "opened_at": None if opened is None else opened.isoformat(),
        "legs": row["legs"],
        "options": row["options"],
        "terms": row["terms"],
        "events": [],
    }


def _event(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return an event as it would stand in a request."""
    return {
        "at": row["at"].isoformat(),
        "kind": row["kind"],
        "collateral": str(row["collateral"]),
        "debt": str(row["debt"]),
    }
