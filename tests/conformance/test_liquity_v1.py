"""Liquity v1 against executed answers of a fork: troves, recovery mode, liquidations."""

from datetime import UTC, datetime
from typing import Any

import pytest
from vectors import cases

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate
from models.margin.venues import liquity_v1

AT = datetime(2026, 11, 30, tzinfo=UTC)
FILE = "liquity_v1.json"


def terms_of(case: dict[str, Any]) -> liquity_v1.Terms:
    """Return the recorded parameters."""
    return liquity_v1.Terms(
        collateral_asset="ETH",
        debt_asset="ZUSD",
        mcr=int(case["mcr"]),
        ccr=int(case["ccr"]),
        gas_compensation=20 * 10**18,
        min_net_debt=180 * 10**18,
    )


def account_of(case: dict[str, Any]) -> Account:
    """Return the recorded trove as an account."""
    return Account(
        id="trove",
        venue="liquity-v1",
        version="1",
        market="core",
        legs=(
            Leg(kind=LegKind.COLLATERAL, asset="ETH", quantity=int(case["collateral"])),
            Leg(kind=LegKind.DEBT, asset="ZUSD", quantity=int(case["debt"])),
        ),
    )


def market_of(case: dict[str, Any]) -> Market:
    """Return the recorded system."""
    state = {name: int(case[name]) for name in (*liquity_v1.TOTALS, "troves")}
    price = Price(value=int(case["price"]), decimals=18, observed_at=AT)
    return Market(at=AT, prices={"ETH": price}, state=state)


@pytest.mark.parametrize("case", cases(FILE, "troves"))
def test_trove(case: dict[str, Any]) -> None:
    """The ratios, the mode and whether a liquidation is refused are the contract's."""
    expected, terms, market = case["expected"], terms_of(case), market_of(case)
    judged = liquity_v1.margin(account_of(case), market, terms)
    assert judged.ratio is not None
    assert judged.ratio.value == int(expected["icr"])
    system = liquity_v1.system_of(market, terms, int(case["price"]))
    assert system.ratio == int(expected["tcr"])
    assert system.is_recovering is expected["recovery"]
    assert (judged.verdict is Verdict.LIQUIDATABLE) is (expected["refusal"] is None)


@pytest.mark.parametrize("case", cases(FILE, "liquidations"))
def test_liquidation(case: dict[str, Any]) -> None:
    """What is paid off, taken, left to claim, and paid by the stability pool is the contract's."""
    expected, terms, market = case["expected"], terms_of(case), market_of(case)
    found = liquity_v1.liquidate(account_of(case), market, terms, Liquidate())
    if expected is None:
        assert isinstance(found, Refusal)
        assert found.reason == "TroveManager: nothing to liquidate"
        return
    assert isinstance(found, Liquidation)
    taken = int(expected["collateral"]) + int(expected["compensation"])
    assert found.repaid == {"ZUSD": int(expected["debt"])}
    assert found.seized == {"ETH": taken}
    assert int(case["collateral"]) - taken == int(expected["surplus"])
    price, trove = int(case["price"]), liquity_v1.trove_of(account_of(case))
    icr = liquity_v1.ratio_of(trove.collateral, trove.debt, price)
    system = liquity_v1.system_of(market, terms, price)
    closed = liquity_v1.closing(trove, icr, price, system, terms)
    assert closed.compensation == int(expected["compensation"])
    assert closed.to_pool + closed.to_troves == int(expected["collateral"])
    assert closed.surplus == int(expected["surplus"])
    paid = int(case["stability_deposits"]) - int(expected["deposits_after"])
    assert closed.offset == paid
    assert closed.redistributed == int(expected["debt"]) - paid
