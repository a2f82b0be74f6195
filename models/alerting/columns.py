"""Which level each of many accounts is raised to: the same triggers, a column at a time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from models.alerting.policy import (
    NAMES,
    AccrualTrigger,
    BlindBuffer,
    BufferTrigger,
    Doubt,
    ForecastTrigger,
    LiquidationTrigger,
    Policy,
    RuleTrigger,
    dust_limit,
)

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Levels = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Signals of many accounts; every array has shape (accounts,).

    Parameters
    ----------
    buffer, next_buffer
        As in `models.alerting.signals.Signal`; NaN where there is none.
    verdict, next_verdict
        Values of `models.margin.result.Verdict`; empty text where there is none.
    expected, unattended
        By horizon; NaN where there is none.
    hours_to_flip, hours_since_liquidation
        NaN where there is none.
    requirement
        Quote units of the venue; None where none is known.
    has_forecast
        Whether a forecast belongs to the account; None where it does to every one.
    """

    buffer: Floats
    next_buffer: Floats
    verdict: npt.NDArray[np.str_]
    next_verdict: npt.NDArray[np.str_]
    expected: Mapping[str, Floats] = field(default_factory=dict)
    unattended: Mapping[str, Floats] = field(default_factory=dict)
    hours_to_flip: Floats | None = None
    hours_since_liquidation: Floats | None = None
    requirement: Floats | None = None
    has_forecast: Bools | None = None


def raised(columns: Columns, policy: Policy) -> Levels:
    """Return the highest level that fires per account, as `evidence` finds it one by one."""
    levels = np.zeros(len(columns.buffer), dtype=np.int8)
    is_dust = np.zeros(len(columns.buffer), dtype=np.bool_)
    if columns.requirement is not None:
        is_dust = columns.requirement < policy.least_requirement
    for name, level in NAMES.items():
        for trigger in getattr(policy, name).triggers:
            fires = FIRING[type(trigger)](trigger, columns)
            if fires is not None:
                highest = np.where(is_dust, min(level, dust_limit(trigger)), level)
                levels[fires] = np.maximum(levels, highest.astype(np.int8))[fires]
    return levels


def _forecast(trigger: ForecastTrigger, columns: Columns) -> Bools | None:
    """Return where a probability is high enough."""
    values = columns.expected if trigger.signal == "expected" else columns.unattended
    column = values.get(trigger.horizon)
    return None if column is None else column >= trigger.raises


def _buffer(trigger: BufferTrigger, columns: Columns) -> Bools:
    """Return where a distance is small enough."""
    column = columns.buffer if trigger.signal == "buffer" else columns.next_buffer
    return column <= trigger.raises


def _blind_buffer(trigger: BlindBuffer, columns: Columns) -> Bools:
    """Return where a distance is small enough and the forecast that belongs there is missing."""
    if columns.has_forecast is None:
        is_blind = np.ones(len(columns.buffer), dtype=np.bool_)
    else:
        is_blind = columns.has_forecast.copy()
    for values in columns.expected.values():
        is_blind &= np.isnan(values)
    return is_blind & (columns.buffer <= trigger.raises)


def _doubt(_trigger: Doubt, _columns: Columns) -> None:
    """Return None: prices of the past are taken as they stand."""


def _ruling(trigger: RuleTrigger, columns: Columns) -> Bools:
    """Return where a verdict is among those that fire."""
    column = columns.verdict if trigger.signal == "verdict" else columns.next_verdict
    return np.isin(column, [verdict.value for verdict in trigger.verdicts])


def _accrual(trigger: AccrualTrigger, columns: Columns) -> Bools | None:
    """Return where interest alone reaches the line soon enough."""
    column = columns.hours_to_flip
    return None if column is None else column <= trigger.raises.total_seconds() / 3600.0


def _liquidation(trigger: LiquidationTrigger, columns: Columns) -> Bools | None:
    """Return where a liquidation was seen lately."""
    column = columns.hours_since_liquidation
    return None if column is None else column < trigger.within.total_seconds() / 3600.0


FIRING: Mapping[type[Any], Callable[[Any, Columns], Bools | None]] = {
    ForecastTrigger: _forecast,
    BufferTrigger: _buffer,
    BlindBuffer: _blind_buffer,
    Doubt: _doubt,
    RuleTrigger: _ruling,
    AccrualTrigger: _accrual,
    LiquidationTrigger: _liquidation,
}
