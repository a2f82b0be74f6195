"""How the owner has lived with risk: buffers held, falls survived, how fast they answered."""

from datetime import timedelta
from functools import partial

import numba
import numpy as np

from features.behaviour import BORROW, DEPOSIT, MONTH, REPAY, WITHDRAW, hours_since
from features.inputs import HOUR, Floats, Ints
from features.spec import Feature, Source, View, ViewFunction

BUFFERS = (0.05, 0.10, 0.20)
"""Log distances to the line under which time is counted."""

NEAR, DANGER = 0, 1
"""Which buffer is a near miss, and which is the danger an owner is expected to answer."""

LEAST_HOURS = 24
LEAST_RESCUES = 3


@numba.njit(cache=True)
def _past_ratios(
    at: Ints,
    collateral_before: Floats,
    debt_before: Floats,
    now: tuple[int, int, int, float, float],
    close: Floats,
    place: int,
    stride: int,
) -> Floats:
    """Return price over line of each of the past hours, oldest first, by the holdings then.

    NaN without a price or debt. `now` is the moment, its slice of events and its holdings.
    """
    second, first, end, collateral, debt = now
    out = np.full(MONTH - 1, np.nan)
    # Hours back for which there are candles.
    least = 1 if place < len(close) + stride else (place - len(close)) // stride + 1
    most = min(MONTH - 1, place // stride)
    k, back = end - 1, 1
    while back < MONTH:
        while k >= first and at[k] >= second - back * HOUR:
            collateral, debt = collateral_before[k], debt_before[k]
            k -= 1
        # The holdings of this hour are those of every hour back to the next event.
        same = MONTH if k < first else min((second - at[k] + HOUR - 1) // HOUR, MONTH)
        if collateral > 0.0 and debt > 0.0:
            from_hour, to_hour = max(back, least), min(same, most + 1)
            if from_hour < to_hour:
                hours = out[MONTH - to_hour : MONTH - from_hour]
                closes = close[place - (to_hour - 1) * stride : place + 1 : stride]
                for i in range(len(hours)):
                    hours[i] = collateral * closes[i] / debt
        back = same
    return out


@numba.njit(cache=True)
def _count(ratio: Floats, limits: Floats, out: Floats) -> None:
    """Write hours seen, hours under each limit, and how often it was near and next no more."""
    # One loop without a branch for each count: a processor compares several hours at once.
    unseen = 0
    for value in ratio:
        unseen += np.isnan(value)
    out[0] = len(ratio) - unseen
    for level in range(len(limits)):
        under = 0
        for value in ratio:
            under += value < limits[level]
        out[1 + level] = under
    if not out[1 + NEAR]:
        return
    is_near = False
    for value in ratio:
        if is_near and value >= limits[NEAR]:
            out[4] += 1.0
        is_near = value < limits[NEAR] or (is_near and np.isnan(value))


@numba.njit(cache=True)
def _answers_of(
    ratio: Floats, limit: float, at: Ints, kind: Ints, second: int, first: int, end: int
) -> tuple[float, float]:
    """Return how many falls below a limit the owner answered, and the hours it took."""
    count, total, since, k = 0.0, 0.0, -1, first
    for place in range(len(ratio)):
        hour = second - (len(ratio) - place) * HOUR
        while k < end and at[k] < hour:
            if since >= 0 and (kind[k] == DEPOSIT or kind[k] == REPAY):
                count, total, since = count + 1.0, total + (at[k] - since) / HOUR, -2
            k += 1
        if ratio[place] >= limit:
            since = -1
        elif ratio[place] < limit and since == -1:
            since = hour
    return count, total


@numba.njit(cache=True)
def _lived(
    at: Ints,
    kind: Ints,
    collateral_before: Floats,
    debt_before: Floats,
    rows: Ints,
    first: Ints,
    end: Ints,
    collateral_now: Floats,
    debt_now: Floats,
    line: Floats,
    close: Floats,
    place: Ints,
    stride: int,
) -> Floats:
    """Return hours seen, hours under each buffer, near misses, answers and their hours."""
    limits = np.exp(np.array(BUFFERS))
    out = np.zeros((len(rows), 7))
    for row in range(len(rows)):
        now = (rows[row], first[row], end[row], collateral_now[row], debt_now[row])
        ratio = _past_ratios(at, collateral_before, debt_before, now, close, place[row], stride)
        ratio /= line[row]
        _count(ratio, limits, out[row])
        if out[row, 1 + DANGER]:
            out[row, 5], out[row, 6] = _answers_of(
                ratio, limits[DANGER], at, kind, rows[row], first[row], end[row]
            )
    return out


@numba.njit(cache=True)
def _regularity(at: Ints, kind: Ints, rows: Ints, first: Ints, end: Ints, window: int) -> Floats:
    """Return deviation over mean of the time between rescues, missing with too few."""
    out = np.full(len(rows), np.nan)
    for row in range(len(rows)):
        count, later, total, square = 0, 0, 0.0, 0.0
        for k in range(end[row] - 1, first[row] - 1, -1):
            if rows[row] - at[k] >= window * HOUR:
                break
            if kind[k] != DEPOSIT and kind[k] != REPAY:
                continue
            if count > 0:
                gap = (later - at[k]) / HOUR
                total += gap
                square += gap * gap
            later = at[k]
            count += 1
        if count >= LEAST_RESCUES and total > 0.0:
            mean = total / (count - 1)
            out[row] = np.sqrt(max(square / (count - 1) - mean * mean, 0.0)) / mean
    return out


def lived(view: View) -> Floats:
    """Return the sums of `_lived` for a view; shape (N, 7)."""
    events = view.events
    with np.errstate(divide="ignore", invalid="ignore"):
        line = view.trigger * view.collateral / view.debt
    return np.asarray(
        _lived(
            events.at,
            events.kind,
            events.collateral_before,
            events.debt_before,
            view.at,
            view.first_event,
            view.end_event,
            view.collateral,
            view.debt,
            line,
            view.candles.close,
            view.place,
            HOUR // view.candles.step,
        )
    )


def _share_under(view: View, *, buffer: int) -> Floats:
    """Return the share of the hours with debt spent under a buffer."""
    sums = view.once(lived)
    hours = np.where(sums[:, 0] >= LEAST_HOURS, sums[:, 0], np.nan)
    return sums[:, 1 + buffer] / hours


def _near_misses(view: View) -> Floats:
    """Return how often the account came within the least buffer and left it."""
    sums = view.once(lived)
    return np.where(sums[:, 0] >= LEAST_HOURS, sums[:, 4], np.nan)


def _answer_hours(view: View) -> Floats:
    """Return the mean hours from a fall into danger to the owner's rescue."""
    sums = view.once(lived)
    return np.log1p(sums[:, 6] / np.where(sums[:, 5] > 0.0, sums[:, 5], np.nan))


def _rescue_regularity(view: View) -> Floats:
    """Return how unevenly rescues were spaced: near 0 for a machine."""
    events = view.events
    return np.asarray(
        _regularity(events.at, events.kind, view.at, view.first_event, view.end_event, MONTH)
    )


def _hours_since_risk(view: View) -> Floats:
    """Return the log of hours since the owner last withdrew or borrowed, at most 30 days."""
    return np.log1p(hours_since(view, low=WITHDRAW, high=BORROW, cap=MONTH))


def _size(view: View) -> Floats:
    """Return the magnitude of the exposure."""
    return np.log10(np.maximum(view.exposure, 1.0))


def _feature(
    name: str,
    function: ViewFunction,
    *,
    unit: str,
    meaning: str,
    sources: tuple[Source, ...] = ("events", "position", "candles"),
    hours: int = MONTH,
) -> Feature:
    """Return a feature of the owner's habits."""
    return Feature(
        name=name,
        function=function,
        unit=unit,
        lookback=timedelta(hours=hours),
        sources=frozenset(sources),
        meaning=meaning,
        scope="owner",
    )


FEATURES: tuple[Feature, ...] = (
    *(
        _feature(
            f"under_{round(100 * buffer)}_share_720h",
            partial(_share_under, buffer=place),
            unit="share",
            meaning=f"Share of 30 days spent within {buffer:.0%} of the line.",
        )
        for place, buffer in enumerate(BUFFERS)
    ),
    _feature(
        "near_misses_720h",
        _near_misses,
        unit="times",
        meaning="How often in 30 days the account came within 5 % of the line and left it.",
    ),
    _feature(
        "answer_hours_720h",
        _answer_hours,
        unit="log hours",
        meaning="Mean time from a fall within 10 % of the line to the owner's rescue.",
    ),
    _feature(
        "rescue_regularity_720h",
        _rescue_regularity,
        unit="1",
        meaning="How unevenly rescues were spaced in 30 days; near 0 for a machine.",
        sources=("events",),
    ),
    _feature(
        "hours_since_risk",
        _hours_since_risk,
        unit="log hours",
        meaning="Time since the owner last withdrew or borrowed, at most 30 days.",
        sources=("events",),
    ),
    _feature(
        "exposure_size",
        _size,
        unit="log10 quote units",
        meaning="How much would have to be sold or bought back.",
        sources=("position",),
        hours=0,
    ),
)
