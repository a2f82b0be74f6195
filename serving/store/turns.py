"""Who leads, and who was last heard of."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from serving.store.alert_schema import HEARTBEATS, LEASES
from serving.store.engine import Transaction
from serving.store.rows import insert_new, put


def lead(
    transaction: Transaction, name: str, *, holder: str, now: datetime, lease: timedelta
) -> bool:
    """Take or renew a lease; False while another holds it.

    Renewed inside the transaction that writes, it keeps a leader that lost its lease from
    writing.
    """
    row = {"name": name, "holder": holder, "until": now + lease}
    if insert_new(transaction, LEASES, [row]):
        return True
    may = sa.or_(LEASES.c.holder == holder, LEASES.c.until <= now)
    taken = sa.update(LEASES).where(LEASES.c.name == name, may)
    return bool(transaction.execute(taken.values(holder=holder, until=now + lease)).rowcount)


def resign(transaction: Transaction, name: str, *, holder: str) -> None:
    """Give a lease back, so that the next need not wait for its end."""
    mine = sa.and_(LEASES.c.name == name, LEASES.c.holder == holder)
    transaction.execute(sa.delete(LEASES).where(mine))


def beat(transaction: Transaction, name: str, *, now: datetime, detail: Any = None) -> None:
    """Note that something was done now."""
    put(transaction, HEARTBEATS, [{"name": name, "at": now, "detail": detail}])


def beats(transaction: Transaction) -> dict[str, tuple[datetime, Any]]:
    """Return when each was last heard of, and what it said."""
    rows = transaction.execute(sa.select(HEARTBEATS))
    return {str(row.name): (row.at, row.detail) for row in rows}
