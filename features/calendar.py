"""What hour and what day it is, UTC."""

from datetime import timedelta
from functools import partial

import numpy as np

from features.inputs import HOUR, Floats
from features.spec import Feature, View, ViewFunction

DAY = 24 * HOUR
WEEK = 7 * DAY
MONDAY = 4 * DAY
"""Seconds from 1970, a Thursday, to the first Monday."""

WORKDAYS = 5


def _wave(view: View, *, period: int, quarter: int) -> Floats:
    """Return the sine of the time within a period, `quarter` periods ahead."""
    share = (view.at - MONDAY) % period / period
    return np.sin(2.0 * np.pi * (share + quarter / 4.0))


def _is_weekend(view: View) -> Floats:
    """Return 1 on Saturday and Sunday, 0 on other days."""
    return ((view.at - MONDAY) % WEEK >= WORKDAYS * DAY).astype(np.float64)


def _feature(name: str, function: ViewFunction, meaning: str) -> Feature:
    """Return a feature of the time alone."""
    return Feature(
        name=name,
        function=function,
        unit="1",
        lookback=timedelta(0),
        sources=frozenset({"clock"}),
        meaning=meaning,
    )


FEATURES: tuple[Feature, ...] = (
    _feature("hour_sine", partial(_wave, period=DAY, quarter=0), "Hour of the day, as a sine."),
    _feature("hour_cosine", partial(_wave, period=DAY, quarter=1), "Hour of the day, as a cosine."),
    _feature("day_sine", partial(_wave, period=WEEK, quarter=0), "Time of the week, as a sine."),
    _feature(
        "day_cosine", partial(_wave, period=WEEK, quarter=1), "Time of the week, as a cosine."
    ),
    _feature("weekend", _is_weekend, "Whether it is Saturday or Sunday."),
)
