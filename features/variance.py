"""Realised variance of the path over several spans, its shape, and where the price stands."""

from datetime import timedelta
from functools import partial

import numpy as np

from features.inputs import Candles, Floats
from features.market import MarketFunction, MarketWindows, log_ratio, previous
from features.spec import Feature
from features.volatility import (
    above_low,
    absolute_return,
    below_high,
    ewma_sigma,
    log_close,
    log_return,
    sigma_24h,
    sigma_360h,
    squared_fall,
    squared_return,
)

LEAST_SHARE = 0.5
"""Share of the past days without which an hour of the day has no profile."""

PROFILE_DAYS = 30


def cubed_return(candles: Candles) -> Floats:
    """Return r³."""
    return log_return(candles) ** 3


def fourth_return(candles: Candles) -> Floats:
    """Return r⁴."""
    return squared_return(candles) ** 2


def neighbours(candles: Candles) -> Floats:
    """Return r times the r before it."""
    move = log_return(candles)
    return move * previous(move)


def is_unmoved(candles: Candles) -> Floats:
    """Return 1 where the close did not change, 0 where it did (Lesmond et al., 1999)."""
    move = log_return(candles)
    return np.where(np.isnan(move), np.nan, (move == 0.0).astype(np.float64))


sigma_6h: MarketFunction = partial(ewma_sigma, hours=36, half_life=6)
"""Volatility per square root of an hour, half-life 6 h, 6 half-lives back."""


def _realised_ratio(market: MarketWindows, *, fast: int, slow: int) -> Floats:
    """Return the log ratio of realised volatilities of two spans (Corsi, 2009)."""
    recent = market.mean(squared_return, window=market.length(hours=fast))
    return 0.5 * log_ratio(recent, market.mean(squared_return, window=market.length(hours=slow)))


def _ewma_ratio(market: MarketWindows, *, fast: MarketFunction, slow: MarketFunction) -> Floats:
    """Return the log ratio of two volatilities."""
    return np.log(market.of(fast) / market.of(slow))


def _falling_share(market: MarketWindows, *, hours: int) -> Floats:
    """Return the share of squared returns that were falls (Barndorff-Nielsen et al., 2008)."""
    window = market.length(hours=hours)
    falling = market.total(squared_fall, window=window)
    return falling / np.maximum(market.total(squared_return, window=window), 1e-18)


def _skewness(market: MarketWindows, *, hours: int) -> Floats:
    """Return the realised skewness about zero."""
    window = market.length(hours=hours)
    variance = np.maximum(market.mean(squared_return, window=window), 1e-18)
    return market.mean(cubed_return, window=window) / variance**1.5


def _spread_of_variance(market: MarketWindows, *, hours: int) -> Floats:
    """Return log of E r⁴ over (E r²)²: how much volatility itself varied."""
    window = market.length(hours=hours)
    variance = market.mean(squared_return, window=window)
    return log_ratio(market.mean(fourth_return, window=window), variance**2)


def _autocorrelation(market: MarketWindows, *, hours: int) -> Floats:
    """Return the correlation of neighbouring returns about zero."""
    window = market.length(hours=hours)
    variance = np.maximum(market.mean(squared_return, window=window), 1e-18)
    return market.mean(neighbours, window=window - 1) / variance


def _roll_spread(market: MarketWindows, *, hours: int) -> Floats:
    """Return Roll's spread 2√-cov in volatilities, missing where the covariance is positive."""
    negative = -_autocorrelation(market, hours=hours)
    out = np.full(len(negative), np.nan)
    usable = negative >= 0.0
    out[usable] = 2.0 * np.sqrt(negative[usable])
    return out


def _unmoved_share(market: MarketWindows, *, hours: int) -> Floats:
    """Return the share of candles whose close did not change."""
    return market.mean(is_unmoved, window=market.length(hours=hours))


def _worst_fall(market: MarketWindows, *, hours: int) -> Floats:
    """Return the greatest fall of one candle, in volatilities of half-life 15 days."""
    worst = -market.lowest(log_return, window=market.length(hours=hours))
    return worst / (market.of(sigma_360h) / np.sqrt(market.length(hours=1)))


def _profile(market: MarketWindows, *, hours: int) -> Floats:
    """Return the log of the usual move of the coming hours of the day over that of any hours.

    The mean size of the moves that began at this time on each of the past 30 days.
    """
    day, ahead = market.length(hours=24), market.length(hours=hours)
    total = count = np.zeros(len(market.value(log_close)))
    for back in range(1, PROFILE_DAYS + 1):
        begun = market.value(log_close, back=back * day)
        move = np.abs(market.value(log_close, back=back * day - ahead) - begun)
        total = total + np.where(np.isnan(move), 0.0, move)
        count = count + np.isfinite(move)
    usual = market.mean(absolute_return, window=PROFILE_DAYS * day) * np.sqrt(ahead)
    enough = count >= LEAST_SHARE * PROFILE_DAYS
    return log_ratio(np.where(enough, total / np.maximum(count, 1.0), np.nan), usual)


def _feature(
    name: str, function: MarketFunction, *, hours: int, unit: str, meaning: str
) -> Feature:
    """Return a feature that reads the path's candles alone."""
    return Feature(
        name=name,
        function=lambda view: view.market(function),
        unit=unit,
        lookback=timedelta(hours=hours),
        sources=frozenset({"candles"}),
        meaning=meaning,
    )


REALISED_4H_24H: MarketFunction = partial(_realised_ratio, fast=4, slow=24)
REALISED_24H_168H: MarketFunction = partial(_realised_ratio, fast=24, slow=168)
REALISED_168H_720H: MarketFunction = partial(_realised_ratio, fast=168, slow=720)
FAST_RATIO: MarketFunction = partial(_ewma_ratio, fast=sigma_6h, slow=sigma_24h)
SLOW_RATIO: MarketFunction = partial(_ewma_ratio, fast=sigma_24h, slow=sigma_360h)

FEATURES: tuple[Feature, ...] = (
    _feature(
        "volatility_ratio_6h_24h",
        FAST_RATIO,
        hours=145,
        unit="log ratio",
        meaning="Volatility of the last hours against that of the last day.",
    ),
    _feature(
        "volatility_ratio_24h_360h",
        SLOW_RATIO,
        hours=721,
        unit="log ratio",
        meaning="Volatility of the last day against that of the last fortnight.",
    ),
    _feature(
        "realised_ratio_4h_24h",
        REALISED_4H_24H,
        hours=25,
        unit="log ratio",
        meaning="Realised volatility of four hours against a day.",
    ),
    _feature(
        "realised_ratio_24h_168h",
        REALISED_24H_168H,
        hours=169,
        unit="log ratio",
        meaning="Realised volatility of a day against a week.",
    ),
    _feature(
        "realised_ratio_168h_720h",
        REALISED_168H_720H,
        hours=721,
        unit="log ratio",
        meaning="Realised volatility of a week against 30 days.",
    ),
    _feature(
        "falling_share_24h",
        partial(_falling_share, hours=24),
        hours=25,
        unit="share",
        meaning="Share of a day's variance that came from falls.",
    ),
    _feature(
        "falling_share_168h",
        partial(_falling_share, hours=168),
        hours=169,
        unit="share",
        meaning="Share of a week's variance that came from falls.",
    ),
    _feature(
        "skewness_168h",
        partial(_skewness, hours=168),
        hours=169,
        unit="1",
        meaning="Skewness of a week's returns.",
    ),
    _feature(
        "volatility_of_volatility_168h",
        partial(_spread_of_variance, hours=168),
        hours=169,
        unit="log ratio",
        meaning="How unevenly a week's variance was spread over its hours.",
    ),
    _feature(
        "autocorrelation_168h",
        partial(_autocorrelation, hours=168),
        hours=170,
        unit="1",
        meaning="Whether moves of the past week went on or turned back.",
    ),
    _feature(
        "roll_spread_168h",
        partial(_roll_spread, hours=168),
        hours=170,
        unit="hourly sigmas",
        meaning="Roll's effective spread, from returns that turn back.",
    ),
    _feature(
        "unmoved_share_168h",
        partial(_unmoved_share, hours=168),
        hours=169,
        unit="share",
        meaning="Share of a week's candles whose close did not change.",
    ),
    _feature(
        "below_high_24h",
        partial(below_high, hours=24),
        hours=433,
        unit="sigmas",
        meaning="Fall from the highest close of a day.",
    ),
    _feature(
        "below_high_720h",
        partial(below_high, hours=720),
        hours=721,
        unit="sigmas",
        meaning="Fall from the highest close of 30 days.",
    ),
    _feature(
        "above_low_24h",
        partial(above_low, hours=24),
        hours=433,
        unit="sigmas",
        meaning="Rise from the lowest close of a day.",
    ),
    _feature(
        "above_low_720h",
        partial(above_low, hours=720),
        hours=721,
        unit="sigmas",
        meaning="Rise from the lowest close of 30 days.",
    ),
    _feature(
        "worst_fall_720h",
        partial(_worst_fall, hours=720),
        hours=721,
        unit="sigmas",
        meaning="Greatest fall of one candle in 30 days.",
    ),
    _feature(
        "profile_1h",
        partial(_profile, hours=1),
        hours=721,
        unit="log ratio",
        meaning="Usual move of the coming hour of the day, against any hour.",
    ),
    _feature(
        "profile_4h",
        partial(_profile, hours=4),
        hours=721,
        unit="log ratio",
        meaning="Usual move of the coming four hours of the day, against any four.",
    ),
)
