"""Euler v2 where no recorded answer covers it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Side, Verdict
from models.margin.rulebook import Liquidate
from models.margin.trigger import time_trigger
from models.margin.venues import euler_v2

AT = datetime(2026, 1, 1, tzinfo=UTC)
NOW = int(AT.timestamp())
WAD, RAY = 10**18, 10**27
TERMS = euler_v2.Terms(
    asset="USDC",
    collaterals={
        "WETH": euler_v2.Ltv(borrow=8000, liquidation=9000),
        "OLD": euler_v2.Ltv(borrow=0, liquidation=0),
        "GONE": euler_v2.Ltv(borrow=0, liquidation=0, target_timestamp=0),
    },
    max_liquidation_discount=1500,
    liquidation_cool_off_time=60,
)


def account(debt: int, options: dict[str, int] | None = None, **balances: int) -> Account:
    """Return an account that owes whole units against vault balances."""
    held = (
        Leg(kind=LegKind.COLLATERAL, asset=asset, quantity=quantity)
        for asset, quantity in balances.items()
    )
    return Account(
        id="a",
        venue="euler-v2",
        version="evk",
        market="USDC",
        legs=(Leg(kind=LegKind.DEBT, asset="USDC", quantity=debt << 31), *held),
        options=options or {},
    )


def market(weth: int | None = WAD, **state: int) -> Market:
    """Return a market in which every unit is worth one unit of account, but for WETH."""
    values = {"USDC": WAD, "OLD": WAD} | ({} if weth is None else {"WETH": weth})
    return Market(
        at=AT,
        prices={
            asset: Price(value=value, decimals=18, observed_at=AT)
            for asset, value in values.items()
        },
        state=state,
    )


def test_equality_is_liquidatable_and_one_unit_less_is_not() -> None:
    """Unlike elsewhere, collateral worth exactly the debt does not save the account."""
    exact = euler_v2.margin(account(900, WETH=1000), market(), TERMS)
    assert (exact.verdict, exact.maintenance) == (Verdict.LIQUIDATABLE, Side(900, 900))
    assert exact.ratio is not None
    assert exact.ratio.value == WAD
    less = euler_v2.margin(account(899, WETH=1000), market(), TERMS)
    assert (less.verdict, less.reason) == (Verdict.SAFE, "above_liquidation_ltv")


def test_borrowing_needs_more_than_the_debt_at_bid_against_ask() -> None:
    """The borrow check reads the spread, liquidation the middle."""
    spread = market()
    prices = {
        "WETH": replace(spread.prices["WETH"], bid=WAD - WAD // 100),
        "USDC": replace(spread.prices["USDC"], ask=WAD + WAD // 100),
    }
    judged = euler_v2.margin(account(700, WETH=1000), replace(spread, prices=prices), TERMS)
    assert judged.maintenance == Side(900, 700)
    assert judged.initial == Side(792, 707)
    assert euler_v2.may_borrow(Side(2, 1))
    assert not euler_v2.may_borrow(Side(1, 1))
    assert euler_v2.may_borrow(Side(0, 0))


def test_a_fraction_of_a_unit_is_owed_whole() -> None:
    """The 31 fractional bits round up."""
    debt = Leg(kind=LegKind.DEBT, asset="USDC", quantity=1)
    owing = replace(account(0), legs=(debt,))
    side = euler_v2.margin(owing, market(), TERMS).maintenance
    assert side == Side(0, 1)


def test_missing_price_zero_price_and_no_debt() -> None:
    """Nothing is called safe without a price, but for an account that owes nothing."""
    for price, reason in ((None, "price_missing"), (0, "price_not_positive")):
        judged = euler_v2.margin(account(1, WETH=1000), market(price), TERMS)
        assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, reason)
        refused = euler_v2.liquidate(account(1, WETH=1), market(price), TERMS, Liquidate())
        assert isinstance(refused, Refusal)
        assert refused.reason == reason
        assert euler_v2.margin(account(0, WETH=1), market(price), TERMS).reason == "no_debt"


def test_debt_in_the_unit_of_account_needs_no_price() -> None:
    """A debt in the unit of account is taken at par."""
    terms = replace(TERMS, unit_of_account="USDC")
    priced = market()
    bare = replace(priced, prices={"WETH": priced.prices["WETH"]})
    assert euler_v2.margin(account(899, WETH=1000), bare, terms).maintenance == Side(900, 899)


def test_collateral_without_a_limit_needs_no_price() -> None:
    """What does not count is not priced: a limit of zero, or no limit at all."""
    owing = account(899, WETH=1000, GONE=5, ELSE=5)
    judged = euler_v2.margin(owing, market(), TERMS)
    assert (judged.verdict, judged.prices) == (Verdict.SAFE, ("WETH", "USDC"))


def test_ramp_flips_the_verdict_by_time_alone() -> None:
    """The limit falls from 90 % to 80 % in 1,000 seconds and 850 are owed."""
    ramp = euler_v2.Ltv(
        borrow=7000,
        liquidation=8000,
        initial_liquidation=9000,
        target_timestamp=NOW + 1000,
        ramp_duration=1000,
    )
    terms = replace(TERMS, collaterals={"WETH": ramp})
    owing = account(850, WETH=1000)
    for seconds, verdict in ((0, Verdict.SAFE), (490, Verdict.SAFE), (491, Verdict.LIQUIDATABLE)):
        later = euler_v2.accrue(market(), terms, AT + timedelta(seconds=seconds))
        assert euler_v2.margin(owing, later, terms).verdict is verdict
    assert euler_v2.liquidation_ltv(ramp, NOW + 1000) == 8000


def test_interest_compounds_by_the_second() -> None:
    """Ten per cent a second for two seconds is 21 %, and an overflow changes nothing."""
    rated = market(interest_accumulator=RAY, interest_rate=RAY // 10)
    later = euler_v2.accrue(rated, TERMS, AT + timedelta(seconds=2))
    assert later.state["interest_accumulator"] == 121 * RAY // 100
    huge = euler_v2.accumulated(2**200, rate=RAY, seconds=100)
    assert huge == 2**200
    owing = account(800, {"interest_accumulator": RAY}, WETH=1000)
    stale = replace(later, at=AT + timedelta(seconds=2))
    side = euler_v2.margin(owing, stale, TERMS).maintenance
    assert side == Side(900, 968)


def test_stored_accumulator_without_the_vaults() -> None:
    """A debt stored at an accumulator cannot be carried without the vault's."""
    owing = account(800, {"interest_accumulator": RAY}, WETH=1000)
    assert euler_v2.margin(owing, market(), TERMS).reason == "interest_accumulator_missing"


def test_liquidation_at_the_discount_of_the_health() -> None:
    """At a score of 0.9 the whole debt buys collateral at 10 % off."""
    found = euler_v2.liquidate(account(1000, WETH=2000), market(WAD // 2), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.repaid == {"USDC": 900}
    assert found.seized == {"WETH": 2000}
    assert found.bonus == {"WETH": 200}
    assert found.bad_debt == {"USDC": 100}
    assert found.after is not None
    # Too small a debt to be taken off the suppliers: it stays with the account.
    assert found.after.maintenance == Side(0, 100)
    assert found.is_toxic


def test_socialized_debt_is_gone() -> None:
    """A larger debt without collateral is taken off the suppliers, where the vault does so."""
    owing, priced = account(1_000_000, WETH=2_000_000), market(WAD // 2)
    found = euler_v2.liquidate(owing, priced, TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.bad_debt == {"USDC": 100_000}
    assert found.after is not None
    assert found.after.reason == "no_debt"
    kept = euler_v2.liquidate(owing, priced, replace(TERMS, socialized=False), Liquidate())
    assert isinstance(kept, Liquidation)
    assert kept.after is not None
    assert kept.after.maintenance == Side(0, 100_000)


def test_discount_is_limited() -> None:
    """At a score of 0.45 the discount stops at 15 %."""
    assert euler_v2.discount_factor(Side(45, 100), TERMS) == 85 * 10**16
    assert euler_v2.discount_factor(Side(90, 100), TERMS) == 90 * 10**16


def test_worthless_collateral_is_taken_for_nothing() -> None:
    """A balance too small to have a value is taken without repayment."""
    owing = account(900, WETH=1)
    found = euler_v2.liquidate(owing, market(WAD // 2), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert (found.repaid, found.seized) == ({"USDC": 0}, {"WETH": 1})


def test_refusals() -> None:
    """Every refusal carries the venue's own reason."""
    owing = account(900, {"last_status_check": NOW - 59}, WETH=1000, OLD=1)
    for held, where, request, reason in (
        (owing, market(), Liquidate(collateral_asset="WETH"), "E_LiquidationCoolOff"),
        (owing, market(), Liquidate(collateral_asset="GONE"), "E_BadCollateral"),
        (owing, market(), Liquidate(), "collateral_unstated"),
        (account(9, WETH=1000), market(), Liquidate(repay=1), "E_ExcessiveRepayAmount"),
        (account(9, WETH=1000), market(), Liquidate(), "no_violation"),
        (account(900, WETH=1000), market(), Liquidate(repay=901), "E_ExcessiveRepayAmount"),
        (account(900, WETH=1), market(liquidate_paused=1), Liquidate(), "E_OperationDisabled"),
    ):
        refused = euler_v2.liquidate(held, where, TERMS, request)
        assert isinstance(refused, Refusal)
        assert refused.reason == reason
    judged = euler_v2.margin(owing, market(), TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.NOT_EXECUTABLE, "E_LiquidationCoolOff")
    passed = replace(owing, options={"last_status_check": NOW - 60})
    assert euler_v2.margin(passed, market(), TERMS).verdict is Verdict.LIQUIDATABLE


def test_amounts_that_the_contract_cannot_hold() -> None:
    """Owed amounts are uint144, debts uint112, products uint256."""
    for held in (account(2**113, WETH=1), account(2**112, WETH=1), account(1, WETH=2**256)):
        assert euler_v2.margin(held, market(), TERMS).reason == "overflow"


def test_interest_that_cannot_be_carried_is_said() -> None:
    """Books older than the judgement are not judged as if they were fresh."""
    stale = int(AT.timestamp()) - 1
    old = market(interest_accumulator=RAY, updated_at=stale)
    judged = euler_v2.margin(account(1, WETH=1), old, TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, "accrual_unknown")


def test_roundings() -> None:
    """Owed amounts, the accumulator and the score are truncated."""
    assert euler_v2.current_owed(1, accumulator=RAY + 1, stored=RAY) == 1
    assert euler_v2.accumulated(RAY + 1, rate=1, seconds=1) == RAY + 2
    ratio = euler_v2.margin(account(700, WETH=1000), market(), TERMS).ratio
    assert ratio is not None
    assert ratio.value == 1_285_714_285_714_285_714


def test_offer_at_its_limits() -> None:
    """Collateral worth just what the debt buys is no limit, and the whole may be asked for."""
    offer = euler_v2.best_offer(Side(90, 100), debt=100, balance=111, value=111, terms=TERMS)
    assert offer == euler_v2.Offer(repay=100, take=111)
    assert euler_v2.part_of(offer, 100) == offer
    assert euler_v2.part_of(offer, 99) == euler_v2.Offer(repay=99, take=109)


def test_nothing_accrues_in_no_time() -> None:
    """Accrual to the same moment leaves the market as it was."""
    rated = market(interest_accumulator=RAY, interest_rate=RAY)
    assert euler_v2.accrue(rated, TERMS, AT) == rated


def test_collateral_that_does_not_count_is_not_taken_without_a_price() -> None:
    """Taking collateral needs its price even where its limit is zero."""
    owing, priced = account(900, WETH=1000, OLD=5), market()
    prices = {**priced.prices, "OLD": replace(priced.prices["OLD"], value=0)}
    request = Liquidate(collateral_asset="OLD")
    refused = euler_v2.liquidate(owing, replace(priced, prices=prices), TERMS, request)
    assert refused == Refusal("price_not_positive", "OLD")


def test_bonus_is_what_exceeds_the_value_repaid() -> None:
    """945 repaid are worth 945 and a fraction of the collateral: 946 of the 1,000 taken."""
    found = euler_v2.liquidate(account(950, WETH=1000), market(WAD - 1), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert (found.repaid, found.seized) == ({"USDC": 945}, {"WETH": 1000})
    assert found.bonus == {"WETH": 54}


def test_stored_accumulator_of_zero() -> None:
    """A stored accumulator is never zero; one that is cannot be divided by."""
    owing = account(800, {"interest_accumulator": 0}, WETH=1000)
    judged = euler_v2.margin(owing, market(interest_accumulator=RAY), TERMS)
    assert judged.reason == "interest_accumulator_missing"


def test_ramp_has_a_time_trigger() -> None:
    """The second at which the ramp alone flips the verdict is found exactly."""
    ramp = euler_v2.Ltv(
        borrow=7000,
        liquidation=8000,
        initial_liquidation=9000,
        target_timestamp=NOW + 1000,
        ramp_duration=1000,
    )
    found = time_trigger(
        euler_v2.RULEBOOKS[0],
        account(850, WETH=1000),
        market(),
        replace(TERMS, collaterals={"WETH": ramp}),
        until=AT + timedelta(days=1),
    )
    assert found is not None
    assert found.at == AT + timedelta(seconds=491)


def test_accumulator_at_the_widest_product() -> None:
    """2^256 - 1 = (2^128 - 1)(2^128 + 1) still fits; one more does not."""
    rate = 2**128 + 1 - RAY
    assert euler_v2.accumulated(2**128 - 1, rate=rate, seconds=1) == (2**256 - 1) // RAY
    assert euler_v2.accumulated(2**128, rate=rate, seconds=1) == 2**128
