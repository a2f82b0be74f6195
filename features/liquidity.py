"""How much is traded and how far trades move the price, against the asset's own past."""

from datetime import timedelta
from functools import partial

import numba
import numpy as np

from features.inputs import Candles, Floats, Ints
from features.spec import Feature, MarketFunction
from features.volatility import LEAST_SHARE


@numba.njit(cache=True)
def _mean_turnover(close: Floats, volume: Floats, places: Ints, window: int) -> Floats:
    """Return mean quote turnover per hour over a window, where half of it is present."""
    out = np.full(len(places), np.nan)
    for row in range(len(places)):
        count, total = 0, 0.0
        for back in range(window):
            k = places[row] - back
            if k >= 0 and not np.isnan(close[k]):
                count += 1
                total += close[k] * volume[k]
        if count >= LEAST_SHARE * window:
            out[row] = total / count
    return out


@numba.njit(cache=True)
def _mean_illiquidity(close: Floats, volume: Floats, places: Ints, window: int) -> Floats:
    """Return the mean of |return| per quote turnover over a window (Amihud, 2002)."""
    out = np.full(len(places), np.nan)
    for row in range(len(places)):
        count, total = 0, 0.0
        for back in range(window - 1):
            k = places[row] - back
            if k < 1 or np.isnan(close[k]) or np.isnan(close[k - 1]):
                continue
            turnover = close[k] * volume[k]
            if turnover > 0.0:
                count += 1
                total += abs(np.log(close[k] / close[k - 1])) / turnover
        if count >= LEAST_SHARE * (window - 1):
            out[row] = total / count
    return out


def _log_ratio(over: Floats, under: Floats) -> Floats:
    """Return log(over / under), missing where either is not positive."""
    usable = (over > 0.0) & (under > 0.0)
    out = np.full(len(over), np.nan)
    out[usable] = np.log(over[usable] / under[usable])
    return out


def _volume_surprise(candles: Candles, places: Ints, *, window: int) -> Floats:
    """Return recent turnover against that of 30 days."""
    recent = _mean_turnover(candles.close, candles.volume, places, window)
    usual = _mean_turnover(candles.close, candles.volume, places, 720)
    return _log_ratio(recent, usual)


def _illiquidity_surprise(candles: Candles, places: Ints, *, window: int) -> Floats:
    """Return recent Amihud illiquidity against that of 30 days."""
    recent = _mean_illiquidity(candles.close, candles.volume, places, window)
    usual = _mean_illiquidity(candles.close, candles.volume, places, 721)
    return _log_ratio(recent, usual)


VOLUME_SURPRISE_4H: MarketFunction = partial(_volume_surprise, window=4)
VOLUME_SURPRISE_24H: MarketFunction = partial(_volume_surprise, window=24)
ILLIQUIDITY_SURPRISE_24H: MarketFunction = partial(_illiquidity_surprise, window=25)


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
    _feature(
        "illiquidity_surprise_24h",
        ILLIQUIDITY_SURPRISE_24H,
        "Price move per turnover of a day against 30 days.",
    ),
)
