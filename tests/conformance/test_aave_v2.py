"""Aave v2 against answers of its own code, executed: account data and liquidations."""

from datetime import UTC, datetime
from typing import Any

import pytest
from vectors import cases

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate, load
from models.margin.venues import aave_v2

FILE = "aave_v2.json"
BOOK = load("aave-v2", "2")


def terms_of(case: dict[str, Any]) -> aave_v2.Terms:
    """Return the recorded pool's parameters."""
    reserves = {
        asset: aave_v2.Reserve(**{name: int(value) for name, value in body.items()})
        for asset, body in case["reserves"].items()
    }
    return aave_v2.Terms(reserves=reserves)


def account_of(case: dict[str, Any]) -> Account:
    """Return the recorded account."""
    legs = tuple(
        Leg(kind=LegKind(kind), asset=asset, quantity=int(quantity), pledged=pledged)
        for kind, asset, quantity, pledged in case["legs"]
    )
    return Account(id="a", venue="aave-v2", version="2", market="core", legs=legs)


def market_of(case: dict[str, Any]) -> Market:
    """Return the recorded market at the recorded second."""
    at = datetime.fromtimestamp(case["at"], tz=UTC)
    prices = {
        asset: Price(value=int(value), decimals=18, observed_at=at)
        for asset, value in case["prices"].items()
    }
    return Market(at=at, prices=prices, state={k: int(v) for k, v in case["state"].items()})


@pytest.mark.parametrize("case", cases(FILE, "accounts"))
def test_account(case: dict[str, Any]) -> None:
    """Every figure of `getUserAccountData`, and the verdict that follows from it."""
    expected = {name: int(value) for name, value in case["expected"].items()}
    terms, market, account = terms_of(case), market_of(case), account_of(case)
    by_asset = aave_v2.holdings(account, market, terms)
    assert not isinstance(by_asset, Refusal)
    data = aave_v2.account_data(by_asset, market, terms)
    assert data._asdict() == {
        name: expected[name] for name in ("collateral", "debt", "ltv", "threshold", "health_factor")
    }
    assert aave_v2.available_borrows(data) == expected["available_borrows"]
    verdict = BOOK.margin(account, market, terms).verdict
    below = {Verdict.LIQUIDATABLE, Verdict.NOT_EXECUTABLE}
    assert (verdict in below) is (expected["health_factor"] < 10**18)


@pytest.mark.parametrize("case", cases(FILE, "liquidations"))
def test_liquidation(case: dict[str, Any]) -> None:
    """What is repaid and seized is the contract's, or both refuse."""
    found = BOOK.liquidate(  # type: ignore[misc]
        account_of(case),
        market_of(case),
        terms_of(case),
        Liquidate(collateral_asset=case["collateral"], debt_asset=case["debt"]),
    )
    if case["expected"] is None:
        assert isinstance(found, Refusal)
        return
    assert isinstance(found, Liquidation)
    assert found.repaid == {case["debt"]: int(case["expected"]["repaid"])}
    assert found.seized == {case["collateral"]: int(case["expected"]["seized"])}
