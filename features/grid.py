"""Market features of whole grids, and of account moments by the place they have in them."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from features.inputs import Candles, Floats
from features.market import MarketFunction
from features.online import RollingMarket, block_of

PART = 16_384
"""Candles whose values are computed at once: few enough to stay in a core's cache."""


def market_values(candles: Candles, functions: Sequence[MarketFunction]) -> Floats:
    """Return market values at every candle of a grid; shape (functions, candles)."""
    market = RollingMarket(functions, assets=("",), step=candles.step, index=candles.first_index)
    size = len(candles.close)
    out = np.empty((len(functions), size))
    for start in range(0, size, PART):
        rows = slice(start, start + PART)
        for row, values in enumerate(market.advance(block_of(candles, rows))):
            out[row, rows] = values[0]
    return out


def market_grids(
    candles: Mapping[str, Candles], functions: Sequence[MarketFunction], *, threads: int
) -> Iterator[tuple[str, Floats]]:
    """Yield the market values of every asset, in the order given, from several threads."""
    with ThreadPoolExecutor(threads) as pool:
        grids = pool.map(lambda own: market_values(own, functions), candles.values())
        yield from zip(candles, grids, strict=True)
