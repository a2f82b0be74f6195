"""The cheapest, or least risky, way to cover every account, with its proof.

Nothing a solver says is passed on unchecked: its floats are held to the matrix, rounded outward to
exact amounts, judged again from the problem itself, and the bound that calls them optimal follows
from the rows' prices by weak duality in exact numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np

from models.allocation import problem as problems
from models.allocation.certificate import (
    Outcome,
    is_kept_to,
    lower_bound,
    outcome,
    reduced_costs,
)
from models.allocation.problem import ZERO, Eligibility, Problem
from models.allocation.program import (
    Flow,
    Limit,
    Program,
    program,
    shortfall,
    unreachable,
)
from models.allocation.rounding import rounded
from models.allocation.solver import Answer, Floats, Matrix, Solver, highs, matrix, relaxed
from models.errors import ForewarnError, InvalidInput

Status = Literal["optimal", "feasible", "infeasible", "time_limit"]
GAP = Fraction(1, 10**6)
"""Share of the objective by which a solution may miss its bound and still be called optimal."""

LEAST_PRICE = 1e-9
LEAST_SHARE = Fraction(1, 10**6)
TIGHTER = (0, 1, 8)
"""Steps of every asset by which needs are raised until a solution survives being rounded."""


class SolverFault(ForewarnError):  # noqa: N818 - named for what happened
    """A solver called something a solution that is none, or a claim of it does not hold."""


@dataclass(frozen=True, slots=True)
class DualPrice:
    """What one more unit of a limit changes, quote units: negative saves.

    Parameters
    ----------
    limit
        A need (per quote unit of need), a stock or another bound (per whole unit of the asset).
    """

    limit: Limit
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """An allocation that was checked, or why there is none.

    Parameters
    ----------
    flows
        What moves, whole units.
    result
        What it comes to; None where there is no solution.
    objective
        Quote units.
    bound
        What no allocation can undercut, quote units: proved, but for programs in whole numbers,
        where it is the larger of what is proved and what the solver states.
    gap
        Share of the objective by which it may miss the least; None without a solution.
    prices
        Of the limits that bind; of the relaxed program where amounts are whole.
    shortage
        Where nothing suffices: per account the quote units missing, least in sum.
    conflict
        Limits that together make it impossible.
    """

    status: Status
    flows: tuple[tuple[Flow, Fraction], ...] = ()
    result: Outcome | None = None
    objective: Fraction | None = None
    bound: Fraction | None = None
    gap: Fraction | None = None
    prices: tuple[DualPrice, ...] = ()
    shortage: Mapping[str, Fraction] | None = None
    conflict: tuple[Limit, ...] = ()


def allocate(problem: Problem, *, solver: Solver = highs, time_limit: float = 20.0) -> Allocation:
    """Return the checked allocation of a problem.

    Parameters
    ----------
    solver
        Whose answers are checked.
    time_limit
        Seconds of each run of the solver.

    Raises
    ------
    InvalidInput
        Listing every fault of the problem.
    SolverFault
        When what the solver answers does not hold.
    """
    faults = list(problems.faults(problem))
    if faults:
        raise InvalidInput(faults)
    base = program(problem)
    answers: list[Answer] = []
    for steps in TIGHTER:
        plan = program(_stricter(problem, steps)) if steps else base
        numbers = matrix(plan)
        answer = solver(numbers, time_limit)
        _check(numbers, answer)
        answers.append(answer)
        if answer.values is None:
            break
        amounts = rounded(plan, answer.values)
        flows = tuple((f, q) for f, q in zip(plan.flows, amounts, strict=True) if q)
        result = outcome(problem, flows)
        if not result.broken:
            # A bound of raised needs is none of the problem's own.
            checked = _Checked(flows, result, replace(answer, bound=answers[0].bound))
            figures = numbers if plan is base else matrix(base)
            return _proved(problem, base, figures, checked, solver, time_limit)
    first = answers[0]  # of the problem as it is: what raised needs lack, it may have
    if first.claim == "time_limit" and first.values is None:
        return Allocation(status="time_limit")
    if first.values is not None and not all(r.is_lot for r in problem.resources.values()):
        # A solution that no rounding saves: amounts are then decided in steps from the start.
        return allocate(_in_lots(problem), solver=solver, time_limit=time_limit)
    return _infeasible(problem, base, first, solver, time_limit)


def _in_lots(problem: Problem) -> Problem:
    """Return the problem with the amounts of every asset decided in whole steps."""
    resources = {
        name: replace(resource, is_lot=True) for name, resource in problem.resources.items()
    }
    return replace(problem, resources=resources)


def _stricter(problem: Problem, steps: int) -> Problem:
    """Return the problem with each need raised by what some steps of its assets count for."""
    demands = {}
    for name, demand in problem.demands.items():
        more = sum((e.credit * problem.resources[k].step for k, e in demand.eligible.items()), ZERO)
        demands[name] = replace(demand, guard=steps * more)
    return replace(problem, demands=demands)


def _check(numbers: Matrix, answer: Answer) -> None:
    """Refuse an answer that contradicts its matrix.

    Raises
    ------
    SolverFault
        Naming what does not hold.
    """
    if answer.claim == "failed":
        raise SolverFault("the solver failed with numerical difficulties")
    if answer.claim == "optimal" and answer.values is None:
        raise SolverFault("the solver says optimal and gives no solution")
    if answer.values is not None and not is_kept_to(numbers, answer.values):
        raise SolverFault(f"the solver's {answer.claim} solution breaks its own limits")


@dataclass(frozen=True, slots=True)
class _Checked:
    """A solution that breaks nothing, and the claim that it came from."""

    flows: tuple[tuple[Flow, Fraction], ...]
    result: Outcome
    answer: Answer


def _proved(
    problem: Problem,
    plan: Program,
    numbers: Matrix,
    checked: _Checked,
    solver: Solver,
    time_limit: float,
) -> Allocation:
    """Return an allocation that holds, with how far it may be from the least.

    Raises
    ------
    SolverFault
        When it undercuts what was called a bound.
    """
    answer, result = checked.answer, checked.result
    relaxation = answer if answer.prices is not None else solver(relaxed(numbers), time_limit)
    prices = relaxation.prices
    is_fitting = prices is not None and prices.shape == numbers.bound.shape
    bound = lower_bound(plan, numbers, prices) if prices is not None and is_fitting else None
    if plan.is_whole and answer.bound is not None and np.isfinite(answer.bound):
        stated = Fraction(answer.bound) + plan.constant
        bound = stated if bound is None else max(bound, stated)
    objective = result.objective(problem)
    gap = None if bound is None else (objective - bound) / max(abs(objective), Fraction(1))
    if gap is not None and gap < -GAP:
        raise SolverFault(f"a solution of {float(objective)} undercuts the solver's bound")
    is_least = gap is not None and (
        gap <= GAP or gap <= GAP + _outward_cost(problem) / max(abs(objective), Fraction(1))
    )
    status: Status = "optimal" if is_least else "feasible"
    if not is_least and answer.claim == "time_limit":
        status = "time_limit"
    return Allocation(
        status=status,
        flows=checked.flows,
        result=result,
        objective=objective,
        bound=bound,
        gap=None if gap is None else max(gap, ZERO),
        prices=_prices(plan, numbers, prices) if prices is not None and is_fitting else (),
    )


def _outward_cost(problem: Problem) -> Fraction:
    """Return what rounding outward may cost at most: one step of an asset per account."""
    return sum(
        (_dearest_step(problem, demand.eligible) for demand in problem.demands.values()), ZERO
    )


def _dearest_step(problem: Problem, eligible: Mapping[str, Eligibility]) -> Fraction:
    """Return the most that a step of any asset costs, quote units; 0 where all are lots."""
    above, below = 0, 1  # in whole numbers: nothing but the largest is reduced
    for asset, entry in eligible.items():
        resource = problem.resources[asset]
        if not resource.is_lot:
            n = abs(entry.cost.numerator) * resource.step.numerator
            d = entry.cost.denominator * resource.step.denominator
            if n * below > above * d:
                above, below = n, d
    return Fraction(above, below)


def _prices(plan: Program, numbers: Matrix, prices: Floats) -> tuple[DualPrice, ...]:
    """Return what one more of each binding limit changes, largest first."""
    listed = [
        DualPrice(row.limit, -float(price) if row.limit.kind == "need" else float(price))
        for row, price in zip(plan.rows, prices, strict=True)
        if row.limit.kind not in {"link", "pieces"}
    ]
    merged: dict[Limit, float] = {}
    for j, slope in enumerate(reduced_costs(numbers, prices)):
        limit = plan.columns[j].limit
        if limit is not None and slope < -LEAST_PRICE:
            merged[limit] = merged.get(limit, 0.0) + slope / float(plan.scale[j])
    listed += [DualPrice(limit, value) for limit, value in merged.items()]
    binding = [price for price in listed if abs(price.value) > LEAST_PRICE]
    return tuple(sorted(binding, key=lambda price: -abs(price.value)))


def _infeasible(
    problem: Problem, plan: Program, claimed: Answer, solver: Solver, time_limit: float
) -> Allocation:
    """Return how little is missing, and which limits are in conflict.

    Parameters
    ----------
    claimed
        What the solver said before: that nothing does, or a solution of which no rounding does.

    Raises
    ------
    SolverFault
        When nothing is missing: the solver called impossible what is not.
    """
    elastic = shortfall(plan)
    numbers = matrix(elastic)
    answer = solver(numbers, time_limit)
    _check(numbers, answer)
    if answer.values is None:
        if answer.claim == "time_limit":
            return Allocation(status="time_limit")
        raise SolverFault("the solver finds no solution where one always exists")
    needless = replace(elastic, rows=tuple(r for r in elastic.rows if r.limit.kind != "need"))
    amounts = rounded(needless, answer.values)
    values = [amount / scale for amount, scale in zip(amounts, elastic.scale, strict=True)]
    shortage = {}
    for row in elastic.rows:
        if row.limit.kind == "need":
            used = sum((e * values[j] for j, e in row.entries.items() if j < len(values)), ZERO)
            shortage[row.limit.demand] = max(used - row.bound, ZERO)
    least = LEAST_SHARE * sum(shortage.values(), ZERO)  # below it is what rounding leaves
    missing = {name: short for name, short in shortage.items() if short > least}
    if not missing:
        if claimed.values is not None:
            raise SolverFault("no amounts in whole steps were found that keep every limit")
        raise SolverFault("the solver says infeasible, and a solution exists")
    relaxation = answer if answer.prices is not None else solver(relaxed(numbers), time_limit)
    prices = relaxation.prices
    conflict: tuple[Limit, ...] = ()
    if prices is not None and prices.shape == numbers.bound.shape:
        conflict = tuple(
            price.limit
            for price in _prices(elastic, numbers, prices)
            if price.limit.kind != "posted"
        )
    named = {limit.demand for limit in conflict if limit.kind == "need"}
    lacking = tuple(Limit("need", demand=n) for n in missing if n not in named)
    apart = tuple(limit for name in missing for limit in unreachable(problem, plan.flows, name))
    return Allocation(status="infeasible", shortage=missing, conflict=(*lacking, *conflict, *apart))
