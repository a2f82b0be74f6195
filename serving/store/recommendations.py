"""Recommendations of risk parameters: asked for, under way, done or failed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from serving.store.engine import Transaction
from serving.store.schema import RECOMMENDATIONS

RUNNING, DONE, FAILED = "running", "done", "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationRow:
    """One recommendation.

    Parameters
    ----------
    at
        Moment of the book.
    status
        One of this module's names.
    tried
        Candidates that have been judged.
    updated_at
        When it last went on.
    request
        What was asked for.
    body
        What came of it; None before it is done.
    """

    id: str
    at: datetime
    status: str
    tried: int
    updated_at: datetime
    request: Mapping[str, Any]
    body: Mapping[str, Any] | None


def begin(
    transaction: Transaction, name: str, request: Mapping[str, Any], *, at: datetime, now: datetime
) -> None:
    """Write a recommendation that has been asked for."""
    row = {"id": name, "at": at, "status": RUNNING, "tried": 0, "updated_at": now}
    transaction.execute(sa.insert(RECOMMENDATIONS).values(**row, request=dict(request)))


def update(transaction: Transaction, name: str, *, now: datetime, **values: Any) -> None:
    """Write how far a recommendation is: `tried`, `status` or `body`."""
    mine = sa.update(RECOMMENDATIONS).where(RECOMMENDATIONS.c.id == name)
    transaction.execute(mine.values(updated_at=now, **values))


def read(transaction: Transaction, name: str) -> RecommendationRow | None:
    """Return a recommendation, or None."""
    mine = sa.select(RECOMMENDATIONS).where(RECOMMENDATIONS.c.id == name)
    row = transaction.execute(mine).mappings().one_or_none()
    return None if row is None else RecommendationRow(**row)


def newest(transaction: Transaction, *, limit: int) -> tuple[RecommendationRow, ...]:
    """Return recommendations, the newest first."""
    columns = RECOMMENDATIONS.c
    rows = transaction.execute(
        sa.select(RECOMMENDATIONS).order_by(columns.at.desc(), columns.id.desc()).limit(limit)
    ).mappings()
    return tuple(RecommendationRow(**row) for row in rows)
