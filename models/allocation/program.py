"""A problem as a linear program with named columns and rows, in exact coefficients.

Columns are flows of one asset from where it lies to where it is posted, uses of what costs a
fixed amount, and pieces of an account's probability. A row or a bound carries the name of the
limit it stands for, so that a dual value can be put in words.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, NamedTuple

from models.allocation.problem import ZERO, Demand, Problem, Way

UNIT = Fraction(1)
SIGNS = {1: UNIT, -1: Fraction(-1)}
COVERED = Fraction(10_001, 10_000)
"""Weight of a quote unit missing at an account that is covered to begin with."""

LimitKind = Literal[
    "need", "stock", "posted", "cap", "most", "sellable", "link", "pieces", "absent", "way"
]


ON_ARRIVAL = frozenset({"cap", "most"})
"""Limits of one asset at one account: where it has one origin, bounds of a single flow."""


class Limit(NamedTuple):
    """What a row or bound stands for.

    Parameters
    ----------
    kind
        `absent` and `way` stand for no row: an asset of which nothing can be moved to an account,
        since there is none of it or no way from where it lies.
    demand, asset, place
        Whichever it concerns; empty otherwise.
    """

    kind: LimitKind
    demand: str = ""
    asset: str = ""
    place: str = ""


class End(NamedTuple):
    """Where an asset lies: in an account, or free at a place."""

    demand: str = ""
    place: str = ""


class Flow(NamedTuple):
    """An amount of an asset that may move.

    Parameters
    ----------
    cost
        Quote units per whole unit, at the end less at the origin.
    fixed
        Quote units where it is used at all.
    step
        Amounts are whole multiples, whole units.
    """

    asset: str
    origin: End
    destination: End
    way: Way
    cost: Fraction
    fixed: Fraction
    step: Fraction
    is_lot: bool


class Column(NamedTuple):
    """A decision.

    Parameters
    ----------
    cost
        Per unit of the column.
    upper
        Bound above; below it is 0.
    limit
        What the bound above stands for.
    is_whole
        Whether only whole numbers do.
    """

    cost: Fraction
    upper: Fraction
    limit: Limit | None = None
    is_whole: bool = False


@dataclass(slots=True)
class Row:
    """`sum of entries <= bound`."""

    limit: Limit
    bound: Fraction
    entries: dict[int, Fraction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The program; the first columns are the flows, in their order.

    Parameters
    ----------
    scale
        Whole units of the asset per unit of a flow's column: the lot where amounts are decided in
        lots, 1 otherwise.
    constant
        Added to the objective: what is posted already costs, and the probabilities at the first
        point of each curve.
    """

    flows: tuple[Flow, ...]
    scale: tuple[Fraction, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    constant: Fraction

    @property
    def is_whole(self) -> bool:
        """Whether any column is decided in whole numbers."""
        return any(column.is_whole for column in self.columns)


def program(problem: Problem) -> Program:
    """Return the program of a sound problem."""
    origins = _origins(problem)
    flows = tuple(_flows(problem, origins))
    scale = tuple(flow.step if flow.is_lot else UNIT for flow in flows)
    rows: dict[Limit, Row] = {}
    needs = {name: Limit("need", name) for name in problem.demands}
    stocks = {key: Limit("stock", "", *key) for key in problem.stocks}
    for name, demand in problem.demands.items():
        credit = demand.credit(demand.posted) if demand.posted else ZERO
        rows[needs[name]] = Row(needs[name], credit - demand.target - demand.guard)
    alone: list[tuple[int, Limit, Fraction]] = []
    for j, flow in enumerate(flows):
        is_sole = len(origins[flow.asset]) == 1
        for limit, bound, entry in _entries(problem, flow, needs, stocks):
            if is_sole and entry is UNIT and limit.kind in ON_ARRIVAL:
                alone.append((j, limit, bound / scale[j] if flow.is_lot else bound))
                continue
            row = rows.get(limit)
            if row is None:
                row = rows[limit] = Row(limit, bound)
            row.entries[j] = entry * scale[j] if flow.is_lot else entry
    uppers, limits = _bounds(flows, rows, alone)
    columns = [
        Column(
            flow.cost * scale[j] if flow.is_lot else flow.cost, uppers[j], limits[j], flow.is_lot
        )
        for j, flow in enumerate(flows)
    ]
    constant = _carry(problem)
    for j, flow in enumerate(flows):
        if flow.fixed is not ZERO and flow.fixed:
            limit = Limit("link", demand=flow.destination.demand, asset=flow.asset, place=str(j))
            rows[limit] = Row(limit, ZERO, {j: Fraction(1), len(columns): -uppers[j]})
            columns.append(Column(cost=flow.fixed, upper=Fraction(1), is_whole=True))
    if problem.objective == "probability":
        for name, demand in problem.demands.items():
            constant += _pieces(name, demand, columns, rows)
    return Program(
        flows=flows,
        scale=scale,
        columns=tuple(columns),
        rows=tuple(row for row in rows.values() if row.entries or row.bound < 0),
        constant=constant,
    )


def _carry(problem: Problem) -> Fraction:
    """Return what is posted already costs, quote units."""
    return sum(
        (
            demand.eligible[asset].cost * quantity
            for demand in problem.demands.values()
            for asset, quantity in demand.posted.items()
        ),
        ZERO,
    )


Stop = tuple[End, str, Fraction, Fraction]
"""Where a flow ends, on which place, carry per unit and fixed cost there, quote units."""


def _origins(problem: Problem) -> dict[str, list[Stop]]:
    """Return where each asset can be moved from."""
    origins: dict[str, list[Stop]] = {asset: [] for asset in problem.resources}
    for (asset, place), quantity in problem.stocks.items():
        if quantity.numerator > 0:
            origins[asset].append((End(place=place), place, ZERO, ZERO))
    for name, demand in problem.demands.items():
        for asset, quantity in demand.posted.items() if demand.is_movable else ():
            if quantity.numerator > 0:
                origins[asset].append(_at(End(demand=name), demand, asset))
    return origins


def _at(end: End, demand: Demand, asset: str) -> Stop:
    """Return an account as the end of a flow of an asset."""
    return end, demand.place, demand.eligible[asset].cost, demand.fixed


def _flows(problem: Problem, origins: Mapping[str, Sequence[Stop]]) -> Iterator[Flow]:
    """Yield every move that is open."""
    accounts = [(End(demand=name), demand) for name, demand in problem.demands.items()]
    for asset, resource in problem.resources.items():
        ends = [_at(end, demand, asset) for end, demand in accounts if asset in demand.eligible]
        for origin, start, saved, leaving in origins[asset]:
            free = [(End(place=start), start, ZERO, ZERO)] if origin.demand and saved > 0 else []
            for destination, stop, carried, arriving in ends + free:
                way = problem.way(asset, start, stop)
                if way is None or origin == destination:
                    continue
                # What is not stated is ZERO itself: nothing is reckoned with it.
                cost = carried if saved is ZERO else carried - saved
                fixed = arriving
                if way.fixed is not ZERO or leaving is not ZERO:
                    fixed = way.fixed + leaving + arriving
                if way.rate is not ZERO:
                    cost += way.rate * resource.price
                yield Flow(
                    asset, origin, destination, way, cost, fixed, resource.step, resource.is_lot
                )


def unreachable(problem: Problem, flows: Sequence[Flow], name: str) -> Iterator[Limit]:
    """Yield the assets that would count at an account and cannot get there, with why."""
    demand = problem.demands[name]
    reached = {flow.asset for flow in flows if flow.destination.demand == name}
    for asset, entry in demand.eligible.items():
        if asset in reached or not entry.credit:
            continue
        places = {
            place
            for (stocked, place), quantity in problem.stocks.items()
            if stocked == asset and quantity > 0
        } | {
            other.place
            for key, other in problem.demands.items()
            if key != name and other.is_movable and other.posted.get(asset, ZERO) > 0
        }
        if not places:
            yield Limit("absent", name, asset)
        for place in sorted(places):
            yield Limit("way", name, asset, place)


def _entries(
    problem: Problem,
    flow: Flow,
    needs: Mapping[str, Limit],
    stocks: Mapping[tuple[str, str], Limit],
) -> Iterator[tuple[Limit, Fraction, Fraction]]:
    """Yield the limits that a flow takes part in: limit, bound, use per whole unit.

    The bounds of needs are laid down before any flow.

    Parameters
    ----------
    needs, stocks
        Limits that many flows take part in.
    """
    asset, origin, destination = flow.asset, flow.origin, flow.destination
    if origin.demand:
        posted = problem.demands[origin.demand].posted[asset]
        yield Limit("posted", demand=origin.demand, asset=asset), posted, SIGNS[1]
    else:
        key = asset, origin.place
        yield stocks[key], problem.stocks[key], UNIT
    for name, sign in ((origin.demand, -1), (destination.demand, 1)):
        if not name:
            continue
        demand = problem.demands[name]
        entry, posted = demand.eligible[asset], demand.posted.get(asset, ZERO)
        yield needs[name], ZERO, -entry.credit if sign > 0 else entry.credit
        if entry.cap is not None and entry.credit.numerator:
            # One fraction is reduced once, not twice.
            cap, target, credit = entry.cap, demand.target, entry.credit
            most = Fraction(
                cap.numerator * target.numerator * credit.denominator,
                cap.denominator * target.denominator * credit.numerator,
            )
            room = most if posted is ZERO else most - posted
            room = room if room.numerator > 0 else ZERO
            yield Limit("cap", name, asset), room, SIGNS[sign]
        if entry.most is not None:
            yield (
                Limit("most", demand=name, asset=asset),
                max(entry.most - posted, ZERO),
                SIGNS[sign],
            )
    sellable = problem.resources[asset].sellable
    if sellable is not None and bool(origin.demand) != bool(destination.demand):
        total = sum((d.posted.get(asset, ZERO) for d in problem.demands.values()), ZERO)
        sign = 1 if destination.demand else -1
        yield Limit("sellable", asset=asset), max(sellable - total, ZERO), SIGNS[sign]


def _bounds(
    flows: tuple[Flow, ...],
    rows: dict[Limit, Row],
    alone: Sequence[tuple[int, Limit, Fraction]],
) -> tuple[list[Fraction], list[Limit | None]]:
    """Return the bound of each flow and its limit, and drop the rows of a single flow.

    A row of one flow is a bound, which a solver handles without a row.

    Parameters
    ----------
    alone
        Flow, limit and bound of what is known to be about one flow.
    """
    uppers: list[Fraction | None] = [None] * len(flows)
    limits: list[Limit | None] = [None] * len(flows)

    def lower(j: int, limit: Limit, upper: Fraction) -> None:
        if flows[j].is_lot:
            upper = Fraction(upper // 1)
        present = uppers[j]
        if present is None or _is_less(upper, present):
            uppers[j] = upper
            limits[j] = limit

    for limit, row in list(rows.items()):
        # Of a sign its identity tells, without arithmetic.
        if limit.kind == "need" or any(
            e is not UNIT and e.numerator < 0 for e in row.entries.values()
        ):
            continue
        for j, entry in row.entries.items():
            lower(j, limit, row.bound if entry is UNIT else row.bound / entry)
        if len(row.entries) == 1:
            del rows[limit]
    for bounded in alone:
        lower(*bounded)
    return [ZERO if upper is None else upper for upper in uppers], limits


def _is_less(a: Fraction, b: Fraction) -> bool:
    """Return `a < b`, without what the general comparison costs."""
    return a.numerator * b.denominator < b.numerator * a.denominator


def _pieces(name: str, demand: Demand, columns: list[Column], rows: dict[Limit, Row]) -> Fraction:
    """Add the pieces of an account's probability; return its loss at the first point.

    The surplus beyond the first point is the sum of the pieces; where the curve is not convex a
    switch per piece holds them to be filled in order.
    """
    curve = demand.curve
    if curve is None:
        return ZERO
    need = rows[Limit("need", demand=name)]
    row = Row(
        Limit("pieces", demand=name),
        need.bound + demand.target + demand.guard - demand.need - curve.points[0][0],
        dict(need.entries),
    )
    rows[row.limit] = row
    before: int | None = None
    pairs = list(itertools.pairwise(curve.points))
    for place, ((left, high), (right, low)) in enumerate(pairs):
        length = right - left
        piece = len(columns)
        slope = (low - high) / length
        columns.append(Column(cost=curve.loss * slope, upper=length))
        row.entries[piece] = Fraction(1)
        if curve.is_convex:
            continue
        if before is not None:  # nothing of a piece while the one before is not full
            link = Limit("pieces", demand=name, place=f"{place} opens")
            rows[link] = Row(link, ZERO, {piece: Fraction(1), before: -length})
        if place < len(pairs) - 1:
            switch = len(columns)
            columns.append(Column(cost=ZERO, upper=Fraction(1), is_whole=True))
            full = Limit("pieces", demand=name, place=f"{place} full")
            rows[full] = Row(full, ZERO, {piece: Fraction(-1), switch: length})
            before = switch
    return curve.loss * curve.points[0][1]


def objective(program_: Program, values: Mapping[int, Fraction]) -> Fraction:
    """Return the objective of exact values of the columns, those left out being 0."""
    total = program_.constant
    for j, value in values.items():
        total += program_.columns[j].cost * value
    return total


def shortfall(program_: Program) -> Program:
    """Return the program that asks how little is missing instead of what it costs.

    One slack in each need's row; always solvable. To leave an account short that is covered now
    counts a little more, so that of equal ways the one that harms nobody is told.
    """
    columns = [
        Column(cost=ZERO, upper=column.upper, limit=column.limit, is_whole=column.is_whole)
        for column in program_.columns
    ]
    rows = []
    largest = defaultdict(lambda: ZERO)
    for row in program_.rows:
        if row.limit.kind == "pieces":
            continue
        entries = dict(row.entries)
        if row.limit.kind == "need":
            largest[row.limit.demand] = max(-row.bound, ZERO) + sum(
                (entry * program_.columns[j].upper for j, entry in entries.items() if entry > 0),
                ZERO,
            )
            entries[len(columns)] = Fraction(-1)
            weight = COVERED if row.bound >= 0 else Fraction(1)
            columns.append(Column(cost=weight, upper=largest[row.limit.demand]))
        rows.append(Row(row.limit, row.bound, entries))
    return Program(
        flows=program_.flows,
        scale=program_.scale,
        columns=tuple(columns),
        rows=tuple(rows),
        constant=ZERO,
    )
