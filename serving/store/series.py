"""Values that are read beside the candles: funding, open interest, oracle rounds, reserves."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from features import point_in_time
from features.inputs import LOOKBACK, Tables, no_events
from serving.store.engine import Transaction
from serving.store.schema import FUNDING, OPEN_INTEREST, ORACLE_ROUNDS, RESERVES

Row = Mapping[str, Any]


def series(
    transaction: Transaction,
    assets: Collection[str],
    *,
    at: datetime,
    lookback: timedelta = LOOKBACK,
) -> Tables:
    """Return what was known of assets at a moment and became known within a lookback.

    Without candles and events. A round is one of the feed `ASSET/USD`.
    """
    span = (at - lookback, at)
    feeds = [point_in_time.feed(asset) for asset in assets]
    rounds = ORACLE_ROUNDS.c
    lent = _rows(transaction, RESERVES.c.asset, RESERVES.c.at, names=assets, span=span)
    return Tables(
        candles={},
        events=no_events(),
        funding=point_in_time.funding(
            _rows(transaction, FUNDING.c.asset, FUNDING.c.at, names=assets, span=span)
        ),
        open_interest=point_in_time.open_interest(
            _rows(transaction, OPEN_INTEREST.c.asset, OPEN_INTEREST.c.at, names=assets, span=span)
        ),
        rounds=point_in_time.rounds(
            _rows(transaction, rounds.feed, rounds.updated_at, names=feeds, span=span)
        ),
        utilisation=point_in_time.utilisation(lent),
        liquidity=point_in_time.liquidity(lent),
    )


def assets(transaction: Transaction) -> set[str]:
    """Return every asset that anything read beside the candles speaks of."""
    columns = (FUNDING.c.asset, OPEN_INTEREST.c.asset, RESERVES.c.asset)
    named = {
        str(asset)
        for column in columns
        for asset in transaction.execute(sa.select(column).distinct()).scalars()
    }
    feeds = transaction.execute(sa.select(ORACLE_ROUNDS.c.feed).distinct()).scalars()
    return named | {str(feed).removesuffix(point_in_time.feed("")) for feed in feeds}


def _rows(
    transaction: Transaction,
    named: "sa.Column[Any]",
    timed: "sa.Column[Any]",
    *,
    names: Collection[str],
    span: tuple[datetime, datetime],
) -> list[Row]:
    """Return the rows of names that became known after a moment and by another, oldest first."""
    chosen = sa.select(named.table).where(
        named.in_(sorted(names)), timed > span[0], timed <= span[1]
    )
    rows = transaction.execute(chosen.order_by(timed)).mappings()
    return [{str(name): value for name, value in row.items()} for row in rows]
