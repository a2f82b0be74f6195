"""Venus' isolated pools against answers of their own code, executed: liquidity and liquidations."""

from datetime import UTC, datetime
from typing import Any

import pytest
from vectors import cases

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate, load
from models.margin.venues import venus_isolated
from models.terms import decode

FILE = "venus_isolated.json"
BOOK = load("venus-isolated", "4")
SETTLES, HEALS = "shortfall_settled_whole", "shortfall_written_off"


def terms_of(case: dict[str, Any]) -> venus_isolated.Terms:
    """Return the recorded pool's parameters."""
    return decode(venus_isolated.Terms, case["terms"], where="/terms")


def account_of(case: dict[str, Any]) -> Account:
    """Return the recorded account."""
    return Account(
        id="a",
        venue="venus-isolated",
        version="4",
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
    """Both sides are those of `getAccountLiquidity` and `getBorrowingPower`, and what may be done.

    Where the pool refuses to value the account, so do the rules.
    """
    expected = {name: int(value) for name, value in case["expected"].items()}
    judged = BOOK.margin(account_of(case), market_of(case), terms_of(case))
    if "liquidity" not in expected:
        assert judged.verdict is Verdict.UNEVALUABLE
        return
    assert judged.maintenance is not None
    assert judged.initial is not None
    assert judged.maintenance.surplus == expected["liquidity"] - expected["shortfall"]
    assert judged.initial.surplus == (expected["borrowing_power"] - expected["borrowing_shortfall"])
    may = (expected["is_liquidatable"], expected["is_settled"], expected["is_healed"])
    exposed = {Verdict.LIQUIDATABLE, Verdict.NOT_EXECUTABLE}
    assert (judged.verdict in exposed) >= any(may)
    if judged.verdict is Verdict.LIQUIDATABLE:
        named = {SETTLES: expected["is_settled"], HEALS: expected["is_healed"]}
        assert named.get(judged.reason, expected["is_liquidatable"])


@pytest.mark.parametrize("case", cases(FILE, "liquidations"))
def test_liquidation(case: dict[str, Any]) -> None:
    """What is repaid and seized is the contract's, by each of its three ways, or both refuse."""
    account, market, terms = account_of(case), market_of(case), terms_of(case)
    wish = Liquidate(
        collateral_asset=case["collateral"],
        debt_asset=case["debt"],
        repay=None if case["repay"] is None else int(case["repay"]),
    )
    found = BOOK.liquidate(account, market, terms, wish)  # type: ignore[misc]
    if case["expected"] is None:
        assert isinstance(found, Refusal)
        return
    assert isinstance(found, Liquidation), found
    for what, amounts in (("repaid", found.repaid), ("seized", found.seized)):
        told = {asset: int(amount) for asset, amount in case["expected"][what].items()}
        assert {asset: int(amount) for asset, amount in amounts.items() if amount} == told
    reason = BOOK.margin(account, market, terms).reason
    assert {"liquidateAccount": SETTLES, "healAccount": HEALS}.get(case["call"], reason) == reason
