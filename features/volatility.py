"""Volatility of the asset that decides, mostly in units of its own recent volatility."""

from datetime import timedelta
from functools import partial

import numba
import numpy as np

from features.inputs import Candles, Floats
from features.market import MarketFunction, MarketWindows, previous
from features.spec import Feature, View

LEAST_VARIANCE = 1e-12


def close(candles: Candles) -> Floats:
    """Return the close."""
    return candles.close


def log_close(candles: Candles) -> Floats:
    """Return the log of the close."""
    return candles.once(_log_close)


def _log_close(candles: Candles) -> Floats:
    """Return the log of the close, made anew."""
    return np.log(candles.close)


def log_return(candles: Candles) -> Floats:
    """Return the log return from close to close."""
    return candles.once(_log_return)


def _log_return(candles: Candles) -> Floats:
    """Return the log return, made anew."""
    logs = log_close(candles)
    return logs - previous(logs)


def absolute_return(candles: Candles) -> Floats:
    """Return |r|."""
    return candles.once(_absolute_return)


def _absolute_return(candles: Candles) -> Floats:
    """Return |r|, made anew."""
    return np.abs(log_return(candles))


def squared_return(candles: Candles) -> Floats:
    """Return r²."""
    return log_return(candles) ** 2


def squared_fall(candles: Candles) -> Floats:
    """Return r² where it is a fall, 0 where it is a rise."""
    return np.minimum(log_return(candles), 0.0) ** 2


def bipower(candles: Candles) -> Floats:
    """Return |r| times the |r| before it."""
    size = absolute_return(candles)
    return size * previous(size)


def ewma_sigma(market: MarketWindows, *, hours: int, half_life: int) -> Floats:
    """Return volatility per root hour, weights halving every `half_life` hours."""
    per_hour = market.length(hours=1)
    variance = market.ewm_mean(
        squared_return,
        window=market.length(hours=hours),
        half_life=market.length(hours=half_life),
    )
    return np.asarray(_root_above_zero(variance, float(per_hour)))


@numba.njit(cache=True, nogil=True)
def _root_above_zero(variance: Floats, per_hour: float) -> Floats:
    """Return volatility per root hour of a variance per candle, kept off zero."""
    out = np.empty(len(variance))
    for row in range(len(variance)):
        hourly = variance[row] * per_hour
        # A missing variance compares false and stays missing.
        out[row] = np.sqrt(LEAST_VARIANCE if hourly < LEAST_VARIANCE else hourly)  # noqa: FURB136
    return out


sigma_24h: MarketFunction = partial(ewma_sigma, hours=144, half_life=24)
"""Volatility per square root of an hour, half-life 24 h, 6 half-lives back."""

sigma_72h: MarketFunction = partial(ewma_sigma, hours=432, half_life=72)
"""Volatility per square root of an hour, half-life 72 h, 6 half-lives back."""

sigma_360h: MarketFunction = partial(ewma_sigma, hours=720, half_life=360)
"""Volatility per square root of an hour, half-life 15 days, 30 days back."""


def _return_sigmas(market: MarketWindows, *, hours: int) -> Floats:
    """Return the log return over `hours` in units of its expected size."""
    then = market.value(log_close, back=market.length(hours=hours))
    return _in_sigmas(market, then, hours=hours)


def _in_sigmas(market: MarketWindows, then: Floats, *, hours: int) -> Floats:
    """Return the log move from another log close, in sigmas of so many hours."""
    now, sigma = market.value(log_close), market.of(sigma_72h)
    return np.asarray(_over_scale(now, then, sigma, float(np.sqrt(hours))))


@numba.njit(cache=True, nogil=True)
def _over_scale(now: Floats, then: Floats, sigma: Floats, root: float) -> Floats:
    """Return moves in sigmas, in one pass."""
    out = np.empty(len(now))
    for row in range(len(now)):
        out[row] = (now[row] - then[row]) / (sigma[row] * root)
    return out


def below_high(market: MarketWindows, *, hours: int) -> Floats:
    """Return the log fall from the highest close, in sigmas of the window."""
    high = market.highest(log_close, window=market.length(hours=hours))
    return _in_sigmas(market, high, hours=hours)


def above_low(market: MarketWindows, *, hours: int) -> Floats:
    """Return the log rise from the lowest close, in sigmas of the window."""
    low = market.lowest(log_close, window=market.length(hours=hours))
    return _in_sigmas(market, low, hours=hours)


def _variance(market: MarketWindows, hours: int) -> Floats:
    """Return the realised variance of a window, kept off zero."""
    return np.maximum(market.total(squared_return, window=market.length(hours=hours)), 1e-18)


def _falling_share(market: MarketWindows, *, hours: int) -> Floats:
    """Return the share of squared returns that were falls."""
    falling = market.total(squared_fall, window=market.length(hours=hours))
    return falling / _variance(market, hours)


def _largest_share(market: MarketWindows, *, hours: int) -> Floats:
    """Return the share of squared returns that one candle holds."""
    largest = market.highest(absolute_return, window=market.length(hours=hours))
    return largest**2 / _variance(market, hours)


def _jump_share(market: MarketWindows, *, hours: int) -> Floats:
    """Return the share of realised variance that bipower variation does not explain."""
    # A window of n returns has n - 1 neighbours; whether enough is present the returns decide.
    pairs = market.length(hours=hours) - 1
    smooth = market.total(bipower, window=pairs, least_share=0.0)
    return 1.0 - (np.pi / 2.0) * smooth / _variance(market, hours)


def _ratio(view: View, fast: MarketFunction, slow: MarketFunction) -> Floats:
    """Return the log ratio of two volatilities."""
    return np.log(view.market(fast) / view.market(slow))


def _market_feature(
    name: str, function: MarketFunction, *, hours: int, unit: str, meaning: str
) -> Feature:
    """Return a feature that reads candles alone."""
    return Feature(
        name=name,
        function=lambda view: view.market(function),
        unit=unit,
        lookback=timedelta(hours=hours),
        sources=frozenset({"candles"}),
        meaning=meaning,
    )


RETURN_1H: MarketFunction = partial(_return_sigmas, hours=1)
RETURN_4H: MarketFunction = partial(_return_sigmas, hours=4)
RETURN_24H: MarketFunction = partial(_return_sigmas, hours=24)
RETURN_168H: MarketFunction = partial(_return_sigmas, hours=168)
BELOW_HIGH_168H: MarketFunction = partial(below_high, hours=168)
ABOVE_LOW_168H: MarketFunction = partial(above_low, hours=168)
FALLING_SHARE_72H: MarketFunction = partial(_falling_share, hours=72)
LARGEST_SHARE_24H: MarketFunction = partial(_largest_share, hours=24)
JUMP_SHARE_168H: MarketFunction = partial(_jump_share, hours=168)

FEATURES: tuple[Feature, ...] = (
    Feature(
        name="volatility_ratio_24h_72h",
        function=lambda view: _ratio(view, sigma_24h, sigma_72h),
        unit="log ratio",
        lookback=timedelta(hours=433),
        sources=frozenset({"candles"}),
        meaning="Volatility of the last day against that of the last three.",
    ),
    Feature(
        name="volatility_ratio_72h_360h",
        function=lambda view: _ratio(view, sigma_72h, sigma_360h),
        unit="log ratio",
        lookback=timedelta(hours=721),
        sources=frozenset({"candles"}),
        meaning="Volatility of the last three days against that of the last fortnight.",
    ),
    _market_feature(
        "return_sigmas_1h", RETURN_1H, hours=433, unit="sigmas", meaning="Move of the last hour."
    ),
    _market_feature(
        "return_sigmas_4h", RETURN_4H, hours=433, unit="sigmas", meaning="Move of four hours."
    ),
    _market_feature(
        "return_sigmas_24h", RETURN_24H, hours=433, unit="sigmas", meaning="Move of a day."
    ),
    _market_feature(
        "return_sigmas_168h", RETURN_168H, hours=433, unit="sigmas", meaning="Move of a week."
    ),
    _market_feature(
        "below_high_168h",
        BELOW_HIGH_168H,
        hours=433,
        unit="sigmas",
        meaning="Fall from the highest close of a week.",
    ),
    _market_feature(
        "above_low_168h",
        ABOVE_LOW_168H,
        hours=433,
        unit="sigmas",
        meaning="Rise from the lowest close of a week.",
    ),
    _market_feature(
        "falling_share_72h",
        FALLING_SHARE_72H,
        hours=73,
        unit="share",
        meaning="Share of three days' variance that came from falls.",
    ),
    _market_feature(
        "largest_share_24h",
        LARGEST_SHARE_24H,
        hours=25,
        unit="share",
        meaning="Share of a day's variance that one hour holds.",
    ),
    _market_feature(
        "jump_share_168h",
        JUMP_SHARE_168H,
        hours=169,
        unit="share",
        meaning="Share of a week's variance that came in jumps.",
    ),
)
