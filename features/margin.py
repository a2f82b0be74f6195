"""How far the account is from its trigger, in fractions and in own volatilities."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np

from features.inputs import Floats
from features.spec import Feature, Source, View
from features.volatility import sigma_24h, sigma_72h, sigma_360h
from models.first_passage import touch_logit

HORIZONS = (1.0, 4.0, 24.0, 168.0)
"""Hours; the same as `models.hazard.HORIZONS`, held equal by a test."""

SIGMA_HOURS = timedelta(hours=433)


def distance(view: View) -> Floats:
    """Return log(price / trigger) at the price judged by now."""
    return np.log(view.price / view.trigger)


def distance_next(view: View) -> Floats:
    """Return log(price / trigger) at the next price the venue is known to judge by."""
    return np.log(view.price_next / view.trigger)


def distance_sigmas(view: View) -> Floats:
    """Return the next distance in daily volatilities, half-life 72 h."""
    return distance_next(view) / (view.market(sigma_72h) * np.sqrt(24.0))


def distance_sigmas_fast(view: View) -> Floats:
    """Return the next distance in daily volatilities, half-life 24 h."""
    return distance_next(view) / (view.market(sigma_24h) * np.sqrt(24.0))


def distance_sigmas_slow(view: View) -> Floats:
    """Return the next distance in daily volatilities, half-life 15 days."""
    return distance_next(view) / (view.market(sigma_360h) * np.sqrt(24.0))


def baseline_logits(view: View) -> Floats:
    """Return per horizon the log-odds that the price touches the trigger.

    The mean of the log-odds at half-lives of 24 h and 72 h, rising in the horizon.
    Shape (N, 4).
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

    Shape (N, 7): of `baseline_logits`, then the next log distance, the volatility per root
    hour at a half-life of 72 h, and the hours until a price seen now is judged by.
    """
    told = [distance_next(view), view.market(sigma_72h), view.delay]
    return np.concatenate([baseline_logits(view), np.stack(told, axis=1)], axis=1)


def _feature(
    name: str, function: Callable[[View], Floats], *, unit: str, meaning: str, hours: timedelta
) -> Feature:
    """Return a distance feature: a larger one can only lower the risk."""
    sources: tuple[Source, ...] = ("position", "candles") if hours else ("position",)
    return Feature(
        name=name,
        function=function,
        unit=unit,
        lookback=hours,
        sources=frozenset(sources),
        meaning=meaning,
        direction=-1,
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
)
