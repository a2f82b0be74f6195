"""An account's path: the series that falls to its trigger when the account comes to harm.

Held long, an asset's path is its price; held short, the inverse of the price; of a basket
(more than one asset moves the surplus) it is credit over requirement, the holdings as they
stand: (cash⁺ + Σ long units · price) / (cash⁻ + Σ short units · price).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np

from features.inputs import COLUMNS, HOUR, Candles, Floats, Ints, Names
from features.moments import LegColumns


@dataclass(frozen=True, slots=True)
class Path:
    """Candles of one path, or of many laid one behind the other.

    Parameters
    ----------
    candles
        Quote units per unit of the path; volumes such that close times volume is turnover
        in quote units.
    index
        Candles of this step since 1970, of each candle.
    place
        Place of the last closed candle of each moment.
    """

    candles: Candles
    index: Ints
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
        Seconds of candles that may be read before a moment.
    """
    needed = candles.last_closed(at)
    first = max(int(needed.min()) - lookback // candles.step, 0) if len(needed) else 0
    last = min(int(needed.max()) + 1, len(candles.close)) if len(needed) else 0
    # Whole hours, in which a grid's first candle is told.
    first -= first % (HOUR // candles.step)
    cut = _cut(candles, first, max(last, first))
    path = cut if side > 0 else inverted(cut)
    index = path.first_index + np.arange(len(path.close), dtype=np.int64)
    return Path(candles=path, index=index, place=path.last_closed(at))


def _cut(candles: Candles, first: int, last: int) -> Candles:
    """Return the candles at places first ≤ place < last; `first` lies on the hour."""
    columns = {name: getattr(candles, name)[first:last] for name in COLUMNS}
    return replace(candles, first_hour=candles.first_hour + first * candles.step // HOUR, **columns)


def inverted(candles: Candles) -> Candles:
    """Return candles of the inverse price, with the same turnover in quote units."""
    return replace(
        candles,
        open=1.0 / candles.open,
        high=1.0 / candles.low,
        low=1.0 / candles.high,
        close=1.0 / candles.close,
        volume=candles.close * candles.close * candles.volume,
    )


def beside(candles: Candles, index: Ints, other: Candles | None) -> Candles:
    """Return another asset's candles at the times of a path, missing where the path is.

    Parameters
    ----------
    candles, index
        Of the path.
    other
        Of the other asset; without candles, or with those of another step, all is missing.
    """
    if other is None or other.step != candles.step or not len(other.close):
        missing: dict[str, Any] = dict.fromkeys(COLUMNS, np.full(len(index), np.nan))
        return replace(candles, **missing)
    source = index - other.first_index
    outside = (source < 0) | (source >= len(other.close)) | np.isnan(candles.close)
    source[outside] = 0
    columns: dict[str, Any] = {name: getattr(other, name)[source] for name in COLUMNS}
    for column in columns.values():
        column[outside] = np.nan
    return replace(candles, **columns)


def against(candles: Candles, other: Candles) -> Candles:
    """Return the path measured in another asset, with its turnover; it has no high and low."""
    missing = np.full(len(candles.close), np.nan)
    return replace(
        candles,
        open=candles.open / other.open,
        high=missing,
        low=missing,
        close=candles.close / other.close,
        volume=candles.volume * other.close,
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
    legs: LegColumns,
    rows: Ints,
    *,
    at: Ints,
    cash: Floats,
    leading: Names,
    by_asset: Mapping[str, Candles],
) -> Baskets:
    """Return the baskets of some rows.

    Parameters
    ----------
    legs
        Of these and of other rows.
    rows
        Of the baskets, ascending.
    at, cash, leading
        Of each basket: seconds since 1970, what no price moves, and the asset with the largest
        exposure.
    """
    chosen = np.flatnonzero(np.isin(legs.row, rows))
    ordered = chosen[np.argsort(legs.row[chosen], kind="stable")]
    places_of_legs = np.searchsorted(rows, legs.row[ordered])
    named = legs.asset[ordered].tolist()
    leaders = leading.tolist()
    assets = tuple(name for name in sorted({*named, *leaders}) if name in by_asset)
    places = {name: place for place, name in enumerate(assets)}
    count = np.arange(len(rows), dtype=np.int64)
    return Baskets(
        at=at,
        cash=cash,
        leading=np.array([places.get(name, -1) for name in leaders], dtype=np.int64),
        first=np.searchsorted(places_of_legs, count, side="left").astype(np.int64),
        end=np.searchsorted(places_of_legs, count, side="right").astype(np.int64),
        asset=np.array([places.get(name, -1) for name in named], dtype=np.int64),
        units=legs.units[ordered],
        assets=assets,
    )


def basket_path(batch: Baskets, by_asset: Mapping[str, Candles], *, lookback: int) -> Path:
    """Return one series that holds the path of every basket, one behind the other.

    Each lies in a slot of its own that begins with a missing candle and ends with its last
    closed one, so that no window reads its neighbour. The extremes of two assets within
    an hour are not simultaneous: a basket has no high and no low.

    Parameters
    ----------
    lookback
        Seconds of candles that may be read before a moment.
    """
    grids = [by_asset[name] for name in batch.assets]
    step = max((candles.step for candles in grids), default=HOUR)
    last = batch.at // step - 1
    slot = lookback // step + 2
    grid = _stacked(grids, last - slot + 1, slot, step)
    shape = (batch.cash, batch.first, batch.end, batch.asset, batch.units)
    base = last - slot + 1 - grid.first_index
    close = _ratio_of(grid.close, *shape, base, slot)
    missing = np.full(len(close), np.nan)
    series = Candles(
        first_hour=0,
        open=_ratio_of(grid.open, *shape, base, slot),
        high=missing,
        low=missing,
        close=close,
        volume=_turnover(batch, grid, base, slot) / close,
        step=step,
    )
    rows = np.arange(len(last), dtype=np.int64)
    within = np.arange(slot, dtype=np.int64)
    index = ((last - slot + 1)[:, None] + within[None, :]).reshape(-1)
    return Path(candles=series, index=index, place=(rows + 1) * slot - 1)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Open, close and quote turnover of assets on one grid; shape (A, candles)."""

    first_index: int
    open: Floats
    close: Floats
    turnover: Floats


def _stacked(grids: Sequence[Candles], begin: Ints, slot: int, step: int) -> _Grid:
    """Lay candles of several assets on the span that any basket may read.

    An asset with candles of another step stays missing.
    """
    first = int(begin.min()) if len(begin) else 0
    size = int(begin.max()) + slot - first if len(begin) else 0
    stacked = np.full((3, max(len(grids), 1), size), np.nan)
    for place, candles in enumerate(grids):
        low = max(first, candles.first_index)
        high = min(first + size, candles.first_index + len(candles.close))
        if high <= low or candles.step != step:
            continue
        source = slice(low - candles.first_index, high - candles.first_index)
        target = slice(low - first, high - first)
        stacked[0, place, target] = candles.open[source]
        stacked[1, place, target] = candles.close[source]
        stacked[2, place, target] = candles.close[source] * candles.volume[source]
    return _Grid(first, *stacked)


def _turnover(batch: Baskets, grid: _Grid, base: Ints, slot: int) -> Floats:
    """Return the quote turnover of each basket's leading asset, laid out as its path."""
    places = base[:, None] + np.arange(slot, dtype=np.int64)[None, :]
    turnover = grid.turnover[batch.leading[:, None], places]
    return np.where(batch.leading[:, None] >= 0, turnover, np.nan).reshape(-1)


@numba.njit(cache=True)
def _ratio_of(
    prices: Floats,
    cash: Floats,
    first: Ints,
    end: Ints,
    asset: Ints,
    units: Floats,
    base: Ints,
    slot: int,
) -> Floats:
    """Return credit over requirement per slot and candle; NaN where a price is missing."""
    out = np.full(len(cash) * slot, np.nan)
    for row in range(len(cash)):
        for offset in range(1, slot):
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
