"""Proofs in exact numbers: what an allocation really costs, breaks and cannot undercut."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from models.allocation.problem import ZERO, Demand, Problem, dot
from models.allocation.program import UNIT, Flow, Limit, Program
from models.allocation.solver import Floats, Matrix

Amounts = Sequence[tuple[Flow, Fraction]]
"""Whole units per flow that is used."""

FLOAT_ERROR = 2.0**-50
"""More than a float's unit of rounding, for the errors of a product and of its factors too."""

TOLERANCE = 1e-6
"""Share of a row's size by which a solver's floats may miss it before it is called a lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What amounts come to, reckoned from the problem and not from its matrix.

    Parameters
    ----------
    posted
        Whole units per account and asset afterwards.
    surplus
        Credit less need per account, quote units.
    cost
        Carry, transfers and fixed costs, quote units.
    probabilities
        Of liquidation, for accounts with a curve.
    expected_loss
        Sum of probability times loss, quote units.
    broken
        Limits that the amounts break, with by how much.
    """

    posted: Mapping[str, Mapping[str, Fraction]]
    surplus: Mapping[str, Fraction]
    cost: Fraction
    probabilities: Mapping[str, Fraction]
    expected_loss: Fraction
    broken: Mapping[Limit, Fraction]

    def objective(self, problem: Problem) -> Fraction:
        """Return what the problem asks to be least."""
        return self.cost + (self.expected_loss if problem.objective == "probability" else ZERO)


def outcome(problem: Problem, amounts: Amounts) -> Outcome:
    """Return what amounts come to."""
    posted = {name: dict(demand.posted) for name, demand in problem.demands.items()}
    free = dict(problem.stocks)
    cost = ZERO
    for flow, quantity in amounts:
        if flow.origin.demand:
            posted[flow.origin.demand][flow.asset] -= quantity
        else:
            free[flow.asset, flow.origin.place] -= quantity
        if flow.destination.demand:
            holder = posted[flow.destination.demand]
            holder[flow.asset] = holder.get(flow.asset, ZERO) + quantity
        if flow.way.rate:
            cost += flow.way.rate * problem.resources[flow.asset].price * quantity
        if flow.fixed and quantity:
            cost += flow.fixed
    for name, amounts_ in posted.items():
        eligible = problem.demands[name].eligible
        cost += dot((eligible[k].cost, q) for k, q in amounts_.items())
    credits_ = {name: problem.demands[name].credit(amounts_) for name, amounts_ in posted.items()}
    surplus = {name: credit - problem.demands[name].need for name, credit in credits_.items()}
    curves = {n: d.curve for n, d in problem.demands.items() if d.curve is not None}
    chances = {name: curve.probability(surplus[name]) for name, curve in curves.items()}
    return Outcome(
        posted=posted,
        surplus=surplus,
        cost=cost,
        probabilities=chances,
        expected_loss=sum((curves[n].loss * p for n, p in chances.items()), ZERO),
        broken=dict(_broken(problem, amounts, posted, credits_, free)),
    )


def _broken(
    problem: Problem,
    amounts: Amounts,
    posted: Mapping[str, Mapping[str, Fraction]],
    credits_: Mapping[str, Fraction],
    free: Mapping[tuple[str, str], Fraction],
) -> Iterator[tuple[Limit, Fraction]]:
    """Yield every limit that is broken, with by how much."""
    for (asset, place), left in free.items():
        if left.numerator < 0:
            yield Limit("stock", asset=asset, place=place), -left
    for flow, quantity in amounts:
        if quantity.numerator < 0 or quantity % flow.step:
            yield Limit("stock", asset=flow.asset, place=flow.origin.place), abs(quantity)
    for name, demand in problem.demands.items():
        for limit, over in _account_limits(name, demand, posted[name], credits_[name]):
            if over.numerator > 0:
                yield limit, over
    yield from _unsellable(problem, posted)


def _unsellable(
    problem: Problem, posted: Mapping[str, Mapping[str, Fraction]]
) -> Iterator[tuple[Limit, Fraction]]:
    """Yield the assets of which more is posted than could be sold, and more than before."""
    for asset, resource in problem.resources.items():
        if resource.sellable is None:
            continue
        total = sum((amounts_.get(asset, ZERO) for amounts_ in posted.values()), ZERO)
        before = sum((d.posted.get(asset, ZERO) for d in problem.demands.values()), ZERO)
        if total > max(resource.sellable, before):
            yield Limit("sellable", asset=asset), total - resource.sellable


def _account_limits(
    name: str, demand: Demand, posted: Mapping[str, Fraction], credit: Fraction
) -> Iterator[tuple[Limit, Fraction]]:
    """Yield an account's limits, each with by how much it is overstepped where positive.

    What was posted beyond a limit before may stay.
    """
    yield Limit("need", demand=name), demand.target - credit
    for asset, quantity in posted.items():
        entry, present = demand.eligible[asset], demand.posted.get(asset, ZERO)
        yield Limit("posted", demand=name, asset=asset), -quantity
        if entry.cap is not None:
            most = entry.cap * demand.target if demand.target.numerator > 0 else ZERO
            if present:
                most = max(most, present * entry.credit)
            yield Limit("cap", demand=name, asset=asset), quantity * entry.credit - most
        if entry.most is not None:
            yield Limit("most", demand=name, asset=asset), quantity - max(entry.most, present)


def is_kept_to(problem: Matrix, values: Floats) -> bool:
    """Return whether floats keep every row and bound, to `TOLERANCE` of a row's size."""
    if values.shape != problem.cost.shape or not np.isfinite(values).all():
        return False
    slack = TOLERANCE * np.maximum(1.0, problem.upper)
    if (values < -slack).any() or (values > problem.upper + slack).any():
        return False
    if (np.abs(values - np.round(values))[problem.whole] > TOLERANCE).any():
        return False
    size = np.maximum(1.0, abs(problem.rows) @ np.abs(values) + np.abs(problem.bound))
    return bool((problem.rows @ values - problem.bound <= TOLERANCE * size).all())


def lower_bound(program: Program, numbers: Matrix, prices: Floats) -> Fraction:
    """Return what no solution can undercut, whatever the prices are.

    Weak duality: for prices y >= 0 of the rows `a x <= b` and columns within 0 and u, every
    solution costs at least `-y b + sum min(0, c + y a) u`. In exact numbers, so that neither a
    rounding nor a lie of whoever gave the prices can raise it. A column whose `c + y a` floats
    find above 0 by far more than they can err adds nothing, and is left out.

    Parameters
    ----------
    numbers
        The program in floats.
    """
    weights = [Fraction(max(-float(price), 0.0)) for price in prices]
    weighed = [(row, w) for row, w in zip(program.rows, weights, strict=True) if w]
    terms = {j: [(UNIT, program.columns[j].cost)] for j in _doubtful(numbers, prices)}
    for row, weight in weighed:
        for j in row.entries.keys() & terms.keys():
            terms[j].append((weight, row.entries[j]))
    slopes = {j: dot(pairs) for j, pairs in terms.items()}
    gains = ((s, program.columns[j].upper) for j, s in slopes.items() if s.numerator < 0)
    return program.constant - dot((w, row.bound) for row, w in weighed) + dot(gains)


def _doubtful(numbers: Matrix, prices: Floats) -> list[int]:
    """Return the columns whose reduced cost may be below 0, by floats and how far they may err."""
    weights = np.maximum(-prices, 0.0)
    slopes = numbers.cost + numbers.rows.T @ weights
    sizes = np.abs(numbers.cost) + abs(numbers.rows).T @ weights
    # A sum of n floats errs by less than n units of rounding of the sum of their sizes.
    error = FLOAT_ERROR * (numbers.bound.size + 2)
    doubtful: list[int] = np.flatnonzero(~(slopes > error * sizes)).tolist()
    return doubtful


def reduced_costs(numbers: Matrix, prices: Floats) -> list[float]:
    """Return what one more of each column would change, by the rows' prices, quote units."""
    slopes: list[float] = (numbers.cost - numbers.rows.T @ prices).tolist()
    return slopes
