"""An account's path: the series that falls to its trigger when the account comes to harm.

Held long, an asset's path is its price; held short, the inverse of the price; of a basket
(more than one asset moves the surplus) it is credit over requirement, the holdings as they
stand: (cash⁺ + Σ long units · price) / (cash⁻ + Σ short units · price).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd

from features.inputs import Candles, Floats, Ints

ALIGNMENT = 24
"""Hours: a basket's candles keep their place in the day, so that blocks of days stay blocks."""


@dataclass(frozen=True, slots=True)
class Path:
    """Candles of one path, or of many laid one behind the other.

    Parameters
    ----------
    candles
        Quote units per unit of the path; volumes such that close times volume is turnover
        in quote units.
    hours
        Hour since 1970 at which each candle opens.
    place
        Place of the last closed candle of each moment.
    """

    candles: Candles
    hours: Ints
    place: Ints


def single_path(candles: Candles, at: Ints, *, side: int, lookback: int) -> Path:
    """Return the path of accounts that hold one asset on one side.

    Parameters
    ----------
    candles
        Of the asset, quote per unit.
    at
        Moments, seconds since 1970.
    side
        +1 long, -1 short.
    lookback
        Hours of candles that may be read before a moment.
    """
    needed = candles.last_closed(at)
    first = max(int(needed.min()) - lookback, 0) if len(needed) else 0
    last = min(int(needed.max()) + 1, len(candles.close)) if len(needed) else 0
    cut = _cut(candles, first, max(last, first))
    path = cut if side > 0 else inverted(cut)
    hours = path.first_hour + np.arange(len(path.close), dtype=np.int64)
    return Path(candles=path, hours=hours, place=path.last_closed(at))


def _cut(candles: Candles, first: int, last: int) -> Candles:
    """Return the candles at places first ≤ place < last."""
    return Candles(
        first_hour=candles.first_hour + first,
        open=candles.open[first:last],
        high=candles.high[first:last],
        low=candles.low[first:last],
        close=candles.close[first:last],
        volume=candles.volume[first:last],
    )


def inverted(candles: Candles) -> Candles:
    """Return candles of the inverse price, with the same turnover in quote units."""
    return Candles(
        first_hour=candles.first_hour,
        open=1.0 / candles.open,
        high=1.0 / candles.low,
        low=1.0 / candles.high,
        close=1.0 / candles.close,
        volume=candles.close * candles.close * candles.volume,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Baskets:
    """N accounts whose surplus several prices move.

    Parameters
    ----------
    at
        Seconds since 1970.
    cash
        Signed, quote units.
    leading
        Place in `assets` of the asset with the largest exposure; -1 where it has no candles.
    first, end
        Slice of each basket's legs.
    asset
        Place in `assets` of each leg; -1 where the asset has no candles.
    units
        Of each leg, signed.
    assets
        Names.
    """

    at: Ints
    cash: Floats
    leading: Ints
    first: Ints
    end: Ints
    asset: Ints
    units: Floats
    assets: tuple[str, ...]


def baskets(
    moments: pd.DataFrame, legs: pd.DataFrame, *, at: Ints, known: Mapping[str, Candles]
) -> Baskets:
    """Return baskets in the order of `moments`.

    Parameters
    ----------
    moments
        Rows of baskets, with the columns of `features.inputs.MOMENTS`.
    legs
        Their legs, `row` counting places in `moments`.
    at
        Seconds since 1970 of each moment.
    """
    ordered = legs.sort_values("row", kind="stable")
    rows = ordered["row"].to_numpy(dtype=np.int64)
    named = ordered["asset"].astype(str)
    leading = moments["asset"].astype(str)
    assets = tuple(name for name in sorted({*named, *leading}) if name in known)
    places = {name: place for place, name in enumerate(assets)}
    count = np.arange(len(moments), dtype=np.int64)
    return Baskets(
        at=at,
        cash=moments["cash"].to_numpy(dtype=np.float64),
        leading=leading.map(lambda name: places.get(name, -1)).to_numpy(dtype=np.int64),
        first=np.searchsorted(rows, count, side="left").astype(np.int64),
        end=np.searchsorted(rows, count, side="right").astype(np.int64),
        asset=named.map(lambda name: places.get(name, -1)).to_numpy(dtype=np.int64),
        units=ordered["units"].to_numpy(dtype=np.float64),
        assets=assets,
    )


def basket_path(found: Baskets, known: Mapping[str, Candles], *, lookback: int) -> Path:
    """Return one series that holds the path of every basket, one behind the other.

    Each lies in a slot of its own that ends with its last closed candle and begins with
    missing ones, so that no window reads its neighbour. The extremes of two assets within
    an hour are not simultaneous: a basket has no high and no low.
    """
    last = found.at // 3600 - 1
    slot = -(-(lookback + 1 + ALIGNMENT) // ALIGNMENT) * ALIGNMENT
    base = (last // ALIGNMENT + 1) * ALIGNMENT - slot
    grid = _stacked([known[name] for name in found.assets], base, slot)
    opened, close, turnover, hours = _ratios(found, grid, base, last, slot, lookback)
    missing = np.full(len(close), np.nan)
    series = Candles(
        first_hour=0, open=opened, high=missing, low=missing, close=close, volume=turnover / close
    )
    place = np.arange(len(last), dtype=np.int64) * slot + (last - base)
    return Path(candles=series, hours=hours, place=place)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Open, close and quote turnover of assets on one grid; shape (A, hours)."""

    first_hour: int
    open: Floats
    close: Floats
    turnover: Floats


def _stacked(grids: list[Candles], base: Ints, slot: int) -> _Grid:
    """Lay candles of several assets on the hours that any basket may read."""
    first = int(base.min()) if len(base) else 0
    size = int(base.max()) + slot - first if len(base) else 0
    stacked = np.full((3, max(len(grids), 1), size), np.nan)
    for place, candles in enumerate(grids):
        begin = max(first, candles.first_hour)
        end = min(first + size, candles.first_hour + len(candles.close))
        if end <= begin:
            continue
        source = slice(begin - candles.first_hour, end - candles.first_hour)
        target = slice(begin - first, end - first)
        stacked[0, place, target] = candles.open[source]
        stacked[1, place, target] = candles.close[source]
        stacked[2, place, target] = candles.close[source] * candles.volume[source]
    return _Grid(first, *stacked)


def _ratios(
    found: Baskets, grid: _Grid, base: Ints, last: Ints, slot: int, lookback: int
) -> tuple[Floats, Floats, Floats, Ints]:
    """Return open and close of credit over requirement, turnover and hours."""
    shape = (found.cash, found.first, found.end, found.asset, found.units)
    window = (base - grid.first_hour, last - base, slot, lookback)
    opened = _ratio_of(grid.open, *shape, *window)
    close = _ratio_of(grid.close, *shape, *window)
    places = np.arange(len(close), dtype=np.int64)
    row, offset = places // slot, places % slot
    turnover = np.full(len(close), np.nan)
    inside = ~np.isnan(close) & (found.leading[row] >= 0)
    source = base[row] - grid.first_hour + offset
    turnover[inside] = grid.turnover[found.leading[row[inside]], source[inside]]
    return opened, close, turnover, base[row] + offset


@numba.njit(cache=True)
def _ratio_of(
    prices: Floats,
    cash: Floats,
    first: Ints,
    end: Ints,
    asset: Ints,
    units: Floats,
    base: Ints,
    reach: Ints,
    slot: int,
    lookback: int,
) -> Floats:
    """Return credit over requirement per slot and hour; NaN where a price is missing."""
    out = np.full(len(cash) * slot, np.nan)
    for row in range(len(cash)):
        for offset in range(max(reach[row] - lookback, 0), reach[row] + 1):
            credit, requirement = max(cash[row], 0.0), max(-cash[row], 0.0)
            for leg in range(first[row], end[row]):
                price = np.nan
                if asset[leg] >= 0:
                    price = prices[asset[leg], base[row] + offset]
                credit += max(units[leg], 0.0) * price
                requirement += max(-units[leg], 0.0) * price
            if credit > 0.0 and requirement > 0.0:
                out[row * slot + offset] = credit / requirement
    return out
