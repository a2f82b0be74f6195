"""Allocations that take long: asked for, under way, done or failed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from serving.store.engine import Transaction
from serving.store.schema import ALLOCATIONS

RUNNING, DONE, FAILED = "running", "done", "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationRow:
    """One allocation.

    Parameters
    ----------
    status
        One of this module's names.
    updated_at
        When it last went on.
    request
        What was asked for.
    body
        What came of it; None before it has ended.
    """

    id: str
    status: str
    begun_at: datetime
    updated_at: datetime
    request: Mapping[str, Any]
    body: Mapping[str, Any] | None


def begin(
    transaction: Transaction, name: str, request: Mapping[str, Any], *, now: datetime
) -> AllocationRow:
    """Write an allocation that has been asked for, and return it."""
    row = AllocationRow(
        id=name, status=RUNNING, begun_at=now, updated_at=now, request=request, body=None
    )
    values = {part: getattr(row, part) for part in row.__slots__}
    transaction.execute(sa.insert(ALLOCATIONS).values(values))
    return row


def end(
    transaction: Transaction, name: str, status: str, body: Mapping[str, Any], *, now: datetime
) -> None:
    """Write what came of an allocation."""
    fresh = {"status": status, "updated_at": now, "body": dict(body)}
    transaction.execute(sa.update(ALLOCATIONS).where(ALLOCATIONS.c.id == name).values(fresh))


def read(transaction: Transaction, name: str) -> AllocationRow | None:
    """Return an allocation; None where there is none."""
    row = transaction.execute(sa.select(ALLOCATIONS).where(ALLOCATIONS.c.id == name)).mappings()
    first = row.first()
    return None if first is None else AllocationRow(**first)
