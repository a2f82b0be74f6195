"""What holding the position costs, and how its perpetual stands to the spot price.

Signed so that a positive value hurts the side held.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

import numpy as np

from features.as_of import by_key, last_value, window_sum
from features.inputs import HOUR, Candles, Floats, Ints, Names
from features.liquidity import mean_turnover
from features.market import MarketFunction, log_ratio
from features.spec import Feature, Source, View, ViewFunction
from features.volatility import sigma_72h

TURNOVER_24H: MarketFunction = partial(mean_turnover, hours=24)
STALE_FUNDING = 24
STALE_INTEREST = 6
"""Hours after which the last value known no longer counts."""


def daily_sigma(view: View) -> Floats:
    """Return the path's volatility of a day."""
    return view.market(sigma_72h) * np.sqrt(24.0)


def close_of(tables: Mapping[str, Candles], assets: Names, at: Ints) -> Floats:
    """Return the last close of each moment's own asset, missing where there is none."""
    out = np.full(len(at), np.nan)
    for name in set(assets):
        rows = np.flatnonzero(assets == name)
        candles = tables.get(name)
        if candles is None:
            continue
        place = candles.last_closed(at[rows])
        inside = (place >= 0) & (place < len(candles.close))
        out[rows[inside]] = candles.close[place[inside]]
    return out


def _spot(view: View) -> Floats:
    """Return the last spot close of each moment's asset."""
    return close_of(view.tables.candles, view.asset, view.at)


def _perpetual(view: View) -> Floats:
    """Return the last close of the perpetual of each moment's asset."""
    return close_of(view.tables.perpetuals, view.asset, view.at)


def _funding_now(view: View) -> Floats:
    """Return the last funding rate."""
    function = partial(last_value, hours=STALE_FUNDING)
    rate = by_key(view.asset, view.tables.funding, function, at=view.at)
    return view.side * rate / daily_sigma(view)


def _funding(view: View, *, hours: int) -> Floats:
    """Return the funding of a window in daily volatilities."""
    function = partial(window_sum, hours=hours)
    total = by_key(view.asset, view.tables.funding, function, at=view.at)
    return view.side * total / daily_sigma(view)


def _basis(view: View) -> Floats:
    """Return log(perpetual / spot) in daily volatilities."""
    return view.side * log_ratio(_perpetual(view), _spot(view)) / daily_sigma(view)


def _mark_gap(view: View) -> Floats:
    """Return log(perpetual's last price / its mark) in daily volatilities."""
    mark = close_of(view.tables.marks, view.asset, view.at)
    return view.side * log_ratio(_perpetual(view), mark) / daily_sigma(view)


def _interest(view: View, *, back: int) -> Floats:
    """Return the open interest `back` hours ago, base units."""
    function = partial(last_value, hours=STALE_INTEREST)
    then = view.at - back * HOUR
    return by_key(view.asset, view.tables.open_interest, function, at=then)


def _interest_change(view: View, *, hours: int) -> Floats:
    """Return the log change of open interest."""
    return log_ratio(_interest(view, back=0), _interest(view, back=hours))


def _interest_turnover(view: View) -> Floats:
    """Return open interest over the turnover of a day."""
    return log_ratio(_interest(view, back=0) * _spot(view), 24.0 * view.market(TURNOVER_24H))


def _feature(
    name: str,
    function: ViewFunction,
    *,
    hours: int,
    unit: str,
    meaning: str,
) -> Feature:
    """Return a feature of the asset's perpetual."""
    sources: tuple[Source, ...] = ("candles", "readings")
    return Feature(
        name=name,
        function=function,
        unit=unit,
        lookback=timedelta(hours=hours),
        sources=frozenset(sources),
        meaning=meaning,
        scope="venue",
    )


FEATURES: tuple[Feature, ...] = (
    _feature(
        "funding_now",
        _funding_now,
        hours=433,
        unit="daily sigmas",
        meaning="Last funding rate, paid by the side held.",
    ),
    _feature(
        "funding_24h",
        partial(_funding, hours=24),
        hours=433,
        unit="daily sigmas",
        meaning="Funding of a day, paid by the side held.",
    ),
    _feature(
        "funding_168h",
        partial(_funding, hours=168),
        hours=433,
        unit="daily sigmas",
        meaning="Funding of a week, paid by the side held.",
    ),
    _feature(
        "basis",
        _basis,
        hours=433,
        unit="daily sigmas",
        meaning="Perpetual above spot, against the side held.",
    ),
    _feature(
        "mark_gap",
        _mark_gap,
        hours=433,
        unit="daily sigmas",
        meaning="Perpetual's last price above its mark, against the side held.",
    ),
    _feature(
        "open_interest_change_24h",
        partial(_interest_change, hours=24),
        hours=30,
        unit="log ratio",
        meaning="Change of open interest in a day.",
    ),
    _feature(
        "open_interest_turnover",
        _interest_turnover,
        hours=25,
        unit="log days",
        meaning="Open interest against the turnover of a day.",
    ),
)
