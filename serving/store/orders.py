"""Mandates and orders: one live order per trigger, and no more spent than a mandate allows.

Who makes an order locks its mandate first, so that two that make one at the same time see what the
other has spent; the trigger of a live order is unique in the table, so that a second one cannot
be written whoever writes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

import sqlalchemy as sa

from serving.store.engine import Transaction
from serving.store.order_schema import MANDATE_ACCOUNTS, MANDATES, ORDERS
from serving.store.rows import chunks, insert_new, put

_LIVE = sa.select(ORDERS).where(ORDERS.c.live.is_not(None)).order_by(ORDERS.c.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class MandateRow:
    """A mandate as it is kept."""

    id: str
    owner: str
    version: int
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    body: Mapping[str, Any]

    def is_in_force(self, at: datetime) -> bool:
        """Return whether orders may be made and acted on by it."""
        return self.ended_at is None and at < self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """An order as it is kept.

    Parameters
    ----------
    live
        The trigger while the order holds it; None afterwards.
    value
        Quote units, exact text.
    seal
        Signature; None where the order was refused.
    course
        What became of it: who acted when, the receipt, the outcome.
    """

    id: str
    mandate: str
    account: str
    trigger: str
    live: str | None
    state: str
    version: int
    made_at: datetime
    moved_at: datetime
    expires_at: datetime
    value: str
    counts: bool
    body: Mapping[str, Any]
    seal: Mapping[str, Any] | None
    course: Mapping[str, Any]


def put_mandate(transaction: Transaction, row: MandateRow, accounts: Sequence[str]) -> None:
    """Write a mandate over one of the same id, with the accounts that it covers."""
    put(transaction, MANDATES, [_values(row)])
    mine = MANDATE_ACCOUNTS.c.mandate == row.id
    transaction.execute(sa.delete(MANDATE_ACCOUNTS).where(mine))
    rows = [{"account": account, "mandate": row.id} for account in sorted(set(accounts))]
    transaction.execute(sa.insert(MANDATE_ACCOUNTS), rows)


def end_mandate(transaction: Transaction, mandate: str, *, at: datetime) -> None:
    """End a mandate before it expires."""
    mine = sa.and_(MANDATES.c.id == mandate, MANDATES.c.ended_at.is_(None))
    fresh = {"ended_at": at, "version": MANDATES.c.version + 1}
    transaction.execute(sa.update(MANDATES).where(mine).values(fresh))


def mandate(transaction: Transaction, name: str) -> MandateRow | None:
    """Return a mandate, which nobody else writes or spends until a writing transaction ends."""
    row = transaction.execute(_locked(transaction, MANDATES, name)).mappings().first()
    return None if row is None else MandateRow(**row)


def mandates(
    transaction: Transaction, *, owner: str | None = None, after: str = "", limit: int = 100
) -> list[MandateRow]:
    """Return mandates by their ids, a page of them."""
    chosen = sa.select(MANDATES).where(MANDATES.c.id > after)
    if owner is not None:
        chosen = chosen.where(MANDATES.c.owner == owner)
    rows = transaction.execute(chosen.order_by(MANDATES.c.id).limit(limit)).mappings()
    return [MandateRow(**row) for row in rows]


def covering(
    transaction: Transaction, accounts: Sequence[str], *, at: datetime
) -> dict[str, list[MandateRow]]:
    """Return by account the mandates in force that cover it."""
    in_force = sa.and_(MANDATES.c.ended_at.is_(None), MANDATES.c.expires_at > at)
    any_row = sa.select(MANDATES.c.id).where(in_force).limit(1)
    if transaction.execute(any_row).first() is None:
        return {}
    by_account: dict[str, list[MandateRow]] = {}
    joined = sa.select(MANDATE_ACCOUNTS.c.account.label("covered"), MANDATES).join(
        MANDATES, MANDATES.c.id == MANDATE_ACCOUNTS.c.mandate
    )
    for some in chunks(accounts):
        chosen = joined.where(MANDATE_ACCOUNTS.c.account.in_(some), in_force)
        for row in transaction.execute(chosen.order_by(MANDATES.c.id)).mappings():
            fields = {str(name): value for name, value in row.items()}
            account = str(fields.pop("covered"))
            by_account.setdefault(account, []).append(MandateRow(**fields))
    return by_account


def spent(transaction: Transaction, mandate: str, *, since: datetime) -> Fraction:
    """Return the quote units of a mandate's orders made after a moment that count."""
    mine = sa.and_(ORDERS.c.mandate == mandate, ORDERS.c.made_at > since, ORDERS.c.counts)
    values = transaction.execute(sa.select(ORDERS.c.value).where(mine))
    return sum((Fraction(str(value)) for (value,) in values), Fraction(0))


def insert(transaction: Transaction, row: OrderRow) -> bool:
    """Add an order; return whether its trigger was free, without which nothing is written."""
    return bool(insert_new(transaction, ORDERS, [_values(row)]))


def replace(transaction: Transaction, row: OrderRow, *, version: int) -> bool:
    """Write an order over the version that was read; return whether it still stood."""
    standing = sa.and_(ORDERS.c.id == row.id, ORDERS.c.version == version)
    changed = transaction.execute(sa.update(ORDERS).where(standing).values(_values(row)))
    return bool(changed.rowcount)


def find(transaction: Transaction, order: str) -> OrderRow | None:
    """Return an order, which nobody else writes until a writing transaction ends."""
    row = transaction.execute(_locked(transaction, ORDERS, order)).mappings().first()
    return None if row is None else OrderRow(**row)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Which orders are asked for; None does not restrict."""

    state: str | None = None
    account: str | None = None
    mandate: str | None = None


def read(
    transaction: Transaction, criteria: OrderFilter, *, before: str | None = None, limit: int = 100
) -> list[OrderRow]:
    """Return orders, the newest first: their ids ascend with time.

    Parameters
    ----------
    before
        Id at which the page before ended.
    """
    table = ORDERS.c
    equal = (
        (criteria.state, table.state),
        (criteria.account, table.account),
        (criteria.mandate, table.mandate),
    )
    chosen = sa.select(ORDERS).where(*(c == value for value, c in equal if value is not None))
    if before is not None:
        chosen = chosen.where(table.id < before)
    rows = transaction.execute(chosen.order_by(table.id.desc()).limit(limit)).mappings()
    return [OrderRow(**row) for row in rows]


def live(transaction: Transaction) -> list[OrderRow]:
    """Return every order that holds its trigger, oldest first."""
    return [OrderRow(**row) for row in transaction.execute(_LIVE).mappings()]


def last_of(transaction: Transaction, trigger: str) -> OrderRow | None:
    """Return the newest order of a trigger; None where there was none."""
    chosen = sa.select(ORDERS).where(ORDERS.c.trigger == trigger)
    row = transaction.execute(chosen.order_by(ORDERS.c.id.desc()).limit(1)).mappings().first()
    return None if row is None else OrderRow(**row)


def _locked(transaction: Transaction, table: sa.Table, name: str) -> "sa.Select[Any]":
    """Return the selection of one row, locked where the transaction writes."""
    chosen = sa.select(table).where(table.c.id == name)
    writes = transaction.get_execution_options().get("forewarn_writes")
    return chosen.with_for_update() if writes else chosen


def _values(row: MandateRow | OrderRow) -> dict[str, Any]:
    """Return the columns of a row."""
    return {name: getattr(row, name) for name in row.__slots__}
