"""Fluid's positions, which no recorded answer covers."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate
from models.margin.venues import fluid

AT = datetime(2026, 1, 1, tzinfo=UTC)
PRICE = 10**27
TERMS = fluid.Terms(
    collateral_asset="WETH",
    debt_asset="USDC",
    collateral_factor=800,
    liquidation_threshold=850,
    liquidation_max_limit=900,
    liquidation_penalty=300,
)


def account(collateral: int, debt: int, **options: int) -> Account:
    """Return a position in raw amounts."""
    return Account(
        id="a",
        venue="fluid",
        version="vault-t1",
        market="WETH/USDC",
        legs=(
            Leg(kind=LegKind.COLLATERAL, asset="WETH", quantity=collateral),
            Leg(kind=LegKind.DEBT, asset="USDC", quantity=debt),
        ),
        options=options,
    )


def market(price: int | None = PRICE, **state: int) -> Market:
    """Return a market with one price."""
    prices = {}
    if price is not None:
        prices["WETH"] = Price(value=price, decimals=27, observed_at=AT)
    return Market(at=AT, prices=prices, state=state)


def test_ticks_outside_the_range_revert() -> None:
    """Neither a tick nor a ratio beyond the venue's range has an answer."""
    for tick in (-32768, 32768):
        with pytest.raises(OverflowError, match="outside"):
            fluid.ratio_at_tick(tick)
    for ratio in (0, 37075071, fluid.MAX_RATIO + 1):
        with pytest.raises(OverflowError, match="outside"):
            fluid.tick_at_ratio(ratio)
    assert fluid.tick_at_ratio(37075072).tick == -32767
    assert fluid.tick_at_ratio(fluid.MAX_RATIO).tick == 32767


def test_limit_ticks() -> None:
    """85 % and 90 % of par lie 109 and 71 ticks of 0.15 % below it, rounded down."""
    assert fluid.limit_tick(PRICE, 850) == -109
    assert fluid.limit_tick(PRICE, 900) == -71
    assert fluid.borrow_tick(PRICE, TERMS) == -149


def test_verdict_by_tick() -> None:
    """On the liquidation tick a position is safe; one tick above it is not."""
    for tick, verdict, reason in (
        (-109, Verdict.SAFE, "at_or_below_liquidation_tick"),
        (-108, Verdict.LIQUIDATABLE, "above_liquidation_tick"),
        (-71, Verdict.LIQUIDATABLE, "above_liquidation_tick"),
        (-70, Verdict.LIQUIDATABLE, "above_liquidation_max_limit"),
    ):
        judged = fluid.margin(account(10**18, 8 * 10**17, tick=tick), market(), TERMS)
        assert (judged.verdict, judged.reason) == (verdict, reason)
        assert judged.ratio is not None
        assert judged.ratio.value == tick
        assert judged.maintenance is not None
        assert (judged.maintenance.surplus < 0) == (verdict is Verdict.LIQUIDATABLE)


def test_sides_are_raw_debt() -> None:
    """A position on the tick of par stands for as much raw debt as it has collateral."""
    judged = fluid.margin(account(2**96, 1, tick=0), market(), TERMS)
    assert judged.maintenance is not None
    assert judged.maintenance.requirement == Fraction(2**96)
    assert judged.maintenance.credit == fluid.ratio_at_tick(-109)


def test_tick_is_that_of_the_next_higher_ratio() -> None:
    """Debt equal to collateral is a hair above par after padding: tick 1."""
    assert fluid.stored_tick(10**18, 10**18) == 1
    assert fluid.stored_tick(10**18, 10**18 - 10**12) == 0


def test_exchange_prices_move_the_limit() -> None:
    """Debt that has grown by 10 % lowers the raw price by as much."""
    grown = market(borrow_exchange_price=11 * 10**11)
    assert fluid.raw_price(11 * 10**26, grown) == PRICE
    held = account(10**18, 8 * 10**17, tick=-110)
    assert fluid.margin(held, grown, TERMS).verdict is Verdict.LIQUIDATABLE
    assert fluid.margin(held, market(), TERMS).verdict is Verdict.SAFE


def test_missing_price_zero_price_and_no_debt() -> None:
    """Nothing is called safe without a price, but for a position that owes nothing."""
    for price, reason in (
        (None, "price_missing"),
        (0, "price_not_positive"),
        (10**54 + 1, "Vault__InvalidOraclePrice"),
    ):
        judged = fluid.margin(account(10**18, 10**17), market(price), TERMS)
        assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, reason)
        refused = fluid.liquidate(account(10**18, 10**17), market(price), TERMS, Liquidate())
        assert refused == Refusal(reason)
        assert fluid.margin(account(10**18, 0), market(price), TERMS).reason == "no_debt"


def test_positions_that_the_venue_cannot_hold() -> None:
    """Debt without collateral has no tick; neither have amounts beyond uint128."""
    assert fluid.margin(account(0, 1), market(), TERMS).reason == "no_collateral"
    assert fluid.margin(account(10**18, 1), market(), TERMS).verdict is Verdict.SAFE
    for held in (account(2**256, 2**256), account(2**256, 1), account(1, 2**127)):
        judged = fluid.margin(held, market(), TERMS)
        assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, "ratio_out_of_range")


def test_price_without_a_tick_is_not_executable() -> None:
    """At a price so low that its limit has no tick the venue reverts, whoever is eligible."""
    held = account(10**18, 1, tick=0)
    judged = fluid.margin(held, market(1), TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.NOT_EXECUTABLE, "ratio_out_of_range")
    assert fluid.liquidate(held, market(1), TERMS, Liquidate()) == Refusal("ratio_out_of_range")


def test_borrowing_is_judged_by_its_own_rate() -> None:
    """The lower of two oracle rates bounds new borrowing, and may be refused alone."""
    priced = market()
    low = replace(priced.prices["WETH"], bid=9 * 10**26)
    held = account(2**96, 1, tick=-200)
    judged = fluid.margin(held, replace(priced, prices={"WETH": low}), TERMS)
    assert judged.initial is not None
    assert judged.initial.credit == fluid.ratio_at_tick(fluid.borrow_tick(9 * 10**26, TERMS))
    refused = replace(priced.prices["WETH"], bid=10**8)
    judged = fluid.margin(held, replace(priced, prices={"WETH": refused}), TERMS)
    assert judged.initial is None


def test_absorption_takes_everything() -> None:
    """Above the maximum limit the position is absorbed whole, in tokens at exchange prices."""
    held = account(10**18, 9 * 10**17, tick=-70)
    grown = market(supply_exchange_price=10**12 + 1, borrow_exchange_price=10**12 + 7)
    found = fluid.liquidate(
        replace(held, legs=account(10**18 - 1, 10**15 + 1).legs), grown, TERMS, Liquidate()
    )
    assert isinstance(found, Liquidation)
    assert found.repaid == {"USDC": 1_000_000_000_007_001}
    assert found.seized == {"WETH": 1_000_000_000_000_999_998}
    assert found.after is not None
    assert found.after.reason == "no_debt"


def test_shares_of_a_tick_are_refused() -> None:
    """What one account loses of a tick is not established, and is said so."""
    between = fluid.liquidate(account(10**18, 1, tick=-100), market(), TERMS, Liquidate())
    assert isinstance(between, Refusal)
    assert between.reason == "per_tick_liquidation"
    below = fluid.liquidate(account(10**18, 1, tick=-200), market(), TERMS, Liquidate())
    assert isinstance(below, Refusal)
    assert below.reason == "not_above_liquidation_tick"


def test_one_tick_is_brought_to_a_lower_ratio() -> None:
    """Repaying 2,500 for 2,000 takes 3,000 of debt per collateral down to 500 of 1,000."""
    taken = fluid.tick_liquidation(3000, ratio=2**96, end_ratio=2**95, per_debt=8 * 10**26)
    assert taken == fluid.Taken(debt=2500, collateral=2000)
    assert fluid.collateral_per_debt(PRICE, TERMS) == 103 * 10**25


def test_one_tick_is_never_emptied() -> None:
    """Where all of the debt would go, the smallest unit stays."""
    taken = fluid.tick_liquidation(3000, ratio=2**96, end_ratio=2**95, per_debt=10**27)
    assert taken == fluid.Taken(debt=2999, collateral=3000)


def test_par_is_tick_zero() -> None:
    """A ratio of exactly one is tick 0, the unit below it tick -1."""
    assert fluid.tick_at_ratio(2**96) == fluid.Perfect(tick=0, ratio=2**96)
    assert fluid.tick_at_ratio(2**96 - 1).tick == -1


def test_limits_round_down_in_the_venues_order() -> None:
    """Liquidation converts the price before it takes the threshold, borrowing after."""
    price = 1_234_567_890_123_456_789_012_345_679
    assert fluid.limit_ratio(price, 853) == 83_434_101_254_855_402_820_323_715_515
    assert fluid.borrow_ratio(price, 853) == 83_434_101_254_855_402_820_323_715_501
    terms = replace(TERMS, liquidation_penalty=307)
    assert fluid.collateral_per_debt(price, terms) == 834_867_007_513_803_068_375_607_921


def test_tick_amounts_round_down() -> None:
    """Debt and collateral of a tick are truncated, the collateral from the truncated debt."""
    taken = fluid.tick_liquidation(
        10**30 + 7, ratio=2**96 + 12345, end_ratio=2**95 + 777, per_debt=8 * 10**26 + 3
    )
    assert taken == fluid.Taken(
        debt=833_333_333_333_333_333_333_333_459_341,
        collateral=666_666_666_666_666_666_666_666_769_972,
    )


def test_smallest_amounts_of_the_venues_arithmetic() -> None:
    """Debt is padded by one part in 10^9 and one unit; raw prices are truncated."""
    assert fluid.padded_debt(1) == 2
    assert fluid.padded_debt(10**9) == 10**9 + 2
    thirds = market(borrow_exchange_price=3 * 10**12)
    assert fluid.raw_price(10, thirds) == 3
    assert fluid.raw_price(10**54, market()) == 10**45
    # The first ratio whose quotient is exactly one step.
    assert fluid.tick_at_ratio(79_347_004_758_035_734_099_934_266_262).tick == 1
    assert fluid.tick_at_ratio(79_347_004_758_035_734_099_934_266_261).tick == 0
    for name in ("supply_exchange_price", "borrow_exchange_price"):
        judged = fluid.margin(account(10**18, 1), market(**{name: 0}), TERMS)
        assert judged.reason == "exchange_price_missing"


def test_ends_of_the_oracles_range() -> None:
    """The highest price the venue takes and the lowest limit it has a tick for are judged."""
    held = account(10**18, 10**17, tick=0)
    assert fluid.margin(held, market(10**54), TERMS).verdict is Verdict.SAFE
    least = 467_953_198
    lowest = replace(TERMS, liquidation_threshold=1)
    assert fluid.limit_ratio(least, 1) == fluid.MIN_RATIO
    assert fluid.margin(held, market(least), lowest).verdict is Verdict.LIQUIDATABLE
    assert fluid.margin(held, market(least - 1), lowest).verdict is Verdict.NOT_EXECUTABLE


def test_ratio_of_a_position_is_truncated() -> None:
    """Debt padded to one unit less than 2^97 of collateral is half a unit below par."""
    debt = 158_456_324_870_072_350_317_015_550_353
    assert fluid.padded_debt(debt) == 2**97 - 1
    assert fluid.stored_tick(2**97, debt) == 0


@pytest.mark.parametrize(
    ("rate", "is_judged"),
    [(10**9 - 1, False), (10**9, True), (10**54, True), (10**54 + 1, False)],
)
def test_ends_of_the_range_that_borrowing_is_priced_in(rate: int, *, is_judged: bool) -> None:
    """The lowest and the highest rate that the venue takes are taken."""
    at = market()
    quoted = replace(at, prices={"WETH": replace(at.prices["WETH"], bid=rate)})
    judged = fluid.margin(account(2**96, 1, tick=-200), quoted, TERMS)
    assert (judged.initial is not None) == is_judged
