"""Market features of whole grids, and of account moments by the place they have in them."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import cast

import numba
import numpy as np

from features.inputs import Candles, Floats, Ints
from features.market import MarketFunction
from features.online import RollingMarket
from features.spec import Feature

PART = 32_768
"""Candles whose values are computed at once: few enough to stay near a core."""


def market_function(feature: Feature) -> MarketFunction:
    """Return a feature as a function of the asset's own candles.

    Raises
    ------
    ValueError
        The feature reads more than candles.
    """
    if feature.sources != {"candles"}:
        raise ValueError(f"{feature.name} reads {sorted(feature.sources)}, not candles alone")
    # A market answers what such a feature asks of a view.
    return cast("MarketFunction", feature.function)


def market_values(candles: Candles, features: Sequence[Feature]) -> Floats:
    """Return market features at every candle of a grid; shape (features, candles)."""
    functions = [market_function(feature) for feature in features]
    market = RollingMarket(functions, assets=("",), step=candles.step, index=candles.first_index)
    size = len(candles.close)
    out = np.empty((len(functions), size))
    for start in range(0, size, PART):
        rows = slice(start, min(start + PART, size))
        for row, values in enumerate(market.advance_along(candles, rows)):
            out[row, rows] = values[0]
    return out


def market_grids(
    candles: Mapping[str, Candles], features: Sequence[Feature], *, threads: int
) -> Iterator[tuple[str, Floats]]:
    """Yield the market features of every asset, in the order given, from several threads."""
    with ThreadPoolExecutor(threads) as pool:
        grids = pool.map(lambda series: market_values(series, features), candles.values())
        yield from zip(candles, grids, strict=True)


def at_moments(
    values: Floats, *, first_index: int, step: int, asset: Ints, at: Ints, threads: int
) -> Floats:
    """Return the grid values known at each moment; shape (moments, features).

    The place of a moment in a regular grid is computed, not searched. NaN outside the grid.

    Parameters
    ----------
    values
        Of every candle; shape (assets, candles, features).
    first_index
        Candles of this step between 1970 and the first.
    step
        Seconds of one candle.
    asset
        Place of each moment's asset in `values`.
    at
        Seconds since 1970, in any order.
    """
    out = np.empty((len(at), values.shape[2]))
    cuts = np.linspace(0, len(at), threads + 1).astype(np.int64)
    parts = [slice(start, end) for start, end in pairwise(cuts)]
    with ThreadPoolExecutor(threads) as pool:
        tasks = [
            pool.submit(_take, values, first_index, step, asset[part], at[part], out[part])
            for part in parts
        ]
        for task in tasks:
            task.result()
    return out


@numba.njit(cache=True, nogil=True)
def _take(values: Floats, first_index: int, step: int, asset: Ints, at: Ints, out: Floats) -> None:
    """Write the values of the candle that closed last, at or before each moment."""
    for row in range(len(at)):
        place = at[row] // step - first_index - 1
        is_inside = 0 <= place < values.shape[1]
        for column in range(out.shape[1]):
            out[row, column] = values[asset[row], place, column] if is_inside else np.nan
