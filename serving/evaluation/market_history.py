"""What a request states of a market's past, as the tables that features read.

Rows take the way of those of a store, so that the same rows give the same features.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import numpy as np

from features import point_in_time
from features.inputs import HOUR, Candles, Floats, Tables
from serving.schemas.market import MarkCandlesBody, MarketBody, TableBody

Row = dict[str, Any]


def laid_over(beneath: Tables, stated: MarketBody) -> Tables:
    """Return the tables with a request's rows of an asset in place of the stored ones.

    Rows that become known after the question may stay: no feature reads them.
    """
    lent = list(_lent(stated))
    return replace(
        beneath,
        candles={**beneath.candles, **_grids(stated.candles)},
        perpetuals={**beneath.perpetuals, **_grids(stated.perpetuals)},
        marks={**beneath.marks, **_grids(stated.marks)},
        funding={**beneath.funding, **point_in_time.funding(_by_asset(stated.funding))},
        open_interest={
            **beneath.open_interest,
            **point_in_time.open_interest(_by_asset(stated.open_interest)),
        },
        rounds={**beneath.rounds, **point_in_time.rounds(_rounds(stated))},
        utilisation={**beneath.utilisation, **point_in_time.utilisation(lent)},
        liquidity={**beneath.liquidity, **point_in_time.liquidity(lent)},
    )


def _grids(stated: Mapping[str, MarkCandlesBody]) -> dict[str, Candles]:
    """Return candles by asset."""
    return {asset: candles(part) for asset, part in stated.items()}


def candles(body: MarkCandlesBody) -> Candles:
    """Lay columns on a regular grid of hours; what is absent stays absent."""
    size = len(body.close)
    if body.start is not None:
        first = int(body.start.timestamp()) // HOUR
        places = np.arange(size)
    else:
        hours = np.array([int(t.timestamp()) // HOUR for t in body.open_time or ()], dtype=np.int64)
        first = int(hours.min()) if size else 0
        places = hours - first
    length = int(places.max()) + 1 if size else 0

    def grid(column: Sequence[float | None]) -> Floats:
        out = np.full(length, np.nan)
        out[places] = np.array(column, dtype=np.float64)
        return out

    return Candles(
        first_hour=first,
        open=grid(body.open),
        high=grid(body.high),
        low=grid(body.low),
        close=grid(body.close),
        volume=grid([None] * size if body.volume is None else body.volume),
    )


def _by_asset(stated: Mapping[str, TableBody]) -> Iterator[Row]:
    """Yield the rows of every asset, oldest first."""
    for asset, table in stated.items():
        for row in _rows(table):
            yield {**row, "asset": asset}


def _rounds(stated: MarketBody) -> Iterator[Row]:
    """Yield the rounds of every asset's feed, oldest first."""
    for asset, table in stated.oracle_rounds.items():
        for row in _rows(table):
            yield {**row, "feed": point_in_time.feed(asset), "decimals": table.decimals}


def _lent(stated: MarketBody) -> Iterator[Row]:
    """Yield the rows of every venue's reserves, oldest first."""
    for venue, tables in stated.reserves.items():
        for row in _by_asset(tables):
            yield {**row, "venue": venue}


def _rows(table: TableBody) -> Iterator[Row]:
    """Yield the rows of columns, oldest first."""
    columns = {name: column for name, column in table if isinstance(column, list)}
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    yield from sorted(rows, key=itemgetter(table.time))
