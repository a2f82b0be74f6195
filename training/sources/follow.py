"""Follow the verdict of accounts that nobody touches, along the realised prices."""

from collections.abc import Mapping

import numba
import numpy as np
import pandas as pd

from features.inputs import HOUR, Candles, Floats, Ints, PointInTimeSeries, seconds
from models.horizons import HORIZONS
from training.sources.account_hours import Rows

FURTHEST = max(HORIZONS)


def follow(
    rows: Rows, grids: Mapping[str, Candles], funding: Mapping[str, PointInTimeSeries]
) -> pd.DataFrame:
    """Return when each account would have become liquidatable, and how far that is known.

    Legs stay as they are; funding is paid from the cash on the notional of its hour.

    Returns
    -------
    pandas.DataFrame
        `touched_in`, hours, infinite where no touch is known, and `touched_known`.
    """
    names = sorted(grids)
    first, prices = _stacked([grids[name] for name in names])
    rates = np.stack([_hourly(funding.get(name), first, prices.shape[1]) for name in names])
    places = {name: place for place, name in enumerate(names)}
    touched, censoring = _follow(
        seconds(rows.moments["at"]) // HOUR - first,
        rows.cash,
        rows.first,
        rows.end,
        np.array([places[name] for name in rows.asset], dtype=np.int64),
        rows.units,
        prices,
        rates,
        FURTHEST,
    )
    return pd.DataFrame(
        {"touched_in": touched, "touched_known": censoring}, index=rows.moments.index
    )


def _stacked(grids: list[Candles]) -> tuple[int, Floats]:
    """Return the first hour and the closes known at each hour, shape (A, hours)."""
    first = min(grid.first_hour for grid in grids) + 1
    last = max(grid.first_hour + len(grid.close) for grid in grids)
    prices = np.full((len(grids), last - first + 1), np.nan)
    for place, grid in enumerate(grids):
        begin = grid.first_hour + 1 - first
        prices[place, begin : begin + len(grid.close)] = grid.close
    return first, prices


def _hourly(paid: PointInTimeSeries | None, first: int, size: int) -> Floats:
    """Return the rate paid in the hour that ends at each hour."""
    rates = np.zeros(size)
    if paid is not None:
        places = -(-paid.at // HOUR) - first
        inside = (places >= 0) & (places < size)
        np.add.at(rates, places[inside], paid.value[inside])
    return rates


@numba.njit(cache=True)
def _follow(
    place: Ints,
    cash: Floats,
    first: Ints,
    end: Ints,
    asset: Ints,
    units: Floats,
    prices: Floats,
    rates: Floats,
    furthest: int,
) -> tuple[Floats, Floats]:
    """Return hours to the first hour without surplus; a missing price ends what is known."""
    touched = np.full(len(place), np.inf)
    censoring = np.full(len(place), float(furthest))
    for row in range(len(place)):
        left = cash[row]
        for ahead in range(1, furthest + 1):
            k = place[row] + ahead
            surplus = np.nan
            if k < prices.shape[1]:
                surplus = left
                for leg in range(first[row], end[row]):
                    value = units[leg] * prices[asset[leg], k]
                    left -= value * rates[asset[leg], k]
                    surplus += value * (1.0 - rates[asset[leg], k])
            if np.isnan(surplus):
                censoring[row] = ahead - 1.0
                break
            if surplus <= 0.0:
                touched[row] = censoring[row] = float(ahead)
                break
    return touched, censoring
