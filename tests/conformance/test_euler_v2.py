"""Euler v2 against answers of the executed vault."""

from datetime import UTC, datetime
from typing import Any

import pytest
from vectors import cases

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate
from models.margin.venues import euler_v2

AT = datetime(2026, 1, 1, tzinfo=UTC)
FILE = "euler_v2_evk.json"
RAMP = "euler_v2_ltv_ramp.json"


def terms_of(case: dict[str, Any]) -> euler_v2.Terms:
    """Return the recorded vault's parameters."""
    return euler_v2.Terms(
        asset="DEBT",
        collaterals={
            f"C{i}": euler_v2.Ltv(borrow=each["borrowLTV"], liquidation=each["liquidationLTV"])
            for i, each in enumerate(case["collaterals"])
        },
        max_liquidation_discount=case["maxLiquidationDiscountBps"],
    )


def account_of(case: dict[str, Any]) -> Account:
    """Return the recorded account."""
    debt = Leg(kind=LegKind.DEBT, asset="DEBT", quantity=int(case["owedExact"]))
    collaterals = (
        Leg(kind=LegKind.COLLATERAL, asset=f"C{i}", quantity=int(each["balance"]))
        for i, each in enumerate(case["collaterals"])
    )
    return Account(
        id="v",
        venue="euler-v2",
        version="evk",
        market="DEBT",
        legs=(debt, *collaterals),
        options={"interest_accumulator": int(case["userAccumulator"])},
    )


def market_of(case: dict[str, Any]) -> Market:
    """Return the recorded prices and accumulator."""
    prices = {
        f"C{i}": Price(
            value=int(each["priceMidE18"]),
            bid=int(each["priceBidE18"]),
            decimals=18,
            observed_at=AT,
        )
        for i, each in enumerate(case["collaterals"])
    }
    debt = Price(
        value=int(case["debtPriceMidE18"]),
        ask=int(case["debtPriceAskE18"]),
        decimals=18,
        observed_at=AT,
    )
    state = {"interest_accumulator": int(case["interestAccumulator"])}
    return Market(at=AT, prices={**prices, "DEBT": debt}, state=state)


@pytest.mark.parametrize("case", cases(FILE, "vectors"))
def test_account(case: dict[str, Any]) -> None:
    """Values, borrow check, verdict and both liquidations equal the vault's."""
    expected = case["expected"]
    account, market, terms = account_of(case), market_of(case), terms_of(case)
    position = euler_v2.position_of(account, market)
    assert euler_v2.assets_up(position.owed) == int(expected["liabilityAssets"])
    judged = euler_v2.margin(account, market, terms)
    side, initial = judged.maintenance, judged.initial
    assert side is not None
    assert initial is not None
    assert side.credit == int(expected["collateralAdjustedValue"])
    assert side.requirement == int(expected["liabilityValue"])
    assert euler_v2.may_borrow(initial) == expected["borrowCheckPasses"]
    has_offer = (expected["maxRepay"], expected["maxYield"]) != ("0", "0")
    if has_offer:
        assert judged.verdict is Verdict.LIQUIDATABLE
    check_offer(case, euler_v2.best_offer, side)
    check_liquidations(case, account, market, terms)


def check_offer(case: dict[str, Any], best_offer: Any, side: Any) -> None:
    """Compare the most that may be repaid and taken with what is recorded."""
    expected, taken = case["expected"], case["collaterals"][case["liquidateCollateral"]]
    balance = int(taken["balance"])
    offer = best_offer(
        side,
        debt=int(expected["liabilityAssets"]),
        balance=balance,
        value=euler_v2.quote(balance, int(taken["priceMidE18"])),
        terms=terms_of(case),
    )
    assert offer == euler_v2.Offer(repay=int(expected["maxRepay"]), take=int(expected["maxYield"]))


def check_liquidations(
    case: dict[str, Any], account: Account, market: Market, terms: euler_v2.Terms
) -> None:
    """Compare the whole and the partial liquidation with the recorded ones."""
    expected, asset = case["expected"], f"C{case['liquidateCollateral']}"
    asked = [(None, expected["maxRepay"], expected["maxYield"])]
    if expected["partial"] is not None:
        desired = expected["partial"]["desiredRepay"]
        asked.append((int(desired), desired, expected["partial"]["yieldBalance"]))
    for repay, repaid, seized in asked:
        request = Liquidate(collateral_asset=asset, repay=repay)
        found = euler_v2.liquidate(account, market, terms, request)
        if isinstance(found, Refusal):
            assert (found.reason, repaid, seized) == ("no_violation", "0", "0")
            continue
        assert isinstance(found, Liquidation)
        assert found.repaid == {"DEBT": int(repaid)}
        assert found.seized == {asset: int(seized)}


@pytest.mark.parametrize("case", cases(RAMP, "vectors"))
def test_ramp(case: dict[str, Any]) -> None:
    """The limit in force at a time equals the vault's, for borrowing and for liquidation."""
    ltv = euler_v2.Ltv(
        borrow=case["borrowLTV"],
        liquidation=case["liquidationLTV"],
        initial_liquidation=case["initialLiquidationLTV"],
        target_timestamp=case["targetTimestamp"],
        ramp_duration=case["rampDuration"],
    )
    found = euler_v2.liquidation_ltv(ltv, case["now"]) if case["liquidation"] else ltv.borrow
    assert found == case["expected"]
