"""Signals as columns: one account's values, or arrays of many, read by the same triggers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from models.alerting.signals import BOOK, BookFigures, Signal

Numbers = float | npt.NDArray[np.float64]
Texts = str | npt.NDArray[np.str_]
Flags = bool | np.bool_ | npt.NDArray[np.bool_]
Levels = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What triggers look at: scalars of one account, or arrays of shape (accounts,).

    Parameters
    ----------
    buffer, next_buffer, sigmas
        As in `models.alerting.signals.Signal`; NaN where there is none.
    verdict, next_verdict
        Values of `models.margin.result.Verdict`; empty text where there is none.
    expected, unattended
        By horizon; NaN where there is none.
    hours_to_flip, hours_since_liquidation
        NaN where there is none.
    report_hours
        How long after a liquidation it was reported.
    requirement
        Quote units of the venue; NaN where it is not known.
    has_forecast
        Whether a forecast belongs to the account.
    doubts
        Why the prices of all these accounts must not be taken for fresh ones; prices of the
        past are taken as they stand.
    is_book, book
        Whether this is the whole book, and what is forecast of it: never of columns.
    """

    buffer: Numbers
    next_buffer: Numbers
    verdict: Texts
    next_verdict: Texts
    sigmas: Numbers = math.nan
    expected: Mapping[str, Numbers] = field(default_factory=dict)
    unattended: Mapping[str, Numbers] = field(default_factory=dict)
    hours_to_flip: Numbers = math.nan
    hours_since_liquidation: Numbers = math.nan
    report_hours: Numbers = 0.0
    requirement: Numbers = math.nan
    has_forecast: Flags = True
    doubts: tuple[str, ...] = ()
    is_book: bool = False
    book: BookFigures | None = None


def scalar(signal: Signal, now: datetime) -> Columns:
    """Return the values of one account.

    Parameters
    ----------
    now
        Time by the watcher's clock; what is due in time is reckoned from it.
    """
    return Columns(
        buffer=_number(signal.buffer),
        next_buffer=_number(signal.next_buffer),
        verdict=signal.verdict.value,
        next_verdict="" if signal.next_verdict is None else signal.next_verdict.value,
        sigmas=_number(signal.sigmas),
        expected=signal.expected,
        unattended=signal.unattended,
        hours_to_flip=_hours_to_flip(signal, now),
        hours_since_liquidation=_hours_since(signal, now),
        report_hours=_report_hours(signal),
        requirement=_number(signal.requirement),
        has_forecast=signal.has_forecast,
        doubts=signal.doubts,
        is_book=signal.account == BOOK,
        book=signal.book,
    )


def stacked(signals: Sequence[Signal], now: datetime) -> Columns:
    """Return the values of many accounts without doubts, a column each of shape (accounts,).

    The whole book is not among them.
    """
    return Columns(
        buffer=_numbers([signal.buffer for signal in signals]),
        next_buffer=_numbers([signal.next_buffer for signal in signals]),
        verdict=np.array([str(signal.verdict) for signal in signals]),
        next_verdict=np.array([str(signal.next_verdict or "") for signal in signals]),
        expected=_by_horizon([signal.expected for signal in signals]),
        unattended=_by_horizon([signal.unattended for signal in signals]),
        hours_to_flip=np.array([_hours_to_flip(signal, now) for signal in signals]),
        hours_since_liquidation=np.array([_hours_since(signal, now) for signal in signals]),
        report_hours=np.array([_report_hours(signal) for signal in signals]),
        requirement=_numbers([signal.requirement for signal in signals]),
        has_forecast=np.array([signal.has_forecast for signal in signals]),
    )


def _numbers(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    """Return a column of numbers; NaN where there is none."""
    return np.array(values, dtype=np.float64)


def _by_horizon(
    forecasts: Sequence[Mapping[str, float]],
) -> dict[str, npt.NDArray[np.float64]]:
    """Return a column per horizon that any forecast has."""
    horizons = {horizon: None for forecast in forecasts for horizon in forecast}
    return {
        horizon: _numbers([forecast.get(horizon) for forecast in forecasts]) for horizon in horizons
    }


def _hours_to_flip(signal: Signal, now: datetime) -> float:
    """Return the time until interest alone flips the verdict, h; NaN where it does not."""
    return math.nan if signal.flips_at is None else hours(signal.flips_at - now)


def _hours_since(signal: Signal, now: datetime) -> float:
    """Return how long ago the account was liquidated, h; NaN where it never was."""
    return math.nan if signal.liquidated_at is None else hours(now - signal.liquidated_at)


def hours(span: timedelta) -> float:
    """Return a duration, h."""
    return span.total_seconds() / 3600.0


def _report_hours(signal: Signal) -> float:
    """Return how long after a liquidation it was reported, h; 0 where that is not known."""
    if signal.liquidated_at is None or signal.liquidation_received_at is None:
        return 0.0
    return max(hours(signal.liquidation_received_at - signal.liquidated_at), 0.0)


def _number(value: float | None) -> float:
    """Return a number; NaN where there is none."""
    return math.nan if value is None else value
