"""Where an account must be brought so that a policy takes it off its level."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from math import floor
from typing import Literal

from models.alerting.policy import Accrual, Buffer, Forecast, Policy, Ruling, Trigger
from models.alerting.signals import Level
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
    horizon: str = "24h"
    head: Literal["unattended", "expected"] = "expected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What leaves an account on none of the levels in question.

    Parameters
    ----------
    buffer, next_buffer
        Share by which the prices in force, and the next ones, may still move against it.
    verdicts, next_verdicts
        That the rules may not give, now and at the next prices.
    accrual
        Longer than this interest alone must leave it safe.
    limits
        Of the forecast, the lowest level's first.
    """

    buffer: Fraction = Fraction(0)
    next_buffer: Fraction = Fraction(0)
    verdicts: frozenset[Verdict] = frozenset()
    next_verdicts: frozenset[Verdict] = frozenset()
    accrual: timedelta = timedelta(0)
    limits: tuple[Limit, ...] = ()


def aim(policy: Policy, level: Level) -> Aim:
    """Return what leaves an account below a level, or below warning where that is lower.

    An account that is critical is brought out of warning as well: a plan that ends one step
    below the line would be followed by the next message. That a liquidation was seen nothing
    undoes; it is left out.
    """
    lowest = min(level, Level.WARNING)
    chosen = [trigger for found, trigger in reversed(policy.triggers) if found >= lowest]
    return Aim(
        buffer=_beyond(chosen, "buffer"),
        next_buffer=_beyond(chosen, "next_buffer"),
        verdicts=_ruled(chosen, "verdict"),
        next_verdicts=_ruled(chosen, "next_verdict"),
        accrual=max(
            (one.clear for one in chosen if isinstance(one, Accrual)), default=timedelta(0)
        ),
        limits=tuple(
            Limit(probability=one.clear, horizon=one.horizon, head=one.signal)
            for one in chosen
            if isinstance(one, Forecast)
        ),
    )


def _beyond(triggers: Iterable[Trigger], signal: str) -> Fraction:
    """Return the least buffer that holds none of the triggers; 0 where none looks at it."""
    clear = [
        Fraction(str(one.clear))
        for one in triggers
        if isinstance(one, Buffer) and one.signal == signal
    ]
    return Fraction(floor(max(clear) * FINEST) + 1, FINEST) if clear else Fraction(0)


def _ruled(triggers: Iterable[Trigger], signal: str) -> frozenset[Verdict]:
    """Return every verdict that one of the triggers looks for."""
    found = [one for one in triggers if isinstance(one, Ruling) and one.signal == signal]
    return frozenset(verdict for one in found for verdict in one.verdicts)
