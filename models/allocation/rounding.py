"""A solver's floats as exact amounts: rounded outward to each asset's step, limits kept."""

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from models.allocation.problem import ZERO
from models.allocation.program import Program, Row
from models.allocation.solver import Floats

NEAR = Fraction(1, 10**11)
"""Share of an amount within which a float is taken for the step beside it."""

DUST = 1e-12
"""Whole units below which a float is nothing."""

PASSES = 8


def rounded(program: Program, values: Floats) -> list[Fraction]:
    """Return an amount per flow, whole units, multiples of its step.

    Each is rounded up, then what oversteps a stock, a cap or another limit is taken back, then
    what a need lacks is added where it costs least. Whether every limit is kept in the end is for
    the caller to check: where the solution was tight no rounding may do.
    """
    values = values.copy()
    _cancel_returns(program, values)
    columns = []
    for j, step in enumerate(_steps(program)):
        wished, upper = _outward(float(values[j]), step), program.columns[j].upper
        columns.append(wished if wished <= upper else upper // step * step)
    rows = [row for row in program.rows if row.limit.kind not in {"need", "link", "pieces"}]
    needs = [row for row in program.rows if row.limit.kind == "need"]
    touching: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        for j in row.entries:
            touching[j].append(row)
    for _ in range(PASSES):
        for row in rows:
            _lower(program, columns, row)
        for row in needs:
            if _use(columns, row) > row.bound:
                _raise(program, columns, row, touching)
        if all(_use(columns, row) <= row.bound for row in (*rows, *needs)):
            break
    _cancel_returns(program, columns)
    return [value * program.scale[j] for j, value in enumerate(columns)]


def _cancel_returns(program: Program, amounts: Any) -> None:
    """Take out what goes one way and comes back the other; to leave it out never costs more."""
    places = {(f.asset, f.origin, f.destination): j for j, f in enumerate(program.flows)}
    for j, flow in enumerate(program.flows):
        back = places.get((flow.asset, flow.destination, flow.origin))
        if back is not None and back > j:
            both = min(amounts[j], amounts[back])
            amounts[j] -= both
            amounts[back] -= both


def _steps(program: Program) -> Iterator[Fraction]:
    """Yield the step of each flow, in units of its column."""
    for flow in program.flows:
        yield Fraction(1) if flow.is_lot else flow.step


def _outward(value: float, step: Fraction) -> Fraction:
    """Return a float rounded up to a step, or to the step beside it where that is nearer.

    A step finer than a float is told to is coarsened by tens, so that 99.99999999999999 is 100.
    """
    if value < DUST:
        return ZERO
    exact = Fraction(value)
    near = NEAR * max(exact, Fraction(1))
    grid = step
    while grid * 10 <= near:
        grid *= 10
    beside = round(exact / grid) * grid
    return beside if abs(beside - exact) <= near else -(-exact // step) * step


def _use(columns: list[Fraction], row: Row) -> Fraction:
    """Return how much of a row's bound the flows use."""
    used = ZERO
    for j, entry in row.entries.items():
        if j < len(columns) and columns[j]:
            used += entry * columns[j]
    return used


def _step(program: Program, j: int) -> Fraction:
    """Return the step of one flow, in units of its column."""
    return Fraction(1) if program.flows[j].is_lot else program.flows[j].step


def _lower(program: Program, columns: list[Fraction], row: Row) -> None:
    """Take back what oversteps a limit, from the largest flow first."""
    over = _use(columns, row) - row.bound
    if over <= 0:
        return
    users = [j for j, entry in row.entries.items() if entry > 0 and columns[j] > 0]
    for j in sorted(users, key=lambda j: -columns[j]):
        step = _step(program, j)
        less = min(columns[j], -(-over // (row.entries[j] * step)) * step)
        columns[j] -= less
        over -= less * row.entries[j]
        if over <= 0:
            return


def _raise(
    program: Program, columns: list[Fraction], row: Row, touching: dict[int, list[Row]]
) -> None:
    """Add what a need lacks where it costs least, and takes from no other need."""
    short = _use(columns, row) - row.bound
    helpful = [j for j, entry in row.entries.items() if entry and j < len(columns)]

    def price(j: int) -> tuple[bool, bool, Fraction]:
        flow = program.flows[j]
        is_new = not columns[j] and flow.fixed > 0
        is_between = bool(flow.origin.demand and flow.destination.demand)  # another need's, too
        return is_between, is_new, program.columns[j].cost / -row.entries[j]

    for j in sorted(helpful, key=price):
        step, entry = _step(program, j), row.entries[j]
        wished = -(-short // (abs(entry) * step)) * step
        if entry < 0:
            room = program.columns[j].upper - columns[j]
            for other in touching[j]:
                if other.entries[j] > 0:
                    left = other.bound - _use(columns, other)
                    room = min(room, left / other.entries[j])
            change = min(wished, max(room, ZERO) // step * step)
        else:
            change = -min(wished, columns[j])
        columns[j] += change
        short += change * entry
        if short <= 0:
            return
