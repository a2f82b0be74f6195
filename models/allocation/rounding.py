"""A solver's floats as exact amounts: rounded outward to each asset's step, limits kept."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from models.allocation.problem import ZERO, dot
from models.allocation.program import UNIT, Program, Row
from models.allocation.solver import Floats

NEAR = 10**11
"""Part of an amount, or of 1 if that is more, within which a float is taken for the step beside."""

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
    columns: list[Fraction] = []
    for j, (value, step) in enumerate(zip(values.tolist(), _steps(program), strict=False)):
        if value < DUST:
            columns.append(ZERO)
            continue
        wished, upper = _outward(value, step), program.columns[j].upper
        columns.append(wished if wished <= upper else upper // step * step)
    rows = [row for row in program.rows if row.limit.kind not in {"need", "link", "pieces"}]
    needs = [row for row in program.rows if row.limit.kind == "need"]
    for _ in range(PASSES):
        for row in rows:
            _lower(program, columns, row)
        for row in needs:
            short = _use(columns, row) - row.bound
            if short.numerator > 0:
                _raise(program, columns, row, rows, short)
        if all(_use(columns, row) <= row.bound for row in (*rows, *needs)):
            break
    _cancel_returns(program, columns)
    return [
        value if value is ZERO or scale is UNIT else value * scale
        for value, scale in zip(columns, program.scale, strict=True)
    ]


def _cancel_returns(program: Program, amounts: Any) -> None:
    """Take out what goes one way and comes back the other; to leave it out never costs more."""
    if not any(flow.origin.demand for flow in program.flows):
        return
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
        yield UNIT if flow.is_lot else flow.step


def _outward(value: float, step: Fraction) -> Fraction:
    """Return a float rounded up to a step, or to the step beside it where that is nearer.

    A step finer than a float is told to is coarsened by tens, so that 99.99999999999999 is 100.
    """
    # In integers: value / step is `many` steps of `size` and `rest` more.
    above, below = value.as_integer_ratio()
    larger = max(below, above)  # what is near is larger / (NEAR * below)
    grid = step
    while 10 * grid.numerator * below * NEAR <= larger * grid.denominator:
        grid *= 10
    size = below * grid.numerator
    many, rest = divmod(above * grid.denominator, size)
    beside, away = (many + 1, size - rest) if 2 * rest > size else (many, rest)
    if away * NEAR <= larger * grid.denominator:
        return beside * grid
    if grid is step:
        return (many + 1) * step
    return -(-Fraction(value) // step) * step


def _use(columns: list[Fraction], row: Row) -> Fraction:
    """Return how much of a row's bound the flows use."""
    count = len(columns)
    # Most flows carry nothing: their amount is ZERO itself, which is told without arithmetic.
    return dot(
        (entry, columns[j])
        for j, entry in row.entries.items()
        if j < count and columns[j] is not ZERO
    )


def _step(program: Program, j: int) -> Fraction:
    """Return the step of one flow, in units of its column."""
    return UNIT if program.flows[j].is_lot else program.flows[j].step


def _lower(program: Program, columns: list[Fraction], row: Row) -> None:
    """Take back what oversteps a limit, from the largest flow first."""
    over = _use(columns, row) - row.bound
    if over <= 0:
        return
    users = [j for j, entry in row.entries.items() if columns[j] is not ZERO and entry > 0]
    for j in sorted(users, key=lambda j: -columns[j]):
        step = _step(program, j)
        less = min(columns[j], -(-over // (row.entries[j] * step)) * step)
        columns[j] -= less
        over -= less * row.entries[j]
        if over <= 0:
            return


def _raise(
    program: Program,
    columns: list[Fraction],
    row: Row,
    others: Sequence[Row],
    short: Fraction,
) -> None:
    """Add what a need lacks where it costs least, and takes from no other need."""
    count = len(columns)
    helpful = [j for j, entry in row.entries.items() if j < count and entry.numerator]

    def price(j: int) -> tuple[bool, bool, float]:
        flow = program.flows[j]
        is_new = bool(flow.fixed) and not columns[j]
        is_between = bool(flow.origin.demand and flow.destination.demand)  # another need's, too
        cost, entry = program.columns[j].cost, row.entries[j]
        ratio = cost.numerator * entry.denominator / -(cost.denominator * entry.numerator)
        return is_between, is_new, ratio

    for j in sorted(helpful, key=price):
        step, entry = _step(program, j), row.entries[j]
        room = _room(program, columns, j, others) if entry.numerator < 0 else columns[j]
        if room.numerator <= 0:
            continue
        wished = -(-short // (abs(entry) * step)) * step
        change = min(wished, room // step * step) if entry.numerator < 0 else -min(wished, room)
        columns[j] += change
        short += change * entry
        if short.numerator <= 0:
            return


def _room(program: Program, columns: list[Fraction], j: int, others: Sequence[Row]) -> Fraction:
    """Return how much more a flow may carry by its bound and every limit that it takes part in."""
    room = program.columns[j].upper - columns[j]
    for other in others if room.numerator > 0 else ():
        entry = other.entries.get(j)
        if entry is not None and entry.numerator > 0:
            left = other.bound - _use(columns, other)
            room = min(room, left if entry is UNIT else left / entry)
            if room.numerator <= 0:
                break
    return room
