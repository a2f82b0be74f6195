"""Which levels a signal raises, holds and cannot tell of, and what takes an account off them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from models.alerting.aim import (
    Aim,
    distant,
    distant_blind,
    outlasted,
    ruled_out,
    together,
    undercut,
    untouched,
)
from models.alerting.policy import (
    AccrualTrigger,
    BlindBuffer,
    BufferTrigger,
    Doubt,
    ForecastTrigger,
    LiquidationTrigger,
    Policy,
    RuleTrigger,
    Trigger,
    dust_limit,
    span_text,
)
from models.alerting.signals import Cause, Level, Signal
from models.margin.result import Verdict


class TriggerReading(NamedTuple):
    """What one trigger says of one signal.

    Parameters
    ----------
    fires, holds
        Whether it raises its level, and whether it keeps an account there.
    is_unknown
        Whether what it looks at is missing though it belongs there.
    value, limit
        What it reads and at what it fires.
    """

    fires: bool
    holds: bool
    is_unknown: bool = False
    value: object = ""
    limit: object = ""


class Meaning(NamedTuple):
    """What one kind of trigger means.

    Parameters
    ----------
    read
        Returns what it says of a signal now.
    aim
        Returns where an account must be so that it does not hold its level.
    """

    read: Callable[[Any, Signal, datetime], TriggerReading]
    aim: Callable[[Any], Aim]


@dataclass(frozen=True, slots=True)
class PolicyEvaluation:
    """What all triggers say together.

    Parameters
    ----------
    raised
        Highest level that fires.
    sustained, unknown
        Levels that an account keeps, and those of which nothing can be said.
    causes
        What fired, worst first.
    """

    raised: Level
    sustained: frozenset[Level]
    unknown: frozenset[Level]
    causes: tuple[Cause, ...]


SILENCE = TriggerReading(False, False)  # noqa: FBT003 - fires, holds
UNKNOWN = TriggerReading(False, False, is_unknown=True)  # noqa: FBT003 - fires, holds


def evidence(signal: Signal, now: datetime, policy: Policy) -> PolicyEvaluation:
    """Return what a policy finds in a signal.

    Parameters
    ----------
    now
        Time by the watcher's clock; only what is due in time is reckoned from it.
    """
    causes, sustained, unknown = [], set(), set()
    is_dust = _is_dust(signal, policy)
    for named, trigger in policy.triggers:
        level = min(named, dust_limit(trigger)) if is_dust else named
        reading = MEANINGS[type(trigger)].read(trigger, signal, now)
        if reading.fires:
            causes.append(_cause(level, trigger, reading))
        if reading.holds:
            sustained.add(level)
        if reading.is_unknown:
            unknown.add(level)
    causes.sort(key=lambda cause: -cause.level)
    raised = causes[0].level if causes else Level.NONE
    return PolicyEvaluation(raised, frozenset(sustained), frozenset(unknown), tuple(causes))


def aim(policy: Policy, level: Level) -> Aim:
    """Return what leaves an account below a level, or below warning where that is lower.

    An account that is critical is brought out of warning as well: a plan that ends one step
    below the line would be followed by the next message. Dust is held on watch by the triggers
    of every level, and the aim below watch is made of all of them.
    """
    lowest = min(level, Level.WARNING)
    return together(
        MEANINGS[type(trigger)].aim(trigger)
        for named, trigger in reversed(policy.triggers)
        if named >= lowest
    )


def _is_dust(signal: Signal, policy: Policy) -> bool:
    """Return whether so little is required that nobody is to be woken for it."""
    return signal.requirement is not None and signal.requirement < policy.least_requirement


def _cause(level: Level, trigger: Trigger, reading: TriggerReading) -> Cause:
    """Return a trigger that fired, in words."""
    horizon = trigger.horizon if isinstance(trigger, ForecastTrigger) else ""
    return Cause(level, trigger.signal, horizon, _text(reading.value), _text(reading.limit))


def _text(value: object) -> str:
    """Return what was read, or its limit, as text."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, timedelta):
        return span_text(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _forecast(trigger: ForecastTrigger, signal: Signal, _now: datetime) -> TriggerReading:
    """Read a probability."""
    values = signal.expected if trigger.signal == "expected" else signal.unattended
    value = values.get(trigger.horizon)
    if value is None:
        return UNKNOWN if signal.has_forecast else SILENCE
    limit = trigger.raises
    return TriggerReading(value >= limit, value >= trigger.clear, value=value, limit=limit)


def _buffer(trigger: BufferTrigger, signal: Signal, _now: datetime) -> TriggerReading:
    """Read a distance; an account that nothing can judge is not taken for a far one."""
    value = signal.buffer if trigger.signal == "buffer" else signal.next_buffer
    if value is None:
        return UNKNOWN if signal.verdict is Verdict.UNEVALUABLE else SILENCE
    limit = trigger.raises
    return TriggerReading(value <= limit, value <= trigger.clear, value=value, limit=limit)


def _blind_buffer(trigger: BlindBuffer, signal: Signal, _now: datetime) -> TriggerReading:
    """Read a distance that stands in for a forecast."""
    if not signal.has_forecast or signal.expected or signal.buffer is None:
        return SILENCE
    value, limit = signal.buffer, trigger.raises
    return TriggerReading(value <= limit, value <= trigger.clear, value=value, limit=limit)


def _doubt(trigger: Doubt, signal: Signal, _now: datetime) -> TriggerReading:
    """Read why prices are not to be relied on."""
    reasons = [reason for reason in signal.doubts if reason in trigger.reasons]
    text = ", ".join(reasons)
    return TriggerReading(bool(reasons), bool(reasons), value=text, limit=text)


def _ruling(trigger: RuleTrigger, signal: Signal, _now: datetime) -> TriggerReading:
    """Read a verdict."""
    verdict = signal.verdict if trigger.signal == "verdict" else signal.next_verdict
    if verdict is None:
        return SILENCE
    if verdict is Verdict.UNEVALUABLE and verdict not in trigger.verdicts:
        return UNKNOWN
    fires = verdict in trigger.verdicts
    return TriggerReading(fires, fires, value=verdict.value, limit=verdict.value)


def _accrual(trigger: AccrualTrigger, signal: Signal, now: datetime) -> TriggerReading:
    """Read the time that interest alone leaves."""
    if signal.flips_at is None:
        return SILENCE
    left = signal.flips_at - now
    limit = trigger.raises
    return TriggerReading(left <= limit, left <= trigger.clear, value=signal.flips_at, limit=limit)


def _liquidation(trigger: LiquidationTrigger, signal: Signal, now: datetime) -> TriggerReading:
    """Read whether a liquidation happened lately, or was reported lately and not too late."""
    if signal.liquidated_at is None:
        return SILENCE
    begin, received = signal.liquidated_at, signal.liquidation_received_at
    if received is not None and begin < received <= begin + trigger.late:
        begin = received
    fires = now - begin < trigger.within
    return TriggerReading(fires, fires, value=signal.liquidated_at, limit=trigger.within)


MEANINGS: Mapping[type[Any], Meaning] = {
    ForecastTrigger: Meaning(_forecast, undercut),
    BufferTrigger: Meaning(_buffer, distant),
    BlindBuffer: Meaning(_blind_buffer, distant_blind),
    Doubt: Meaning(_doubt, untouched),
    RuleTrigger: Meaning(_ruling, ruled_out),
    AccrualTrigger: Meaning(_accrual, outlasted),
    LiquidationTrigger: Meaning(_liquidation, untouched),
}
"""Every kind of trigger that a policy may have."""
