"""Where an account must be brought so that the policy lets go of it."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Literal

from models.alerting.policy import Buffer, Forecast, Policy
from models.alerting.signals import Level

FINEST = 10_000
"""Healths are stated in so many parts of one, rounded up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What a plan is to reach.

    Parameters
    ----------
    health
        Credit per requirement, at least.
    probability
        At most; None where no forecast raises the levels in question.
    horizon, head
        Which probability is meant.
    """

    health: Fraction
    probability: float | None = None
    horizon: str = "24h"
    head: Literal["unattended", "expected"] = "expected"


def aim(policy: Policy, level: Level) -> Aim:
    """Return what leaves an account below a level, or below warning where that is lower.

    An account that is critical is brought out of warning as well: a plan that ends one step
    below the line would be followed by the next message.
    """
    lowest = min(level, Level.WARNING)
    triggers = [(found, one) for found, one in policy.triggers if found >= lowest]
    margins = [Fraction(str(one.clear)) for _, one in triggers if isinstance(one, Buffer)]
    health = Fraction(ceil(FINEST / (1 - max(margins, default=Fraction(0)))), FINEST)
    forecasts = [(found, one) for found, one in triggers if isinstance(one, Forecast)]
    if not forecasts:
        return Aim(health=health)
    _, forecast = min(forecasts, key=lambda pair: (pair[0], pair[1].clear))
    return Aim(
        health=health,
        probability=forecast.clear,
        horizon=forecast.horizon,
        head=forecast.signal,
    )
