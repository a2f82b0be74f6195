"""Plans: sized by the rulebook, the cheapest that reaches, and honest where none does."""

from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from features.inputs import Floats
from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import RAY, WAD
from models.margin.perpetual import tiers_from
from models.margin.result import Verdict
from models.margin.rulebook import load
from models.margin.venues import aave_v3_terms, hyperliquid, maker
from serving.evaluation.actions import Action, Constraints, action_options, apply
from serving.evaluation.actions import ActionCost as Cost
from serving.evaluation.inputs import AccountInput
from serving.evaluation.plan import Target, plan

AT = datetime(2026, 1, 5, tzinfo=UTC)
RAD = WAD * RAY
VAULT_TERMS = maker.Terms(
    mat=RAY * 3 // 2, duty=RAY, dust=500 * RAD, chop=WAD, hole=RAD * 10**9, hole_all=RAD * 10**9
)


def unasked(accounts: Sequence[Account]) -> Floats:
    """Fail when a probability is asked for."""
    raise AssertionError(accounts)


def case_of(venue: str, legs: Sequence[Leg], prices: dict[str, Price], **rest: Any) -> AccountInput:
    """Return a case of one account."""
    version = {"maker": "dss", "aave-v3": "3.3", "hyperliquid": "2026-09"}[venue]
    market = Market(at=AT, prices=prices, state=rest.get("state", {}))
    account = Account(id="a", venue=venue, version=version, market="E", legs=tuple(legs))
    book = load(venue, version)
    return AccountInput(
        place="/account", account=account, rulebook=book, market=market, terms=rest["terms"]
    )


def vault(ink: int = 10 * WAD, art: int = 10_000 * WAD, price: int = 1_600) -> AccountInput:
    """Return a vault that must hold 150 %, of 10 ETH at 1,600 against 10,000 DAI."""
    legs = [
        Leg(kind=LegKind.COLLATERAL, asset="ETH", quantity=ink),
        Leg(kind=LegKind.DEBT, asset="DAI", quantity=art),
    ]
    prices = {"ETH": Price(value=price * WAD, decimals=18, observed_at=AT)}
    return case_of("maker", legs, prices, terms=VAULT_TERMS, state={"E.rate": RAY})


def perpetual(cash: int = 1_000, size: int = 10) -> AccountInput:
    """Return 10 coins long at 1,000 with 1,000 behind them and 2 % to be kept."""
    legs = [
        Leg(kind=LegKind.COLLATERAL, asset="USDC", quantity=cash),
        Leg(kind=LegKind.POSITION, asset="C", quantity=size, entry=1_000),
    ]
    prices = {"C": Price(value=1_000, decimals=0, observed_at=AT)}
    coin = tiers_from([(Fraction(0), Fraction(1, 50), 25)])
    return case_of("hyperliquid", legs, prices, terms=hyperliquid.Terms(coins={"C": coin}))


def test_repayment_is_the_least_that_suffices() -> None:
    """16,000 / 1.5 covers 10,000 by 1.0667; 1.25 needs the debt at 8,533.33, rounded down."""
    case = vault()
    found = plan(case, Target(health=Fraction(5, 4)), Constraints(kinds=("repay",)), risk=unasked)
    assert found.is_reached
    assert [a.quantity for a in found.actions] == [10_000 * WAD - 8_533_333333333333333333]
    side = found.margin.maintenance
    assert side is not None
    assert side.credit * 4 >= side.requirement * 5
    less = [Action(tool=a.tool, quantity=a.quantity - 1) for a in found.actions]
    short = case.rulebook.margin(apply(case.account, less), case.market, case.terms).maintenance
    assert short is not None
    assert short.credit * 4 < short.requirement * 5


def test_least_value_decides_where_nothing_costs() -> None:
    """Repaying 1,466.67 moves less than adding 2,750 of ETH does."""
    found = plan(
        vault(), Target(health=Fraction(5, 4)), Constraints(kinds=("add", "repay")), risk=unasked
    )
    assert [a.tool.kind for a in found.actions] == ["repay"]


def test_cost_decides_before_value() -> None:
    """Dear repayment loses to cheap collateral; spot is cut at 27 digits: one wei more."""
    prices = {"repay": Cost(rate=Fraction(1, 10)), "add": Cost(rate=Fraction(1, 100))}
    means = Constraints(kinds=("repay", "add"), prices=prices)
    found = plan(vault(), Target(health=Fraction(5, 4)), means, risk=unasked)
    assert [(a.tool.kind, a.quantity) for a in found.actions] == [("add", 1718750000000000001)]
    assert found.cost == Fraction(1718750000000000001 * 1_600, 100 * WAD)


def test_mix_where_no_balance_suffices_alone() -> None:
    """1,000 DAI is spent whole, and ETH fills what is left: 9,000 · 1.25 · 1.5 = 16,875."""
    means = Constraints(kinds=("repay", "add"), balances={"DAI": 1_000 * WAD, "ETH": 1 * WAD})
    found = plan(vault(), Target(health=Fraction(5, 4)), means, risk=unasked)
    assert [(a.tool.kind, a.quantity) for a in found.actions] == [
        ("repay", 1_000 * WAD),
        ("add", 546875000000000001),
    ]


def test_mix_is_the_cheapest_of_all_tried_by_hand() -> None:
    """No pair of whole amounts on a coarse grid reaches the target for less."""
    prices = {
        "repay": Cost(fixed=Fraction(3), rate=Fraction(2, 100)),
        "add": Cost(rate=Fraction(5, 100)),
    }
    balances = {"DAI": 1_200 * WAD, "ETH": 2 * WAD}
    case, target = vault(), Target(health=Fraction(5, 4))
    means = Constraints(kinds=("repay", "add"), balances=balances, prices=prices)
    found = plan(case, target, means, risk=unasked)
    repay, add = action_options(case, means)
    cheapest = min(
        repay.cost(dai * WAD) + add.cost(eth * WAD // 100)
        for dai, eth in product(range(0, 1_201, 10), range(201))
        if (16_000 + 16 * eth) * 4 >= (10_000 - dai) * 5 * Fraction(3, 2)
    )
    assert found.cost <= cheapest
    assert found.cost > cheapest - Fraction(2)


def test_vault_is_not_left_below_the_dust() -> None:
    """A repayment that would leave less than 500 DAI is made whole."""
    case = vault(ink=WAD, art=1_000 * WAD, price=1_600)
    found = plan(case, Target(health=Fraction(4)), Constraints(kinds=("repay",)), risk=unasked)
    assert [a.quantity for a in found.actions] == [1_000 * WAD]
    assert found.margin.reason == "no_debt"


def test_swap_sells_collateral_for_debt() -> None:
    """ETH sold at a loss of 1 % repays the debt; the account ends just within the target."""
    case = vault()
    means = Constraints(kinds=("swap",), prices={"swap": Cost(rate=Fraction(1, 100))})
    found = plan(case, Target(health=Fraction(5, 4)), means, risk=unasked)
    (action,) = found.actions
    sold = Fraction(int(action.quantity), WAD) * 1_600
    # (16,000 - x) / 1.5 = 1.25 · (10,000 - .99 x)
    assert float(sold) == pytest.approx(2_750 / (1.875 * 0.99 - 1), abs=1e-9)
    assert found.cost == sold / 100


def test_position_is_reduced_at_the_mark() -> None:
    """Equity 1,000 is 5 times 200; 10 times needs half the position closed."""
    found = plan(
        perpetual(), Target(health=Fraction(10)), Constraints(kinds=("reduce",)), risk=unasked
    )
    assert [a.quantity for a in found.actions] == [5]
    assert found.after.legs[0].quantity == 1_000
    assert found.value == 5_000


def test_reduction_pays_its_fee() -> None:
    """A fee of 1 % of what is closed leaves equity 1,000 - 10 q and must meet 10 · 20 (10 - q)."""
    means = Constraints(kinds=("reduce",), prices={"reduce": Cost(rate=Fraction(1, 100))})
    found = plan(perpetual(), Target(health=Fraction(10)), means, risk=unasked)
    (action,) = found.actions
    assert action.quantity == Fraction(526315790, 10**8)  # 1,000 / 190, rounded up to the step
    assert found.margin.verdict is Verdict.SAFE


def test_probability_target_enlarges_the_plan() -> None:
    """The least repayment on the fan whose probability is within the target, not just healthy."""
    case = vault()

    def risk(accounts: Sequence[Account]) -> Floats:
        return np.array([float(a.legs[1].quantity) / (20_000 * WAD) for a in accounts])

    target = Target(health=Fraction(5, 4), probability=0.30)
    found = plan(case, target, Constraints(kinds=("repay",)), risk=risk)
    assert found.is_reached
    assert found.probability is not None
    assert 0.2999 < found.probability <= 0.30


def test_best_is_told_where_the_means_do_not_suffice() -> None:
    """With 100 DAI the target is out of reach; the plan spends them and says so."""
    means = Constraints(kinds=("repay", "add"), balances={"DAI": 100 * WAD})
    found = plan(vault(), Target(health=Fraction(5, 4)), means, risk=unasked)
    assert (found.is_reached, found.reason) == (False, "means_do_not_suffice")
    assert [(a.tool.kind, a.quantity) for a in found.actions] == [("repay", 100 * WAD)]
    side = found.margin.maintenance
    assert side is not None
    assert side.requirement == 9_900 * RAD


def test_no_forecast_is_never_taken_for_safety() -> None:
    """Where the model says nothing a probability target cannot be reached."""
    target = Target(health=Fraction(11, 10), probability=0.05)
    found = plan(
        vault(), target, Constraints(kinds=("repay",)), risk=lambda a: np.full(len(a), np.nan)
    )
    assert found.is_reached == (found.probability is not None and found.probability <= 0.05)
    assert not found.is_reached
    assert found.reason == "no_forecast"


def test_nothing_to_do_and_nothing_that_can_be_done() -> None:
    """A healthy account needs no action; one without a usable price gets no plan."""
    assert (
        plan(vault(art=1_000 * WAD), Target(), Constraints(), risk=unasked).reason
        == "already_there"
    )
    assert plan(vault(price=0), Target(), Constraints(), risk=unasked).reason == "not_evaluable"
    idle = plan(vault(), Target(health=Fraction(2)), Constraints(kinds=()), risk=unasked)
    assert (idle.reason, idle.actions) == ("no_action_open", ())


def pool(*legs: Leg) -> AccountInput:
    """Return an account of three assets at a dollar each, of which B counts 60 %, A and D 80 %."""
    reserve = {"decimals": 0, "ltv": 5_000, "bonus": 10_500}
    terms = aave_v3_terms.Terms(
        reserves={
            "A": aave_v3_terms.Reserve(id=0, threshold=8_000, **reserve),
            "B": aave_v3_terms.Reserve(id=1, threshold=6_000, **reserve),
            "D": aave_v3_terms.Reserve(id=2, threshold=8_000, **reserve),
        }
    )
    state = {f"{asset}.{side}_index": RAY for asset in "ABD" for side in ("liquidity", "borrow")}
    prices = {a: Price(value=10**8, decimals=8, observed_at=AT) for a in "ABD"}
    return case_of("aave-v3", legs, prices, terms=terms, state=state)


def test_two_collaterals_of_different_weight() -> None:
    """The collateral that counts more is added; 200 would do, were thresholds not cut to .01 %."""
    case = pool(
        Leg(kind=LegKind.COLLATERAL, asset="B", quantity=1_000),
        Leg(kind=LegKind.COLLATERAL, asset="A", quantity=1_000),
        Leg(kind=LegKind.DEBT, asset="D", quantity=1_300),
    )
    found = plan(case, Target(health=Fraction(12, 10)), Constraints(kinds=("add",)), risk=unasked)
    assert [(a.tool.leg, a.quantity) for a in found.actions] == [(1, 201)]


@pytest.mark.parametrize("probability", [None, 0.5])
def test_a_balance_is_spent_once_where_its_asset_is_held_and_owed(
    probability: float | None,
) -> None:
    """200 of D repay to 1,200 / 1,100 or add to 1,360 / 1,300; both would be 1,360 / 1,100."""
    case = pool(
        Leg(kind=LegKind.COLLATERAL, asset="A", quantity=1_000),
        Leg(kind=LegKind.COLLATERAL, asset="D", quantity=500),
        Leg(kind=LegKind.DEBT, asset="D", quantity=1_300),
    )
    means = Constraints(kinds=("repay", "add"), balances={"D": 200})
    out_of_reach = Target(health=Fraction(6, 5), probability=probability)
    found = plan(case, out_of_reach, means, risk=lambda accounts: np.zeros(len(accounts)))
    assert not found.is_reached
    assert [(a.tool.kind, a.quantity) for a in found.actions] == [("repay", 200)]
    near = plan(case, Target(health=Fraction(107, 100)), means, risk=unasked)
    assert near.is_reached
    assert sum(action.quantity for action in near.actions) <= 200
