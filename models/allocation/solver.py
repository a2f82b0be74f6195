"""HiGHS behind one function, so that whatever it answers can be judged by others.

References
----------
Huangfu and Hall (2018), "Parallelizing the dual revised simplex method", Mathematical
Programming Computation 10, as shipped in SciPy's `linprog` and `milp`.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, diags_array

from models.allocation.program import UNIT, Program
from models.allocation.scaling import is_plain, scales

Floats = npt.NDArray[np.float64]
Claim = Literal["optimal", "infeasible", "time_limit", "failed"]
STATUSES: dict[int, Claim] = {0: "optimal", 1: "time_limit", 2: "infeasible"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a solver claims; nothing of it is believed before it was checked.

    Parameters
    ----------
    values
        Per column, shape (columns,); None where it has none.
    prices
        Of the rows, not positive, shape (rows,); None for whole-number programs.
    bound
        What the objective cannot undercut, by the solver's word; None where it gives none.
    """

    claim: Claim
    values: Floats | None = None
    prices: Floats | None = None
    bound: float | None = None


@dataclass(frozen=True, slots=True)
class Matrix:
    """A program in floats: least `cost @ x` where `rows @ x <= bound` and `0 <= x <= upper`."""

    cost: Floats
    rows: csr_array
    bound: Floats
    upper: Floats
    whole: npt.NDArray[np.bool_]


Solver = Callable[[Matrix, float], Answer]
"""From a matrix and a time limit in seconds to a claim."""


def matrix(program: Program) -> Matrix:
    """Return a program in floats."""
    data = [
        1.0 if entry is UNIT else entry.numerator / entry.denominator
        for row in program.rows
        for entry in row.entries.values()
    ]
    places = list(itertools.chain.from_iterable(row.entries for row in program.rows))
    starts = np.cumsum([0, *(len(row.entries) for row in program.rows)])
    shape = (len(program.rows), len(program.columns))
    entries = (np.array(data), np.array(places, dtype=np.int64), starts)
    return Matrix(
        cost=np.array([c.cost.numerator / c.cost.denominator for c in program.columns]),
        rows=csr_array(entries, shape=shape),
        bound=np.array([float(row.bound) for row in program.rows]),
        upper=np.array([c.upper.numerator / c.upper.denominator for c in program.columns]),
        whole=np.array([column.is_whole for column in program.columns], dtype=bool),
    )


def relaxed(problem: Matrix) -> Matrix:
    """Return the same program with no column held to whole numbers."""
    return Matrix(
        problem.cost, problem.rows, problem.bound, problem.upper, np.zeros_like(problem.whole)
    )


def highs(problem: Matrix, time_limit: float) -> Answer:
    """Return what HiGHS says of a matrix."""
    if not problem.cost.size:
        is_open = bool((problem.bound >= 0).all())
        prices = np.zeros(problem.bound.size)
        if not is_open:
            return Answer(claim="infeasible")
        return Answer(claim="optimal", values=np.zeros(0), prices=prices)
    if is_plain(problem.rows.data, problem.bound, problem.upper, problem.cost):
        return _answer(problem, time_limit)
    return _scaled(problem, time_limit)


def _scaled(problem: Matrix, time_limit: float) -> Answer:
    """Return what HiGHS says of a matrix in units in which its figures are near 1."""
    by = scales(problem.rows, problem.bound, problem.upper, problem.cost, problem.whole)
    rows = diags_array(by.rows) @ problem.rows @ diags_array(by.columns)
    answer = _answer(
        Matrix(
            problem.cost * by.columns * by.cost,
            csr_array(rows),
            problem.bound * by.rows,
            problem.upper / by.columns,
            problem.whole,
        ),
        time_limit,
    )
    return replace(
        answer,
        values=None if answer.values is None else answer.values * by.columns,
        prices=None if answer.prices is None else answer.prices * by.rows / by.cost,
        bound=None if answer.bound is None else answer.bound / by.cost,
    )


def _answer(problem: Matrix, time_limit: float) -> Answer:
    """Return what HiGHS says of a matrix with columns, as it stands."""
    if problem.whole.any():
        return _whole(problem, time_limit)
    from scipy.optimize import linprog  # noqa: PLC0415 - 0.3 s and 26 MB that few workers need

    solved = linprog(
        problem.cost,
        A_ub=problem.rows if problem.bound.size else None,
        b_ub=problem.bound if problem.bound.size else None,
        bounds=np.column_stack([np.zeros_like(problem.upper), problem.upper]),
        method="highs",
        options={"time_limit": time_limit},
    )
    claim = STATUSES.get(solved.status, "failed")
    if claim != "optimal":
        return Answer(claim=claim)
    prices = solved.ineqlin.marginals if problem.bound.size else np.zeros(0)
    return Answer(claim=claim, values=solved.x, prices=prices, bound=float(solved.fun))


def _whole(problem: Matrix, time_limit: float) -> Answer:
    """Return what HiGHS says of a matrix with columns in whole numbers."""
    from scipy.optimize import LinearConstraint, milp  # noqa: PLC0415 - 0.3 s and 26 MB that few workers need

    limits = []
    if problem.bound.size:
        limit = LinearConstraint(problem.rows, ub=problem.bound)
        limits.append(limit)
    solved = milp(
        problem.cost,
        integrality=problem.whole.astype(int),
        bounds=(0, problem.upper),
        constraints=limits,
        options={"time_limit": time_limit, "mip_rel_gap": 0.0},
    )
    bound = solved.mip_dual_bound
    return Answer(
        claim=STATUSES.get(solved.status, "failed"),
        values=solved.x,
        bound=None if bound is None else float(bound),
    )
