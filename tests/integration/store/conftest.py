"""Servers that the store's tests fetch from."""

from collections.abc import Iterator

import pytest
from candle_server import Binance, binance_candles


@pytest.fixture
def binance() -> Iterator[Binance]:
    """Yield a server that speaks Binance's API, in whatever mood it is told to be."""
    with binance_candles() as running:
        yield running
