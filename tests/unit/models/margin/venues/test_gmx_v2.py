"""GMX positions: fees, caps, reverts, the order of the floors and closing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate
from models.margin.venues import gmx_v2
from models.margin.venues.gmx_v2 import FLOAT, Bounds, Position, Terms

AT = datetime(2026, 1, 1, tzinfo=UTC)
USD = FLOAT
TERMS = Terms(
    min_collateral_factor=FLOAT // 100,
    min_collateral_usd=USD,
    position_fee_factor=FLOAT // 1000,
    max_impact_factor=FLOAT // 200,
    liquidation_fee_factor=FLOAT // 500,
)
ONE = Bounds(low=10**24, high=10**24)
INDEX = Bounds(low=2 * 10**15, high=2 * 10**15)
LONG = Position(side="long", size_usd=1000 * USD, size_tokens=5 * 10**17, collateral=100_000_000)


def account(quantity: int = 5 * 10**17, collateral: int = 100_000_000, **options: int) -> Account:
    """Return a position of 1,000 USD at 2,000 with USDC behind it."""
    entry = Fraction(1000 * USD, abs(quantity)) if quantity else None
    return Account(
        id="p",
        venue="gmx-v2",
        version="a5c0c883",
        market="ETH",
        legs=(
            Leg(kind=LegKind.COLLATERAL, asset="USDC", quantity=collateral),
            Leg(kind=LegKind.POSITION, asset="WETH", quantity=quantity, entry=entry),
        ),
        options=options,
    )


def market(index: int = 2 * 10**15, state: dict[str, int] | None = None) -> Market:
    """Return the market at one index price."""
    return Market(
        at=AT,
        prices={
            "WETH": Price(value=index, decimals=12, observed_at=AT),
            "USDC": Price(value=10**24, decimals=24, observed_at=AT),
        },
        state=state or {},
    )


def test_margin_of_a_long() -> None:
    """Remaining collateral is what is left after the closing fee."""
    found = gmx_v2.margin(account(), market(), TERMS)
    assert (found.verdict, found.reason) == (Verdict.SAFE, "above_min_collateral")
    assert found.maintenance is not None
    assert found.maintenance.credit == 99 * USD
    assert found.maintenance.requirement == 10 * USD
    assert found.ratio is not None
    assert found.ratio.value == Fraction(99, 1000)


@pytest.mark.parametrize(
    ("collateral", "reason"),
    [
        (11_000_000, "above_min_collateral"),
        (10_999_999, "min collateral for leverage"),
        (2_000_000, "min collateral for leverage"),
        (1_999_999, "min collateral"),
        (0, "min collateral"),
    ],
)
def test_order_of_the_floors(collateral: int, reason: str) -> None:
    """The least collateral in USD comes first; each floor itself is allowed."""
    found = gmx_v2.margin(account(collateral=collateral), market(), TERMS)
    assert found.reason == reason


def test_spread_is_taken_against_the_owner() -> None:
    """A long is valued at the lower, a short at the upper index price."""
    spread = Bounds(low=19 * 10**14, high=21 * 10**14)
    assert gmx_v2.profit(LONG, spread) == -50 * USD
    assert gmx_v2.profit(replace(LONG, side="short"), spread) == -50 * USD
    held = market()
    price = replace(held.prices["WETH"], bid=19 * 10**14, ask=21 * 10**14)
    assert gmx_v2.bounds(price) == spread


def test_fees_round_each_their_own_way() -> None:
    """Closing and borrowing fees are floored, funding is rounded up."""
    token = Bounds(low=3 * 10**24, high=3 * 10**24)
    one = replace(LONG, borrowing_rise=FLOAT // 1000)
    assert gmx_v2.fee_amount(one, token, TERMS) == 333_333 + 333_333
    funded = replace(LONG, funding_rise=1)
    assert gmx_v2.fee_amount(funded, token, TERMS) == 333_333 + 1
    assert gmx_v2.liquidation_fee(LONG, token, TERMS) == 666_667


@pytest.mark.parametrize(
    ("pending", "impact", "counted"),
    [
        (0, USD, 0),
        (10**15, 0, 0),
        (0, -3 * USD, -3 * USD),
        (-(10**15), 0, -(21 * 10**29)),
        (10**15, -3 * USD, -(11 * 10**29)),
        (0, -6 * USD, -5 * USD),
    ],
)
def test_price_impact(pending: int, impact: int, counted: int) -> None:
    """Never positive, capped, pending impact at the price against the owner."""
    spread = Bounds(low=19 * 10**14, high=21 * 10**14)
    one = replace(LONG, pending_impact=pending, impact_usd=impact)
    assert gmx_v2.price_impact(one, spread, TERMS) == counted


def test_pool_cap_scales_profit_only() -> None:
    """A side whose profits are capped pays each position its share, floored."""
    assert gmx_v2.capped_profit(100, pool_pnl=3, capped_pool_pnl=2) == 66
    assert gmx_v2.capped_profit(-100, pool_pnl=3, capped_pool_pnl=2) == -100
    assert gmx_v2.capped_profit(100, pool_pnl=0, capped_pool_pnl=5) == 100
    assert gmx_v2.capped_profit(100, pool_pnl=3, capped_pool_pnl=0) == 100
    state = {"ETH.pool_pnl.long": 4, "ETH.capped_pool_pnl.long": 1}
    found = gmx_v2.margin(account(), market(22 * 10**14, state), TERMS)
    assert found.maintenance is not None
    assert found.maintenance.credit == (99 + 25) * USD


@pytest.mark.parametrize(
    ("held", "at", "reason"),
    [
        (account(), Market(at=AT, prices={}), "price_missing"),
        (account(), market(0), "price_not_positive"),
        (account(10**30), market(2**250), "overflow"),
        (account(collateral=2**256), market(), "overflow"),
        (account(borrowing_factor=1), market(), "borrowing_factor_missing"),
        (
            account(),
            market(state={"ETH.cumulative_borrowing_factor.long": 1}),
            "borrowing_factor_missing",
        ),
        (
            account(borrowing_factor=2),
            market(state={"ETH.cumulative_borrowing_factor.long": 1}),
            "UnexpectedBorrowingFactor",
        ),
        (
            account(funding_fee_amount_per_size=2),
            market(state={"ETH.funding_fee_amount_per_size.long": 1}),
            "UnexpectedFundingFactor",
        ),
        (
            Account(
                id="p",
                venue="gmx-v2",
                version="1",
                market="ETH",
                legs=(Leg(kind=LegKind.POSITION, asset="WETH", quantity=1, entry=1),),
            ),
            market(),
            "one_position_and_its_collateral_expected",
        ),
    ],
)
def test_what_cannot_be_judged(held: Account, at: Market, reason: str) -> None:
    """Missing figures and reverts make the position unevaluable, liquidation refused."""
    found = gmx_v2.margin(held, at, TERMS)
    assert (found.verdict, found.reason) == (Verdict.UNEVALUABLE, reason)
    assert gmx_v2.liquidate(held, at, TERMS, Liquidate()) == Refusal(reason)


def test_no_position_is_safe() -> None:
    """Collateral alone owes nothing."""
    assert gmx_v2.margin(account(0), market(), TERMS).reason == "no_position"


def test_disabled_market_is_eligible_but_not_executable() -> None:
    """A breached position of a disabled market waits."""
    found = gmx_v2.margin(account(), market(10**15, {"ETH.is_disabled": 1}), TERMS)
    assert (found.verdict, found.reason) == (Verdict.NOT_EXECUTABLE, "DisabledMarket")
    refused = gmx_v2.liquidate(
        account(), market(10**15, {"ETH.is_disabled": 1}), TERMS, Liquidate()
    )
    assert refused == Refusal("DisabledMarket")


def test_liquidation_returns_what_is_left() -> None:
    """Loss, closing fee and liquidation fee come out, the rest goes back."""
    found = gmx_v2.liquidate(account(collateral=10_000_000), market(), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.seized == {"USDC": 3_000_000}
    assert found.protocol_fee == {"USDC": 3_000_000}
    assert found.bad_debt == {"USDC": 0}
    assert found.after is not None
    assert found.after.verdict is Verdict.SAFE


def test_liquidation_below_zero_is_bad_debt() -> None:
    """A loss beyond the collateral is the pool's, rounded up."""
    price = 18 * 10**14 - 1
    found = gmx_v2.liquidate(account(), market(price), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.seized == {"USDC": 100_000_000}
    assert found.bad_debt == {"USDC": 3_000_001}
    safe = gmx_v2.liquidate(account(), market(), TERMS, Liquidate())
    assert safe == Refusal("PositionShouldNotBeLiquidated", "above_min_collateral")


def test_borrowing_accrues_with_time() -> None:
    """The cumulative factor grows by its rate each second."""
    state = {
        "ETH.borrowing_factor_per_second.long": 7,
        "ETH.cumulative_borrowing_factor.long": 100,
    }
    later = gmx_v2.accrue(market(state=state), TERMS, AT + timedelta(hours=1))
    assert later.state["ETH.cumulative_borrowing_factor.long"] == 100 + 7 * 3600
    assert later.at == AT + timedelta(hours=1)


def test_shares_of_the_size_are_floored() -> None:
    """A size of one unit short of whole pays and must keep the floor of each share."""
    unit = Bounds(low=1, high=1)
    terms = replace(TERMS, min_collateral_factor=FLOAT // 2, position_fee_factor=FLOAT // 2)
    one = Position(side="long", size_usd=3, size_tokens=3, collateral=10)
    assert gmx_v2.fee_amount(one, unit, terms) == 1
    assert gmx_v2.fee_amount(replace(one, borrowing_rise=FLOAT // 2), unit, terms) == 2
    assert gmx_v2.fee_amount(replace(one, funding_rise=10**45 // 2), unit, terms) == 3
    check = gmx_v2.liquidation_check(one, pnl=0, index=unit, token=unit, terms=terms, min_usd=None)
    assert (check.remaining, check.min_for_leverage, check.reason) == (9, 1, "")
    halved = replace(terms, max_impact_factor=FLOAT // 2, liquidation_fee_factor=FLOAT // 2)
    assert gmx_v2.price_impact(replace(one, impact_usd=-3), unit, halved) == -1
    assert gmx_v2.liquidation_fee(one, unit, halved) == 1


def test_what_is_returned_is_floored() -> None:
    """Less than one unit of collateral left over stays with the pool."""
    held = account(collateral=10_000_000)
    at = market(2 * 10**15 - 1)
    found = gmx_v2.liquidate(held, at, TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.seized == {"USDC": 3_000_001}


def test_bankruptcy_price() -> None:
    """A long is worth nothing at 1,802, a short at 2,198 dollars."""
    assert gmx_v2.bankruptcy_price(account(), market(), TERMS) == 1802 * 10**12
    assert gmx_v2.bankruptcy_price(account(-5 * 10**17), market(), TERMS) == 2198 * 10**12
    rich = account(collateral=2_000_000_000)
    assert gmx_v2.bankruptcy_price(rich, market(), TERMS) is None
    at_zero = account(collateral=1_001_000_000)
    assert gmx_v2.bankruptcy_price(at_zero, market(), TERMS) is None
    assert gmx_v2.bankruptcy_price(account(0), market(), TERMS) == Refusal("no_position")
    assert gmx_v2.bankruptcy_price(account(), market(0), TERMS) == Refusal("price_not_positive")


def test_largest_amount_a_contract_holds() -> None:
    """2^255 - 1 still fits, one more does not."""
    at = market()
    prices = {**at.prices, "USDC": replace(at.prices["USDC"], value=1)}
    for collateral, verdict in ((2**255 - 1, Verdict.SAFE), (2**255, Verdict.UNEVALUABLE)):
        held = account(collateral=collateral)
        assert gmx_v2.margin(held, replace(at, prices=prices), TERMS).verdict is verdict


def test_either_side_of_a_spread_must_be_positive() -> None:
    """A zero minimum price cannot be judged by."""
    at = market()
    prices = {**at.prices, "WETH": replace(at.prices["WETH"], bid=0)}
    found = gmx_v2.margin(account(), replace(at, prices=prices), TERMS)
    assert found.reason == "price_not_positive"
