"""How many liquidations were expected over time, and how many came."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from models.horizons import PROBABILITIES
from serving.store.engine import Transaction
from serving.store.forecasts import LIQUIDATED
from serving.store.rows import put
from serving.store.schema import ACCOUNTS, BOOK_COURSE, EVENTS, LIQUIDATIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What was expected of one venue at a moment: accounts liquidated within each horizon.

    Parameters
    ----------
    accounts
        That had a forecast.
    chances
        Sums of their probabilities, by name of `PROBABILITIES`.
    """

    venue: str
    at: datetime
    accounts: int
    chances: Mapping[str, float]


def keep(transaction: Transaction, sums: Mapping[str, Any], *, at: datetime) -> None:
    """Keep what the book's sums expect; what was said first within an hour stands for it."""
    hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    present = sa.select(BOOK_COURSE.c.venue).where(BOOK_COURSE.c.hour == hour)
    standing = set(transaction.execute(present).scalars())
    rows = [
        {
            "hour": hour,
            "venue": venue,
            "at": at,
            "accounts": part["with_forecast"],
            **{name: part[name] for name in PROBABILITIES},
        }
        for venue, part in sums["chances"].items()
        if venue not in standing
    ]
    put(transaction, BOOK_COURSE, rows)


def read(
    transaction: Transaction, *, begin: datetime, end: datetime, venue: str | None = None
) -> list[Expected]:
    """Return what was expected in [begin, end], oldest first."""
    chosen = sa.select(BOOK_COURSE).where(BOOK_COURSE.c.at >= begin, BOOK_COURSE.c.at <= end)
    if venue is not None:
        chosen = chosen.where(BOOK_COURSE.c.venue == venue)
    rows = transaction.execute(chosen.order_by(BOOK_COURSE.c.at, BOOK_COURSE.c.venue)).mappings()
    return [
        Expected(
            venue=row["venue"],
            at=row["at"],
            accounts=row["accounts"],
            chances={name: row[name] for name in PROBABILITIES},
        )
        for row in rows
    ]


def liquidated(
    transaction: Transaction, *, begin: datetime, end: datetime, venue: str | None = None
) -> list[tuple[datetime, str]]:
    """Return when which account of the book was liquidated within (begin, end], oldest first.

    Told as events, or by a venue's log.
    """
    events = sa.select(EVENTS.c.at, EVENTS.c.account).where(EVENTS.c.kind == LIQUIDATED)
    events = events.where(EVENTS.c.at > begin, EVENTS.c.at <= end)
    logged = sa.select(LIQUIDATIONS.c.at, LIQUIDATIONS.c.account)
    logged = logged.where(LIQUIDATIONS.c.at > begin, LIQUIDATIONS.c.at <= end)
    if venue is not None:
        joined = EVENTS.join(ACCOUNTS, ACCOUNTS.c.account == EVENTS.c.account)
        events = events.select_from(joined).where(ACCOUNTS.c.venue == venue)
        logged = logged.where(LIQUIDATIONS.c.venue == venue)
    logged = logged.where(LIQUIDATIONS.c.account.in_(sa.select(ACCOUNTS.c.account)))
    rows = transaction.execute(sa.union(events, logged).order_by("at", "account"))
    return [(row.at, str(row.account)) for row in rows]


def forget(transaction: Transaction, *, before: datetime) -> int:
    """Remove what was expected before a moment and return how many rows went."""
    gone = transaction.execute(sa.delete(BOOK_COURSE).where(BOOK_COURSE.c.hour < before))
    return int(gone.rowcount)
