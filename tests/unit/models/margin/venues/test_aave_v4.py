"""Aave v4 where no vector looks: the rulebook over accounts, switches, deficits."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import MAX_UINT256, RAY, WAD
from models.margin.result import Liquidation, Margin, Refusal, Verdict
from models.margin.rulebook import Liquidate, Rulebook, load
from models.margin.trigger import price_trigger
from models.margin.venues import aave_v4
from models.margin.venues.aave_v4_account import Hub, account_data, risk_premium
from models.margin.venues.aave_v4_liquidation import (
    Amounts,
    Collateral,
    Curve,
    Debt,
    debt_for_all,
    debt_to_liquidate,
    debt_to_target,
    leaves_collateral_dust,
    liquidation_amounts,
    liquidation_bonus,
    payment,
)
from models.margin.venues.aave_v4_positions import Config, Reserve, Terms, prepare

AT = datetime(2026, 1, 1, tzinfo=UTC)
CURVE = Curve(
    target_health_factor=105 * 10**16, max_bonus_health_factor=9 * 10**17, bonus_factor=5_000
)
TERMS = Terms(
    reserves={
        "WETH": Reserve(
            decimals=18,
            risk=500,
            configs={
                "old": Config(factor=8_300, max_bonus=10_500, fee=1_000),
                "new": Config(factor=5_000, max_bonus=11_000, fee=1_000),
            },
        ),
        "USDC": Reserve(decimals=6, risk=0, configs={"1": Config(factor=7_800)}),
    },
    curve=CURVE,
)


def account(owed: int, *, key: str | None = "old", **options: int) -> Account:
    """Return an account of 10 WETH that owes USDC."""
    legs = (
        Leg(kind=LegKind.COLLATERAL, asset="WETH", quantity=10 * WAD, key=key),
        Leg(kind=LegKind.DEBT, asset="USDC", quantity=owed),
    )
    named = {name.replace("__", "."): value for name, value in options.items()}
    return Account(
        id="a", venue="aave-v4", version="0.5.11", market="main", legs=legs, options=named
    )


def market(weth: int = 2_000 * 10**8, **state: int) -> Market:
    """Return a market in which shares are worth one unit each."""
    totals = {"WETH.added_assets": 10**24, "WETH.added_shares": 10**24, "USDC.drawn_index": RAY}
    prices = {
        "WETH": Price(value=weth, decimals=8, observed_at=AT),
        "USDC": Price(value=10**8, decimals=8, observed_at=AT),
    }
    named = {name.replace("__", "."): value for name, value in state.items()}
    return Market(at=AT, prices=prices, state={**totals, **named})


def judge(held: Account, at: Market, terms: Terms = TERMS) -> Margin:
    """Judge an account."""
    book: Rulebook[Terms] = load("aave-v4", "0.5.11")
    return book.margin(held, at, terms)


def liquidate(held: Account, at: Market, **request: Any) -> Liquidation | Refusal:
    """Liquidate an account."""
    book: Rulebook[Terms] = load("aave-v4", "0.5.11")
    assert book.liquidate is not None
    return book.liquidate(held, at, TERMS, Liquidate(**request))


def test_equality_is_safe() -> None:
    """A health factor of exactly 1 is safe; one unit more of debt is not."""
    assert judge(account(16_600 * 10**6), market()).verdict is Verdict.SAFE
    judged = judge(account(16_600 * 10**6 + 1), market())
    assert (judged.verdict, judged.reason) == (Verdict.LIQUIDATABLE, "health_factor_below_one")


def test_premium_is_owed() -> None:
    """One unit of premium tips an account that stood at equality."""
    held = account(16_600 * 10**6, USDC__premium_shares=2, USDC__premium_offset_ray=2 * RAY)
    assert judge(held, market()).verdict is Verdict.SAFE
    held = account(16_600 * 10**6, USDC__premium_shares=2, USDC__premium_offset_ray=2 * RAY - 1)
    assert judge(held, market()).verdict is Verdict.LIQUIDATABLE
    held = account(1, USDC__premium_offset_ray=1)
    assert judge(held, market()).reason == "premium_offset_invalid"


def test_parameters_belong_to_the_position() -> None:
    """The same holdings are safe under one configuration and not under another."""
    assert judge(account(12_000 * 10**6), market()).verdict is Verdict.SAFE
    newer = judge(account(12_000 * 10**6, key="new"), market())
    assert newer.verdict is Verdict.LIQUIDATABLE
    for key in (None, "lost"):
        assert judge(account(1, key=key), market()).reason == "dynamic_config_unknown"


def test_unevaluable() -> None:
    """What is missing or too wide is said; without debt the account is safe."""
    full = market()
    for at, reason in (
        (market(weth=0), "price_not_positive"),
        (replace(full, prices={}), "price_missing"),
        (replace(full, state={"USDC.drawn_index": RAY}), "hub_totals_missing"),
        (
            replace(full, state={"WETH.added_assets": 1, "WETH.added_shares": 1}),
            "drawn_index_missing",
        ),
        (market(weth=MAX_UINT256), "overflow"),
    ):
        judged = judge(account(1), at)
        assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, reason)
        assert judge(account(0), replace(at, prices={})).reason == "no_debt"
    assert judge(account(MAX_UINT256), full).reason == "overflow"
    assert judge(account(2**120), full).reason == "overflow"
    assert judge(account(1), full, replace(TERMS, reserves={})).reason == "reserve_unknown"


def test_legs_that_make_no_sense() -> None:
    """A position, a negative amount or a second leg of a kind is refused."""
    held = account(1)
    collateral, debt = held.legs
    for legs, reason in (
        ((replace(collateral, kind=LegKind.POSITION), debt), "leg_kind_unknown"),
        ((collateral, collateral, debt), "leg_kind_unknown"),
        ((replace(collateral, quantity=-1), debt), "quantity_invalid"),
    ):
        assert judge(replace(held, legs=legs), market()).reason == reason


def test_unpledged_collateral_does_not_count() -> None:
    """Collateral that is not in use neither counts nor needs a price."""
    held = account(1)
    held = replace(held, legs=(replace(held.legs[0], pledged=False), held.legs[1]))
    judged = judge(held, market())
    assert (judged.verdict, judged.reason) == (
        Verdict.NOT_EXECUTABLE,
        "ReserveNotEnabledAsCollateral",
    )
    assert judged.prices == ("USDC",)


@pytest.mark.parametrize("asset", ["WETH", "USDC"])
def test_paused(asset: str) -> None:
    """A pause of either reserve leaves the account eligible, not executable."""
    at = market(**{f"{asset}__paused": 1})
    judged = judge(account(17_000 * 10**6), at)
    assert (judged.verdict, judged.reason) == (Verdict.NOT_EXECUTABLE, "ReservePaused")
    refused = liquidate(account(17_000 * 10**6), at)
    assert isinstance(refused, Refusal)
    assert refused.reason == "ReservePaused"


@pytest.mark.parametrize(
    ("owed", "request_", "reason"),
    [
        (17_000, {"repay": 0}, "InvalidDebtToCover"),
        (17_000, {"collateral_asset": "USDC"}, "ReserveNotSupplied"),
        (17_000, {"debt_asset": "WETH"}, "ReserveNotBorrowed"),
        (10_000, {}, "HealthFactorNotBelowThreshold"),
        (16_600, {}, "HealthFactorNotBelowThreshold"),
        (17_000, {"repay": 1}, None),
    ],
)
def test_refusals(owed: int, request_: dict[str, Any], reason: str | None) -> None:
    """Refusals carry the contract's codes, in its order."""
    found = liquidate(account(owed * 10**6), market(), **request_)
    assert (found.reason if isinstance(found, Refusal) else None) == reason


def test_liquidation_to_target() -> None:
    """Debt is repaid up to the target health, with the bonus that this health earns."""
    done = liquidate(account(17_000 * 10**6), market())
    assert isinstance(done, Liquidation)
    # health 0.97647 earns 250 + 250·0.0235/0.1 = 308 bps; 1.0308·0.83 = 0.855564, so that
    # (17,000·1.05 - 16,600) / (1.05 - 0.855564) = 6,428.850625 is repaid
    assert done.repaid == {"USDC": 6_428_850_625}
    assert done.seized == {"WETH": 3_313_429_612_125_000_000}
    assert done.bonus == {"WETH": 99_004_299_625_000_000}
    assert done.protocol_fee == {"WETH": 9_900_429_962_500_000}
    assert done.after is not None
    assert done.after.ratio is not None
    assert done.after.ratio.value is not None
    assert 105 * 10**16 <= done.after.ratio.value < 105 * 10**16 + 10**9
    assert not done.is_toxic


def test_unchanged_health_is_not_toxic() -> None:
    """Toxic means worse."""
    same, worse = (judge(account(owed * 10**6), market()) for owed in (1_000, 2_000))
    assert not aave_v4.is_worse(same, same)
    assert aave_v4.is_worse(worse, same)


def test_deficit() -> None:
    """The last collateral gone, the debt that remains is written off."""
    done = liquidate(account(25_000 * 10**6), market())
    assert isinstance(done, Liquidation)
    assert done.repaid == {"USDC": 19_047_619_048}
    assert done.seized == {"WETH": 10 * WAD}
    assert done.bonus == {"WETH": 476_190_476_190_476_191}
    assert done.bad_debt == {"USDC": 5_952_380_952}
    assert done.after is not None
    assert done.after.reason == "no_debt"


def test_price_trigger() -> None:
    """The first price at which the account can be liquidated is exact."""
    book: Rulebook[Terms] = load("aave-v4", "0.5.11")
    found = price_trigger(book, account(8_300 * 10**6), market(), TERMS, asset="WETH")
    assert found is not None
    assert found.value == 1_000 * 10**8 - 1


@pytest.mark.parametrize(
    ("health", "bonus"),
    [(9 * 10**17, 10_500), (9 * 10**17 + 1, 10_499), (95 * 10**16, 10_375), (WAD - 1, 10_250)],
)
def test_bonus_grows_as_health_falls(health: int, bonus: int) -> None:
    """From half the bonus at 1 to all of it at 0.9, truncated."""
    assert liquidation_bonus(CURVE, max_bonus=10_500, health_factor=health) == bonus


def test_risk_premium() -> None:
    """The safest collateral covers first, the larger of equals before the smaller."""
    assert risk_premium([(500, 60), (0, 50), (1_000, 99)], 100 * RAY) == 250
    assert risk_premium([(500, 60), (0, 50)], 101 * RAY - 1) == 253
    assert risk_premium([(500, 10)], 100 * RAY) == 500
    assert risk_premium([(500, 10)], 0) == 0
    assert risk_premium([], RAY) == 0


def test_premium_is_repaid_first() -> None:
    """Premium goes first, in whole units as far as the offer reaches."""
    debt = Debt(drawn=10**12, premium_ray=5 * RAY // 2, drawn_index=RAY, price=10**8, decimals=6)
    wanted = {"target_ray": 10**9 * RAY}
    assert debt_to_liquidate(debt, offered=2, **wanted) == (0, 2 * RAY)
    assert debt_to_liquidate(debt, offered=3, **wanted) == (0, 5 * RAY // 2)
    assert debt_to_liquidate(debt, offered=5, **wanted) == (2, 5 * RAY // 2)
    assert debt_to_liquidate(debt, target_ray=RAY // 2, offered=9) == (0, RAY)


def test_debt_is_rounded_against_the_liquidator() -> None:
    """A fraction of a debt unit, to reach the target or for all collateral, counts whole."""
    debt = Debt(drawn=10, premium_ray=0, drawn_index=RAY, price=1, decimals=0)
    wanted = {"factor": 8_000, "bonus": 10_500, "health_factor": 9 * 10**17, "target": WAD}
    assert debt_to_target(debt, total_ray=1, **wanted) == 1
    collateral = Collateral(
        shares=2, hub=Hub(0, 0), price=1, decimals=0, factor=8_000, max_bonus=10_500, fee=0
    )
    # two units over 1.05 are 1.904761904761904761904761904762 rays of debt, rounded up
    below = debt._replace(drawn_index=1_904_761_904_761_904_761_904_761_904)
    assert debt_for_all(collateral, below, bonus=10_500) == (2, 2, 0)
    above = debt._replace(drawn_index=1_904_761_904_761_904_761_904_761_905)
    assert debt_for_all(collateral, above, bonus=10_500) == (2, 1, 0)


def test_a_thousand_is_no_dust() -> None:
    """What is left may be worth exactly 1,000, on both sides, and no unit less."""
    debt = Debt(drawn=2_000 * 10**6, premium_ray=0, drawn_index=RAY, price=10**8, decimals=6)
    half = 1_000 * 10**6
    assert debt_to_liquidate(debt, target_ray=half * RAY, offered=10**12) == (half, 0)
    more = (half + 1) * RAY
    assert debt_to_liquidate(debt, target_ray=more, offered=10**12) == (2 * half, 0)
    collateral = Collateral(
        shares=2_000, hub=Hub(0, 0), price=10**8, decimals=0, factor=1, max_bonus=10_500, fee=0
    )
    found = [leaves_collateral_dust(collateral, taken) for taken in (1_000, 1_001, 1_999, 2_000)]
    assert found == [False, True, True, False]
    # the share left is worth one and a half units, of which one, at 500, counts
    uneven = collateral._replace(hub=Hub(500_000, 0), price=500 * 10**8)
    assert leaves_collateral_dust(uneven, 1_999)


def test_unreachable_target() -> None:
    """A bonus that eats all collateral has no target to reach."""
    collateral = Collateral(
        shares=1, hub=Hub(1, 1), price=1, decimals=0, factor=10_000, max_bonus=10_500, fee=0
    )
    debt = Debt(drawn=1, premium_ray=0, drawn_index=RAY, price=1, decimals=0)
    found = liquidation_amounts(collateral, debt, CURVE, total_ray=RAY, health_factor=1, offered=1)
    assert isinstance(found, Refusal)
    assert found.reason == "target_unreachable"


def test_deficit_is_rounded_up() -> None:
    """A sliver of interest on what is written off is a unit lost."""
    done = liquidate(account(25_000 * 10**6), market(USDC__drawn_index=RAY + 1))
    assert isinstance(done, Liquidation)
    assert done.repaid == {"USDC": 19_047_619_049}
    assert done.bad_debt == {"USDC": 5_952_380_953}


def test_widest_account() -> None:
    """120 bits are stored and 256 computed with, and no more."""
    prepared = prepare(account(1), market(), TERMS)
    assert not isinstance(prepared, Refusal)
    held = prepared["WETH"].position
    data = account_data([held])._replace(health_factor=WAD)
    for supplied, is_over in ((2**120 - 1, False), (2**120, True)):
        assert aave_v4.overflows([held._replace(supplied=supplied)], data) == is_over
    for debt_ray, is_over in ((MAX_UINT256, False), (MAX_UINT256 + 1, True)):
        assert aave_v4.overflows([held], data._replace(debt_ray=debt_ray)) == is_over


@pytest.mark.parametrize(("drawn", "is_borrowed"), [(9, True), (10, False)])
def test_flag_falls_with_the_last_share(drawn: int, *, is_borrowed: bool) -> None:
    """A reserve with nothing drawn is not borrowed any more."""
    prepared = prepare(account(10), market(), TERMS)
    assert not isinstance(prepared, Refusal)
    moved = Amounts(shares=1, shares_to_liquidator=1, drawn=drawn, premium_ray=0)
    left = aave_v4.settle(prepared, moved, collateral="WETH", debt="USDC")
    assert (left["USDC"].borrowed, left["USDC"].drawn) == (is_borrowed, 10 - drawn)


def test_both_parts_of_a_payment_are_rounded_up() -> None:
    """One share a sliver above one and a premium a sliver above one cost four units."""
    debt = Debt(drawn=9, premium_ray=9 * RAY, drawn_index=RAY + 1, price=1, decimals=0)
    assert payment(debt, drawn=1, premium_ray=RAY + 1) == 4
    assert payment(debt, drawn=0, premium_ray=RAY) == 1


def test_collateral_exactly_seized_asks_for_all_that_was_offered() -> None:
    """Two units at 1.05 buy both units held, though a little less would buy them too."""
    collateral = Collateral(
        shares=2, hub=Hub(0, 0), price=10**8, decimals=0, factor=8_000, max_bonus=10_500, fee=0
    )
    debt = Debt(drawn=200, premium_ray=0, drawn_index=RAY // 100, price=10**8, decimals=0)
    found = liquidation_amounts(
        collateral,
        debt,
        CURVE,
        total_ray=1_000 * 10**26 * RAY,
        health_factor=5 * 10**17,
        offered=2,
    )
    assert found == Amounts(shares=2, shares_to_liquidator=2, drawn=200, premium_ray=0)
