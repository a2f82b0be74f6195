"""Morpho Blue against answers of the executed contract."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from vectors import cases

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate
from models.margin.venues import morpho_blue

AT = datetime(2026, 1, 1, tzinfo=UTC)
FILE = "morpho_blue.json"


def terms_of(case: dict[str, Any]) -> morpho_blue.Terms:
    """Return the recorded market's parameters."""
    return morpho_blue.Terms(loan_asset="USDC", collateral_asset="WETH", lltv=int(case["lltv"]))


def account_of(case: dict[str, Any]) -> Account:
    """Return the recorded position as an account."""
    return Account(
        id="v",
        venue="morpho-blue",
        version="1",
        market="WETH/USDC",
        legs=(
            Leg(kind=LegKind.COLLATERAL, asset="WETH", quantity=int(case["collateral"])),
            Leg(kind=LegKind.DEBT, asset="USDC", quantity=int(case["borrowShares"])),
        ),
    )


def market_of(case: dict[str, Any], at: datetime) -> Market:
    """Return the recorded market, last updated at AT and judged at `at`."""
    return Market(
        at=at,
        prices={"WETH": Price(value=int(case["oraclePrice"]), decimals=36, observed_at=AT)},
        state={
            "total_supply_assets": int(case["totalSupplyAssets"]),
            "total_borrow_assets": int(case["totalBorrowAssets"]),
            "total_borrow_shares": int(case["totalBorrowShares"]),
            "borrow_rate_per_second": int(case["borrowRatePerSec"]),
            "updated_at": int(AT.timestamp()),
        },
    )


@pytest.mark.parametrize("case", cases(FILE, "vectors"))
def test_position(case: dict[str, Any]) -> None:
    """Health before accrual, the incentive and the liquidation after it are the contract's."""
    expected, terms = case["expected"], terms_of(case)
    stored = market_of(case, AT)
    judged = morpho_blue.margin(account_of(case), stored, terms)
    assert judged.verdict is (
        Verdict.SAFE if expected["healthyBeforeAccrual"] else Verdict.LIQUIDATABLE
    )
    assert morpho_blue.incentive_factor(terms.lltv) == int(case["lif"])
    if case["liquidate"] is not None:
        later = AT + timedelta(seconds=case["elapsed"])
        check_books(case, morpho_blue.accrue(stored, terms, later))
        check_liquidation(case, market_of(case, later))


def check_books(case: dict[str, Any], market: Market) -> None:
    """Compare the liquidation and the books after it with the recorded ones."""
    asked, expected = case["liquidate"], case["expected"]
    outcome = morpho_blue.seize(
        morpho_blue.position_of(account_of(case)),
        morpho_blue.totals_of(market.state),
        price=int(case["oraclePrice"]),
        lltv=int(case["lltv"]),
        seized=int(asked["seizedAssets"]),
        repaid_shares=int(asked["repaidShares"]),
    )
    if isinstance(outcome, Refusal):
        assert outcome.reason == expected.get("revert")
        return
    assert {
        "seized": outcome.seized,
        "repaid": outcome.repaid,
        "totalSupplyAssetsAfter": outcome.totals.supply_assets,
        "totalBorrowAssetsAfter": outcome.totals.borrow_assets,
        "totalBorrowSharesAfter": outcome.totals.borrow_shares,
        "borrowSharesAfter": outcome.position.borrow_shares,
        "collateralAfter": outcome.position.collateral,
    } == {name: int(value) for name, value in expected.items() if name != "healthyBeforeAccrual"}


def check_liquidation(case: dict[str, Any], market: Market) -> None:
    """Compare the rulebook's answer, judged later than the last update, with the contract's."""
    shares, expected = int(case["liquidate"]["repaidShares"]), case["expected"]
    if not shares:
        return
    found = morpho_blue.liquidate(account_of(case), market, terms_of(case), Liquidate(repay=shares))
    if isinstance(found, Refusal):
        assert found.reason == expected["revert"]
        return
    assert isinstance(found, Liquidation)
    assert found.seized == {"WETH": int(expected["seized"])}
    assert found.repaid == {"USDC": int(expected["repaid"])}
