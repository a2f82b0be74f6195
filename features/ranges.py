"""Volatility and spread from the range within a candle, against volatility from closes.

A flash print must not pass for volatility: a wick counts up to the bodies and opposite wicks
of its candle and of the one before together. A basket has no ranges, so these are
missing for it: the extremes of two assets within an hour are not simultaneous.

References
----------
Parkinson, J. Business 53 (1980); Garman and Klass, J. Business 53 (1980); Rogers and
Satchell, Ann. Appl. Probab. 1 (1991); Yang and Zhang, J. Business 73 (2000); Corwin and
Schultz, J. Finance 67 (2012).
"""

from datetime import timedelta
from functools import partial

import numpy as np

from features.inputs import Candles, Floats
from features.market import MarketFunction, MarketWindows, log_ratio, previous
from features.spec import Feature
from features.volatility import sigma_72h, squared_return


def body(candles: Candles) -> Floats:
    """Return log(close / open)."""
    return np.log(candles.close / candles.open)


def reach_up(candles: Candles) -> Floats:
    """Return log(high / open), the wick limited."""
    up, down = _wicks(candles)
    return np.maximum(body(candles), 0.0) + np.minimum(up, _limit(candles, down))


def reach_down(candles: Candles) -> Floats:
    """Return log(low / open), the wick limited; not positive."""
    up, down = _wicks(candles)
    return np.minimum(body(candles), 0.0) - np.minimum(down, _limit(candles, up))


def _wicks(candles: Candles) -> tuple[Floats, Floats]:
    """Return how far the candle reached above and below its body, in logs."""
    top = np.maximum(candles.open, candles.close)
    bottom = np.minimum(candles.open, candles.close)
    return np.log(candles.high / top), np.log(bottom / candles.low)


def _limit(candles: Candles, opposite: Floats) -> Floats:
    """Return how far a wick counts; a missing neighbour adds nothing."""
    quiet = np.abs(body(candles)) + opposite
    return quiet + np.nan_to_num(previous(quiet), nan=0.0)


def parkinson(candles: Candles) -> Floats:
    """Return ln(H/L)² / 4 ln 2."""
    return (reach_up(candles) - reach_down(candles)) ** 2 / (4.0 * np.log(2.0))


def garman_klass(candles: Candles) -> Floats:
    """Return ½ ln(H/L)² - (2 ln 2 - 1) ln(C/O)²."""
    spread = reach_up(candles) - reach_down(candles)
    return 0.5 * spread**2 - (2.0 * np.log(2.0) - 1.0) * body(candles) ** 2


def rogers_satchell(candles: Candles) -> Floats:
    """Return u(u - c) + d(d - c)."""
    up, down, move = reach_up(candles), reach_down(candles), body(candles)
    return up * (up - move) + down * (down - move)


def squared_body(candles: Candles) -> Floats:
    """Return ln(C/O)²."""
    return body(candles) ** 2


def squared_opening(candles: Candles) -> Floats:
    """Return ln(O/previous C)²."""
    return np.log(candles.open / previous(candles.close)) ** 2


def corwin_schultz(candles: Candles) -> Floats:
    """Return the spread told by the ranges of two candles, as a fraction; at least 0."""
    up, down = reach_up(candles), reach_down(candles)
    spread = (up - down) ** 2
    shift = np.log(candles.open / previous(candles.open))
    joint = np.maximum(up + shift, previous(up)) - np.minimum(down + shift, previous(down))
    beta, gamma = spread + previous(spread), joint**2
    share = 3.0 - 2.0 * np.sqrt(2.0)
    alpha = (np.sqrt(2.0 * beta) - np.sqrt(beta)) / share - np.sqrt(gamma / share)
    return np.maximum(2.0 * np.tanh(alpha / 2.0), 0.0)


def _ratio(market: MarketWindows, *, variance: MarketFunction, hours: int) -> Floats:
    """Return the log ratio of a range volatility to that of closes, over the same window."""
    closes = market.mean(squared_return, window=market.length(hours=hours))
    return 0.5 * log_ratio(market.of(variance), closes)


def _parkinson(market: MarketWindows, *, hours: int) -> Floats:
    """Return Parkinson's variance per candle."""
    return market.mean(parkinson, window=market.length(hours=hours))


def _garman_klass(market: MarketWindows, *, hours: int) -> Floats:
    """Return Garman and Klass's variance per candle."""
    return market.mean(garman_klass, window=market.length(hours=hours))


def _rogers_satchell(market: MarketWindows, *, hours: int) -> Floats:
    """Return Rogers and Satchell's variance per candle."""
    return market.mean(rogers_satchell, window=market.length(hours=hours))


def _yang_zhang(market: MarketWindows, *, hours: int) -> Floats:
    """Return Yang and Zhang's variance per candle, about zero."""
    window = market.length(hours=hours)
    weight = 0.34 / (1.34 + (window + 1) / max(window - 1, 1))
    opening = market.mean(squared_opening, window=window)
    within = weight * market.mean(squared_body, window=window)
    return opening + within + (1.0 - weight) * market.mean(rogers_satchell, window=window)


def _range_sigma(market: MarketWindows, *, hours: int, half_life: int) -> Floats:
    """Return Parkinson's volatility per root hour, weights halving every `half_life` hours."""
    variance = market.ewm_mean(
        parkinson, window=market.length(hours=hours), half_life=market.length(hours=half_life)
    )
    return np.sqrt(np.maximum(variance * market.length(hours=1), 1e-12))


range_sigma_24h: MarketFunction = partial(_range_sigma, hours=144, half_life=24)
"""Parkinson's volatility per square root of an hour, half-life 24 h, 6 half-lives back."""


def _range_ratio(market: MarketWindows) -> Floats:
    """Return range volatility of a day against close volatility of three days."""
    return np.log(market.of(range_sigma_24h) / market.of(sigma_72h))


def _spread(market: MarketWindows, *, hours: int) -> Floats:
    """Return Corwin and Schultz's spread in hourly volatilities."""
    return market.mean(corwin_schultz, window=market.length(hours=hours)) / market.of(sigma_72h)


PARKINSON: MarketFunction = partial(_ratio, variance=partial(_parkinson, hours=24), hours=24)
GARMAN_KLASS: MarketFunction = partial(_ratio, variance=partial(_garman_klass, hours=72), hours=72)
ROGERS_SATCHELL: MarketFunction = partial(
    _ratio, variance=partial(_rogers_satchell, hours=72), hours=72
)
YANG_ZHANG: MarketFunction = partial(_ratio, variance=partial(_yang_zhang, hours=168), hours=168)
CORWIN_SCHULTZ: MarketFunction = partial(_spread, hours=24)


def _feature(
    name: str, function: MarketFunction, *, hours: int, meaning: str, unit: str = "log ratio"
) -> Feature:
    """Return a feature of the path's ranges."""
    return Feature(
        name=name,
        function=lambda view: view.of_ranges(function),
        unit=unit,
        lookback=timedelta(hours=hours),
        sources=frozenset({"candles"}),
        meaning=meaning,
    )


FEATURES: tuple[Feature, ...] = (
    _feature(
        "range_ratio_24h_72h",
        _range_ratio,
        hours=433,
        meaning="Parkinson volatility of a day against volatility of closes of three.",
    ),
    _feature(
        "parkinson_ratio_24h",
        PARKINSON,
        hours=26,
        meaning="Parkinson volatility of a day against that of its closes.",
    ),
    _feature(
        "garman_klass_ratio_72h",
        GARMAN_KLASS,
        hours=74,
        meaning="Garman-Klass volatility of three days against that of their closes.",
    ),
    _feature(
        "rogers_satchell_ratio_72h",
        ROGERS_SATCHELL,
        hours=74,
        meaning="Rogers-Satchell volatility of three days against that of their closes.",
    ),
    _feature(
        "yang_zhang_ratio_168h",
        YANG_ZHANG,
        hours=170,
        meaning="Yang-Zhang volatility of a week against that of its closes.",
    ),
    _feature(
        "corwin_schultz_24h",
        CORWIN_SCHULTZ,
        hours=433,
        unit="hourly sigmas",
        meaning="Spread told by the ranges of neighbouring candles.",
    ),
)
