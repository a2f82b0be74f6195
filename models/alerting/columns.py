"""Signals as columns: one account's values, or arrays of many, read by the same triggers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

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
    is_unseen
        Whether no owners of its market were seen.
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
    is_unseen: Flags = False
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
    flips_at, liquidated_at = signal.flips_at, signal.liquidated_at
    return Columns(
        buffer=_number(signal.buffer),
        next_buffer=_number(signal.next_buffer),
        verdict=signal.verdict.value,
        next_verdict="" if signal.next_verdict is None else signal.next_verdict.value,
        sigmas=_number(signal.sigmas),
        expected=signal.expected,
        unattended=signal.unattended,
        hours_to_flip=math.nan if flips_at is None else hours(flips_at - now),
        hours_since_liquidation=math.nan if liquidated_at is None else hours(now - liquidated_at),
        report_hours=_report_hours(signal),
        requirement=_number(signal.requirement),
        has_forecast=signal.has_forecast,
        is_unseen=signal.is_unseen,
        doubts=signal.doubts,
        is_book=signal.account == BOOK,
        book=signal.book,
    )


def stacked(signals: Sequence[Signal], now: datetime) -> Columns:
    """Return the values of many accounts without doubts, a column each of shape (accounts,).

    The whole book is not among them.
    """
    rows = [scalar(signal, now) for signal in signals]
    columns: dict[str, Any] = {}
    for part in fields(Columns):
        values = [getattr(row, part.name) for row in rows]
        if part.name in {"expected", "unattended"}:
            horizons = {horizon: None for value in values for horizon in value}
            columns[part.name] = {
                horizon: np.array([value.get(horizon, math.nan) for value in values])
                for horizon in horizons
            }
        elif part.name not in {"doubts", "is_book", "book"}:
            columns[part.name] = np.array(values)
    return Columns(**columns)


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
