"""The log's rows: added one after the other, read in parts, never changed.

Each row holds all that the next one needs (its chain and the right edge of the tree), so that
an entry costs the same however long the log is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from serving.store.engine import Transaction
from serving.store.governance_schema import LOG

_LOCK = 5_140_716_004_271_829
"""Any number of our own: two writers of one PostgreSQL log take turns."""

PAGE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One entry as it is kept.

    Parameters
    ----------
    entry
        The bytes that are hashed.
    chain
        After the entry, in hexadecimal.
    edge
        Roots of the whole subtrees after the entry, in hexadecimal, the largest first.
    """

    number: int
    at: datetime
    action: str
    subject: str
    entry: bytes
    chain: str
    edge: tuple[str, ...]


def lock(transaction: Transaction) -> None:
    """Let nobody else add to the log until this transaction ends.

    SQLite has one writer at a time as it is.
    """
    if transaction.dialect.name == "postgresql":
        transaction.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def last(transaction: Transaction) -> Row | None:
    """Return the newest entry; None where there is none."""
    newest = sa.select(LOG).order_by(LOG.c.number.desc()).limit(1)
    row = transaction.execute(newest).mappings().first()
    return None if row is None else _row(row)


def insert(transaction: Transaction, row: Row) -> None:
    """Add an entry."""
    values = {
        "number": row.number,
        "at": row.at,
        "action": row.action,
        "subject": row.subject[:500],
        "entry": row.entry,
        "chain": row.chain,
        "edge": " ".join(row.edge),
    }
    transaction.execute(sa.insert(LOG).values(values))


def read(
    transaction: Transaction, *, after: int = -1, limit: int = PAGE, subject: str | None = None
) -> list[Row]:
    """Return entries in their order, from behind a number on."""
    chosen = sa.select(LOG).where(LOG.c.number > after)
    if subject is not None:
        chosen = chosen.where(LOG.c.subject == subject)
    rows = transaction.execute(chosen.order_by(LOG.c.number).limit(limit)).mappings()
    return [_row(row) for row in rows]


def read_all(transaction: Transaction) -> Iterator[Row]:
    """Yield every entry in order."""
    after = -1
    while part := read(transaction, after=after):
        yield from part
        after = part[-1].number


def entries(transaction: Transaction, *, size: int) -> list[bytes]:
    """Return the bytes of the first entries of the log."""
    chosen = sa.select(LOG.c.entry).where(LOG.c.number < size).order_by(LOG.c.number)
    return [bytes(entry) for entry in transaction.execute(chosen).scalars()]


def _row(row: "sa.RowMapping") -> Row:
    """Return an entry of its row."""
    return Row(
        number=int(row["number"]),
        at=row["at"],
        action=str(row["action"]),
        subject=str(row["subject"]),
        entry=bytes(row["entry"]),
        chain=str(row["chain"]),
        edge=tuple(str(row["edge"]).split()),
    )
