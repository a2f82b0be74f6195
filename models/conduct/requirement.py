"""A personal requirement: what a house asks beyond the venue, less where a record earns it.

The record is the account's own, never its owner's others: who stands behind an account then
changes nothing, and an owner who splits into several wallets, or opens a fresh one, gains nothing.
What counts is the upper end of the interval, and nobody is asked more than a newcomer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from models.conduct.score import Evidence, Prior, estimate
from models.errors import Fault, InvalidInput

ZERO = Fraction(0)
FINEST = 10**18
GRID = 10**9
"""Probabilities are rounded up to a part of it before they meet exact amounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a house asks.

    Parameters
    ----------
    add_on
        Share of the venue's requirement asked beside it of an account at the population's rate.
    sensitivity
        Part of the add-on and requirement that moves with the probability.
    cap
        Times the venue's requirement that is asked at most.
    step
        Share of the venue's requirement by which it may change at once.
    every, notice
        Time between steps, and from the announcement to the first that raises it.
    """

    add_on: Fraction = Fraction(1, 4)
    sensitivity: Fraction = Fraction(1, 10)
    cap: Fraction = Fraction(2)
    step: Fraction = Fraction(1, 20)
    every: timedelta = timedelta(days=1)
    notice: timedelta = timedelta(days=3)

    def faults(self) -> list[Fault]:
        """Return what is wrong with it."""
        wrong = [
            Fault(f"/policy/{name}", f"{getattr(self, name)} is negative")
            for name in ("add_on", "sensitivity")
            if getattr(self, name) < 0
        ]
        if self.cap < 1:
            wrong.append(Fault("/policy/cap", f"{self.cap} is below the venue's requirement"))
        if self.step <= 0:
            wrong.append(Fault("/policy/step", f"{self.step} is not above 0"))
        if self.every <= timedelta(0) or self.notice < timedelta(0):
            wrong.append(Fault("/policy/every", "time between steps is not above 0"))
        return wrong


@dataclass(frozen=True, slots=True)
class Stage:
    """What is required from a moment on, quote units."""

    at: datetime
    required: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What an account is required, quote units.

    Parameters
    ----------
    venue
        By the venue's own rules.
    house
        Of an account at the population's rate.
    newcomer
        Of an account without a record: the most that anyone is asked.
    personal
        Of this one; at least `venue`.
    upper
        Upper end of the probability that it follows from.
    path
        From what is required now to it, in steps; empty where nothing changes.
    """

    venue: Fraction
    house: Fraction
    newcomer: Fraction
    personal: Fraction
    upper: float
    path: tuple[Stage, ...] = ()


def personal(
    venue: Fraction,
    record: Evidence,
    prior: Prior,
    policy: Policy,
    *,
    at: datetime,
    present: Fraction | None = None,
) -> Requirement:
    """Return what an account is required.

    Parameters
    ----------
    venue
        The venue's exact requirement, quote units, not negative.
    record
        The account's own.
    present
        What is required of it now; None for what a newcomer is.

    Raises
    ------
    InvalidInput
        Listing what is wrong with the policy, or a negative requirement.
    """
    wrong = policy.faults()
    if venue < 0:
        wrong.append(Fault("/venue", f"{venue} is negative"))
    if wrong:
        raise InvalidInput(wrong)
    population = _up(prior.mean)
    newest = _up(estimate(Evidence(), prior).high)
    upper = min(_up(estimate(record, prior).high), newest)
    house = venue * (1 + policy.add_on)
    amounts = []
    for chance in (upper, newest):
        moved = _finite(house * (1 + policy.sensitivity * (chance / population - 1)))
        amounts.append(min(max(moved, venue), policy.cap * venue))
    wished, newcomer = amounts
    start = newcomer if present is None else max(present, venue)
    return Requirement(
        venue=venue,
        house=min(house, policy.cap * venue),
        newcomer=newcomer,
        personal=wished,
        upper=float(upper),
        path=tuple(_path(start, wished, venue, policy, at=at)),
    )


def _up(probability: float) -> Fraction:
    """Return a probability rounded up to the grid."""
    return -(Fraction(probability) * GRID // -1) / Fraction(GRID)


def _finite(amount: Fraction) -> Fraction:
    """Return an amount rounded up to what a decimal of 18 digits says."""
    return Fraction(-(amount * FINEST // -1), FINEST)


def _path(
    start: Fraction, end: Fraction, venue: Fraction, policy: Policy, *, at: datetime
) -> Sequence[Stage]:
    """Return the steps from one requirement to another; a rise is announced first."""
    stages: list[Stage] = []
    step = policy.step * venue
    if not step:
        return stages
    moment = at + policy.notice if end > start else at
    now = start
    while now != end:
        now = min(now + step, end) if end > now else max(now - step, end)
        stages.append(Stage(moment, now))
        moment += policy.every
    return stages
