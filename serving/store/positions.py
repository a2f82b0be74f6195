"""What accounts held at any moment: stated by someone, and reckoned from events since.

A stated position stands until the next stated one. Between them every event makes a new
version, whatever order the events arrive in; an event at the very time of a stated
position is taken to be in it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from models.ledger import Row, replay
from serving.store.columns import Time
from serving.store.engine import Transaction
from serving.store.rows import chunks, put
from serving.store.schema import EVENTS, HOLDINGS, POSITIONS

STATED = "stated"
RECKONED = "events"


def write(transaction: Transaction, positions: Sequence[Row], *, now: datetime) -> None:
    """Write stated positions and reckon anew what followed them.

    Parameters
    ----------
    positions
        `account`, `at`, `legs`, `options`, `terms`.
    """
    rows = [{**row, "origin": STATED, "received_at": now} for row in positions]
    put(transaction, POSITIONS, rows)
    since: dict[str, datetime] = {}
    for row in rows:
        since[row["account"]] = min(row["at"], since.get(row["account"], row["at"]))
    reckon(transaction, since, now=now)


def reckon(transaction: Transaction, since: Mapping[str, datetime], *, now: datetime) -> None:
    """Apply events anew to the positions that accounts had just before a moment each.

    Parameters
    ----------
    since
        Per account, the moment from which events may be new.

    Raises
    ------
    InvalidInput
        When an event moves more than is held, or no leg that is known; its place is the key.
    """
    for names in chunks(sorted(since)):
        earliest = min(since[name] for name in names)
        versions = _versions(transaction, names, since=earliest)
        happened = _happened(transaction, names, since=earliest)
        replayed = (
            replay(course(versions.get(name, ()), since[name]), happened.get(name, ()))
            for name in names
        )
        rows = [row for by_time in replayed for row in by_time.values()]
        _forget(transaction, {name: since[name] for name in names})
        reckoned = {"origin": RECKONED, "received_at": now}
        put(transaction, POSITIONS, [{**row, **reckoned} for row in rows])
        _hold(transaction, names)


def _versions(
    transaction: Transaction, names: Sequence[str], *, since: datetime
) -> dict[str, list[Row]]:
    """Return the versions in force at a moment or later, oldest first."""
    other = POSITIONS.alias("other")
    before = sa.select(sa.func.max(other.c.at)).where(
        other.c.account == POSITIONS.c.account, other.c.at < since
    )
    first = sa.func.coalesce(before.scalar_subquery(), sa.literal(since, Time))
    chosen = sa.select(POSITIONS).where(POSITIONS.c.account.in_(names), POSITIONS.c.at >= first)
    return _by_account(transaction, chosen.order_by(POSITIONS.c.account, POSITIONS.c.at))


def _by_account(transaction: Transaction, chosen: sa.Select[Any]) -> dict[str, list[Row]]:
    """Return the rows of a selection, which is ordered by account, per account."""
    rows = transaction.execute(chosen).mappings()
    return {
        str(name): [{str(column): value for column, value in row.items()} for row in group]
        for name, group in groupby(rows, key=lambda row: row["account"])
    }


def course(versions: Sequence[Row], since: datetime) -> list[Row]:
    """Return what events from a moment on apply to, oldest first.

    That is the version in force just before the moment, or stated for it, and every later
    stated one. Before the first version nothing is in force.

    Parameters
    ----------
    versions
        Of one account, oldest first: the one in force just before the moment, if there is
        one, and all that follow.
    """
    before = [row for row in versions if row["at"] < since]
    stated = [row for row in versions if row["at"] >= since and row["origin"] == STATED]
    return [*before[-1:], *stated]


def _happened(
    transaction: Transaction, names: Sequence[str], *, since: datetime
) -> dict[str, list[Row]]:
    """Return the events of accounts from a moment on, oldest first."""
    chosen = sa.select(EVENTS).where(EVENTS.c.account.in_(names), EVENTS.c.at >= since)
    ordered = chosen.order_by(EVENTS.c.account, EVENTS.c.at, EVENTS.c.key)
    return _by_account(transaction, ordered)


def _forget(transaction: Transaction, since: Mapping[str, datetime]) -> None:
    """Remove the reckoned versions that are about to be written anew."""
    mine = sa.and_(
        POSITIONS.c.account == sa.bindparam("whose"),
        POSITIONS.c.origin == RECKONED,
        POSITIONS.c.at >= sa.bindparam("since", type_=Time),
    )
    parameters = [{"whose": name, "since": at} for name, at in since.items()]
    transaction.execute(sa.delete(POSITIONS).where(mine), parameters)


def _hold(transaction: Transaction, names: Sequence[str]) -> None:
    """Note which assets accounts hold in their newest position."""
    transaction.execute(sa.delete(HOLDINGS).where(HOLDINGS.c.account.in_(names)))
    newest = sa.select(POSITIONS.c.account, sa.func.max(POSITIONS.c.at).label("at"))
    ends = newest.where(POSITIONS.c.account.in_(names)).group_by(POSITIONS.c.account).subquery()
    same = sa.and_(POSITIONS.c.account == ends.c.account, POSITIONS.c.at == ends.c.at)
    joined = POSITIONS.join(ends, same)
    standing = transaction.execute(
        sa.select(POSITIONS.c.account, POSITIONS.c.legs).select_from(joined)
    )
    rows = [
        {"asset": leg["asset"], "account": account, "kind": leg["kind"]}
        for account, legs in standing
        for leg in legs
    ]
    put(transaction, HOLDINGS, rows)
