"""Figures far from 1: what a solver's own tolerances must not decide."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from models.allocation.allocate import Allocation, allocate
from models.allocation.problem import Demand, Eligibility, Problem, Resource


def posted(
    price: str, stock: str, need: str, *, step: str = "1e-8", is_lot: bool = False, **more: Any
) -> Allocation:
    """Return the allocation of one asset to one account; a unit costs a tenth of its price."""
    worth = Fraction(price)
    demand = Demand(
        need=Fraction(need),
        eligible={"C": Eligibility(credit=worth, cost=worth / 10)},
    )
    problem = Problem(
        resources={"C": Resource(price=worth, step=Fraction(step), is_lot=is_lot)},
        stocks={("C", ""): Fraction(stock)},
        demands={"X": replace(demand, **more)},
    )
    return allocate(problem)


@pytest.mark.parametrize(
    ("price", "stock", "need", "step"),
    [
        ("1e-10", "5e10", "0.5", "0.01"),
        ("1e-14", "5e16", "10", "1e-8"),
        ("1", "1e30", "9e29", "1e-8"),
        ("1", "5e-17", "1e-17", "1e-18"),
    ],
)
def test_what_suffices_is_posted_whatever_its_size(
    price: str, stock: str, need: str, step: str
) -> None:
    """Exactly what is needed, at the cost that can be reckoned by hand, with its proof."""
    plan = posted(price, stock, need, step=step)
    assert plan.status == "optimal"
    ((_, quantity),) = plan.flows
    assert quantity == Fraction(need) / Fraction(price)
    assert plan.objective == Fraction(need) / 10


def test_lots_finer_than_a_solver_sees_are_lots() -> None:
    """A third of ten, up to the next of the finest lots."""
    plan = posted("3", "50", "10", step="1e-18", is_lot=True)
    assert plan.status == "optimal"
    assert plan.flows[0][1] == Fraction("3.333333333333333334")


def test_what_is_missing_is_said_whatever_its_size() -> None:
    """The stock counts, though it is less than what a solver takes for nothing."""
    plan = posted("1", "1e-8", "1e-7")
    assert plan.status == "infeasible"
    assert plan.shortage == {"X": Fraction("9e-8")}


@pytest.mark.parametrize("stock", ["1e6", "1e12"])
def test_a_fixed_cost_beside_a_large_stock(stock: str) -> None:
    """The switch of a fixed cost holds, however large what it opens."""
    plan = posted("1", stock, "10", fixed=Fraction(3))
    assert plan.objective == 4
