"""How much is traded and how far trades move the price, against the asset's own past."""

from datetime import timedelta
from functools import partial

import numpy as np

from features.inputs import Candles, Floats
from features.market import MarketFunction, MarketWindows, log_ratio
from features.spec import Feature
from features.volatility import absolute_return


def turnover(candles: Candles) -> Floats:
    """Return the quote turnover."""
    return candles.close * candles.volume


def illiquidity(candles: Candles) -> Floats:
    """Return |return| per quote turnover (Amihud, 2002), missing without turnover."""
    traded = turnover(candles)
    return absolute_return(candles) / np.where(traded > 0.0, traded, np.nan)


def mean_turnover(market: MarketWindows, *, hours: int) -> Floats:
    """Return the mean quote turnover per hour."""
    return market.mean(turnover, window=market.length(hours=hours)) * market.length(hours=1)


def _volume_surprise(market: MarketWindows, *, hours: int) -> Floats:
    """Return recent turnover against that of 30 days."""
    recent = market.mean(turnover, window=market.length(hours=hours))
    return log_ratio(recent, market.mean(turnover, window=market.length(hours=720)))


def _illiquidity_surprise(market: MarketWindows, *, hours: int) -> Floats:
    """Return recent Amihud illiquidity against that of 30 days."""
    recent = market.mean(illiquidity, window=market.length(hours=hours))
    return log_ratio(recent, market.mean(illiquidity, window=market.length(hours=720)))


VOLUME_SURPRISE_4H: MarketFunction = partial(_volume_surprise, hours=4)
VOLUME_SURPRISE_24H: MarketFunction = partial(_volume_surprise, hours=24)
VOLUME_SURPRISE_168H: MarketFunction = partial(_volume_surprise, hours=168)
ILLIQUIDITY_SURPRISE_168H: MarketFunction = partial(_illiquidity_surprise, hours=168)
ILLIQUIDITY_SURPRISE_24H: MarketFunction = partial(_illiquidity_surprise, hours=24)


def _feature(name: str, function: MarketFunction, meaning: str) -> Feature:
    """Return a liquidity feature with 30 days of candles behind it."""
    return Feature(
        name=name,
        function=lambda view: view.market(function),
        unit="log ratio",
        lookback=timedelta(hours=721),
        sources=frozenset({"candles"}),
        meaning=meaning,
    )


FEATURES: tuple[Feature, ...] = (
    _feature("volume_surprise_4h", VOLUME_SURPRISE_4H, "Turnover of four hours against 30 days."),
    _feature("volume_surprise_24h", VOLUME_SURPRISE_24H, "Turnover of a day against 30 days."),
    _feature("volume_surprise_168h", VOLUME_SURPRISE_168H, "Turnover of a week against 30 days."),
    _feature(
        "illiquidity_surprise_168h",
        ILLIQUIDITY_SURPRISE_168H,
        "Price move per turnover of a week against 30 days.",
    ),
    _feature(
        "illiquidity_surprise_24h",
        ILLIQUIDITY_SURPRISE_24H,
        "Price move per turnover of a day against 30 days.",
    ),
)
