"""How far a parameter may move at once, how long between two moves, and the path that follows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Any

from models.margin.perpetual import Tiers
from models.parameters.catalogue import Role
from models.parameters.changes import Change
from models.parameters.remarks import Remark
from models.parameters.tiers import between, rates_by_size


class Measure(StrEnum):
    """What a step is measured in."""

    ABSOLUTE = "absolute"  # shares of 1, or whole units
    RELATIVE = "relative"  # share of the value that stands


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBound:
    """How one kind of parameter may move.

    Parameters
    ----------
    venue, market, path
        What it holds for; `*` for all. Of bounds that match the first counts.
    role
        What the parameter is for; None for any.
    measure
        Of `up` and `down`; of a table they are held to what it requires per unit of notional, at
        every size.
    up, down
        Most that it rises and falls at once; None without a limit.
    every
        Least time between two moves.
    is_restricted
        Whether it may not be moved at all.
    """

    venue: str = "*"
    market: str = "*"
    path: str = "*"
    role: Role | None = None
    measure: Measure = Measure.ABSOLUTE
    up: Fraction | None = None
    down: Fraction | None = None
    every: timedelta = timedelta(0)
    is_restricted: bool = False

    def covers(self, change: Change) -> bool:
        """Return whether a change is one that it holds for."""
        places = ((self.venue, change.market.venue), (self.market, change.market.market))
        return (
            all(pattern in {"*", name} for pattern, name in places)
            and self.path in {"*", change.path, change.parameter.path}
            and self.role in {None, change.parameter.role}
        )


_POINT = Fraction(1, 100)
_STEP = timedelta(days=3)
USUAL: tuple[StepBound, ...] = (
    *(
        StepBound(role=role, up=_POINT / 2, down=_POINT / 2, every=_STEP)
        for role in (Role.LTV, Role.THRESHOLD, Role.BONUS)
    ),
    *(
        StepBound(
            role=role, measure=Measure.RELATIVE, up=Fraction(1), down=Fraction(1), every=_STEP
        )
        for role in (Role.SUPPLY_CAP, Role.BORROW_CAP, Role.DEBT_CEILING)
    ),
    StepBound(role=Role.RATIO, up=5 * _POINT, down=5 * _POINT, every=_STEP),
)
"""Bounds in force until others are put: half a point in three days for what decides who is
liquidated, a doubling for caps (Aave risk stewards, `aave-dao/aave-v3-risk-stewards`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One move on a path: the value from a moment on, in the rulebook's numbers, or a table."""

    at: datetime
    value: Any


def bound_of(change: Change, bounds: Sequence[StepBound]) -> StepBound | None:
    """Return the first bound that holds for a change."""
    return next((bound for bound in bounds if bound.covers(change)), None)


def bound_faults(
    change: Change, bounds: Sequence[StepBound], *, last: datetime | None, at: datetime
) -> Iterator[Remark]:
    """Yield why a change may not be made at a moment.

    Parameters
    ----------
    last
        When the parameter changed before; None where that is not known.
    """
    bound = bound_of(change, bounds)
    if bound is None:
        return
    if bound.is_restricted:
        yield Remark(
            code="parameter_restricted",
            text=f"{change.path} is restricted: it may not be changed",
            subject=change.path,
        )
        return
    if change.is_table:
        if _share(change.before, change.to, change.before, bound) < 1:
            yield Remark(
                code="table_step_too_far",
                text=f"{change.path} requires more or less at some size than it may change by at "
                "once",
                subject=change.path,
            )
    else:
        limit = _room(change, bound)
        distance = abs(change.to - change.before)
        if limit is not None and distance > limit:
            unit = change.parameter.unit
            yield Remark(
                code="step_too_far",
                text=f"{change.path} moves by {_shown(change, distance)}, more than "
                f"{_shown(change, limit)} at once",
                subject=change.path,
                values={"distance": float(distance / unit), "most": float(limit / unit)},
            )
    if last is not None and at < last + bound.every:
        earliest = (last + bound.every).isoformat()
        yield Remark(
            code="step_too_soon",
            text=f"{change.path} changed at {last.isoformat()}: not again before {earliest}",
            subject=change.path,
            values={"changed_at": last.isoformat(), "earliest_at": earliest},
        )


def steps(change: Change, bounds: Sequence[StepBound], *, begin: datetime) -> tuple[Step, ...]:
    """Return the path of steps that leads to a value within the bounds.

    A relative bound is taken of the value that stands at each step. The tables on the way to
    another one lie between the two at every size (`tiers.between`).

    Raises
    ------
    ValueError
        Where the parameter may not be moved that way at all.
    """
    bound = bound_of(change, bounds)
    if bound is not None and bound.is_restricted:
        raise ValueError(f"{change.path} is restricted")
    if bound is None:
        return (Step(at=begin, value=change.to),)
    if change.is_table:
        return tuple(_table_steps(change, bound, begin=begin))
    result: list[Step] = []
    value, at = change.before, begin
    while value != change.to:
        here = Change(
            market=change.market,
            parameter=change.parameter,
            path=change.path,
            before=value,
            to=change.to,
        )
        room = _room(here, bound)
        if room is not None and room < 1:
            raise ValueError(f"{change.path} cannot move from {value} within its bound")
        away = change.to - value
        move = away if room is None or abs(away) <= room else room if away > 0 else -room
        value += move
        result.append(Step(at=at, value=value))
        at += bound.every
    return tuple(result)


FINEST = 10_000
"""Parts of the way to another table that a step is a whole number of."""


def _table_steps(change: Change, bound: StepBound, *, begin: datetime) -> Iterator[Step]:
    """Yield the tables on the way to another one; raises as `steps`."""
    at, gone, table = begin, Fraction(0), change.before
    while gone < 1:
        move = int(_share(change.before, change.to, table, bound) * FINEST)
        if not move:
            raise ValueError(f"{change.path} cannot move within its bound")
        gone = min(gone + Fraction(move, FINEST), Fraction(1))
        table = change.to if gone == 1 else between(change.before, change.to, gone)
        yield Step(at=at, value=table)
        at += bound.every


def _share(before: Tiers, to: Tiers, standing: Tiers, bound: StepBound) -> Fraction:
    """Return the share of the way between two tables that one step may go, at most 1.

    Requirements are straight lines between floors, so that what is required per unit of notional
    changes most, in any measure of a bound, at a floor or at either end.
    """
    tables = (before, to, standing)
    sizes = sorted({tier.floor for tiers in tables for tier in tiers if tier.floor > 0})
    share = Fraction(1)
    for old, new, now in zip(*(rates_by_size(tiers, sizes) for tiers in tables), strict=True):
        limit = bound.up if new > old else bound.down
        if limit is not None and new != old:
            room = limit if bound.measure is Measure.ABSOLUTE else limit * now
            share = min(share, room / abs(new - old))
    return share


def _room(change: Change, bound: StepBound) -> int | None:
    """Return how far a parameter may move at once in its direction, in the rulebook's numbers."""
    limit = bound.up if change.to > change.before else bound.down
    if limit is None:
        return None
    base = change.parameter.unit if bound.measure is Measure.ABSOLUTE else abs(change.before)
    return int(limit * base)


def _shown(change: Change, amount: int) -> str:
    """Return a distance as people state it."""
    unit = change.parameter.unit
    return f"{amount}" if unit == 1 else f"{float(Fraction(amount, unit)):.6g}"
