"""Limits that follow from the market itself: how much can be sold at a bonus, how far prices move.

A search over losses says nothing of what changes no verdict: loan to value, bonus, caps and
ceilings. They follow from rules. Each rule reads the market as it was at its worst lately and
never as calmer than usual, so that limits tighten as soon as a market is stirred, loosen only
once it has been calm for days, and never follow a calm below what is usual.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.margin.perpetual import Tier, Tiers
from models.parameters.catalogue import Role
from models.parameters.ceilings import AutoLine, followed, smart_ltv

Floats = npt.NDArray[np.float64]

CALM_HOURS = 7 * 24
"""How long a market must have been calm before it counts as such."""

STIRRED = 1.5
"""Multiple of the usual volatility from which limits are only tightened."""

CAUTION = 3.0
"""Confidence level c of SmartLTV: standard deviations over the root of liquidity per cap."""

GAP = 10
"""A debt ceiling keeps a tenth of what is owed above it."""

PPM = 1_000_000


class Depth(Protocol):
    """What selling does to a price."""

    def lost(self, units: float) -> float:
        """Return the share of the price that selling so many units costs."""

    def sellable(self, most: float) -> float:
        """Return the units that can be sold before the price has fallen by a share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How a market stands, as limits are set by it.

    Parameters
    ----------
    volatility
        Standard deviation of the log price over a day: the highest of the last seven days, at
        least the usual one.
    usual
        The median over the past.
    depth
        What selling costs; None where nobody quoted it.
    price
        USD per unit.
    """

    volatility: float
    usual: float
    depth: Depth | None
    price: float

    @property
    def is_stirred(self) -> bool:
        """Whether limits may only be tightened."""
        return self.volatility > STIRRED * self.usual


def conditions(hourly: Floats, *, depth: Depth | None, price: float) -> Conditions:
    """Return how a market stands.

    Parameters
    ----------
    hourly
        Volatility of hourly log moves, the last now, NaN where it is not known, shape (hours,).

    Raises
    ------
    ValueError
        When it is not known now.
    """
    daily = hourly * np.sqrt(24.0)
    usual = float(np.nanmedian(daily)) if np.isfinite(daily).any() else np.nan
    if not np.isfinite(daily[-1:]).all() or not usual > 0.0:
        raise ValueError("its volatility now is not known")
    lately = float(np.nanmax(daily[-CALM_HOURS:]))
    return Conditions(volatility=max(lately, usual), usual=usual, depth=depth, price=price)


def supply_cap(now: Conditions, *, bonus: float, fees: float) -> float | None:
    """Return the units that liquidators can sell within their bonus; None without quotes."""
    if now.depth is None:
        return None
    return now.depth.sellable(max(bonus - fees, 0.0))


def loan_to_value(now: Conditions, *, bonus: float, cap: float) -> float | None:
    """Return SmartLTV at today's liquidity and volatility; None without quotes or a cap.

    Parameters
    ----------
    cap
        Units that may be supplied.
    """
    if now.depth is None or not cap > 0.0:
        return None
    liquid = now.depth.sellable(bonus)
    if not liquid > 0.0:
        return 0.0
    return smart_ltv(liquid, cap, volatility=now.volatility, bonus=bonus, caution=CAUTION)


def bonus_needed(now: Conditions, *, units: float, fees: float) -> float | None:
    """Return the bonus at which selling so many units pays; None without quotes."""
    if now.depth is None:
        return None
    return (1.0 + fees) / (1.0 - now.depth.lost(units)) - 1.0


def ceiling(line: int, used: Fraction, *, most: int, wait: int, since_rise: int | None) -> int:
    """Return a ceiling that keeps a gap above what is owed: it falls at once and rises slowly.

    Parameters
    ----------
    line, most
        Ceiling in force, and the highest that one step allows.
    wait, since_rise
        Seconds between two rises, and since the last; None where none is known.
    """
    owed = int(used)
    auto = AutoLine(line=line, most=most, gap=max(owed // GAP, 1), wait=wait)
    return followed(auto, owed, at=wait if since_rise is None else since_rise).line


def tier_table(before: Tiers, now: Conditions, moves: Floats, *, level: float = 0.99) -> Tiers:
    """Return a table whose rates cover a move and the impact of closing each bracket.

    Parameters
    ----------
    before
        Table in force, whose brackets stay.
    moves
        Falls of the price over the time that a liquidation takes, as shares, shape (moves,).

    Returns
    -------
    tuple of Tier
        Rates rising, deductions by continuity, leverage at most half of what the rate allows.
    """
    move = float(np.quantile(moves, level))
    rates = list(accumulate((_rate(top, now, move) for top in _tops(before)), max))
    return _continuous(before, rates)


def _tops(tiers: Tiers) -> Sequence[Fraction]:
    """Return the notional that each bracket is closed at: where the next one begins."""
    floors = [tier.floor for tier in tiers[1:]]
    return [*floors, tiers[-1].floor * 2 if tiers[-1].floor else Fraction(1)]


def _rate(notional: Fraction, now: Conditions, move: float) -> Fraction:
    """Return the rate that covers a move and the sale of a notional, in parts of a million."""
    lost = 0.0 if now.depth is None else now.depth.lost(float(notional) / now.price)
    return Fraction(int(np.ceil(round((move + lost) * PPM, 3))), PPM)


def _continuous(before: Tiers, rates: Sequence[Fraction]) -> Tiers:
    """Return brackets with other rates, deductions following from continuity."""
    result: list[Tier] = []
    deduction, last = Fraction(0), rates[0]
    for tier, rate in zip(before, rates, strict=True):
        deduction += tier.floor * (rate - last)
        last = rate
        allowed = max(int(1 / (2 * rate)), 1)
        leverage = None if tier.max_leverage is None else min(tier.max_leverage, allowed)
        result.append(replace(tier, rate=rate, deduction=deduction, max_leverage=leverage))
    return tuple(result)


TIGHTER_DOWN = frozenset(
    {Role.THRESHOLD, Role.LTV, Role.SUPPLY_CAP, Role.BORROW_CAP, Role.DEBT_CEILING}
)
TIGHTER_UP = frozenset({Role.RATIO, Role.RATE, Role.TIERS})


def is_looser(role: Role, before: Fraction, to: Fraction) -> bool:
    """Return whether a value takes less care than the one before it."""
    return (role in TIGHTER_DOWN and to > before) or (role in TIGHTER_UP and to < before)
