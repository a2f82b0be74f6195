"""Morpho Blue where no recorded answer covers it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Side, Verdict
from models.margin.rulebook import Liquidate
from models.margin.trigger import time_trigger
from models.margin.venues import morpho_blue

AT = datetime(2026, 1, 1, tzinfo=UTC)
WAD = 10**18
TERMS = morpho_blue.Terms(loan_asset="USDC", collateral_asset="WETH", lltv=8 * 10**17)
STATE = {
    "total_supply_assets": 10**12,
    "total_borrow_assets": 10**9,
    "total_borrow_shares": 10**15,
}


def account(collateral: int, shares: int) -> Account:
    """Return a position."""
    return Account(
        id="a",
        venue="morpho-blue",
        version="1",
        market="WETH/USDC",
        legs=(
            Leg(kind=LegKind.COLLATERAL, asset="WETH", quantity=collateral),
            Leg(kind=LegKind.DEBT, asset="USDC", quantity=shares),
        ),
    )


def market(price: int | None = 10**36, **state: int) -> Market:
    """Return a market in which a million shares are one loan unit."""
    prices = {}
    if price is not None:
        prices["WETH"] = Price(value=price, decimals=36, observed_at=AT)
    return Market(at=AT, prices=prices, state={**STATE, **state})


def test_equality_is_healthy_and_one_unit_more_is_not() -> None:
    """A debt of exactly the limit is safe; the next loan unit is not."""
    exact = morpho_blue.margin(account(1000, 800 * 10**6), market(), TERMS)
    assert (exact.verdict, exact.maintenance) == (Verdict.SAFE, Side(800, 800))
    assert exact.ratio is not None
    assert exact.ratio.value == WAD
    more = morpho_blue.margin(account(1000, 800 * 10**6 + 1), market(), TERMS)
    assert (more.verdict, more.maintenance) == (Verdict.LIQUIDATABLE, Side(800, 801))


def test_health_check_agrees_at_equality() -> None:
    """The contract's own question: 800 of debt on 1,000 are healthy, a share more is not."""
    totals = morpho_blue.Totals(supply_assets=10**12, borrow_assets=10**9, borrow_shares=10**15)
    for shares, expected in ((800 * 10**6, True), (800 * 10**6 + 1, False), (0, True)):
        position = morpho_blue.Position(collateral=1000, borrow_shares=shares)
        found = morpho_blue.is_healthy(position, totals, price=10**36, lltv=TERMS.lltv)
        assert found == expected


def test_missing_price_zero_price_and_no_debt() -> None:
    """Nothing is called safe without a price, but for an account that owes nothing."""
    for price, reason in ((None, "price_missing"), (0, "price_not_positive")):
        judged = morpho_blue.margin(account(1000, 1), market(price), TERMS)
        assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, reason)
        refused = morpho_blue.liquidate(account(1, 1), market(price), TERMS, Liquidate())
        assert refused == Refusal(reason)
        assert morpho_blue.margin(account(1000, 0), market(price), TERMS).reason == "no_debt"


def test_books_that_are_not_known() -> None:
    """Without totals the debt behind the shares is not known."""
    bare = replace(market(), state={})
    assert morpho_blue.margin(account(1, 1), bare, TERMS).reason == "totals_missing"


def test_amounts_that_the_contract_cannot_hold() -> None:
    """Stored amounts are uint128, products uint256."""
    for held in (account(2**128, 1), account(1, 2**128), account(2**256, 2**256)):
        assert morpho_blue.margin(held, market(), TERMS).reason == "overflow"
    assert morpho_blue.margin(account(2**127, 1), market(2**200), TERMS).reason == "overflow"


def test_incentive_is_capped() -> None:
    """The incentive follows the limit up to 15 %."""
    assert morpho_blue.incentive_factor(86 * 10**16) == 1_043_841_336_116_910_229
    assert morpho_blue.incentive_factor(0) == 115 * 10**16


def test_interest_by_three_terms() -> None:
    """A rate of 10 % over the step gives 0.1 + 0.005 + 0.000166."""
    assert morpho_blue.compounded(10**15, 100) == 105_166_666_666_666_666


def test_accrual_and_its_fee() -> None:
    """Both totals grow by the interest; the fee is paid in new supply shares."""
    rated = market(borrow_rate_per_second=10**15, total_supply_shares=10**18)
    terms = replace(TERMS, fee=10**17)
    later = morpho_blue.accrue(rated, terms, AT + timedelta(seconds=100))
    assert later.state["total_borrow_assets"] == 1_105_166_666
    assert later.state["total_supply_assets"] == 1_000_105_166_666
    assert later.state["total_supply_shares"] == 10**18 + 10_515_670_691_769
    assert later.state["updated_at"] == int(AT.timestamp()) + 100


def test_stored_totals_are_carried_to_the_judgement() -> None:
    """Interest since the last update counts, as it does when the venue is called."""
    rated = market(borrow_rate_per_second=10**15, updated_at=int(AT.timestamp()))
    held = account(1000, 800 * 10**6)
    assert morpho_blue.margin(held, rated, TERMS).verdict is Verdict.SAFE
    later = replace(rated, at=AT + timedelta(seconds=10))
    assert morpho_blue.margin(held, later, TERMS).verdict is Verdict.LIQUIDATABLE


def test_whole_liquidation() -> None:
    """Without a stated amount the whole debt is repaid at the incentive."""
    found = morpho_blue.liquidate(account(1000, 801 * 10**6), market(), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    # floor(801 · 1.0638…) of collateral for 801 of debt.
    assert (found.repaid, found.seized) == ({"USDC": 801}, {"WETH": 852})
    assert (found.bonus, found.bad_debt) == ({"WETH": 51}, {})
    assert found.after is not None
    assert found.after.reason == "no_debt"


def test_liquidation_with_too_little_collateral_leaves_bad_debt() -> None:
    """All collateral is taken, and the suppliers lose the rest of the debt."""
    found = morpho_blue.liquidate(account(500, 801 * 10**6), market(), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert (found.repaid, found.seized) == ({"USDC": 471}, {"WETH": 500})
    assert found.bad_debt == {"USDC": 330}


def test_part_of_an_account_under_water_is_toxic() -> None:
    """Repaying a part at a premium leaves a worse position when the debt is near the value."""
    request = Liquidate(repay=100 * 10**6)
    found = morpho_blue.liquidate(account(1000, 990 * 10**6), market(), TERMS, request)
    assert isinstance(found, Liquidation)
    assert found.is_toxic


def test_refusals() -> None:
    """Every refusal carries the venue's own reason."""
    position = morpho_blue.Position(collateral=1000, borrow_shares=801 * 10**6)
    totals = morpho_blue.totals_of(STATE)

    def reason(seized: int, shares: int) -> str:
        outcome = morpho_blue.seize(
            position,
            totals,
            price=10**36,
            lltv=TERMS.lltv,
            seized=seized,
            repaid_shares=shares,
        )
        assert isinstance(outcome, Refusal)
        return outcome.reason

    assert reason(0, 0) == "inconsistent input"
    assert reason(1, 1) == "inconsistent input"
    assert reason(0, 801 * 10**6 + 1) == "underflow"
    assert reason(1001, 0) == "underflow"
    assert reason(0, 2**128) == "max uint128 exceeded"
    assert reason(2**250, 0) == "overflow"
    safe = morpho_blue.liquidate(account(1000, 1), market(), TERMS, Liquidate())
    assert isinstance(safe, Refusal)
    assert safe.reason == "position is healthy"


def test_interest_that_cannot_be_carried_is_said() -> None:
    """Books older than the judgement are not judged as if they were fresh."""
    stale = int(AT.timestamp()) - 1
    old = market(updated_at=stale)
    judged = morpho_blue.margin(account(1, 1), old, TERMS)
    assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, "accrual_unknown")


def test_bonus_is_what_exceeds_the_value_repaid() -> None:
    """2,401 repaid at a price of 3 are worth 800 and a third: 801 of the 851 taken."""
    found = morpho_blue.liquidate(
        account(1000, 2401 * 10**6), market(3 * 10**36), TERMS, Liquidate()
    )
    assert isinstance(found, Liquidation)
    assert (found.repaid, found.seized) == ({"USDC": 2401}, {"WETH": 851})
    assert found.bonus == {"WETH": 50}


def test_nothing_accrues_in_no_time() -> None:
    """Accrual to the same moment leaves the market as it was."""
    rated = market(borrow_rate_per_second=10**15)
    assert morpho_blue.accrue(rated, TERMS, AT) == rated


def test_bad_debt_beyond_what_is_supplied_reverts() -> None:
    """The suppliers can lose all they have, but not more."""
    position = morpho_blue.Position(collateral=500, borrow_shares=801 * 10**6)
    totals = replace(morpho_blue.totals_of(STATE), supply_assets=330)
    all_lost = morpho_blue.seize(position, totals, price=10**36, lltv=TERMS.lltv, seized=500)
    assert isinstance(all_lost, morpho_blue.Seizure)
    assert (all_lost.bad_debt, all_lost.totals.supply_assets) == (330, 0)
    more = replace(totals, supply_assets=329)
    refused = morpho_blue.seize(position, more, price=10**36, lltv=TERMS.lltv, seized=500)
    assert isinstance(refused, Refusal)
    assert refused.reason == "underflow"


def test_health_factor_is_truncated() -> None:
    """800 over 700 has no end of digits."""
    ratio = morpho_blue.margin(account(1000, 700 * 10**6), market(), TERMS).ratio
    assert ratio is not None
    assert ratio.value == 1_142_857_142_857_142_857


def test_interest_has_a_time_trigger() -> None:
    """The second at which interest alone flips the verdict is found exactly."""
    rated = market(borrow_rate_per_second=10**15)
    found = time_trigger(
        morpho_blue.RULEBOOKS[0],
        account(1000, 790 * 10**6),
        rated,
        TERMS,
        until=AT + timedelta(days=1),
    )
    assert found is not None
    # e^(0.012) · 790 is 799.5, rounded up 800; e^(0.013) · 790 is more.
    assert found.at == AT + timedelta(seconds=13)
