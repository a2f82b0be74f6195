"""Quotes of how far selling an asset moves its price, every version with its time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from serving.store.engine import Transaction
from serving.store.rows import put
from serving.store.schema import IMPACT_QUOTES


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpactQuotes:
    """Quotes of one market.

    Parameters
    ----------
    asset, quote
        What is sold, and for what.
    measured_at
        When they were taken.
    quotes
        Amount sold in whole units, and share of the price lost.
    """

    asset: str
    quote: str
    measured_at: datetime
    quotes: tuple[tuple[float, float], ...]


def write(transaction: Transaction, answer: ImpactQuotes, *, now: datetime) -> None:
    """Write a version; the same time again takes its place."""
    row = {
        "asset": answer.asset,
        "quote": answer.quote,
        "measured_at": answer.measured_at,
        "received_at": now,
        "quotes": [list(item) for item in answer.quotes],
    }
    put(transaction, IMPACT_QUOTES, [row])


def newest(transaction: Transaction, *, at: datetime) -> tuple[ImpactQuotes, ...]:
    """Return the newest version of every market that was measured by a moment."""
    columns = IMPACT_QUOTES.c
    latest = (
        sa.select(columns.asset, columns.quote, sa.func.max(columns.measured_at).label("measured"))
        .where(columns.measured_at <= at)
        .group_by(columns.asset, columns.quote)
        .subquery()
    )
    rows = transaction.execute(
        sa.select(IMPACT_QUOTES)
        .join(
            latest,
            sa.and_(
                columns.asset == latest.c.asset,
                columns.quote == latest.c.quote,
                columns.measured_at == latest.c.measured,
            ),
        )
        .order_by(columns.asset, columns.quote)
    ).all()
    return tuple(_read(row.asset, row.quote, row.measured_at, row.quotes) for row in rows)


def _read(
    asset: str, quote: str, measured_at: datetime, quotes: Sequence[Sequence[float]]
) -> ImpactQuotes:
    return ImpactQuotes(
        asset=asset,
        quote=quote,
        measured_at=measured_at,
        quotes=tuple((float(amount), float(lost)) for amount, lost in quotes),
    )
