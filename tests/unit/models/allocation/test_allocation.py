"""Allocation: answers worked out by hand, enumeration, laws, and solvers that lie."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import numpy as np
import pytest

from models.allocation.allocate import Allocation, SolverFault, allocate
from models.allocation.certificate import outcome
from models.allocation.ordering import linear_judge, ordered
from models.allocation.problem import (
    Demand,
    Eligibility,
    LossCurve,
    Problem,
    Resource,
    Way,
    faults,
)
from models.allocation.program import Limit
from models.allocation.solver import Answer, Matrix, highs
from models.errors import InvalidInput
from serving.application.allocation_answer import dual_answer, limit_answer

F = Fraction
FINE = Resource(step=F(1, 10**8))
COSTS = {"A": F("0.01"), "B": F("0.03"), "cash": F("0.05")}


def counts(asset: str, weight: str, cap: str | None = None) -> Eligibility:
    """Return how an asset counts at a weight, at its cost."""
    return Eligibility(credit=F(weight), cost=COSTS[asset], cap=None if cap is None else F(cap))


def two_venues(*, need: int = 90, cap: str | None = None) -> Problem:
    """Return two accounts that need 90 each of A 100, B 100 and cash 50."""
    x = {"A": counts("A", "0.8"), "B": counts("B", "0.5"), "cash": counts("cash", "1")}
    y = {"B": counts("B", "0.9", cap), "cash": counts("cash", "1")}
    return Problem(
        demands={"X": Demand(need=F(need), eligible=x), "Y": Demand(need=F(90), eligible=y)},
        resources=dict.fromkeys("AB", FINE) | {"cash": FINE},
        stocks={("A", ""): F(100), ("B", ""): F(100), ("cash", ""): F(50)},
    )


def posted(result: Allocation) -> dict[tuple[str, str], F]:
    """Return what flows where."""
    return {(flow.destination.demand, flow.asset): quantity for flow, quantity in result.flows}


def test_the_cheapest_cover_of_two_venues() -> None:
    """A covers X as far as it goes, B covers Y, cash the rest; 4.5 in all."""
    result = allocate(two_venues())
    assert result.status == "optimal"
    assert posted(result) == {("X", "A"): 100, ("X", "cash"): 10, ("Y", "B"): 100}
    assert result.objective == F("4.5")
    assert result.bound is not None
    assert F("4.5") - F(1, 10**9) < result.bound <= F("4.5")
    by_limit = {price.limit: price.value for price in result.prices}
    assert by_limit[Limit("need", demand="X")] == pytest.approx(0.05)
    assert by_limit[Limit("stock", asset="A")] == pytest.approx(-0.03)
    # B is used up as Y's need is met: a need lower by one saves .0333, one higher costs .05.
    assert 0.0333 <= by_limit[Limit("need", demand="Y")] <= 0.0501
    said = [dual_answer(price).text for price in result.prices]
    assert "one more A saves 0.03" in said
    assert "one more quote unit of need at X costs 0.05" in said


def test_a_cap_makes_it_dearer() -> None:
    """B may cover 60 % of Y's need: 60 of it are posted, cash fills the gap, 5.1 in all."""
    result = allocate(two_venues(cap="0.6"))
    assert posted(result) == {
        ("X", "A"): 100,
        ("X", "cash"): 10,
        ("Y", "B"): 60,
        ("Y", "cash"): 36,
    }
    assert result.objective == F("5.1")
    said = [dual_answer(price).text for price in result.prices]
    assert "room for one more B under its cap at Y saves 0.015" in said


def test_what_cannot_be_covered_says_what_is_missing() -> None:
    """X needs 300; the best use of everything leaves 170 short, and every stock is in conflict."""
    result = allocate(two_venues(need=300))
    assert result.status == "infeasible"
    assert result.result is None
    assert result.shortage == {"X": F(170)}
    assert set(result.conflict) == {
        Limit("need", demand="X"),
        Limit("need", demand="Y"),
        Limit("stock", asset="A"),
        Limit("stock", asset="B"),
        Limit("stock", asset="cash"),
    }


def test_an_account_that_nothing_can_reach_says_why() -> None:
    """There is no B at all, and no way for A from the chain where it lies, in time."""
    entries = {"A": counts("A", "0.8"), "B": counts("B", "0.5"), "cash": counts("cash", "0")}
    asked = Problem(
        demands={"X": Demand(need=F(10), eligible=entries)},
        resources={"A": FINE, "B": FINE, "cash": FINE},
        stocks={("A", "l2"): F(100), ("cash", ""): F(1)},
        ways=[Way(origin="l2", destination="", delay=timedelta(days=7))],
        deadline=timedelta(hours=1),
    )
    result = allocate(asked)
    assert (result.status, result.shortage) == ("infeasible", {"X": F(10)})
    assert [limit_answer(limit).text for limit in result.conflict] == [
        "the need of X",
        "no way in time for A at l2 to X",
        "there is no B that could be posted at X",
    ]
    assert allocate(replace(asked, deadline=None)).status == "optimal"


def lots(seed: int) -> Problem:
    """Return at most three accounts, three assets and five lots of each."""
    rng = np.random.default_rng(seed)
    assets = [f"k{k}" for k in range(int(rng.integers(1, 4)))]
    demands = {}
    for v in range(int(rng.integers(1, 4))):
        eligible = {
            asset: Eligibility(
                credit=F(int(rng.integers(1, 11)), 10),
                cost=F(int(rng.integers(1, 20)), 100),
                cap=F(int(rng.integers(4, 11)), 10) if rng.random() < 0.3 else None,
            )
            for asset in assets
            if rng.random() < 0.8 or asset == assets[0]
        }
        fixed = F(int(rng.integers(0, 3)), 10) if seed % 2 else F(0)
        need = F(int(rng.integers(1, 40)), 10)
        demands[f"v{v}"] = Demand(need=need, eligible=eligible, fixed=fixed)
    return Problem(
        demands=demands,
        resources={asset: Resource(step=F(1), is_lot=True) for asset in assets},
        stocks={(asset, ""): F(int(rng.integers(0, 6))) for asset in assets},
    )


def splits(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """Yield every way to give at most `total` lots to so many accounts."""
    for given in itertools.product(range(total + 1), repeat=parts):
        if sum(given) <= total:
            yield given


def cheapest(problem: Problem) -> F | None:
    """Return the least cost by trying everything; None where nothing does."""
    names, assets = list(problem.demands), list(problem.resources)
    options = []
    for asset in assets:
        stock = int(problem.stocks[asset, ""])
        takers = [asset in problem.demands[name].eligible for name in names]
        options.append(
            [
                given
                for given in splits(stock, len(names))
                if all(is_taken or not n for n, is_taken in zip(given, takers, strict=True))
            ]
        )
    best: F | None = None
    # Fractions are slow: everything times 1000 is whole.
    for chosen in itertools.product(*options):
        total = 0
        for v, name in enumerate(names):
            demand = problem.demands[name]
            need, covered = int(demand.need * 1000), 0
            for k, asset in enumerate(assets):
                n = chosen[k][v]
                if not n:
                    continue
                entry = demand.eligible[asset]
                credit = int(entry.credit * 1000) * n
                if entry.cap is not None and credit > entry.cap * need:
                    covered = -1
                    break
                covered += credit
                total += int(entry.cost * 1000) * n + int(demand.fixed * 1000)
            if covered < need:
                break
        else:
            cost = F(total, 1000)
            best = cost if best is None else min(best, cost)
    return best


@pytest.mark.parametrize("seed", range(24))
def test_lots_equal_what_trying_everything_gives(seed: int) -> None:
    """Whole lots, caps and fixed costs: the least cost, or none, as enumeration finds it."""
    problem = lots(seed)
    result = allocate(problem)
    least = cheapest(problem)
    assert (result.status == "infeasible") == (least is None)
    if least is not None:
        assert result.status == "optimal"
        assert result.objective == least
        assert result.bound is not None
        assert result.bound <= least + F(1, 10**6)


def random_problem(seed: int, *, venues: int = 4, assets: int = 5) -> Problem:
    """Return a continuous problem with caps, places and movable collateral."""
    rng = np.random.default_rng(seed)
    names = [f"k{k}" for k in range(assets)]
    demands = {}
    for v in range(venues):
        eligible = {
            name: Eligibility(
                credit=F(int(rng.integers(40, 100)), 100),
                cost=F(int(rng.integers(1, 90)), 1000),
                cap=F(3, 5) if rng.random() < 0.4 else None,
            )
            for name in names
        }
        demands[f"v{v}"] = Demand(
            need=F(int(rng.integers(10, 60))),
            eligible=eligible,
            posted={names[0]: F(int(rng.integers(1, 50)))},
            is_movable=bool(rng.random() < 0.5),
            place=f"p{v % 2}",
        )
    return Problem(
        demands=demands,
        resources={name: Resource(step=F(1, 10**6)) for name in names},
        stocks={(name, f"p{k % 2}"): F(int(rng.integers(10, 80))) for k, name in enumerate(names)},
        ways=[
            Way(origin="p0", destination="p1", rate=F(1, 1000)),
            Way(origin="p1", destination="p0", rate=F(2, 1000), delay=timedelta(hours=1)),
        ],
    )


@pytest.mark.parametrize("seed", range(12))
def test_laws_of_stock_need_and_bound(seed: int) -> None:
    """More stock never costs more, a higher need never less, and the bound is never above."""
    problem = random_problem(seed)
    result = allocate(problem)
    more = replace(problem, stocks={**problem.stocks, ("k1", "p1"): F(200)})
    first = problem.demands["v0"]
    needier = replace(
        problem, demands={**problem.demands, "v0": replace(first, need=first.need + 5)}
    )
    richer, harder = allocate(more), allocate(needier)
    if result.objective is None:
        assert harder.objective is None
        return
    assert result.bound is not None
    assert result.bound <= result.objective
    assert result.gap is not None
    assert result.gap < F(1, 10**6)
    assert richer.objective is not None
    assert richer.objective <= result.objective + F(1, 10**5)
    if harder.objective is not None:
        assert harder.objective >= result.objective - F(1, 10**5)
    assert outcome(problem, result.flows).broken == {}


@pytest.mark.parametrize("seed", range(12))
def test_no_step_leaves_an_account_short(seed: int) -> None:
    """Carried out in order, every account is covered after each step, or no worse than before."""
    problem = random_problem(seed)
    result = allocate(problem)
    steps = ordered(problem, result.flows, linear_judge(problem))
    now = {name: dict(demand.posted) for name, demand in problem.demands.items()}
    for step in steps.steps:
        if step.kind == "withdraw":
            now[step.origin][step.asset] -= step.quantity
        elif step.kind == "deposit":
            account = now[step.destination]
            account[step.asset] = account.get(step.asset, F(0)) + step.quantity
        for name, demand in problem.demands.items():
            floor = min(demand.need, demand.credit(demand.posted))
            assert demand.credit(now[name]) >= floor
    if result.result is not None and not steps.stuck:
        for name, amounts in result.result.posted.items():
            left = {asset: quantity for asset, quantity in now[name].items() if quantity}
            assert left == {asset: quantity for asset, quantity in amounts.items() if quantity}


@pytest.mark.parametrize("seed", [*range(1000, 1040), 1093])
def test_whatever_is_found_keeps_every_limit(seed: int) -> None:
    """Problems of all sizes: an allocation in exact steps, or a shortage that is more than dust."""
    problem = random_problem(seed, venues=2 + seed % 4, assets=2 + seed % 5)
    result = allocate(problem)
    if result.result is None:
        assert result.shortage
        assert sum(result.shortage.values()) > F(1, 1000)
        return
    assert outcome(problem, result.flows).broken == {}
    pairs = {(flow.asset, flow.origin, flow.destination) for flow, _ in result.flows}
    assert not any((asset, end, start) in pairs for asset, start, end in pairs)


def test_coarse_steps_are_decided_as_such() -> None:
    """Thirds of a unit cannot be posted: three whole ones cover what 2.5 would."""
    eligible = {"A": Eligibility(credit=F(1), cost=F("0.1"))}
    problem = Problem(
        demands={"X": Demand(need=F("2.5"), eligible=eligible)},
        resources={"A": Resource(step=F(1))},
        stocks={("A", ""): F(3)},
    )
    result = allocate(problem)
    assert posted(result) == {("X", "A"): 3}
    short = allocate(replace(problem, stocks={("A", ""): F(2)}))
    assert short.shortage == {"X": F("0.5")}


def swap_of_two(*, spare: int) -> Problem:
    """Each account is covered by what is cheaper at the other."""
    cheap, dear = F("0.01"), F("0.09")
    demands = {
        "X": Demand(
            need=F(10),
            eligible={
                "A": Eligibility(credit=F(1), cost=dear),
                "B": Eligibility(credit=F(1), cost=cheap),
            },
            posted={"A": F(10)},
            is_movable=True,
        ),
        "Y": Demand(
            need=F(10),
            eligible={
                "A": Eligibility(credit=F(1), cost=cheap),
                "B": Eligibility(credit=F(1), cost=dear),
            },
            posted={"B": F(10)},
            is_movable=True,
        ),
    }
    return Problem(
        demands=demands,
        resources={"A": Resource(step=F(1)), "B": Resource(step=F(1))},
        stocks={("A", ""): F(spare)} if spare else {},
    )


def test_a_swap_goes_in_parts_where_there_is_something_spare() -> None:
    """Three spare A let two tight accounts exchange everything, three at a time."""
    problem = swap_of_two(spare=3)
    result = allocate(problem)
    assert result.result is not None
    assert result.result.posted["X"]["B"] == 10
    steps = ordered(problem, result.flows, linear_judge(problem))
    assert steps.stuck == ()
    assert [step.quantity for step in steps.steps if step.kind == "withdraw"].count(F(10)) == 0


def test_a_swap_without_anything_spare_is_told_to_be_stuck() -> None:
    """Neither account can give first: no order is safe, and none is proposed."""
    problem = swap_of_two(spare=0)
    result = allocate(problem)
    steps = ordered(problem, result.flows, linear_judge(problem))
    assert steps.steps == ()
    assert {flow.asset for flow, _ in steps.stuck} == {"A", "B"}


def test_a_way_that_takes_too_long_is_not_used() -> None:
    """The cheap asset is a day away; with an hour's deadline the dear one is posted."""
    x = Demand(
        need=F(10),
        eligible={
            "far": Eligibility(credit=F(1), cost=F("0.01")),
            "near": Eligibility(credit=F(1), cost=F("0.09")),
        },
        place="here",
    )
    problem = Problem(
        demands={"X": x},
        resources={"far": FINE, "near": FINE},
        stocks={("far", "there"): F(50), ("near", "here"): F(50)},
        ways=[
            Way(origin="there", destination="here", fixed=F("0.2"), delay=timedelta(days=1)),
        ],
    )
    patient, hurried = allocate(problem), allocate(replace(problem, deadline=timedelta(hours=1)))
    assert posted(patient) == {("X", "far"): 10}
    assert patient.objective == F("0.3")
    assert posted(hurried) == {("X", "near"): 10}
    steps = ordered(problem, patient.flows, linear_judge(problem))
    assert [step.kind for step in steps.steps] == ["transfer", "deposit"]
    assert steps.ends == timedelta(days=1)


@pytest.mark.parametrize(("present", "cheap"), [(0, 4), (3, 1)])
def test_no_more_is_posted_than_could_be_sold(present: int, cheap: int) -> None:
    """Four A can be sold, what stands elsewhere included: the rest of ten is the dearer B."""
    eligible = {asset: Eligibility(credit=F(1), cost=COSTS[asset]) for asset in "AB"}
    elsewhere = Demand(need=F(present), eligible=eligible, posted={"A": F(present)})
    result = allocate(
        Problem(
            demands={"X": Demand(need=F(10), eligible=eligible), "Y": elsewhere},
            resources={"A": replace(FINE, sellable=F(4)), "B": FINE},
            stocks={("A", ""): F(20), ("B", ""): F(20)},
        )
    )
    assert posted(result) == {("X", "A"): cheap, ("X", "B"): 10 - cheap}
    assert result.status == "optimal"


def test_a_fixed_cost_is_paid_where_it_is_worth_it() -> None:
    """Two cheap sources with a fixed cost each: one dearer asset for both is better."""
    cost = {"A": F("0.01"), "B": F("0.01"), "C": F("0.04")}
    eligible = {asset: Eligibility(credit=F(1), cost=c) for asset, c in cost.items()}
    stocks = {("A", ""): F(5), ("B", ""): F(5), ("C", ""): F(10)}
    for fixed, expected in ((F("0.1"), F("0.3")), (F("0.5"), F("0.9"))):
        demand = Demand(need=F(10), eligible=eligible, fixed=fixed)
        result = allocate(
            Problem(demands={"X": demand}, resources=dict.fromkeys("ABC", FINE), stocks=stocks)
        )
        assert result.objective == expected


CONVEX = LossCurve(loss=F(100), points=((F(0), F("0.5")), (F(10), F("0.1")), (F(30), F(0))))
BENT = LossCurve(loss=F(100), points=((F(0), F("0.5")), (F(10), F("0.45")), (F(20), F("0.05"))))


def at_risk(curves: Mapping[str, LossCurve], stock: int) -> Problem:
    """Return accounts without a need of their own, one asset, and what their liquidation costs."""
    eligible = {"cash": Eligibility(credit=F(1))}
    return Problem(
        demands={
            name: Demand(need=F(0), eligible=eligible, curve=curve)
            for name, curve in curves.items()
        },
        resources={"cash": Resource(step=F(1, 100))},
        stocks={("cash", ""): F(stock)},
        objective="probability",
    )


def test_probability_goes_where_a_unit_helps_most() -> None:
    """Both steep parts are filled before any flat one: 10 each, then 2 at either."""
    result = allocate(at_risk({"X": CONVEX, "Y": CONVEX}, 22))
    assert result.status == "optimal"
    assert result.result is not None
    # 2 (.1) less 2 units of .1/20, times 100.
    assert result.result.expected_loss == F(19)
    assert min(result.result.surplus.values()) >= 10


def test_a_curve_that_bends_the_other_way_is_not_spread_thin() -> None:
    """Half the way helps little: 20 go to one account, none is split."""
    result = allocate(at_risk({"X": BENT, "Y": BENT}, 20))
    assert result.result is not None
    assert sorted(result.result.surplus.values()) == [0, 20]
    assert result.result.expected_loss == F(55)


def lying(values: list[float]) -> object:
    """Return a solver that calls anything optimal."""

    def solver(problem: Matrix, time_limit: float) -> Answer:
        assert time_limit > 0
        wrong = np.resize(np.array(values), problem.cost.shape)
        return Answer(claim="optimal", values=wrong, prices=np.zeros(problem.bound.shape))

    return solver


def test_what_raised_needs_lack_the_problem_itself_may_have() -> None:
    """No solution with needs raised for rounding is no word about the needs as they are.

    V lacks 0.8 and w 1.75 of credit. W takes no lot of A (4.5 of at most 5), so it takes all ten
    of B (8.75 in steps of 2) at 1 each, and v two lots of A at 2 each: 14 on a carry of 28.9.
    """
    v = {
        "A": Eligibility(credit=F("0.5"), cost=F(2)),
        "B": Eligibility(credit=F(1), cost=F(1)),
    }
    w = {
        "A": Eligibility(credit=F("0.5"), cost=F(4), cap=F("0.9"), most=F(5)),
        "B": Eligibility(credit=F("0.2"), cost=F(1), cap=F("0.9")),
    }
    result = allocate(
        Problem(
            demands={
                "v": Demand(need=F(6), eligible=v, posted={"A": F("3.8"), "B": F("3.3")}),
                "w": Demand(need=F(4), eligible=w, posted={"A": F("4.5")}, is_movable=True),
            },
            resources={"A": Resource(step=F(1), is_lot=True), "B": Resource(step=F(2))},
            stocks={("A", ""): F(9), ("B", ""): F(10)},
        )
    )
    assert result.status == "optimal"
    assert posted(result) == {("v", "A"): 2, ("w", "B"): 10}
    assert result.objective == F("42.9")


@pytest.mark.parametrize("values", [[0.0], [1e6], [-5.0], [float("nan")]])
def test_a_solver_that_lies_is_caught(values: list[float]) -> None:
    """Nothing posted, too much, less than nothing or no number at all is no solution."""
    with pytest.raises(SolverFault):
        allocate(two_venues(), solver=lying(values))  # type: ignore[arg-type]


def test_a_solver_that_calls_the_possible_impossible_is_caught() -> None:
    """How little is missing is asked of it next: nothing is, and that betrays it."""

    def denying(problem: Matrix, time_limit: float) -> Answer:
        truth = highs(problem, time_limit)
        return Answer(claim="infeasible") if (problem.cost > 1e-9).sum() > 2 else truth

    with pytest.raises(SolverFault, match="a solution exists"):
        allocate(two_venues(), solver=denying)


def test_a_solver_that_stops_early_cannot_call_it_optimal() -> None:
    """A dear solution and no prices: the bound is what can be proved, and the gap says so."""

    def lazy(problem: Matrix, time_limit: float) -> Answer:
        worst = highs(replace(problem, cost=-problem.cost), time_limit)
        return replace(worst, prices=np.zeros(problem.bound.shape))

    result = allocate(two_venues(), solver=lazy)
    assert result.status == "feasible"
    assert result.bound == 0
    assert result.gap == 1


def test_every_fault_is_told_at_once() -> None:
    """Negative amounts, nothing eligible, unknown names and rising curves, each with its place."""
    curve = LossCurve(loss=F(-1), points=((F(0), F("0.1")), (F(0), F("0.2"))))
    problem = Problem(
        demands={
            "X": Demand(need=F(5), eligible={}, curve=curve),
            "Y": Demand(
                need=F(5),
                eligible={"Z": Eligibility(credit=F(-1))},
                posted={"Q": F(-1)},
                curve=CONVEX,
            ),
        },
        resources={"A": Resource(step=F(0))},
        stocks={("A", ""): F(-3), ("W", ""): F(1)},
        ways=[Way(origin="p", destination="p", rate=F(-1))],
        objective="probability",
    )
    places = {fault.where for fault in faults(problem)}
    assert places == {
        "/resources/A/step",
        "/stocks/A",
        "/stocks/W",
        "/demands/X/eligible",
        "/demands/X/curve/loss",
        "/demands/X/curve/points/1",
        "/demands/Y/eligible",
        "/demands/Y/eligible/Z",
        "/demands/Y/eligible/Z/credit",
        "/demands/Y/posted/Q",
        "/ways/0",
        "/ways/0/rate",
    }
    with pytest.raises(InvalidInput):
        allocate(problem)
