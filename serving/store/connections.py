"""Connections: what is followed, how it stands, the last blocks, and undoing what a fork undid."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from models.domain import MarketId
from serving.store import positions
from serving.store.changes import note
from serving.store.connection_schema import (
    CONNECTION_BLOCKS,
    CONNECTIONS,
    RULE_CHECKS,
    RULE_MISMATCHES,
    VENUE_ACCOUNTS,
)
from serving.store.engine import Transaction
from serving.store.rows import chunks, put
from serving.store.schema import EVENTS, POSITIONS, PRICES, STATE, TERMS

REMEMBERED = 256
"""Blocks by which a re-organisation is recognised."""

MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A connection as it stands.

    Parameters
    ----------
    body
        What is followed; no secret in it.
    sealed
        Secrets under a key that the store does not have; None where there are none.
    status, status_at
        As it was last told, and when; None before it began.
    """

    name: str
    body: dict[str, Any]
    sealed: bytes | None
    created_at: datetime
    status: dict[str, Any] | None
    status_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlock:
    """A block that was written."""

    number: int
    hash: str
    parent: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCheck:
    """Whether the rules said of an account what its venue said.

    Parameters
    ----------
    differs_since
        None where they agree.
    differences
        `figure`, `ours`, `theirs`, as text.
    """

    account: str
    connection: str
    at: datetime
    block: int
    differs_since: datetime | None
    differences: list[dict[str, Any]]


def write(
    transaction: Transaction,
    name: str,
    body: Mapping[str, Any],
    *,
    sealed: bytes | None,
    now: datetime,
) -> bool:
    """Write a connection over one of the same name; return whether there was none.

    What is already followed stays: the new one goes on from where the old one stopped.
    """
    before = read(transaction, name)
    row = {
        "name": name,
        "body": dict(body),
        "sealed": sealed,
        "created_at": now if before is None else before.created_at,
        "status": None if before is None else before.status,
        "status_at": None if before is None else before.status_at,
    }
    put(transaction, CONNECTIONS, [row])
    return before is None


def read(transaction: Transaction, name: str) -> Connection | None:
    """Return a connection; None where there is none of this name."""
    row = transaction.execute(sa.select(CONNECTIONS).where(CONNECTIONS.c.name == name)).first()
    return None if row is None else Connection(**row._mapping)  # noqa: SLF001 - its public name


def every(transaction: Transaction) -> list[Connection]:
    """Return every connection by name."""
    rows = transaction.execute(sa.select(CONNECTIONS).order_by(CONNECTIONS.c.name)).mappings()
    return [Connection(**row) for row in rows]


def remove(transaction: Transaction, name: str) -> bool:
    """End a connection; return whether there was one. What it wrote of accounts stays."""
    transaction.execute(sa.delete(CONNECTION_BLOCKS).where(CONNECTION_BLOCKS.c.connection == name))
    for table in (RULE_CHECKS, VENUE_ACCOUNTS):
        transaction.execute(sa.delete(table).where(table.c.connection == name))
    ended = transaction.execute(sa.delete(CONNECTIONS).where(CONNECTIONS.c.name == name))
    return bool(ended.rowcount)


def note_status(
    transaction: Transaction, name: str, status: Mapping[str, Any], *, now: datetime
) -> None:
    """Note how a connection stands; one that was removed meanwhile stays removed."""
    mine = sa.update(CONNECTIONS).where(CONNECTIONS.c.name == name)
    transaction.execute(mine.values(status=dict(status), status_at=now))


def write_blocks(transaction: Transaction, name: str, blocks: Sequence[StoredBlock]) -> None:
    """Remember blocks, and forget those that no re-organisation reaches."""
    put(
        transaction,
        CONNECTION_BLOCKS,
        [
            {
                "connection": name,
                "number": block.number,
                "hash": block.hash,
                "parent": block.parent,
                "at": block.at,
            }
            for block in blocks[-REMEMBERED:]
        ],
    )
    newest = max(block.number for block in blocks)
    old = sa.and_(
        CONNECTION_BLOCKS.c.connection == name,
        CONNECTION_BLOCKS.c.number <= newest - REMEMBERED,
    )
    transaction.execute(sa.delete(CONNECTION_BLOCKS).where(old))


def blocks(transaction: Transaction, name: str) -> list[StoredBlock]:
    """Return the blocks that are remembered, the newest first."""
    columns = [CONNECTION_BLOCKS.c[part] for part in ("number", "hash", "parent", "at")]
    chosen = sa.select(*columns).where(CONNECTION_BLOCKS.c.connection == name)
    ordered = chosen.order_by(CONNECTION_BLOCKS.c.number.desc())
    return [StoredBlock(**row) for row in transaction.execute(ordered).mappings()]


def undo(
    transaction: Transaction,
    name: str,
    market: MarketId,
    *,
    accounts: Sequence[str],
    after: datetime,
    number: int,
    now: datetime,
) -> None:
    """Take back what was written of a market and its accounts after a block.

    Parameters
    ----------
    after, number
        Time and number of the block that stays.
    """
    mine = CONNECTION_BLOCKS.c.connection == name
    newest = sa.select(sa.func.max(CONNECTION_BLOCKS.c.at)).where(mine)
    last = transaction.execute(newest).scalar()
    # A block's clock may run ahead of ours; terms that begin later were not read from a block.
    forget_market(transaction, market, since=after + MOMENT, until=max(now, last or now))
    for names in chunks(sorted(accounts)):
        for table in (POSITIONS, EVENTS, RULE_MISMATCHES):
            later = sa.and_(table.c.account.in_(names), table.c.at > after)
            transaction.execute(sa.delete(table).where(later))
    positions.reckon(transaction, dict.fromkeys(accounts, after + MOMENT), now=now)
    # Whoever watches has to look again, though nothing new may be written.
    note(transaction, POSITIONS, [{"account": each, "received_at": now} for each in accounts])
    for table in (PRICES, STATE, TERMS):
        note(transaction, table, [{"received_at": now}])
    gone = sa.delete(CONNECTION_BLOCKS).where(mine, CONNECTION_BLOCKS.c.number > number)
    transaction.execute(gone)


def forget_market(
    transaction: Transaction, market: MarketId, *, since: datetime, until: datetime
) -> None:
    """Take back prices, state and terms of a market from a moment to another, both included."""
    for table, time in ((PRICES, "observed_at"), (STATE, "at"), (TERMS, "valid_from")):
        whose = [table.c[part] == value for part, value in market._asdict().items()]
        span = table.c[time].between(since, until)
        transaction.execute(sa.delete(table).where(*whose, span))


def write_checks(
    transaction: Transaction,
    name: str,
    checks: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    block: StoredBlock,
) -> None:
    """Note of accounts how the rules and the venue differ; of those that agree that they do."""
    before = {check.account: check for check in of_accounts(transaction, list(checks))}
    rows, begun = [], []
    for account, differences in checks.items():
        stated = [dict(each) for each in differences]
        last = before.get(account)
        since = block.at if last is None or last.differs_since is None else last.differs_since
        common = {"account": account, "connection": name, "at": block.at, "block": block.number}
        rows.append(
            {
                **common,
                "differs_since": since if stated else None,
                "differences": stated,
            }
        )
        if stated and (last is None or last.differences != stated):
            begun.append({**common, "hash": block.hash, "differences": stated})
    put(transaction, RULE_CHECKS, rows)
    put(transaction, RULE_MISMATCHES, begun)


def of_accounts(transaction: Transaction, accounts: Collection[str]) -> list[StoredCheck]:
    """Return the last check of accounts."""
    checks: list[StoredCheck] = []
    for names in chunks(sorted(accounts)):
        chosen = sa.select(RULE_CHECKS).where(RULE_CHECKS.c.account.in_(names))
        checks += [StoredCheck(**row) for row in transaction.execute(chosen).mappings()]
    return checks


def differing(transaction: Transaction, name: str | None = None) -> list[StoredCheck]:
    """Return the checks that differ, of one connection or of all, the longest first."""
    chosen = sa.select(RULE_CHECKS).where(RULE_CHECKS.c.differs_since.is_not(None))
    if name is not None:
        chosen = chosen.where(RULE_CHECKS.c.connection == name)
    ordered = chosen.order_by(RULE_CHECKS.c.differs_since, RULE_CHECKS.c.account)
    return [StoredCheck(**row) for row in transaction.execute(ordered).mappings()]


def mismatches(transaction: Transaction, account: str) -> list[dict[str, Any]]:
    """Return every moment at which an account began to differ, the newest first."""
    chosen = sa.select(RULE_MISMATCHES).where(RULE_MISMATCHES.c.account == account)
    ordered = chosen.order_by(RULE_MISMATCHES.c.at.desc())
    return [dict(row) for row in transaction.execute(ordered).mappings()]


def checked_accounts(transaction: Transaction, name: str) -> list[str]:
    """Return the accounts that a connection follows, as it last checked them."""
    chosen = sa.select(RULE_CHECKS.c.account).where(RULE_CHECKS.c.connection == name)
    return sorted(str(account) for account in transaction.execute(chosen).scalars())
