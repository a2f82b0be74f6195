"""Volatility of the asset that decides, mostly in units of its own recent volatility."""

from datetime import timedelta
from functools import partial

import numba
import numpy as np

from features.inputs import Candles, Floats, Ints
from features.spec import Feature, MarketFunction, View

LEAST_SHARE = 0.5
"""Share of a window that must be present; with less the value is missing."""


@numba.njit(cache=True)
def _ewma_variance(close: Floats, places: Ints, window: int, half_life: float) -> Floats:
    """Return the weighted mean of squared hourly returns over `window` candles."""
    decay = 0.5 ** (1.0 / half_life)
    out = np.full(len(places), np.nan)
    for row in range(len(places)):
        place, weight = places[row], 1.0
        total = present = possible = 0.0
        for back in range(window - 1):
            k = place - back
            possible += weight
            if k >= 1 and not np.isnan(close[k]) and not np.isnan(close[k - 1]):
                move = np.log(close[k] / close[k - 1])
                total += weight * move * move
                present += weight
            weight *= decay
        if present >= LEAST_SHARE * possible:
            out[row] = total / present
    return out


@numba.njit(cache=True)
def _moments(close: Floats, places: Ints, window: int) -> Floats:
    """Return sums over a window of candles: count, r², falling r², largest |r|, |r·r'|."""
    out = np.full((len(places), 5), np.nan)
    for row in range(len(places)):
        place = places[row]
        count = square = falling = largest = bipower = 0.0
        before = np.nan
        for back in range(window - 1):
            k = place - back
            if k < 1 or np.isnan(close[k]) or np.isnan(close[k - 1]):
                before = np.nan
                continue
            move = np.log(close[k] / close[k - 1])
            count += 1.0
            square += move * move
            if move < 0.0:
                falling += move * move
            largest = max(largest, abs(move))
            if not np.isnan(before):
                bipower += abs(move) * before
            before = abs(move)
        if count >= LEAST_SHARE * (window - 1):
            out[row] = (count, square, falling, largest, bipower)
    return out


@numba.njit(cache=True)
def _extremes(close: Floats, places: Ints, window: int) -> Floats:
    """Return the highest and lowest close of a window, where half of it is present."""
    out = np.full((len(places), 2), np.nan)
    for row in range(len(places)):
        count, high, low = 0, -np.inf, np.inf
        for back in range(window):
            k = places[row] - back
            if k >= 0 and not np.isnan(close[k]):
                count += 1
                high, low = max(high, close[k]), min(low, close[k])
        if count >= LEAST_SHARE * window:
            out[row] = (high, low)
    return out


def _ewma_sigma(candles: Candles, places: Ints, *, window: int, half_life: float) -> Floats:
    """Return hourly volatility, weights halving every `half_life` hours."""
    return np.sqrt(np.maximum(_ewma_variance(candles.close, places, window, half_life), 1e-12))


sigma_24h: MarketFunction = partial(_ewma_sigma, window=145, half_life=24.0)
"""Volatility per square root of an hour, half-life 24 h, 6 half-lives back."""

sigma_72h: MarketFunction = partial(_ewma_sigma, window=433, half_life=72.0)
"""Volatility per square root of an hour, half-life 72 h, 6 half-lives back."""

sigma_360h: MarketFunction = partial(_ewma_sigma, window=721, half_life=360.0)
"""Volatility per square root of an hour, half-life 15 days, 30 days back."""


def _return_sigmas(candles: Candles, places: Ints, *, hours: int) -> Floats:
    """Return the log return over `hours` in units of its expected size."""
    out = np.full(len(places), np.nan)
    inside = places >= hours
    now, then = places[inside], places[inside] - hours
    out[inside] = np.log(candles.close[now] / candles.close[then])
    return out / (sigma_72h(candles, places) * np.sqrt(hours))


def _below_high(candles: Candles, places: Ints, *, window: int) -> Floats:
    """Return the log fall from the highest close, in sigmas of the window."""
    high = _extremes(candles.close, places, window)[:, 0]
    return np.log(candles.close[places] / high) / (sigma_72h(candles, places) * np.sqrt(window))


def _above_low(candles: Candles, places: Ints, *, window: int) -> Floats:
    """Return the log rise from the lowest close, in sigmas of the window."""
    low = _extremes(candles.close, places, window)[:, 1]
    return np.log(candles.close[places] / low) / (sigma_72h(candles, places) * np.sqrt(window))


def _falling_share(candles: Candles, places: Ints, *, window: int) -> Floats:
    """Return the share of squared returns that were falls."""
    sums = _moments(candles.close, places, window)
    return sums[:, 2] / np.maximum(sums[:, 1], 1e-18)


def _largest_share(candles: Candles, places: Ints, *, window: int) -> Floats:
    """Return the share of squared returns that one hour holds."""
    sums = _moments(candles.close, places, window)
    return sums[:, 3] ** 2 / np.maximum(sums[:, 1], 1e-18)


def _jump_share(candles: Candles, places: Ints, *, window: int) -> Floats:
    """Return the share of realised variance that bipower variation does not explain."""
    sums = _moments(candles.close, places, window)
    return 1.0 - (np.pi / 2.0) * sums[:, 4] / np.maximum(sums[:, 1], 1e-18)


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
BELOW_HIGH_168H: MarketFunction = partial(_below_high, window=168)
ABOVE_LOW_168H: MarketFunction = partial(_above_low, window=168)
FALLING_SHARE_72H: MarketFunction = partial(_falling_share, window=73)
LARGEST_SHARE_24H: MarketFunction = partial(_largest_share, window=25)
JUMP_SHARE_168H: MarketFunction = partial(_jump_share, window=169)

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
