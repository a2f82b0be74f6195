"""Which levels a signal raises, holds and cannot tell of, and what takes an account off them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from models.alerting.aim import (
    Aim,
    distant,
    distant_blind,
    distant_in_sigmas,
    outlasted,
    ruled_out,
    together,
    undercut,
    untouched,
)
from models.alerting.columns import Columns, Flags, Levels, hours, scalar
from models.alerting.policy import (
    AccrualTrigger,
    BlindBuffer,
    BufferTrigger,
    Doubt,
    ForecastTrigger,
    LiquidationTrigger,
    LossTrigger,
    Policy,
    ReproductionTrigger,
    RuleTrigger,
    SigmaTrigger,
    Trigger,
    dust_limit,
    is_urgent,
    owners_of,
    span_text,
)
from models.alerting.signals import BookFigures, Cause, Level, Signal
from models.margin.result import Verdict

UNEVALUABLE = Verdict.UNEVALUABLE.value


class Reading(NamedTuple):
    """What one trigger says of one signal, or of a column of them, shape (accounts,).

    Parameters
    ----------
    fires, holds
        Whether it raises its level, and whether it keeps an account there.
    is_unknown
        Whether what it looks at is missing though it belongs there.
    """

    fires: Flags
    holds: Flags
    is_unknown: Flags = False


class Meaning(NamedTuple):
    """What one kind of trigger means.

    Parameters
    ----------
    read
        Returns what it says of signals.
    shown
        Returns what it looked at and at what it fires, of a signal for which it fired.
    aim
        Returns where an account must be so that it does not hold its level.
    """

    read: Callable[[Any, Columns], Reading]
    shown: Callable[[Any, Signal], tuple[object, object]]
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
    urgent
        Levels of which something that is told at once keeps it there.
    causes
        What fired, worst first.
    """

    raised: Level
    sustained: frozenset[Level]
    unknown: frozenset[Level]
    urgent: frozenset[Level]
    causes: tuple[Cause, ...]


def evidence(signal: Signal, now: datetime, policy: Policy) -> PolicyEvaluation:
    """Return what a policy finds in a signal.

    Parameters
    ----------
    now
        Time by the watcher's clock; only what is due in time is reckoned from it.
    """
    causes, sustained, unknown, urgent = [], set(), set(), set()
    columns = scalar(signal, now)
    is_dust = columns.requirement < policy.least_requirement
    for named, trigger in policy.triggers:
        level = min(named, dust_limit(trigger)) if is_dust else named
        reading = _read(trigger, columns)
        if reading.fires:
            causes.append(_cause(level, trigger, signal))
        if reading.holds:
            sustained.add(level)
        if reading.holds and not is_dust and is_urgent(trigger):
            urgent.add(level)
        if reading.is_unknown:
            unknown.add(level)
    causes.sort(key=lambda cause: -cause.level)
    raised = causes[0].level if causes else Level.NONE
    return PolicyEvaluation(
        raised, frozenset(sustained), frozenset(unknown), frozenset(urgent), tuple(causes)
    )


class LevelColumns(NamedTuple):
    """What all triggers say together of many signals, arrays of shape (accounts,).

    Parameters
    ----------
    raised
        Highest level that fires.
    sustained, unknown, urgent
        As in `PolicyEvaluation`: bit `level` is set.
    """

    raised: Levels
    sustained: Levels
    unknown: Levels
    urgent: Levels

    def of(self, place: int) -> PolicyEvaluation:
        """Return what is said of one signal, without causes."""
        sustained, unknown, urgent = (LEVELS_OF[int(column[place])] for column in self[1:])
        return PolicyEvaluation(Level(int(self.raised[place])), sustained, unknown, urgent, ())


LEVELS_OF: tuple[frozenset[Level], ...] = tuple(
    frozenset(level for level in Level if bits >> level & 1) for bits in range(1 << len(Level))
)
"""The levels whose bits are set."""


def levels(columns: Columns, policy: Policy) -> LevelColumns:
    """Return what a policy finds in many signals, as `evidence` finds it one by one.

    Parameters
    ----------
    columns
        Signals of many accounts, shape (accounts,).
    """
    accounts = np.size(columns.buffer)
    result = LevelColumns(*(np.zeros(accounts, dtype=np.int8) for _ in LevelColumns._fields))
    is_dust = np.broadcast_to(columns.requirement < policy.least_requirement, accounts)
    for named, trigger in policy.triggers:
        reading = _read(trigger, columns)
        fires, holds, is_unknown = (np.broadcast_to(part, accounts) for part in reading)
        level = np.where(is_dust, min(named, dust_limit(trigger)), named).astype(np.int8)
        bit = np.left_shift(np.int8(1), level)
        result.raised[fires] = np.maximum(result.raised, level)[fires]
        result.sustained[holds] |= bit[holds]
        if is_urgent(trigger):
            at_once = holds & ~is_dust
            result.urgent[at_once] |= bit[at_once]
        result.unknown[is_unknown] |= bit[is_unknown]
    return result


def _read(trigger: Trigger, columns: Columns) -> Reading:
    """Return what a trigger says; of an account that it does not count for, nothing."""
    reading = MEANINGS[type(trigger)].read(trigger, columns)
    owners = owners_of(trigger)
    if owners is None:
        return reading
    counts = columns.is_unseen == (owners == "unseen")
    return Reading(*(part & counts for part in reading))


def aim(policy: Policy, level: Level, *, is_unseen: bool) -> Aim:
    """Return what leaves an account below a level, or below warning where that is lower.

    An account that is critical is brought out of warning as well: a plan that ends one step
    below the line would be followed by the next message. Dust is held on watch by the triggers
    of every level, and the aim below watch is made of all of them.

    Parameters
    ----------
    is_unseen
        Whether no owners of its market were seen. What counts once they are is cleared as well:
        a bundle may learn of them, and a plan is not to end in the next message.
    """
    lowest = min(level, Level.WARNING)
    return together(
        MEANINGS[type(trigger)].aim(trigger)
        for named, trigger in reversed(policy.triggers)
        if named >= lowest and (is_unseen or owners_of(trigger) != "unseen")
    )


def _cause(level: Level, trigger: Trigger, signal: Signal) -> Cause:
    """Return a trigger that fired, in words."""
    horizon = trigger.horizon if isinstance(trigger, ForecastTrigger | LossTrigger) else ""
    value, limit = MEANINGS[type(trigger)].shown(trigger, signal)
    return Cause(level, trigger.signal, horizon, _text(value), _text(limit))


def _text(value: object) -> str:
    """Return what was read, or its limit, as text."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, timedelta):
        return span_text(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _forecast(trigger: ForecastTrigger, columns: Columns) -> Reading:
    """Read a probability."""
    values = columns.expected if trigger.signal == "expected" else columns.unattended
    value = values.get(trigger.horizon, math.nan)
    is_missing = value != value  # noqa: PLR0124 - NaN is not itself
    return Reading(
        value >= trigger.raises, value >= trigger.clear, is_missing & columns.has_forecast
    )


def _probability(trigger: ForecastTrigger, signal: Signal) -> tuple[object, object]:
    """Return a probability and its limit."""
    values = signal.expected if trigger.signal == "expected" else signal.unattended
    return values[trigger.horizon], trigger.raises


def _buffer(trigger: BufferTrigger, columns: Columns) -> Reading:
    """Read a distance; an account that nothing can judge is not taken for a far one."""
    value = columns.buffer if trigger.signal == "buffer" else columns.next_buffer
    is_missing = value != value  # noqa: PLR0124 - NaN is not itself
    is_unknown = is_missing & (columns.verdict == UNEVALUABLE)
    return Reading(value <= trigger.raises, value <= trigger.clear, is_unknown)


def _sigmas(trigger: SigmaTrigger, columns: Columns) -> Reading:
    """Read a distance in volatilities; it is missing where a forecast is."""
    value = columns.sigmas
    is_missing = value != value  # noqa: PLR0124 - NaN is not itself
    return Reading(
        value <= trigger.raises, value <= trigger.clear, is_missing & columns.has_forecast
    )


def _blind_buffer(trigger: BlindBuffer, columns: Columns) -> Reading:
    """Read a distance that stands in for a forecast."""
    is_blind = columns.has_forecast
    for value in columns.expected.values():
        is_blind = is_blind & (value != value)  # noqa: PLR0124 - NaN is not itself
    value = columns.buffer
    return Reading(is_blind & (value <= trigger.raises), is_blind & (value <= trigger.clear))


def _volatilities(trigger: SigmaTrigger, signal: Signal) -> tuple[object, object]:
    """Return a distance in volatilities and its limit."""
    return signal.sigmas, trigger.raises


def _distance(trigger: BufferTrigger | BlindBuffer, signal: Signal) -> tuple[object, object]:
    """Return a distance and its limit."""
    value = signal.next_buffer if trigger.signal == "next_buffer" else signal.buffer
    return value, trigger.raises


def _doubt(trigger: Doubt, columns: Columns) -> Reading:
    """Read why prices are not to be relied on."""
    fires = not trigger.reasons.isdisjoint(columns.doubts)
    return Reading(fires, fires)


def _reasons(trigger: Doubt, signal: Signal) -> tuple[object, object]:
    """Return the reasons twice: there is no measure of them."""
    text = ", ".join(reason for reason in signal.doubts if reason in trigger.reasons)
    return text, text


def _ruling(trigger: RuleTrigger, columns: Columns) -> Reading:
    """Read a verdict."""
    verdict = columns.verdict if trigger.signal == "verdict" else columns.next_verdict
    fires: Flags = False
    for value in trigger.values:
        fires = fires | (verdict == value)
    return Reading(fires, fires, UNEVALUABLE not in trigger.values and verdict == UNEVALUABLE)


def _verdict(trigger: RuleTrigger, signal: Signal) -> tuple[object, object]:
    """Return a verdict twice: it fires by being what it is."""
    verdict = signal.verdict if trigger.signal == "verdict" else signal.next_verdict
    text = "" if verdict is None else verdict.value
    return text, text


def _accrual(trigger: AccrualTrigger, columns: Columns) -> Reading:
    """Read the time that interest alone leaves."""
    left = columns.hours_to_flip
    return Reading(left <= hours(trigger.raises), left <= hours(trigger.clear))


def _flip(trigger: AccrualTrigger, signal: Signal) -> tuple[object, object]:
    """Return when interest alone reaches the line, and how early that fires."""
    return signal.flips_at, trigger.raises


def _liquidation(trigger: LiquidationTrigger, columns: Columns) -> Reading:
    """Read whether a liquidation happened, or was reported, lately."""
    is_news = columns.report_hours <= hours(trigger.late)
    since = columns.hours_since_liquidation - columns.report_hours * is_news
    fires = since < hours(trigger.within)
    return Reading(fires, fires)


def _liquidated(trigger: LiquidationTrigger, signal: Signal) -> tuple[object, object]:
    """Return when the liquidation was, and for how long it fires."""
    return signal.liquidated_at, trigger.within


def _loss_of(trigger: LossTrigger, book: BookFigures | None) -> float:
    """Return a loss of the whole book; NaN where it is not known."""
    key = (trigger.signal, trigger.horizon, trigger.owners, trigger.quantile)
    return math.nan if book is None else book.losses.get(key, math.nan)


def _loss(trigger: LossTrigger, columns: Columns) -> Reading:
    """Read a loss of the whole book."""
    return _whole(_loss_of(trigger, columns.book), trigger, columns)


def _lost(trigger: LossTrigger, signal: Signal) -> tuple[object, object]:
    """Return a loss and which it is, and its limit."""
    kind = trigger.quantile if trigger.quantile == "mean" else f"{float(trigger.quantile):.0%}"
    text = f"{_loss_of(trigger, signal.book):,.0f} USD ({kind}, {trigger.owners})"
    return text, f"{trigger.raises:,.0f}"


def _number_of(trigger: ReproductionTrigger, book: BookFigures | None) -> float:
    """Return the highest reproduction number up to a fall; NaN where it is not known."""
    highest = None if book is None else book.highest(trigger.within)
    return math.nan if highest is None else highest


def _growth(trigger: ReproductionTrigger, columns: Columns) -> Reading:
    """Read how much each liquidation causes."""
    return _whole(_number_of(trigger, columns.book), trigger, columns)


def _grown(trigger: ReproductionTrigger, signal: Signal) -> tuple[object, object]:
    """Return the number with the fall up to which it was looked for, and its limit."""
    return (
        f"{_number_of(trigger, signal.book):.3g} up to a fall by {trigger.within:.3g}",
        trigger.raises,
    )


def _whole(value: float, trigger: LossTrigger | ReproductionTrigger, columns: Columns) -> Reading:
    """Read a figure of the whole book; of an account there is none, which is not a want."""
    is_missing = math.isnan(value) and columns.is_book
    return Reading(value >= trigger.raises, value >= trigger.clear, is_missing)


MEANINGS: Mapping[type[Any], Meaning] = {
    ForecastTrigger: Meaning(_forecast, _probability, undercut),
    BufferTrigger: Meaning(_buffer, _distance, distant),
    SigmaTrigger: Meaning(_sigmas, _volatilities, distant_in_sigmas),
    BlindBuffer: Meaning(_blind_buffer, _distance, distant_blind),
    Doubt: Meaning(_doubt, _reasons, untouched),
    RuleTrigger: Meaning(_ruling, _verdict, ruled_out),
    AccrualTrigger: Meaning(_accrual, _flip, outlasted),
    LiquidationTrigger: Meaning(_liquidation, _liquidated, untouched),
    LossTrigger: Meaning(_loss, _lost, untouched),
    ReproductionTrigger: Meaning(_growth, _grown, untouched),
}
"""Every kind of trigger that a policy may have."""
