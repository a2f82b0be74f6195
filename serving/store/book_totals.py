"""The whole book in sum, as the watch wrote it with the states that it belongs to."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from serving.store.engine import Transaction
from serving.store.rows import put
from serving.store.schema import ACCOUNTS, BOOK_SUMS

WHOLE = "whole"


def write(transaction: Transaction, body: Mapping[str, Any], *, at: datetime) -> None:
    """Let a sum stand for the book."""
    put(transaction, BOOK_SUMS, [{"name": WHOLE, "at": at, "body": dict(body)}])


def read(transaction: Transaction) -> tuple[datetime, dict[str, Any]] | None:
    """Return the sum of the book and when it was written; None before the first."""
    row = transaction.execute(sa.select(BOOK_SUMS).where(BOOK_SUMS.c.name == WHOLE)).first()
    return None if row is None else (row.at, row.body)


def size(transaction: Transaction) -> int:
    """Return how many accounts the store knows."""
    return int(transaction.execute(sa.select(sa.func.count()).select_from(ACCOUNTS)).scalar_one())
