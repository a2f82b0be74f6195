"""How far the account is from its trigger, in fractions and in own volatilities."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Literal

import numpy as np

from features.inputs import Floats
from features.market import MarketFunction, MarketWindows, log_ratio
from features.ranges import range_sigma_24h
from features.spec import Feature, Scope, Source, View
from features.variance import sigma_6h
from features.volatility import close, sigma_24h, sigma_72h, sigma_360h
from models.forecast.first_passage import touch_logit
from models.horizons import HORIZONS

SIGMA_HOURS = timedelta(hours=433)
WEEK = 168.0
WORST_SIGMAS = 3.0
"""How far the price is taken to fall, at worst, before the venue sees it."""


def distance(view: View) -> Floats:
    """Return log(price / trigger) at the price judged by now."""
    return np.log(view.price / view.trigger)


def distance_next(view: View) -> Floats:
    """Return log(price / trigger) at the next price the venue is known to judge by."""
    return np.log(view.price_next / view.trigger)


def daily_sigmas(start: Floats, sigma: Floats) -> Floats:
    """Return a log distance in daily volatilities, NaN where nothing moved.

    Parameters
    ----------
    start, sigma
        As `start_columns` has them: log distance, and volatility per root hour; shape (N,).
    """
    return start / np.where(sigma > 0.0, sigma * np.sqrt(24.0), np.nan)


def distance_sigmas(view: View) -> Floats:
    """Return the next distance in daily volatilities, half-life 72 h."""
    return distance_next(view) / (view.market(sigma_72h) * np.sqrt(24.0))


def distance_sigmas_fast(view: View) -> Floats:
    """Return the next distance in daily volatilities, half-life 24 h."""
    return distance_next(view) / (view.market(sigma_24h) * np.sqrt(24.0))


def distance_sigmas_slow(view: View) -> Floats:
    """Return the next distance in daily volatilities, half-life 15 days."""
    return distance_next(view) / (view.market(sigma_360h) * np.sqrt(24.0))


def distance_sigmas_fastest(view: View) -> Floats:
    """Return the next distance in daily volatilities, half-life 6 h."""
    return distance_next(view) / (view.market(sigma_6h) * np.sqrt(24.0))


def distance_ranges(view: View) -> Floats:
    """Return the next distance in daily volatilities from ranges, half-life 24 h."""
    return distance_next(view) / (view.of_ranges(range_sigma_24h) * np.sqrt(24.0))


def distance_market(view: View) -> Floats:
    """Return log(last close / trigger): what the venue will see once it looks."""
    return log_ratio(view.market(_last_close), view.trigger)


def _last_close(market: MarketWindows) -> Floats:
    """Return the last close."""
    return market.value(close)


def distance_worst(view: View) -> Floats:
    """Return the distance left after the worst plausible move before the next price.

    From the lower of the venue's next price and the last close, in daily volatilities.
    """
    nearest = np.fmin(distance_next(view), distance_market(view))
    unseen = view.market(sigma_72h) * np.sqrt(np.maximum(view.delay, 1.0))
    return (nearest - WORST_SIGMAS * unseen) / (view.market(sigma_72h) * np.sqrt(24.0))


def touch_odds(view: View, *, sigma: MarketFunction, hours: float) -> Floats:
    """Return first-passage log-odds by one volatility and horizon."""
    left = np.maximum(hours - view.delay, 0.0)
    return touch_logit(distance_next(view), sigma=view.market(sigma), hours=left)


def next_is_liquidatable(view: View) -> Floats:
    """Return 1 where the next price known already flips the verdict, else 0."""
    flips = (distance_next(view) <= 0.0).astype(np.float64)
    return np.where(np.isnan(distance_next(view)), np.nan, flips)


def loan_to_value(view: View) -> Floats:
    """Return log(debt / collateral), both in quote units, unweighed."""
    return log_ratio(view.debt_value, view.collateral_value)


def volatile_debt_share(view: View) -> Floats:
    """Return the share of the requirement that prices move."""
    if not view.is_basket:
        return (view.side < 0.0).astype(np.float64)
    return 1.0 - np.maximum(-view.cash, 0.0) / view.debt


def volatile_collateral_share(view: View) -> Floats:
    """Return the share of the credit that prices move."""
    if not view.is_basket:
        return (view.side > 0.0).astype(np.float64)
    return 1.0 - np.maximum(view.cash, 0.0) / view.collateral


def accrual_hours(view: View) -> Floats:
    """Return the log of hours until accrual alone flips the verdict, at most a week."""
    return np.log1p(np.minimum(view.accrual_hours, WEEK))


def baseline_logits(view: View) -> Floats:
    """Return per horizon the log-odds that the price touches the trigger.

    The mean of the log-odds at half-lives of 24 h and 72 h, rising in the horizon.
    Shape (N, K).
    """
    start = distance_next(view)
    fast, slow = view.market(sigma_24h), view.market(sigma_72h)
    columns = [
        0.5
        * (
            touch_logit(start, sigma=fast, hours=np.maximum(h - view.delay, 0.0))
            + touch_logit(start, sigma=slow, hours=np.maximum(h - view.delay, 0.0))
        )
        for h in HORIZONS
    ]
    return np.maximum.accumulate(np.stack(columns, axis=1), axis=1)


def start_columns(view: View) -> Floats:
    """Return what forecasts start from: the log-odds, distance, volatility and delay.

    Shape (N, K + 3): of `baseline_logits`, then the next log distance, the volatility per root
    hour at a half-life of 72 h, and the hours until a price seen now is judged by.
    """
    columns = [distance_next(view), view.market(sigma_72h), view.delay]
    return np.concatenate([baseline_logits(view), np.stack(columns, axis=1)], axis=1)


def _feature(
    name: str,
    function: Callable[[View], Floats],
    *,
    unit: str,
    meaning: str,
    hours: timedelta = timedelta(0),
    direction: Literal[-1, 0, 1] = -1,
    scope: Scope = "market",
) -> Feature:
    """Return a distance feature: unless said otherwise a larger one can only lower the risk."""
    sources: tuple[Source, ...] = ("position", "candles") if hours else ("position",)
    return Feature(
        name=name,
        function=function,
        unit=unit,
        lookback=hours,
        sources=frozenset(sources),
        meaning=meaning,
        scope=scope,
        direction=direction,
    )


def _odds(name: str, sigma: MarketFunction, *, hours: float, back: int, meaning: str) -> Feature:
    """Return first-passage log-odds as a feature: larger ones can only raise the risk."""
    return _feature(
        name,
        partial(touch_odds, sigma=sigma, hours=hours),
        unit="log-odds",
        meaning=meaning,
        hours=timedelta(hours=back),
        direction=1,
    )


FEATURES: tuple[Feature, ...] = (
    _feature(
        "distance",
        distance,
        unit="log price",
        meaning="Distance to the trigger at the price in force.",
        hours=timedelta(0),
    ),
    _feature(
        "distance_next",
        distance_next,
        unit="log price",
        meaning="Distance to the trigger at the venue's next price.",
        hours=timedelta(0),
    ),
    _feature(
        "distance_sigmas_24h",
        distance_sigmas_fast,
        unit="daily sigmas",
        meaning="Next distance in daily volatilities of half-life 24 h.",
        hours=SIGMA_HOURS,
    ),
    _feature(
        "distance_sigmas_72h",
        distance_sigmas,
        unit="daily sigmas",
        meaning="Next distance in daily volatilities of half-life 72 h.",
        hours=SIGMA_HOURS,
    ),
    _feature(
        "distance_sigmas_360h",
        distance_sigmas_slow,
        unit="daily sigmas",
        meaning="Next distance in daily volatilities of half-life 15 days.",
        hours=timedelta(hours=721),
    ),
    _feature(
        "distance_sigmas_6h",
        distance_sigmas_fastest,
        unit="daily sigmas",
        meaning="Next distance in daily volatilities of half-life 6 h.",
        hours=timedelta(hours=37),
    ),
    _feature(
        "distance_ranges_24h",
        distance_ranges,
        unit="daily sigmas",
        meaning="Next distance in daily volatilities from ranges, half-life 24 h.",
        hours=timedelta(hours=146),
    ),
    _feature(
        "distance_market",
        distance_market,
        unit="log price",
        meaning="Distance to the trigger at the market's last close.",
        hours=timedelta(hours=1),
    ),
    _feature(
        "distance_worst",
        distance_worst,
        unit="daily sigmas",
        meaning="Distance left after three sigmas before the venue's next price.",
        hours=SIGMA_HOURS,
    ),
    _odds(
        "touch_odds_6h_4h",
        sigma_6h,
        hours=4.0,
        back=37,
        meaning="First passage within four hours by volatility of half-life 6 h.",
    ),
    _odds(
        "touch_odds_360h_24h",
        sigma_360h,
        hours=24.0,
        back=721,
        meaning="First passage within a day by volatility of half-life 15 days.",
    ),
    _odds(
        "touch_odds_360h_168h",
        sigma_360h,
        hours=168.0,
        back=721,
        meaning="First passage within a week by volatility of half-life 15 days.",
    ),
    _odds(
        "touch_odds_ranges_24h",
        range_sigma_24h,
        hours=24.0,
        back=146,
        meaning="First passage within a day by volatility from ranges.",
    ),
    _feature(
        "next_is_liquidatable",
        next_is_liquidatable,
        unit="1",
        meaning="Whether the next price known already flips the verdict.",
        direction=1,
    ),
    _feature(
        "loan_to_value",
        loan_to_value,
        unit="log ratio",
        meaning="Debt against collateral, both as the market has them.",
        direction=0,
    ),
    _feature(
        "volatile_debt_share",
        volatile_debt_share,
        unit="share",
        meaning="Share of the requirement that prices move.",
        direction=0,
    ),
    _feature(
        "volatile_collateral_share",
        volatile_collateral_share,
        unit="share",
        meaning="Share of the credit that prices move.",
        direction=0,
    ),
    _feature(
        "accrual_hours",
        accrual_hours,
        unit="log hours",
        meaning="Time until interest and fees alone flip the verdict, at most a week.",
        scope="venue",
    ),
)
