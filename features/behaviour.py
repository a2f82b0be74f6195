"""What the owner did, strictly before the moment of the question."""

from collections.abc import Callable
from datetime import timedelta

import numba
import numpy as np

from features.inputs import HOUR, Floats, Ints
from features.spec import Feature, View
from models.events import EventKind

DEPOSIT, WITHDRAW, BORROW, REPAY = (
    int(EventKind.DEPOSIT),
    int(EventKind.WITHDRAW),
    int(EventKind.BORROW),
    int(EventKind.REPAY),
)
LIQUIDATE = int(EventKind.LIQUIDATE)
MONTH, WEEK, DAY = 720, 168, 24


@numba.njit(cache=True)
def _hours_since(
    at: Ints, kind: Ints, rows: Ints, first: Ints, end: Ints, low: int, high: int, cap: int
) -> Floats:
    """Return hours since the last event with low ≤ kind ≤ high, at most `cap`."""
    out = np.full(len(rows), float(cap))
    for row in range(len(rows)):
        for k in range(end[row] - 1, first[row] - 1, -1):
            gone = (rows[row] - at[k]) / HOUR
            if gone >= cap:
                break
            if low <= kind[k] <= high:
                out[row] = gone
                break
    return out


@numba.njit(cache=True)
def _count(
    at: Ints, kind: Ints, rows: Ints, first: Ints, end: Ints, low: int, high: int, window: int
) -> Floats:
    """Return the number of events with low ≤ kind ≤ high within `window` hours."""
    out = np.zeros(len(rows))
    for row in range(len(rows)):
        for k in range(end[row] - 1, first[row] - 1, -1):
            if rows[row] - at[k] >= window * HOUR:
                break
            if low <= kind[k] <= high:
                out[row] += 1.0
    return out


@numba.njit(cache=True)
def _amount_before(
    at: Ints, before: Floats, now: Floats, rows: Ints, first: Ints, end: Ints, window: int
) -> Floats:
    """Return what the account held `window` hours ago."""
    out = now.copy()
    for row in range(len(rows)):
        for k in range(end[row] - 1, first[row] - 1, -1):
            if rows[row] - at[k] >= window * HOUR:
                break
            out[row] = before[k]
    return out


@numba.njit(cache=True)
def _nearest_miss(
    at: Ints,
    collateral_before: Floats,
    debt_before: Floats,
    rows: Ints,
    first: Ints,
    end: Ints,
    collateral_now: Floats,
    debt_now: Floats,
    close: Floats,
    place: Ints,
    stride: int,
    window: int,
) -> Floats:
    """Return the least log(collateral·price/debt) of past hours, NaN without debt then."""
    out = np.full(len(rows), np.nan)
    for row in range(len(rows)):
        collateral, debt, k = collateral_now[row], debt_now[row], end[row] - 1
        for back in range(1, window):
            hour = rows[row] - back * HOUR
            while k >= first[row] and at[k] >= hour:
                collateral, debt = collateral_before[k], debt_before[k]
                k -= 1
            i = place[row] - back * stride
            if i < 0 or i >= len(close) or np.isnan(close[i]) or debt <= 0.0 or collateral <= 0.0:
                continue
            value = np.log(collateral * close[i] / debt)
            if np.isnan(out[row]) or value < out[row]:
                out[row] = value
    return out


def hours_since(view: View, *, low: int, high: int, cap: int) -> Floats:
    """Return hours since the owner's last such event, at most `cap`."""
    events = view.events
    return np.asarray(
        _hours_since(
            events.at, events.kind, view.at, view.first_event, view.end_event, low, high, cap
        )
    )


def hours_since_action(view: View) -> Floats:
    """Return hours since the owner last did anything, at most 30 days."""
    return hours_since(view, low=DEPOSIT, high=REPAY, cap=MONTH)


def _rescue_hours(view: View) -> Floats:
    """Return hours since the last deposit or repayment, at most 30 days."""
    deposit = hours_since(view, low=DEPOSIT, high=DEPOSIT, cap=MONTH)
    return np.minimum(deposit, hours_since(view, low=REPAY, high=REPAY, cap=MONTH))


def _count_of(view: View, *, low: int, high: int, window: int) -> Floats:
    """Return the number of such events in a window."""
    events = view.events
    return np.asarray(
        _count(events.at, events.kind, view.at, view.first_event, view.end_event, low, high, window)
    )


def _rescues(view: View, window: int) -> Floats:
    """Return deposits and repayments in a window."""
    return _count_of(view, low=DEPOSIT, high=DEPOSIT, window=window) + _count_of(
        view, low=REPAY, high=REPAY, window=window
    )


def _leverage_drift(view: View, *, window: int) -> Floats:
    """Return how far the owner moved log(collateral/debt) in a window; NaN without debt then."""
    events = view.events
    slices = (view.at, view.first_event, view.end_event, window)
    collateral = _amount_before(events.at, events.collateral_before, view.collateral, *slices)
    debt = _amount_before(events.at, events.debt_before, view.debt, *slices)
    out = np.full(len(view.at), np.nan)
    usable = (collateral > 0.0) & (debt > 0.0) & (view.collateral > 0.0) & (view.debt > 0.0)
    out[usable] = np.log(view.collateral[usable] / view.debt[usable]) - np.log(
        collateral[usable] / debt[usable]
    )
    return out


def _nearest_miss_168h(view: View) -> Floats:
    """Return the least distance of the past week, by today's trigger terms."""
    events = view.events
    least = _nearest_miss(
        events.at,
        events.collateral_before,
        events.debt_before,
        view.at,
        view.first_event,
        view.end_event,
        view.collateral,
        view.debt,
        view.candles.close,
        view.place,
        HOUR // view.candles.step,
        WEEK,
    )
    return least - np.log(view.trigger * view.collateral / view.debt)


def _feature(
    name: str, function: Callable[[View], Floats], *, hours: int, unit: str, meaning: str
) -> Feature:
    """Return a behaviour feature."""
    return Feature(
        name=name,
        function=function,
        unit=unit,
        lookback=timedelta(hours=hours),
        sources=frozenset({"events", "position"}),
        meaning=meaning,
        scope="owner",
    )


FEATURES: tuple[Feature, ...] = (
    _feature(
        "hours_since_action",
        lambda view: np.log1p(hours_since_action(view)),
        hours=MONTH,
        unit="log hours",
        meaning="Time since the owner last did anything, at most 30 days.",
    ),
    _feature(
        "hours_since_rescue",
        lambda view: np.log1p(_rescue_hours(view)),
        hours=MONTH,
        unit="log hours",
        meaning="Time since the last deposit or repayment, at most 30 days.",
    ),
    _feature(
        "rescues_24h",
        lambda view: _rescues(view, DAY),
        hours=DAY,
        unit="events",
        meaning="Deposits and repayments of a day.",
    ),
    _feature(
        "rescues_168h",
        lambda view: _rescues(view, WEEK),
        hours=WEEK,
        unit="events",
        meaning="Deposits and repayments of a week.",
    ),
    _feature(
        "risk_added_168h",
        lambda view: _count_of(view, low=WITHDRAW, high=BORROW, window=WEEK),
        hours=WEEK,
        unit="events",
        meaning="Withdrawals and borrows of a week.",
    ),
    _feature(
        "actions_720h",
        lambda view: _count_of(view, low=DEPOSIT, high=REPAY, window=MONTH),
        hours=MONTH,
        unit="events",
        meaning="The owner's actions of 30 days.",
    ),
    _feature(
        "liquidations_720h",
        lambda view: _count_of(view, low=LIQUIDATE, high=LIQUIDATE, window=MONTH),
        hours=MONTH,
        unit="events",
        meaning="Liquidations suffered in 30 days.",
    ),
    _feature(
        "leverage_drift_24h",
        lambda view: _leverage_drift(view, window=DAY),
        hours=DAY,
        unit="log ratio",
        meaning="How far the owner moved collateral against debt in a day.",
    ),
    _feature(
        "leverage_drift_168h",
        lambda view: _leverage_drift(view, window=WEEK),
        hours=WEEK,
        unit="log ratio",
        meaning="How far the owner moved collateral against debt in a week.",
    ),
    Feature(
        name="nearest_miss_168h",
        function=_nearest_miss_168h,
        unit="log price",
        lookback=timedelta(hours=WEEK),
        sources=frozenset({"events", "position", "candles"}),
        meaning="Least distance to the line survived in the past week.",
        scope="owner",
    ),
    _feature(
        "debt_size",
        lambda view: np.log10(np.maximum(view.debt_value, 1.0)),
        hours=0,
        unit="log10 quote units",
        meaning="Debt, or margin that positions require.",
    ),
    _feature(
        "account_age",
        lambda view: np.log1p(view.age),
        hours=0,
        unit="log hours",
        meaning="Time since the account was opened.",
    ),
)
