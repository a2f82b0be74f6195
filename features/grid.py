"""Market features of whole grids, and of account moments by the place they have in them."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np

from features.inputs import Candles, Floats, Ints
from features.market import Market, MarketFunction
from features.online import RollingMarket, block_of
from features.spec import Feature, View

PART = 16_384
"""Candles whose values are computed at once: few enough to stay near a core."""


@dataclass(frozen=True, slots=True)
class _Alone:
    """What a feature of candles alone reads of a view."""

    rolling: Market

    def market(self, function: MarketFunction) -> Floats:
        """Return a market value."""
        return self.rolling.of(function)


def market_function(feature: Feature) -> MarketFunction:
    """Return a feature as a function of the asset's own candles.

    Raises
    ------
    ValueError
        The feature reads more than candles.
    """
    if feature.sources != {"candles"}:
        raise ValueError(f"{feature.name} reads {sorted(feature.sources)}, not candles alone")
    return partial(_alone, feature)


def _alone(feature: Feature, market: Market) -> Floats:
    """Return a feature of candles alone."""
    return feature.function(cast("View", _Alone(market)))


def market_values(candles: Candles, features: Sequence[Feature]) -> Floats:
    """Return market features at every candle of a grid; shape (features, candles)."""
    functions = [market_function(feature) for feature in features]
    market = RollingMarket(functions, assets=("",), step=candles.step, index=candles.first_index)
    size = len(candles.close)
    out = np.empty((len(functions), size))
    for start in range(0, size, PART):
        rows = slice(start, start + PART)
        for row, values in enumerate(market.advance(block_of(candles, rows))):
            out[row, rows] = values[0]
    return out


def market_grids(
    candles: Mapping[str, Candles], features: Sequence[Feature], *, threads: int
) -> Iterator[tuple[str, Floats]]:
    """Yield the market features of every asset, in the order given, from several threads."""
    with ThreadPoolExecutor(threads) as pool:
        grids = pool.map(lambda own: market_values(own, features), candles.values())
        yield from zip(candles, grids, strict=True)


def at_moments(values: Floats, candles: Candles, at: Ints) -> Floats:
    """Return grid values known at each moment, NaN outside the grid; shape (moments, features).

    The place of a moment in a regular grid is computed, not searched.

    Parameters
    ----------
    values
        Of the last closed candle, one row per candle; shape (candles, features).
    at
        Seconds since 1970, in any order.
    """
    place = candles.last_closed(at)
    is_inside = (place >= 0) & (place < len(values))
    if is_inside.all():
        return np.take(values, place, axis=0)
    out = np.full((len(at), values.shape[1]), np.nan)
    out[is_inside] = values[place[is_inside]]
    return out
