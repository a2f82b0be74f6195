"""Aave v2 by hand: what stands in the way, what is refused, and what is left."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import RAY, WAD
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate, load
from models.margin.venues import aave_v2
from models.margin.venues.aave_v2 import Reserve, Terms

AT = datetime(2026, 11, 30, tzinfo=UTC)
BOOK = load("aave-v2", "2-usd")
TERMS = Terms(
    reserves={
        "WETH": Reserve(decimals=18, ltv=7_500, threshold=8_000, bonus=10_500),
        "USDC": Reserve(decimals=6, ltv=8_000, threshold=8_500, bonus=10_500),
        "GOV": Reserve(decimals=18, ltv=0, threshold=0, bonus=0),
    }
)
INDICES = {
    f"{asset}.{side}_index": RAY for asset in TERMS.reserves for side in ("liquidity", "borrow")
}


def account(*legs: tuple[str, str, int]) -> Account:
    """Return an account of legs: kind, asset and smallest units."""
    return Account(
        id="a",
        venue="aave-v2",
        version="2-usd",
        market="core",
        legs=tuple(Leg(kind=LegKind(k), asset=asset, quantity=q) for k, asset, q in legs),
    )


def market(price: int, **state: int) -> Market:
    """Return a market with a price of ether in dollars."""
    values = {"WETH": price, "USDC": 1, "GOV": 10}
    prices = {
        asset: Price(value=value * 10**8, decimals=8, observed_at=AT)
        for asset, value in values.items()
    }
    dotted = {name.replace("__", "."): value for name, value in state.items()}
    return Market(at=AT, prices=prices, state={**INDICES, **dotted})


OWING = account(("collateral", "WETH", WAD), ("debt", "USDC", 1_600 * 10**6))
"""At 2,000 dollars the threshold of 80 % is met exactly."""


@pytest.mark.parametrize(
    ("price", "state", "verdict", "reason"),
    [
        (2_000, {}, "safe", "health_factor_at_least_one"),
        (1_999, {}, "liquidatable", "health_factor_below_one"),
        (1_999, {"paused": 1}, "not_executable", "LP_IS_PAUSED"),
        (1_999, {"WETH__inactive": 1}, "not_executable", "VL_NO_ACTIVE_RESERVE"),
        (1_999, {"USDC__inactive": 1}, "not_executable", "VL_NO_ACTIVE_RESERVE"),
        (2_000, {"WETH__liquidity_index": 0}, "unevaluable", "liquidity_index_missing"),
        (0, {}, "unevaluable", "price_not_positive"),
    ],
)
def test_verdicts(price: int, state: dict[str, int], verdict: str, reason: str) -> None:
    """One is safe; a pool that is paused liquidates nobody."""
    judged = BOOK.margin(OWING, market(price, **state), TERMS)
    assert (judged.verdict.value, judged.reason) == (verdict, reason)


def test_collateral_without_a_threshold_counts_for_nothing() -> None:
    """Whoever pledged nothing else cannot be liquidated though below one."""
    owing = account(("collateral", "GOV", 10**24), ("debt", "USDC", 10**6))
    judged = BOOK.margin(owing, market(2_000), TERMS)
    assert judged.verdict is Verdict.NOT_EXECUTABLE
    assert judged.reason == "LPCM_COLLATERAL_CANNOT_BE_LIQUIDATED"


def test_half_of_a_debt_is_repaid_at_most() -> None:
    """800 dollars at a bonus of 5 % take 840 dollars of ether; more is not repaid."""
    for repay in (None, 10**12):
        found = BOOK.liquidate(OWING, market(1_000), TERMS, Liquidate(repay=repay))  # type: ignore[misc]
        assert isinstance(found, Liquidation)
        assert found.repaid == {"USDC": 800 * 10**6}
        assert found.seized == {"WETH": 84 * 10**16}
        assert found.bonus == {"WETH": 4 * 10**16}
        assert found.after is not None
    part = BOOK.liquidate(OWING, market(1_000), TERMS, Liquidate(repay=100 * 10**6))  # type: ignore[misc]
    assert isinstance(part, Liquidation)
    assert part.seized == {"WETH": 105 * 10**15}


def test_where_collateral_does_not_suffice_all_of_it_is_seized() -> None:
    """500 dollars of ether at a bonus of 5 % pay for 476.190476 dollars: half up."""
    found = BOOK.liquidate(OWING, market(500), TERMS, Liquidate())  # type: ignore[misc]
    assert isinstance(found, Liquidation)
    assert found.seized == {"WETH": WAD}
    assert found.repaid == {"USDC": 476_190_476}


@pytest.mark.parametrize(
    ("wish", "state", "reason"),
    [
        (Liquidate(collateral_asset="GOV"), {}, "LPCM_COLLATERAL_CANNOT_BE_LIQUIDATED"),
        (
            Liquidate(debt_asset="WETH"),
            {},
            "LPCM_SPECIFIED_CURRENCY_NOT_BORROWED_BY_USER",
        ),
        (Liquidate(), {"paused": 1}, "LP_IS_PAUSED"),
        (Liquidate(), {"USDC__inactive": 1}, "VL_NO_ACTIVE_RESERVE"),
    ],
)
def test_refusals(wish: Liquidate, state: dict[str, int], reason: str) -> None:
    """By the venue's own names."""
    found = BOOK.liquidate(OWING, market(1_000, **state), TERMS, wish)  # type: ignore[misc]
    assert isinstance(found, Refusal)
    assert found.reason == reason


def test_interest_is_rounded_half_up() -> None:
    """A unit of a ray on an index of 1.5 ray is 1.5 units: two."""
    index = 15 * RAY // 10
    state = {"WETH.liquidity_index": index, "WETH.liquidity_rate": 31_536_000}
    state["WETH.updated_at"] = int(AT.timestamp()) - 1
    later = Market(at=AT, prices={}, state=state)
    assert aave_v2.index_now(later, "WETH", "liquidity") == index + 2


def test_health_is_rounded_half_up() -> None:
    """A credit of 1 over a debt of 3 is a third; one of 2 over 3 rounds up."""
    one = Terms(reserves={"A": Reserve(decimals=0, ltv=0, threshold=10_000, bonus=0)})
    prices = {"A": Price(value=1, decimals=8, observed_at=AT)}
    plain = Market(at=AT, prices=prices, state={})
    for collateral, health in ((1, 333333333333333333), (2, 666666666666666667)):
        held = {"A": aave_v2.Holding(collateral, 3, pledged=True)}
        assert aave_v2.account_data(held, plain, one).health_factor == health


def test_a_value_over_an_odd_bonus_is_rounded_half_up() -> None:
    """One over 0.03 % is 3,333 and a third; 5,251 over 105.01 % is 5,000.48."""
    assert aave_v2.per_percent(1, 3) == 3_333
    assert aave_v2.per_percent(5_251, 10_501) == 5_000


def test_what_is_burnt_is_rounded_half_up() -> None:
    """One of a balance at an index of 1.5 burns two thirds of a scaled unit: one."""
    dear = market(2_000, USDC__borrow_index=15 * RAY // 10)
    owing = account(("debt", "USDC", 10))
    left = aave_v2.without(owing, dear, {(LegKind.DEBT, "USDC"): 1})
    assert [leg.quantity for leg in left.legs] == [9]


def test_collateral_that_just_suffices_pays_for_the_whole_wish() -> None:
    """Where what is seized is all that there is, half of the debt is repaid, not what it is worth.

    100 of debt at a bonus of 5 % take 10.5 of a collateral at a price of ten: ten, rounded down,
    which would pay for 95 alone.
    """
    terms = Terms(
        reserves={
            "A": Reserve(decimals=0, ltv=0, threshold=8_000, bonus=10_500),
            "B": Reserve(decimals=0, ltv=0, threshold=0, bonus=0),
        }
    )
    prices = {
        asset: Price(value=value, decimals=8, observed_at=AT)
        for asset, value in {"A": 10, "B": 1}.items()
    }
    plain = Market(at=AT, prices=prices, state={})
    held = {
        "A": aave_v2.Holding(10, 0, pledged=True),
        "B": aave_v2.Holding(0, 200, pledged=False),
    }
    assert aave_v2.seizure(held, "A", "B", plain, terms, repay=None) == (100, 10)


def test_holdings_are_told_in_whole_tokens_with_interest() -> None:
    """An index of 1.5 makes 2,400 of 1,600."""
    dear = market(2_000, USDC__borrow_index=15 * RAY // 10)
    told = BOOK.tokens(OWING, dear, TERMS)  # type: ignore[misc]
    assert not isinstance(told, Refusal)
    assert [each.amount for each in told] == [Fraction(1), Fraction(2_400)]
