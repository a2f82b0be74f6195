"""Venus' core pool against answers of its own code, executed: liquidity and liquidations."""

from datetime import UTC, datetime
from typing import Any

import pytest
from vectors import cases

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate, load
from models.margin.venues import venus
from models.terms import decode

FILE = "venus.json"
BOOK = load("venus", "10")


def terms_of(case: dict[str, Any]) -> venus.Terms:
    """Return the recorded comptroller's parameters."""
    return decode(venus.Terms, case["terms"], where="/terms")


def account_of(case: dict[str, Any]) -> Account:
    """Return the recorded account."""
    return Account(
        id="a",
        venue="venus",
        version="10",
        market="core",
        options={name: int(value) for name, value in case["options"].items()},
        legs=tuple(
            Leg(kind=LegKind(kind), asset=asset, quantity=int(quantity), pledged=pledged)
            for kind, asset, quantity, pledged in case["legs"]
        ),
    )


def market_of(case: dict[str, Any]) -> Market:
    """Return the recorded market."""
    at = datetime.fromtimestamp(case["at"], tz=UTC)
    prices = {
        asset: Price(value=int(value), decimals=36, observed_at=at)
        for asset, value in case["prices"].items()
    }
    return Market(at=at, prices=prices, state={k: int(v) for k, v in case["state"].items()})


@pytest.mark.parametrize("case", cases(FILE, "accounts"))
def test_account(case: dict[str, Any]) -> None:
    """Both sides are those of `getAccountLiquidity` and `getBorrowingPower`."""
    expected = {name: int(value) for name, value in case["expected"].items()}
    judged = BOOK.margin(account_of(case), market_of(case), terms_of(case))
    assert judged.maintenance is not None
    assert judged.initial is not None
    assert judged.maintenance.surplus == expected["liquidity"] - expected["shortfall"]
    assert judged.initial.surplus == (expected["borrowing_power"] - expected["borrowing_shortfall"])
    exposed = {Verdict.LIQUIDATABLE, Verdict.NOT_EXECUTABLE}
    assert (judged.verdict in exposed) >= bool(expected["is_liquidatable"])
    if judged.verdict is Verdict.LIQUIDATABLE:
        assert expected["is_liquidatable"]


@pytest.mark.parametrize("case", cases(FILE, "liquidations"))
def test_liquidation(case: dict[str, Any]) -> None:
    """What is repaid and seized is the contract's, or both refuse."""
    found = BOOK.liquidate(  # type: ignore[misc]
        account_of(case),
        market_of(case),
        terms_of(case),
        Liquidate(
            collateral_asset=case["collateral"],
            debt_asset=case["debt"],
            repay=int(case["repay"]),
        ),
    )
    if case["expected"] is None:
        assert isinstance(found, Refusal)
        return
    assert isinstance(found, Liquidation)
    assert found.repaid == {case["debt"]: int(case["expected"]["repaid"])}
    assert found.seized == {case["collateral"]: int(case["expected"]["seized"])}
