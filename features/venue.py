"""The venue's own state: its oracle, its reserves, and what else would be sold."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

import numpy as np

from features.as_of import age_of_last, by_key, last_value
from features.carry import TURNOVER_24H, close_of, daily_sigma
from features.inputs import HOUR, Floats, Ints, PointInTimeSeries
from features.liquidity import mean_turnover
from features.market import MarketFunction, log_ratio
from features.spec import Feature, Scope, Source, View, ViewFunction

STALE_ROUND = 72
STALE_STATE = 48
"""Hours after which the last value known no longer counts."""

TURNOVER_168H: MarketFunction = partial(mean_turnover, hours=168)


def _round(view: View) -> Floats:
    """Return the oracle's last answer."""
    function = partial(last_value, hours=STALE_ROUND)
    return by_key(view.asset, view.tables.rounds, function, at=view.at)


def _round_age(view: View) -> Floats:
    """Return the log of hours since the oracle's last answer."""
    function = partial(age_of_last, hours=STALE_ROUND)
    return np.log1p(by_key(view.asset, view.tables.rounds, function, at=view.at))


def _round_gap(view: View) -> Floats:
    """Return how far the market has moved past the oracle, toward safety positive."""
    spot = close_of(view.tables.candles, view.asset, view.at)
    return view.side * log_ratio(spot, _round(view)) / daily_sigma(view)


def _state(
    view: View,
    table: Mapping[tuple[str, str], PointInTimeSeries],
    at: Ints,
    *,
    hours: int = STALE_STATE,
) -> Floats:
    """Return the last value known of the venue's reserve of each moment's asset."""
    out = np.full(len(at), np.nan)
    for venue in set(view.venue):
        rows = np.flatnonzero(view.venue == venue)
        reserves = {asset: readings for (name, asset), readings in table.items() if name == venue}
        latest = by_key(view.asset[rows], reserves, partial(last_value, hours=hours), at=at[rows])
        out[rows] = latest
    return out


def _utilisation(view: View) -> Floats:
    """Return the share of the reserve lent out."""
    return _state(view, view.tables.utilisation, view.at)


def _utilisation_change(view: View) -> Floats:
    """Return the change of utilisation in a day."""
    return _utilisation(view) - _state(view, view.tables.utilisation, view.at - 24 * HOUR)


def _reserve_cover(view: View) -> Floats:
    """Return what the reserve can still pay out against what the account owes."""
    return log_ratio(_state(view, view.tables.liquidity, view.at), view.debt_value)


def _fragile_turnover(view: View) -> Floats:
    """Return what a fall of 10 % would put up for sale against a day's turnover."""
    fragile = _state(view, view.tables.fragile, view.at)
    return log_ratio(fragile, 24.0 * view.market(TURNOVER_24H))


def _depth_cover(view: View) -> Floats:
    """Return the account's exposure against the depth of the book."""
    function = partial(last_value, hours=STALE_STATE)
    depth = by_key(view.asset, view.tables.depth, function, at=view.at)
    return log_ratio(view.exposure, depth)


def _unwind_days(view: View) -> Floats:
    """Return the account's exposure against the mean daily turnover of a week."""
    return log_ratio(view.exposure, 24.0 * view.market(TURNOVER_168H))


def _feature(
    name: str,
    function: ViewFunction,
    *,
    hours: int,
    unit: str,
    meaning: str,
    sources: tuple[Source, ...] = ("readings",),
    scope: Scope = "venue",
) -> Feature:
    """Return a feature of the venue's state."""
    return Feature(
        name=name,
        function=function,
        unit=unit,
        lookback=timedelta(hours=hours),
        sources=frozenset(sources),
        meaning=meaning,
        scope=scope,
    )


FEATURES: tuple[Feature, ...] = (
    _feature(
        "oracle_age",
        _round_age,
        hours=STALE_ROUND,
        unit="log hours",
        meaning="Time since the oracle last answered.",
    ),
    _feature(
        "oracle_gap",
        _round_gap,
        hours=433,
        unit="daily sigmas",
        meaning="How far the market moved past the oracle's answer, toward safety positive.",
        sources=("candles", "readings"),
    ),
    _feature(
        "utilisation",
        _utilisation,
        hours=STALE_STATE,
        unit="share",
        meaning="Share of the reserve lent out.",
    ),
    _feature(
        "utilisation_change_24h",
        _utilisation_change,
        hours=STALE_STATE + 24,
        unit="share",
        meaning="Change of utilisation in a day.",
    ),
    _feature(
        "reserve_cover",
        _reserve_cover,
        hours=STALE_STATE,
        unit="log ratio",
        meaning="What the reserve can still pay out against the debt.",
        sources=("readings", "position"),
    ),
    _feature(
        "fragile_turnover",
        _fragile_turnover,
        hours=STALE_STATE,
        unit="log days",
        meaning="What a fall of 10 % would put up for sale against a day's turnover.",
        sources=("candles", "readings"),
    ),
    _feature(
        "depth_cover",
        _depth_cover,
        hours=STALE_STATE,
        unit="log ratio",
        meaning="Own exposure against the depth of the book.",
        sources=("readings", "position"),
    ),
    _feature(
        "unwind_days",
        _unwind_days,
        hours=169,
        unit="log days",
        meaning="Own exposure against the daily turnover of a week.",
        sources=("candles", "position"),
        scope="owner",
    ),
)
