"""Aave v3 where no vector looks: switches, older roundings, accrual, input that makes no sense."""

import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import MAX_UINT256, RAY, WAD
from models.margin.result import Liquidation, Margin, Refusal, Verdict, WeightedCollateral
from models.margin.rulebook import Liquidate, Rulebook, load
from models.margin.trigger import price_trigger, time_trigger
from models.margin.venues import aave_v3
from models.margin.venues.aave_v3_account import (
    Position,
    account_data,
    health_factor,
    overflows,
    position,
)
from models.margin.venues.aave_v3_account import is_too_wide as is_position_too_wide
from models.margin.venues.aave_v3_liquidation import (
    Outcome,
    Seizure,
    is_too_wide,
    leaves_dust,
    liquidation_call,
    most_repayable,
    seize,
)
from models.margin.venues.aave_v3_positions import index_now
from models.margin.venues.aave_v3_terms import (
    POLICIES,
    V3_3,
    V3_4,
    V3_5,
    V3_6,
    V3_7,
    Category,
    Policy,
    Reserve,
    Terms,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
NOW = int(AT.timestamp())
WETH = Reserve(id=0, decimals=18, ltv=8050, threshold=8300, bonus=10500, protocol_fee=1000)
USDC = Reserve(id=1, decimals=6, ltv=7500, threshold=7800, bonus=10450, protocol_fee=1000)
TERMS = Terms(reserves={"WETH": WETH, "USDC": USDC})
EVERY = pytest.mark.parametrize("version", ["3.3", "3.4", "3.5", "3.6", "3.7"])
BEFORE_3_7 = pytest.mark.parametrize("version", ["3.3", "3.4", "3.5", "3.6"])


def account(version: str, *, held: int, owed: int, **options: int) -> Account:
    """Return an account with WETH as collateral and USDC as debt."""
    legs = (
        Leg(kind=LegKind.COLLATERAL, asset="WETH", quantity=held),
        Leg(kind=LegKind.DEBT, asset="USDC", quantity=owed),
    )
    return Account(
        id="a", venue="aave-v3", version=version, market="core", legs=legs, options=options
    )


def market(weth: int = 2_000 * 10**8, **state: int) -> Market:
    """Return a market with both indices at 1 and USDC at 1."""
    indices = {
        f"{asset}.{side}_index": RAY
        for asset in ("WETH", "USDC")
        for side in ("liquidity", "borrow")
    }
    prices = {
        "WETH": Price(value=weth, decimals=8, observed_at=AT),
        "USDC": Price(value=10**8, decimals=8, observed_at=AT),
    }
    named = {name.replace("__", "."): value for name, value in state.items()}
    return Market(at=AT, prices=prices, state={**indices, **named})


def judge(version: str, owed: int, at: Market, terms: Terms = TERMS) -> Margin:
    """Judge an account of 10 WETH, worth 16,600 after the threshold at 2,000."""
    book: Rulebook[Terms] = load("aave-v3", version)
    return book.margin(account(version, held=10 * WAD, owed=owed), at, terms)


def liquidate(version: str, owed: int, at: Market, **request: Any) -> Liquidation | Refusal:
    """Liquidate an account of 10 WETH."""
    book: Rulebook[Terms] = load("aave-v3", version)
    assert book.liquidate is not None
    wanted = Liquidate(**request)
    return book.liquidate(account(version, held=10 * WAD, owed=owed), at, TERMS, wanted)


@EVERY
def test_equality_is_safe(version: str) -> None:
    """A health factor of exactly 1 is safe; one unit more of debt is not."""
    assert judge(version, 16_600 * 10**6, market()).reason == "health_factor_at_least_one"
    assert judge(version, 16_600 * 10**6 + 1, market()).verdict is Verdict.LIQUIDATABLE


@EVERY
def test_sides_have_twelve_decimals(version: str) -> None:
    """Both sides and the ratio are those of 20,000 of collateral against 8,300 of debt."""
    judged = judge(version, 8_300 * 10**6, market())
    assert judged.maintenance is not None
    assert judged.initial is not None
    assert judged.ratio is not None
    assert judged.maintenance.credit == 16_600 * 10**12
    assert judged.initial.credit == 16_100 * 10**12
    assert judged.maintenance.requirement == judged.initial.requirement == 8_300 * 10**12
    assert judged.ratio.value == 2 * WAD
    assert judged.prices == ("WETH", "USDC")


@EVERY
def test_no_debt_is_safe_without_prices(version: str) -> None:
    """An account that owes nothing is safe whatever is missing."""
    empty = replace(market(), prices={}, state={})
    judged = judge(version, 0, empty)
    assert (judged.verdict, judged.reason) == (Verdict.SAFE, "no_debt")
    assert judge(version, 0, market()).reason == "no_debt"


@EVERY
@pytest.mark.parametrize(
    ("value", "reason"), [(0, "price_not_positive"), (-1, "price_not_positive")]
)
def test_unusable_price(version: str, value: int, reason: str) -> None:
    """A price of zero or below makes the account unevaluable, never worthless."""
    judged = judge(version, 1, market(weth=value))
    assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, reason)


@pytest.mark.parametrize(
    ("absent", "reason"),
    [
        ("WETH.liquidity_index", "liquidity_index_missing"),
        ("USDC.borrow_index", "borrow_index_missing"),
    ],
)
def test_missing_index(absent: str, reason: str) -> None:
    """Without an index there is no balance to value."""
    full = market()
    state = {name: value for name, value in full.state.items() if name != absent}
    assert judge("3.7", 1, replace(full, state=state)).reason == reason


def test_index_of_zero_and_leg_of_zero() -> None:
    """An index of zero is none; a leg of zero is nothing, and needs no price."""
    assert judge("3.7", 1, market(WETH__liquidity_index=0)).reason == "liquidity_index_missing"
    held = account("3.7", held=10 * WAD, owed=1)
    empty = Leg(kind=LegKind.DEBT, asset="DAI", quantity=0)
    judged = load("aave-v3", "3.7").margin(replace(held, legs=(*held.legs, empty)), market(), TERMS)
    assert (judged.verdict, judged.prices) == (Verdict.SAFE, ("WETH", "USDC"))


def test_missing_price_reserve_and_category() -> None:
    """What the terms or the market do not know is said, not guessed."""
    full = market()
    no_price = replace(full, prices={"WETH": full.prices["WETH"]})
    assert judge("3.7", 1, no_price).reason == "price_missing"
    assert judge("3.7", 1, full, Terms(reserves={"WETH": WETH})).reason == "reserve_unknown"
    lost = account("3.7", held=1, owed=1, emode=9)
    assert load("aave-v3", "3.7").margin(lost, full, TERMS).reason == "emode_unknown"


@EVERY
def test_uint256_amounts_are_unevaluable(version: str) -> None:
    """Amounts past what the contract can store or multiply are said to overflow."""
    judged = judge(version, MAX_UINT256, market())
    assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, "overflow")
    assert judge(version, 1, market(weth=MAX_UINT256)).reason == "overflow"
    assert liquidate(version, MAX_UINT256, market()) == Refusal("overflow")


def test_overflow_of_each_product() -> None:
    """Balance, price and weighted sum are each held to the contract's width."""
    held = Position(1, 1, True, True, True, False, RAY, RAY, 1, 1, 1, 1, 10500)  # noqa: FBT003
    for wide in (
        held._replace(collateral=2**128),
        held._replace(debt=2**128),
        held._replace(borrow_index=2**128),
        held._replace(debt=2**127, price=2**129),
    ):
        assert overflows((wide,), account_data((held,), V3_7))
    assert not overflows((held,), account_data((held,), V3_7))
    assert not overflows((held._replace(collateral=2**128 - 1),), account_data((held,), V3_7))
    fits = held._replace(collateral=14, price=MAX_UINT256 // 15)
    assert not overflows((fits,), account_data((held,), V3_7))
    edge = account_data((held,), V3_7)._replace(
        weighted_threshold=MAX_UINT256 // WAD, debt=MAX_UINT256 % WAD
    )
    assert not overflows((held,), edge)
    rich = account_data((held._replace(collateral=2**127, price=2**70, threshold=10**4),), V3_7)
    assert overflows((held,), rich)


def test_legs_that_make_no_sense() -> None:
    """A position, a negative amount or a torn collateral flag is refused."""
    sound = account("3.7", held=1, owed=1)
    debt = sound.legs[1]
    for leg, reason in (
        (Leg(kind=LegKind.POSITION, asset="WETH", quantity=1), "leg_kind_unknown"),
        (Leg(kind=LegKind.COLLATERAL, asset="WETH", quantity=-1), "quantity_invalid"),
    ):
        judged = load("aave-v3", "3.7").margin(replace(sound, legs=(leg, debt)), market(), TERMS)
        assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, reason)
    torn = (*sound.legs, replace(sound.legs[0], pledged=False))
    judged = load("aave-v3", "3.7").margin(replace(sound, legs=torn), market(), TERMS)
    assert judged.reason == "collateral_flag_ambiguous"


@EVERY
@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"WETH__inactive": 1}, "ReserveInactive"),
        ({"USDC__paused": 1}, "ReservePaused"),
        ({"WETH__grace_until": NOW}, "LiquidationGraceSentinelCheckFailed"),
    ],
)
def test_switched_off(version: str, state: dict[str, int], reason: str) -> None:
    """An unhealthy account behind a switch is eligible, not executable."""
    owed = 17_000 * 10**6
    judged = judge(version, owed, market(**state))
    assert (judged.verdict, judged.reason) == (Verdict.NOT_EXECUTABLE, reason)
    refused = liquidate(version, owed, market(**state))
    assert isinstance(refused, Refusal)
    assert refused.reason == reason


def test_grace_period_ends_with_its_last_second() -> None:
    """Liquidation is open from the second after the grace period."""
    at = market(WETH__grace_until=NOW - 1)
    assert judge("3.7", 17_000 * 10**6, at).verdict is Verdict.LIQUIDATABLE


def test_order_of_refusals() -> None:
    """Pause comes before grace and health, health before what is not owed."""
    both = market(WETH__grace_until=NOW, USDC__paused=1)
    refused = liquidate("3.7", 1, both)
    assert isinstance(refused, Refusal)
    assert refused.reason == "ReservePaused"
    for owed, request, reason in (
        (1, {"collateral_asset": "DAI"}, "HealthFactorNotBelowThreshold"),
        (16_600 * 10**6, {"collateral_asset": "DAI"}, "HealthFactorNotBelowThreshold"),
        (17_000 * 10**6, {"collateral_asset": "DAI"}, "CollateralCannotBeLiquidated"),
        (17_000 * 10**6, {"collateral_asset": "USDC"}, "CollateralCannotBeLiquidated"),
        (17_000 * 10**6, {"debt_asset": "DAI"}, "SpecifiedCurrencyNotBorrowedByUser"),
        (17_000 * 10**6, {"debt_asset": "WETH"}, "SpecifiedCurrencyNotBorrowedByUser"),
        (17_000 * 10**6, {"repay": 0}, "repay_invalid"),
    ):
        refused = liquidate("3.7", owed, market(), **request)
        assert isinstance(refused, Refusal)
        assert refused.reason == reason


@BEFORE_3_7
def test_sentinel_holds_back_above_095(version: str) -> None:
    """The price sentinel stops liquidations until health is below 0.95."""
    down = market(liquidation_allowed=0)
    at_095 = judge(version, 1_660_000 * 10**6 // 95, down)
    assert at_095.reason == "PriceOracleSentinelCheckFailed"
    assert judge(version, 17_500 * 10**6, down).verdict is Verdict.LIQUIDATABLE
    exactly = judge(version, 16_600 * 10**6, market(weth=1_900 * 10**8, liquidation_allowed=0))
    assert exactly.reason == "PriceOracleSentinelCheckFailed"
    refused = liquidate(version, 17_000 * 10**6, down)
    assert isinstance(refused, Refusal)
    assert refused.reason == "PriceOracleSentinelCheckFailed"


def test_no_sentinel_from_3_7() -> None:
    """The last release has no price sentinel."""
    judged = judge("3.7", 17_000 * 10**6, market(liquidation_allowed=0))
    assert judged.verdict is Verdict.LIQUIDATABLE


def test_unpledged_collateral_does_not_count() -> None:
    """Debt with no collateral in use has health 0 and nothing to take."""
    bare = account("3.7", held=WAD, owed=1)
    bare = replace(bare, legs=(replace(bare.legs[0], pledged=False), bare.legs[1]))
    judged = load("aave-v3", "3.7").margin(bare, market(), TERMS)
    assert (judged.verdict, judged.reason) == (
        Verdict.NOT_EXECUTABLE,
        "CollateralCannotBeLiquidated",
    )
    assert judged.prices == ("USDC",)


def test_liquidation_in_full() -> None:
    """Below 0.95 all debt goes; 5 % on top comes from the collateral, a tenth of it as fee."""
    done = liquidate("3.7", 18_000 * 10**6, market())
    assert isinstance(done, Liquidation)
    assert done.repaid == {"USDC": 18_000 * 10**6}
    assert done.seized == {"WETH": 9_450 * 10**15}
    assert done.bonus == {"WETH": 450 * 10**15}
    assert done.protocol_fee == {"WETH": 45 * 10**15}
    assert done.bad_debt == {}
    assert done.after is not None
    assert (done.after.verdict, done.after.reason) == (Verdict.SAFE, "no_debt")
    assert not done.is_toxic


def test_half_above_095() -> None:
    """Above 0.95 half of all debt may be repaid, and what is asked for less than that."""
    half = liquidate("3.7", 17_000 * 10**6, market())
    assert isinstance(half, Liquidation)
    assert half.repaid == {"USDC": 8_500 * 10**6}
    less = liquidate("3.7", 17_000 * 10**6, market(), repay=1_000 * 10**6)
    assert isinstance(less, Liquidation)
    assert less.repaid == {"USDC": 1_000 * 10**6}
    assert less.after is not None
    assert less.after.verdict is Verdict.LIQUIDATABLE
    assert not less.is_toxic


def test_bad_debt() -> None:
    """When all collateral is gone the rest of the debt is written off."""
    done = liquidate("3.7", 21_000 * 10**6, market())
    assert isinstance(done, Liquidation)
    assert done.seized == {"WETH": 10 * WAD}
    assert done.repaid == {"USDC": 19_047_619_048}
    assert done.bad_debt == {"USDC": 1_952_380_952}
    assert done.after is not None
    assert done.after.reason == "no_debt"


def test_toxic() -> None:
    """A bonus greater than the account's own margin makes health worse."""
    done = liquidate("3.7", 20_000 * 10**6, market(), repay=10_000 * 10**6)
    assert isinstance(done, Liquidation)
    assert done.is_toxic
    same = judge("3.7", 10**9, market())
    assert not aave_v3.is_worse(same, same)


def test_accrual_from_the_last_update() -> None:
    """Indices are carried to the moment of judgement: income linear, debt compounded."""
    rates = {"WETH__liquidity_rate": 0, "USDC__borrow_rate": RAY // 10}
    year = market(WETH__updated_at=NOW - 31_536_000, USDC__updated_at=NOW - 31_536_000, **rates)
    judged = judge("3.7", 10**9, year)
    assert judged.maintenance is not None
    assert judged.maintenance.requirement == 1_105_166_667 * 10**6
    income = market(WETH__updated_at=NOW - 31_536_000, WETH__liquidity_rate=RAY // 10)
    grown = judge("3.7", 10**9, income).maintenance
    assert grown is not None
    assert grown.credit == 18_260 * 10**12


def test_accrual_needs_a_rate_and_a_past() -> None:
    """An index of another moment without a rate cannot be carried."""
    assert judge("3.7", 1, market(WETH__updated_at=NOW - 1)).reason == "liquidity_rate_missing"
    late = market(USDC__updated_at=NOW + 1, USDC__borrow_rate=1)
    assert judge("3.7", 1, late).reason == "updated_in_the_future"
    assert judge("3.7", 1, market(WETH__updated_at=NOW)).verdict is Verdict.SAFE


def test_time_trigger() -> None:
    """Interest alone flips the verdict at one exact second."""
    book: Rulebook[Terms] = load("aave-v3", "3.7")
    held = account("3.7", held=10 * WAD, owed=16_500 * 10**6)
    rates = {"USDC__borrow_rate": RAY // 10, "USDC__liquidity_rate": 0, "WETH__liquidity_rate": 0}
    at = market(**rates)
    found = time_trigger(book, held, at, TERMS, until=AT + timedelta(days=365))
    assert found is not None
    assert found.at is not None
    assert found.at == AT + timedelta(seconds=1_905_505)
    assert book.accrue is not None
    for seconds, verdict in ((0, Verdict.LIQUIDATABLE), (-1, Verdict.SAFE)):
        later = book.accrue(at, TERMS, found.at + timedelta(seconds=seconds))
        assert book.margin(held, later, TERMS).verdict is verdict


def test_price_trigger() -> None:
    """The first price at which the account can be liquidated is exact."""
    book: Rulebook[Terms] = load("aave-v3", "3.7")
    held = account("3.7", held=10 * WAD, owed=8_300 * 10**6)
    found = price_trigger(book, held, market(), TERMS, asset="WETH")
    assert found is not None
    assert found.value == 1_000 * 10**8 - 1
    assert found.direction == "below"


def category_position(policy: Policy, *, ltv: int = 7000, id_: int = 0, **extra: Any) -> Position:
    """Return a position of a reserve inside or outside a category's bitmap."""
    reserve = Reserve(id=id_, decimals=0, ltv=ltv, threshold=7500, bonus=10500)
    category = Category(ltv=9000, threshold=9300, bonus=10100, collateral_bitmap=1, **extra)
    return position(
        reserve,
        category,
        policy,
        collateral=1,
        debt=0,
        pledged=True,
        borrowed=False,
        liquidity_index=RAY,
        borrow_index=RAY,
        price=1,
    )


def test_category_parameters() -> None:
    """Inside the bitmap the category's parameters rule, outside the reserve's."""
    for policy in POLICIES:
        inside, outside = category_position(policy), category_position(policy, id_=1)
        assert (inside.ltv, inside.threshold, inside.bonus) == (9000, 9300, 10100)
        assert (outside.ltv, outside.threshold, outside.bonus) == (7000, 7500, 10500)
        assert not inside.lends_nothing


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(V3_3, (0, True)), (V3_5, (0, True)), (V3_6, (9000, False)), (V3_7, (9000, False))],
)
def test_zero_ltv_of_the_reserve(policy: Policy, expected: tuple[int, bool]) -> None:
    """Until 3.5 the reserve's own zero wins inside a category; afterwards it does not."""
    found = category_position(policy, ltv=0)
    assert (found.ltv, found.lends_nothing) == expected


@pytest.mark.parametrize(("policy", "ltv"), [(V3_5, 9000), (V3_6, 0), (V3_7, 0)])
def test_zero_ltv_of_the_category(policy: Policy, ltv: int) -> None:
    """From 3.6 on a bitmap of the category takes the loan to value away."""
    assert category_position(policy, ltv_zero_bitmap=1).ltv == ltv
    assert category_position(policy, ltv_zero_bitmap=1, id_=1).ltv == 7000


@pytest.mark.parametrize(("policy", "ltv"), [(V3_6, 7000), (V3_7, 0)])
def test_isolated_category(policy: Policy, ltv: int) -> None:
    """An isolated category of 3.7 leaves thresholds and takes outside loan to value."""
    outside = category_position(policy, isolated=True, id_=1)
    assert (outside.ltv, outside.threshold, outside.lends_nothing) == (ltv, 7500, ltv == 0)
    assert category_position(policy, isolated=True).ltv == 9000


@pytest.mark.parametrize(
    ("policy", "counts"), [(V3_3, False), (V3_4, False), (V3_5, False), (V3_6, True), (V3_7, True)]
)
def test_reserve_without_threshold(policy: Policy, *, counts: bool) -> None:
    """Until 3.5 collateral without a threshold of its own is passed over, category or not."""
    reserve = Reserve(id=0, decimals=0, ltv=0, threshold=0, bonus=0)
    category = Category(ltv=9000, threshold=9300, bonus=10100, collateral_bitmap=1)
    found = position(
        reserve,
        category,
        policy,
        collateral=5,
        debt=0,
        pledged=True,
        borrowed=False,
        liquidity_index=RAY,
        borrow_index=RAY,
        price=7,
    )
    assert account_data((found,), policy).collateral == (35 if counts else 0)


def small_pair(policy: Policy, **changes: Any) -> tuple[Position, Position]:
    """Return collateral and debt of tokens without decimals at indices above 1."""
    taken = Position(
        collateral=1_000,
        debt=0,
        pledged=True,
        borrowed=False,
        counts=True,
        lends_nothing=False,
        liquidity_index=RAY * 13 // 10,
        borrow_index=RAY,
        price=10**8,
        unit=1,
        ltv=0,
        threshold=5_000,
        bonus=10_500,
        protocol_fee=1_000,
    )
    owed = taken._replace(
        collateral=0,
        debt=1_000,
        pledged=False,
        borrowed=True,
        liquidity_index=RAY,
        borrow_index=RAY * 17 // 10,
    )
    assert policy in POLICIES
    return taken._replace(**changes), owed


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (V3_3, (1_238, 1_294, 6, 462)),
        (V3_4, (1_238, 1_294, 6, 462)),
        (V3_5, (1_239, 1_294, 5, 461)),
        (V3_6, (1_239, 1_294, 5, 461)),
        (V3_7, (1_239, 1_293, 6, 461)),
    ],
)
def test_bad_debt_by_release(policy: Policy, expected: tuple[int, ...]) -> None:
    """Every release rounds debt needed, fee and deficit its own way."""
    outcome = liquidation_call(
        small_pair(policy), collateral=0, debt=1, offered=10**9, policy=policy
    )
    assert isinstance(outcome, Outcome)
    found = (outcome.repaid, outcome.to_liquidator, outcome.fee, outcome.deficits[1])
    assert found == expected
    assert (outcome.after[0].pledged, outcome.after[1].borrowed) == (False, False)
    assert (outcome.after[0].collateral, outcome.after[1].debt) == (0, 0)


@pytest.mark.parametrize(
    ("policy", "collateral", "debt"),
    # at 1.3: 101 and 12 are 77.7 and 9.2 scaled; in 3.7 it is 100 and 13, 76.9 and 10
    [(V3_3, 913, 941), (V3_4, 913, 941), (V3_5, 912, 941), (V3_7, 913, 941)],
)
def test_scaled_balances_by_release(policy: Policy, collateral: int, debt: int) -> None:
    """Burns round half up until 3.4; later collateral burns up and debt down."""
    taken, owed = small_pair(policy, protocol_fee=10_000, bonus=11_200, price=10**12)
    owed = owed._replace(price=10**12)
    outcome = liquidation_call((taken, owed), collateral=0, debt=1, offered=101, policy=policy)
    assert isinstance(outcome, Outcome)
    assert (outcome.after[0].collateral, outcome.after[1].debt) == (collateral, debt)


@pytest.mark.parametrize(("policy", "debt"), [(V3_3, 940), (V3_4, 940), (V3_5, 941), (V3_7, 941)])
def test_scaled_debt_by_release(policy: Policy, debt: int) -> None:
    """101 repaid at an index of 1.69 is 59.76 scaled: 60 until 3.4, later 59."""
    taken, owed = small_pair(policy, price=10**12)
    owed = owed._replace(price=10**12, borrow_index=RAY * 169 // 100)
    outcome = liquidation_call((taken, owed), collateral=0, debt=1, offered=101, policy=policy)
    assert isinstance(outcome, Outcome)
    assert outcome.after[1].debt == debt


def test_second_debt_is_written_off_with_the_first() -> None:
    """The last collateral gone, debts of other active reserves become deficits as well."""
    taken, owed = small_pair(V3_7)
    idle = owed._replace(active=False)
    outcome = liquidation_call(
        (taken, owed, owed, idle), collateral=0, debt=1, offered=10**9, policy=V3_7
    )
    assert isinstance(outcome, Outcome)
    assert outcome.deficits == (0, 461, 1_700, 0)
    assert [held.borrowed for held in outcome.after] == [False, False, False, True]


def test_few_units_left_are_no_collateral() -> None:
    """Until 3.6 the pledge outlives a leftover; in 3.7 a leftover worth nothing ends it."""
    taken, owed = small_pair(V3_7, price=1, unit=10**4, collateral=10**8 + 5)
    taken = taken._replace(liquidity_index=RAY)
    owed = owed._replace(price=1, unit=10**4, debt=95_238_099, borrow_index=RAY)
    for policy, left, pledged in ((V3_6, 1, True), (V3_7, 2, False)):
        outcome = liquidation_call(
            (taken, owed, owed), collateral=0, debt=1, offered=10**9, policy=policy
        )
        assert isinstance(outcome, Outcome)
        assert (outcome.after[0].collateral, outcome.after[0].pledged) == (left, pledged)
        assert outcome.deficits == (0, 0, 95_238_099)


@pytest.mark.parametrize(
    ("held", "owed", "expected"),
    [(2_000, 2_000, 1_000), (1_999, 2_000, 2_000), (2_000, 1_999, 1_999), (2_001, 2_001, 1_000)],
)
def test_small_positions_are_repaid_in_full(held: int, owed: int, expected: int) -> None:
    """Half of the total debt, 2,000, is the limit only where both sides reach 2,000."""
    taken, due = small_pair(V3_7, collateral=held, liquidity_index=RAY)
    due = due._replace(debt=owed, borrow_index=RAY)
    data = account_data((taken, due), V3_7)
    data = data._replace(health_factor=95 * 10**16 + 1, debt=2_000 * 10**8)
    assert most_repayable(data, taken, due, V3_7) == expected


def test_half_of_the_debt_is_all_of_a_reserve() -> None:
    """A reserve with exactly half of all debt is repaid in full, and no unit more."""
    taken, due = small_pair(V3_7, unit=1, collateral=10**6)
    due = due._replace(debt=2 * 10**21 + 1, borrow_index=RAY, unit=10**18)
    data = account_data((taken, due, due), V3_7)._replace(health_factor=WAD - 1)
    assert data.debt == 2 * (2_000 * 10**8 + 1)
    assert most_repayable(data, taken, due, V3_7) == 2 * 10**21 + 1


def test_health_of_one_is_refused_by_the_call_itself() -> None:
    """Exactly 1 is not below the threshold; one unit of debt more is."""
    taken, due = small_pair(V3_7, liquidity_index=RAY)
    for debt, refused in ((500, True), (501, False)):
        owed = due._replace(debt=debt, borrow_index=RAY)
        found = liquidation_call((taken, owed), collateral=0, debt=1, offered=999, policy=V3_7)
        assert isinstance(found, Refusal) == refused


def test_no_bonus_is_valid() -> None:
    """A bonus of exactly one seizes what the debt is worth."""
    taken, due = small_pair(V3_7, bonus=10_000, price=10**12)
    owed = due._replace(price=10**12)
    found = liquidation_call((taken, owed), collateral=0, debt=1, offered=10, policy=V3_7)
    assert isinstance(found, Outcome)
    assert (found.to_liquidator, found.fee, found.bonus) == (10, 0, 0)


def test_width_of_a_seizure() -> None:
    """Both products that price a seizure may fill 256 bits, and not pass them."""
    taken, due = small_pair(V3_7, price=1)
    due = due._replace(price=1)
    assert not is_too_wide(MAX_UINT256, MAX_UINT256, collateral=taken, debt=due)
    assert is_too_wide(MAX_UINT256 + 1, 1, collateral=taken, debt=due)
    assert is_too_wide(1, MAX_UINT256 + 1, collateral=taken, debt=due)


def test_invalid_bonus() -> None:
    """A bonus below one cannot be split; without bonus and fee nothing is seized."""
    for bonus, fee in ((9_999, 0), (0, 1_000)):
        refused = liquidation_call(
            small_pair(V3_7, bonus=bonus, protocol_fee=fee),
            collateral=0,
            debt=1,
            offered=10,
            policy=V3_7,
        )
        assert isinstance(refused, Refusal)
        assert refused.reason == "liquidation_bonus_invalid"
    taken, owed = small_pair(V3_7, bonus=0, protocol_fee=0, price=10**12)
    owed = owed._replace(price=10**12)
    outcome = liquidation_call((taken, owed), collateral=0, debt=1, offered=10, policy=V3_7)
    assert isinstance(outcome, Outcome)
    assert (outcome.repaid, outcome.to_liquidator, outcome.fee) == (10, 0, 0)


def test_terms_file_holds_terms() -> None:
    """The shipped terms decode, and FBTC is collateral inside its category only."""
    path = Path(__file__).parents[5] / "models/margin/terms/aave_v3_mantle.toml"
    content = tomllib.loads(path.read_text())
    terms = TypeAdapter(Terms).validate_python(content["terms"][0]["values"])
    assert (content["venue"], content["version"]) == ("aave-v3", "3.6")
    assert terms.reserves["FBTC"].threshold == 0
    assert terms.categories[3].collateral_bitmap == 1 << terms.reserves["FBTC"].id
    assert terms.categories[5].borrowable_bitmap == 1 << terms.reserves["WETH"].id


def test_collateral_times_threshold_is_half_up() -> None:
    """Until 3.4 half a unit of weighted collateral counts as one."""
    taken, _ = small_pair(V3_3)
    data = account_data((taken,), V3_3)._replace(collateral=5_000, threshold=1)
    assert aave_v3.maintenance_credit(data, V3_3) == 10_000
    assert aave_v3.maintenance_credit(data._replace(collateral=4_999), V3_3) == 0


def test_health_of_a_sum_is_half_up_before_it_is_truncated() -> None:
    """9,999.9999999999 hundredths of a percent of a wad are 10,000: one unit of health."""
    assert health_factor(0, 1, 10**14 + 1, policy=V3_5) == 1


def test_width_of_a_position() -> None:
    """A balance that is truncated to nothing may have the widest price, a whole unit not."""
    taken, _ = small_pair(V3_7, collateral=1, price=MAX_UINT256)
    assert not is_position_too_wide(taken._replace(liquidity_index=RAY - 1))
    assert is_position_too_wide(taken._replace(liquidity_index=RAY))


@pytest.mark.parametrize(("held", "expected"), [(2 * 10**12 - 1, 2_000), (2 * 10**12, 1_000)])
def test_value_of_a_small_position_is_truncated(held: int, expected: int) -> None:
    """A tenth of a unit below 2,000 is below 2,000."""
    taken, due = small_pair(V3_7, collateral=held, liquidity_index=RAY, price=1, unit=10)
    due = due._replace(debt=2_000, borrow_index=RAY)
    data = account_data((taken, due), V3_7)._replace(health_factor=WAD - 1, debt=2_000 * 10**8)
    assert most_repayable(data, taken, due, V3_7) == expected


def test_half_of_the_debt_is_truncated_to_units() -> None:
    """2,000 of value buy 666 units at 3."""
    taken, due = small_pair(V3_7, collateral=10**6)
    due = due._replace(debt=1_000, borrow_index=RAY, price=3 * 10**8)
    data = account_data((taken, due), V3_7)._replace(health_factor=WAD - 1, debt=4_000 * 10**8)
    assert most_repayable(data, taken, due, V3_7) == 666


def test_balance_exactly_seized_asks_for_all_that_was_offered() -> None:
    """Five at 1 buy one unit at 3, truncated: only beyond the balance is less needed."""
    taken, due = small_pair(V3_7, price=3 * 10**8)
    assert seize(taken, due, repaid=5, balance=1, policy=V3_7).debt_needed == 5
    assert seize(taken, due, repaid=6, balance=1, policy=V3_7).debt_needed == 3


@pytest.mark.parametrize(("left", "is_dust"), [(10**12 - 1, True), (10**12, False)])
def test_leftover_of_a_thousand_is_no_dust(left: int, *, is_dust: bool) -> None:
    """The value left is truncated; 1,000 itself may be left."""
    taken, due = small_pair(V3_7, price=1, unit=10)
    due = due._replace(debt=1_000, borrow_index=RAY)
    none = Seizure(0, 0, 0, 0)
    assert leaves_dust(none, taken, due, balance=left, policy=V3_7) == is_dust


def test_index_is_carried_half_up() -> None:
    """Half a year at 100 % makes one and a half of one: two."""
    state = {"X.liquidity_index": 1, "X.liquidity_rate": RAY, "X.updated_at": NOW - 15_768_000}
    at = Market(at=AT, prices={}, state=state)
    assert index_now(at, "X", "liquidity", V3_7) == 2


@EVERY
@pytest.mark.parametrize(
    ("held", "value"),
    [(10 * WAD, Fraction(20_000)), (5 * 10**6, Fraction(1, 10**8)), (5 * 10**6 - 1, Fraction(0))],
)
def test_weights(version: str, held: int, value: Fraction) -> None:
    """Collateral is worth what the venue truncates it to, and counts by its threshold."""
    book: Rulebook[Terms] = load("aave-v3", version)
    assert book.weights is not None
    found = book.weights(account(version, held=held, owed=1), market(), TERMS)
    assert found == (WeightedCollateral(asset="WETH", value=value, weight=Fraction(83, 100)),)
