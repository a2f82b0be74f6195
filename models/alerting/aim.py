"""Where an account must be brought so that a policy takes it off its level."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from functools import reduce
from math import floor
from typing import Literal

from models.alerting.policy import (
    AccrualTrigger,
    BlindBuffer,
    BufferTrigger,
    Doubt,
    ForecastTrigger,
    LiquidationTrigger,
    RuleTrigger,
    SigmaTrigger,
)
from models.horizons import REFERENCE
from models.margin.result import Verdict

FINEST = 10_000
"""Buffers are aimed at in so many parts of one, the first part beyond what holds the level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A probability that must be undercut.

    Parameters
    ----------
    horizon, head
        Which probability is meant.
    """

    probability: float
    horizon: str = REFERENCE
    head: Literal["unattended", "expected"] = "expected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What leaves an account on none of the levels in question.

    Parameters
    ----------
    buffer, next_buffer
        Share by which the prices in force, and the next ones, may still move against it.
    blind_buffer
        The same of the prices in force, where a forecast is missing that belongs there.
    sigmas
        Daily volatilities that the distance at the next price must exceed.
    verdicts, next_verdicts
        That the rules may not give, now and at the next prices.
    accrual
        Longer than this interest alone must leave it safe.
    limits
        Of the forecast, the lowest level's first.
    beyond
        Signals that hold a level whatever the owner does.
    """

    buffer: Fraction = Fraction(0)
    next_buffer: Fraction = Fraction(0)
    blind_buffer: Fraction = Fraction(0)
    sigmas: float = 0.0
    verdicts: frozenset[Verdict] = frozenset()
    next_verdicts: frozenset[Verdict] = frozenset()
    accrual: timedelta = timedelta(0)
    limits: tuple[Limit, ...] = ()
    beyond: frozenset[str] = frozenset()


def both(aim: Aim, other: Aim) -> Aim:
    """Return what reaches two aims at once."""
    return Aim(
        buffer=max(aim.buffer, other.buffer),
        next_buffer=max(aim.next_buffer, other.next_buffer),
        blind_buffer=max(aim.blind_buffer, other.blind_buffer),
        sigmas=max(aim.sigmas, other.sigmas),
        verdicts=aim.verdicts | other.verdicts,
        next_verdicts=aim.next_verdicts | other.next_verdicts,
        accrual=max(aim.accrual, other.accrual),
        limits=aim.limits + other.limits,
        beyond=aim.beyond | other.beyond,
    )


def together(aims: Iterable[Aim]) -> Aim:
    """Return what reaches all aims at once."""
    return reduce(both, aims, Aim())


def undercut(trigger: ForecastTrigger) -> Aim:
    """Return the limit of a probability."""
    limit = Limit(probability=trigger.clear, horizon=trigger.horizon, head=trigger.signal)
    return Aim(limits=(limit,))


def distant(trigger: BufferTrigger) -> Aim:
    """Return the least buffer that does not hold its level."""
    least = _beyond(trigger.clear)
    return Aim(buffer=least) if trigger.signal == "buffer" else Aim(next_buffer=least)


def distant_in_sigmas(trigger: SigmaTrigger) -> Aim:
    """Return the distance in volatilities that must be exceeded."""
    return Aim(sigmas=trigger.clear)


def distant_blind(trigger: BlindBuffer) -> Aim:
    """Return the least buffer that does not hold its level without a forecast."""
    return Aim(blind_buffer=_beyond(trigger.clear))


def untouched(trigger: Doubt | LiquidationTrigger) -> Aim:
    """Return that nothing the owner does clears it: a price that is stale, what has happened."""
    return Aim(beyond=frozenset({trigger.signal}))


def ruled_out(trigger: RuleTrigger) -> Aim:
    """Return the verdicts that may not be given."""
    if trigger.signal == "verdict":
        return Aim(verdicts=trigger.verdicts)
    return Aim(next_verdicts=trigger.verdicts)


def outlasted(trigger: AccrualTrigger) -> Aim:
    """Return how long interest alone must leave an account safe."""
    return Aim(accrual=trigger.clear)


def _beyond(clear: float) -> Fraction:
    """Return the first part of one beyond what holds a level."""
    return Fraction(floor(Fraction(str(clear)) * FINEST) + 1, FINEST)
