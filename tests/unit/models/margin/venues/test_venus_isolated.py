"""Venus' isolated pools by hand: large accounts, small ones, what is written off or refused."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import MAX_UINT256, WAD
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate, load
from models.margin.venues.venus_isolated import Terms, Weight

AT = datetime(2026, 12, 1, tzinfo=UTC)
BOOK = load("venus-isolated", "4")
PART = WAD // 100
TERMS = Terms(
    close_factor=WAD // 2,
    liquidation_incentive=110 * PART,
    min_liquidatable_collateral=1_000 * WAD,
    decimals={"BNB": 18, "USDC": 6, "DAI": 18},
    weights={
        asset: Weight(
            collateral_factor=75 * PART, liquidation_threshold=80 * PART, seize_share=5 * PART
        )
        for asset in ("BNB", "USDC", "DAI")
    },
)
RATE = 2 * 10**26
"""Of a vToken with 8 decimals: 50 to a token of 18."""

TOKEN = 50 * 10**8
"""vTokens of one BNB, or of one DAI."""


def account(*legs: tuple[str, str, int], **options: int) -> Account:
    """Return an account of legs: kind, asset and smallest units."""
    return Account(
        id="a",
        venue="venus-isolated",
        version="4",
        market="core",
        options={name.replace("__", "."): value for name, value in options.items()},
        legs=tuple(Leg(kind=LegKind(k), asset=asset, quantity=q) for k, asset, q in legs),
    )


def market(price: int, **state: int) -> Market:
    """Return a market with a price of BNB in dollars."""
    values = {"BNB": price, "USDC": 1, "DAI": 1}
    prices = {
        asset: Price(value=value * 10**36, decimals=36, observed_at=AT)
        for asset, value in values.items()
    }
    rates = {"BNB.exchange_rate": RATE, "DAI.exchange_rate": RATE}
    rates["USDC.exchange_rate"] = RATE // 10**12
    dotted = {name.replace("__", "."): value for name, value in state.items()}
    return Market(at=AT, prices=prices, state={**rates, **dotted})


LARGE = account(("collateral", "BNB", 10 * TOKEN), ("debt", "USDC", 4_000 * 10**6))
"""At 500 dollars the threshold of 80 % is met exactly, and 5,000 is above the least."""

SMALL = account(("collateral", "BNB", TOKEN), ("debt", "USDC", 400 * 10**6))
"""The same, a tenth of it: 500 dollars is not."""


def liquidated(whose: Account, where: Market, wish: Liquidate | None = None) -> Liquidation:
    """Return a liquidation that is not refused."""
    found = BOOK.liquidate(whose, where, TERMS, wish or Liquidate())  # type: ignore[misc]
    assert isinstance(found, Liquidation), found
    return found


def refusal(whose: Account, where: Market, wish: Liquidate | None = None) -> str:
    """Return why a liquidation is refused."""
    found = BOOK.liquidate(whose, where, TERMS, wish or Liquidate())  # type: ignore[misc]
    assert isinstance(found, Refusal), found
    return found.reason


@pytest.mark.parametrize(
    ("whose", "price", "state", "verdict", "reason"),
    [
        (LARGE, 500, {}, "safe", "no_shortfall"),
        (LARGE, 499, {}, "liquidatable", "shortfall"),
        (LARGE, 499, {"USDC__liquidate_paused": 1}, "not_executable", "ActionPaused"),
        (LARGE, 499, {"USDC__repay_paused": 1}, "not_executable", "ActionPaused"),
        (LARGE, 499, {"BNB__seize_paused": 1}, "not_executable", "ActionPaused"),
        (LARGE, 499, {"BNB__repay_paused": 1}, "liquidatable", "shortfall"),
        (LARGE, 500, {"USDC__forced": 1}, "liquidatable", "forced_liquidation"),
        (LARGE, 500, {"BNB__forced": 1}, "safe", "no_shortfall"),
        (LARGE, 500, {"BNB__exchange_rate": 0}, "unevaluable", "exchange_rate_missing"),
        (LARGE, 0, {}, "unevaluable", "price_not_positive"),
        (SMALL, 500, {}, "safe", "no_shortfall"),
        (SMALL, 499, {}, "liquidatable", "shortfall_settled_whole"),
        (SMALL, 441, {}, "liquidatable", "shortfall_settled_whole"),
        (SMALL, 440, {}, "liquidatable", "shortfall_written_off"),
        (SMALL, 499, {"USDC__liquidate_paused": 1}, "not_executable", "ActionPaused"),
        (SMALL, 440, {"USDC__liquidate_paused": 1}, "liquidatable", "shortfall_written_off"),
        (SMALL, 440, {"USDC__repay_paused": 1}, "not_executable", "ActionPaused"),
        (SMALL, 440, {"BNB__seize_paused": 1}, "not_executable", "ActionPaused"),
        (SMALL, 500, {"USDC__forced": 1}, "liquidatable", "forced_liquidation"),
    ],
)
def test_verdicts(
    whose: Account, price: int, state: dict[str, int], verdict: str, reason: str
) -> None:
    """Meeting the threshold is safe; at an incentive of 10 %, 440 dollars pay for 400 exactly."""
    judged = BOOK.margin(whose, market(price, **state), TERMS)
    assert (judged.verdict.value, judged.reason) == (verdict, reason)


def test_the_least_itself_is_small() -> None:
    """1,000 dollars are settled whole, a dollar more is liquidated debt by debt."""
    owing = account(("collateral", "BNB", 2 * TOKEN), ("debt", "USDC", 850 * 10**6))
    at = BOOK.margin(owing, market(500), TERMS)
    above = BOOK.margin(owing, market(501), TERMS)
    assert (at.reason, above.reason) == ("shortfall_settled_whole", "shortfall")


@pytest.mark.parametrize(
    ("whose", "reason"),
    [
        (account(("debt", "DOGE", 1)), "asset_not_listed"),
        (account(("position", "BNB", 1)), "leg_kind_unknown"),
        (account(("debt", "USDC", MAX_UINT256)), "overflow"),
    ],
)
def test_what_cannot_be_judged(whose: Account, reason: str) -> None:
    """By a reason, and never as safe."""
    judged = BOOK.margin(whose, market(500), TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, reason)


def test_a_price_that_lacks_is_told_also_where_nothing_is_held() -> None:
    """The venue judges nobody who entered a market without a price."""
    bare = market(500)
    without = replace(bare, prices={k: v for k, v in bare.prices.items() if k != "DAI"})
    assert BOOK.margin(LARGE, without, TERMS).verdict is Verdict.SAFE
    entered = replace(LARGE, options={"DAI.entered": 1})
    judged = BOOK.margin(entered, without, TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, "price_missing")
    assert set(judged.prices) == {"BNB", "USDC", "DAI"}


def test_what_is_forced_needs_no_price_of_what_it_does_not_move() -> None:
    """The account is not valued; its debt is repaid all the same."""
    state = market(500, USDC__forced=1)
    without = replace(state, prices={k: v for k, v in state.prices.items() if k != "DAI"})
    entered = replace(LARGE, options={"DAI.entered": 1})
    assert BOOK.margin(entered, without, TERMS).verdict is Verdict.UNEVALUABLE
    found = liquidated(entered, without)
    assert found.repaid == {"USDC": 4_000 * 10**6}
    assert refusal(entered, without, Liquidate(collateral_asset="DAI")) == "price_missing"
    bare = replace(without, prices={"BNB": without.prices["BNB"]})
    assert refusal(entered, bare) == "price_missing"


def test_dust_is_repaid_for_nothing_out_of_a_market_that_is_entered_and_empty() -> None:
    """The venue asks who entered a market, not what is in it: as much as no vToken pays for."""
    entered = replace(LARGE, options={"DAI.entered": 1})
    state = market(400, DAI__exchange_rate=10**34)
    wish = Liquidate(collateral_asset="DAI")
    assert refusal(LARGE, state, wish) == "MarketNotCollateral"
    unrated = {name: each for name, each in state.state.items() if name != "DAI.exchange_rate"}
    assert refusal(entered, replace(state, state=unrated), wish) == "exchange_rate_missing"
    found = liquidated(entered, state, wish)
    assert found.repaid == {"USDC": 9_090}  # a vToken is a cent, less the incentive of 10 %
    assert found.seized == {"DAI": 0}
    more = Liquidate(collateral_asset="DAI", repay=found.repaid["USDC"] + 1)
    assert refusal(entered, state, more) == "LIQUIDATE_SEIZE_TOO_MUCH"


def test_new_debt_goes_by_the_factor_and_liquidation_by_the_threshold() -> None:
    """3,750 dollars may be borrowed against 5,000, and 4,000 are met by the threshold."""
    judged = BOOK.margin(LARGE, market(500), TERMS)
    assert judged.maintenance is not None
    assert judged.initial is not None
    assert (judged.maintenance.credit, judged.maintenance.requirement) == (4_000 * WAD, 4_000 * WAD)
    assert (judged.initial.credit, judged.initial.requirement) == (3_750 * WAD, 4_000 * WAD)


def test_half_of_a_debt_of_a_large_account_is_repaid_at_most() -> None:
    """2,000 dollars at an incentive of 10 % take 2,200 dollars of BNB at 400.

    The venue keeps 5 of the 110 parts.
    """
    found = liquidated(LARGE, market(400))
    assert found.repaid == {"USDC": 2_000 * 10**6}
    assert found.seized == {"BNB": 55 * TOKEN // 10}
    assert found.bonus == {"BNB": 5 * TOKEN // 10}
    assert found.protocol_fee == {"BNB": 25 * TOKEN // 100}
    assert found.bad_debt == {}
    over = Liquidate(repay=2_000 * 10**6 + 1)
    assert refusal(LARGE, market(400), over) == "TooMuchRepay"


def test_what_the_venue_keeps_is_paid_out_of_the_market() -> None:
    """A quarter of a BNB: refused where the market has less; else the rest is worth as much."""
    paid = WAD // 4
    assert refusal(LARGE, market(400, BNB__cash=paid - 1)) == "arithmetic underflow"
    totals = {"BNB__total_supply": 100 * TOKEN, "BNB__total_assets": 100 * WAD}
    found = liquidated(LARGE, market(400, BNB__cash=paid, **totals))
    assert found.after is not None
    assert found.after.maintenance is not None
    assert found.after.maintenance.credit == 1_440 * WAD


def test_rounding_stays_with_the_market() -> None:
    """What a vToken is worth rises by what was not paid out."""
    supply, assets = 3 * TOKEN, 3 * WAD + 1_000
    rate = assets * WAD // supply
    totals = {"BNB__total_supply": supply, "BNB__total_assets": assets, "BNB__exchange_rate": rate}
    found = liquidated(LARGE, market(400, **totals))
    kept = found.protocol_fee["BNB"]
    left = (assets - rate * int(kept) // WAD) * WAD // (supply - int(kept))
    credit = (
        80 * PART * (left * 400 * WAD // WAD) // WAD * (10 * TOKEN - found.seized["BNB"]) // WAD
    )
    assert left > rate
    assert found.after is not None
    assert found.after.maintenance is not None
    assert found.after.maintenance.credit == credit


def test_all_debts_of_a_small_account_are_repaid_at_once() -> None:
    """Out of the collateral named first, then out of the rest; what is left stays the owner's.

    DAI: 190 dollars take 209 of the 500 in BNB. USDC: a unit of 10^-6 takes 11 vTokens of BNB, or
    5,500 of DAI; 291 dollars less six vTokens pay for 264,545,454 units of 300,000,000. The other
    way round 100 dollars of DAI pay for 90.909..., and the rest takes 109 dollars of BNB, rounded
    down, before 330 for USDC.
    """
    owing = account(
        ("collateral", "BNB", TOKEN),
        ("collateral", "DAI", 100 * TOKEN),
        ("debt", "USDC", 300 * 10**6),
        ("debt", "DAI", 190 * WAD),
    )
    found = liquidated(owing, market(500))
    assert found.repaid == {"USDC": 300 * 10**6, "DAI": 190 * WAD}
    assert found.seized == {"BNB": TOKEN - 6, "DAI": (300_000_000 - 264_545_454) * 5_500}
    assert found.after is not None
    assert found.after.reason == "no_debt"
    first = liquidated(owing, market(500), Liquidate(collateral_asset="DAI"))
    assert first.seized == {"DAI": 100 * TOKEN, "BNB": 439 * TOKEN // 500 - 1}
    assert refusal(owing, market(500, DAI__repay_paused=1)) == "ActionPaused"
    assert refusal(owing, market(500, BNB__seize_paused=1)) == "LIQUIDATE_SEIZE_TOO_MUCH"


def test_what_collateral_does_not_pay_for_is_written_off() -> None:
    """220 dollars of BNB at an incentive of 10 % pay for half of 400; the rest is bad debt."""
    found = liquidated(SMALL, market(220))
    assert found.repaid == {"USDC": 200 * 10**6}
    assert found.seized == {"BNB": TOKEN}
    assert found.bonus == {"BNB": TOKEN - TOKEN * 100 // 110}
    assert found.bad_debt == {"USDC": 200 * 10**6}
    assert found.after is not None
    assert found.after.reason == "no_debt"
    assert refusal(SMALL, market(220, BNB__cash=0)) == "arithmetic underflow"


def test_the_last_who_owes_may_owe_more_than_was_lent() -> None:
    """By rounding alone: the contract's subtraction stops whatever repays or writes off all."""
    for price in (220, 499):
        lent = market(price, USDC__total_borrows=400 * 10**6 - 1)
        assert refusal(SMALL, lent) == "arithmetic underflow"
        judged = BOOK.margin(SMALL, lent, TERMS)
        assert (judged.verdict.value, judged.reason) == ("not_executable", "arithmetic underflow")
        assert liquidated(SMALL, market(price, USDC__total_borrows=400 * 10**6))
    half = market(400, USDC__total_borrows=2_000 * 10**6)
    assert liquidated(LARGE, half).repaid == {"USDC": 2_000 * 10**6}


def test_debts_without_collateral_are_written_off_by_anyone() -> None:
    """Whatever is paused: nothing is repaid."""
    owing = account(("debt", "USDC", 400 * 10**6))
    found = liquidated(owing, market(500, USDC__repay_paused=1))
    assert found.repaid == {"USDC": 0}
    assert found.bad_debt == {"USDC": 400 * 10**6}


def test_what_is_forced_is_repaid_whole() -> None:
    """However sound, and however small."""
    for whose, owed in ((LARGE, 4_000 * 10**6), (SMALL, 400 * 10**6)):
        found = liquidated(whose, market(600, USDC__forced=1))
        assert found.repaid == {"USDC": owed}
        assert found.after is not None
        assert found.after.reason == "no_debt"


@pytest.mark.parametrize(
    ("whose", "wish", "state", "reason"),
    [
        (LARGE, Liquidate(collateral_asset="DAI"), {}, "MarketNotCollateral"),
        (LARGE, Liquidate(debt_asset="DAI"), {}, "TooMuchRepay"),
        (LARGE, Liquidate(debt_asset="DOGE"), {}, "MarketNotListed"),
        (LARGE, Liquidate(repay=0), {}, "LiquidateCloseAmountIsZero"),
        (LARGE, Liquidate(), {"USDC__liquidate_paused": 1}, "ActionPaused"),
        (LARGE, Liquidate(), {"USDC__repay_paused": 1}, "ActionPaused"),
        (LARGE, Liquidate(), {"BNB__seize_paused": 1}, "ActionPaused"),
        (LARGE, Liquidate(), {"BNB__exchange_rate": 0}, "exchange_rate_missing"),
        (SMALL, Liquidate(repay=1), {}, "MinimalCollateralViolated"),
    ],
)
def test_refusals(whose: Account, wish: Liquidate, state: dict[str, int], reason: str) -> None:
    """By the venue's own names."""
    assert refusal(whose, market(400, **state), wish) == reason


def test_sound_accounts_are_refused() -> None:
    """Meeting the threshold is no shortfall; a debt alone of a small account is refused before."""
    assert refusal(LARGE, market(500)) == "InsufficientShortfall"
    assert refusal(SMALL, market(500)) == "InsufficientShortfall"
    assert refusal(SMALL, market(500), Liquidate(repay=1)) == "MinimalCollateralViolated"


def test_no_more_is_repaid_than_the_collateral_pays_for() -> None:
    """A large account that owes more: all collateral is taken, the rest is left as bad debt."""
    deep = account(("collateral", "BNB", 10 * TOKEN), ("debt", "USDC", 40_000 * 10**6))
    found = liquidated(deep, market(110))
    assert found.repaid == {"USDC": 1_000 * 10**6}
    assert found.seized == {"BNB": 10 * TOKEN}
    assert found.bad_debt == {"USDC": 39_000 * 10**6}
    over = Liquidate(repay=1_001 * 10**6)
    assert refusal(deep, market(110), over) == "LIQUIDATE_SEIZE_TOO_MUCH"


def test_terms_that_no_pool_has_are_no_error() -> None:
    """Without an incentive the contract divides by zero: nothing is judged."""
    terms = replace(TERMS, liquidation_incentive=0)
    judged = BOOK.margin(SMALL, market(440), terms)
    assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, "overflow")


def test_whoever_pledged_nothing_owes_alone() -> None:
    """A supply in a market that was not entered counts for nothing and is not taken."""
    idle = Leg(kind=LegKind.COLLATERAL, asset="BNB", quantity=TOKEN, pledged=False)
    whose = replace(SMALL, legs=(idle, SMALL.legs[1]))
    assert BOOK.margin(whose, market(500), TERMS).reason == "shortfall_written_off"
    assert liquidated(whose, market(500)).seized == {}


def test_tokens_and_bare_terms() -> None:
    """Ten BNB by the exchange rate, and 4,000 dollars; without haircuts all of it counts."""
    told = BOOK.tokens(LARGE, market(500), TERMS)  # type: ignore[misc]
    assert not isinstance(told, Refusal)
    assert [each.amount for each in told] == [Fraction(10), Fraction(4_000)]
    judged = BOOK.margin(LARGE, market(500), BOOK.bare(TERMS))  # type: ignore[misc]
    assert judged.maintenance is not None
    assert judged.maintenance.credit == 5_000 * WAD
