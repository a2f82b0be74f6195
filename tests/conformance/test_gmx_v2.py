"""GMX v2 against answers of the executed contracts."""

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from vectors import cases

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Verdict
from models.margin.venues import gmx_v2

AT = datetime(2026, 1, 1, tzinfo=UTC)
FILE = "gmx_v2.json"


def terms_of(case: dict[str, Any]) -> gmx_v2.Terms:
    """Read the parameters of a recorded position's market."""
    return gmx_v2.Terms(
        min_collateral_factor=int(case["minCollateralFactorForLiquidation"]),
        min_collateral_usd=int(case["minCollateralUsd"]),
        position_fee_factor=int(case["positionFeeFactor"]),
        max_impact_factor=int(case["maxPositionImpactFactorForLiquidations"]),
    )


def account_of(case: dict[str, Any]) -> Account:
    """Return the recorded position as an account."""
    tokens, size = int(case["sizeInTokens"]), int(case["sizeInUsd"])
    sign = 1 if case["isLong"] else -1
    return Account(
        id="p",
        venue="gmx-v2",
        version="a5c0c883",
        market="M",
        legs=(
            Leg(kind=LegKind.COLLATERAL, asset="C", quantity=int(case["collateralAmount"])),
            Leg(
                kind=LegKind.POSITION,
                asset="I",
                quantity=sign * tokens,
                entry=Fraction(size, tokens),
            ),
        ),
        options={
            "borrowing_factor": int(case["positionBorrowingFactor"]),
            "pending_impact_amount": int(case["pendingImpactAmount"]),
        },
    )


def market_of(case: dict[str, Any]) -> Market:
    """Return the recorded prices and accumulators."""
    low, high = int(case["indexPriceMin"]), int(case["indexPriceMax"])
    side = "long" if case["isLong"] else "short"
    return Market(
        at=AT,
        prices={
            "I": Price(value=low, decimals=0, observed_at=AT, bid=low, ask=high),
            "C": Price(value=int(case["collateralPriceMin"]), decimals=0, observed_at=AT),
        },
        state={f"M.cumulative_borrowing_factor.{side}": int(case["cumulativeBorrowingFactor"])},
    )


@pytest.mark.parametrize("case", cases(FILE, "vectors"))
def test_liquidation_check(case: dict[str, Any]) -> None:
    """Verdict, reason and the three figures equal the contract's."""
    assert case["priceImpactFactor"] == "0"
    account, market, terms = account_of(case), market_of(case), terms_of(case)
    expected = case["expected"]
    one = gmx_v2.position_of(account, market)
    index = gmx_v2.bounds(market.prices["I"])
    is_checked = case["shouldValidateMinCollateralUsd"]
    check = gmx_v2.liquidation_check(
        one,
        pnl=gmx_v2.profit(one, index),
        index=index,
        token=gmx_v2.bounds(market.prices["C"]),
        terms=terms,
        min_usd=terms.min_collateral_usd if is_checked else None,
    )
    assert check.reason == expected["reason"]
    assert bool(check.reason) == expected["liquidatable"]
    assert check.remaining == int(expected["remainingCollateralUsd"])
    figures = (check.remaining, check.min_usd, check.min_for_leverage)
    assert figures == tuple(int(figure) for figure in expected["info"])
    if is_checked:
        judged = gmx_v2.margin(account, market, terms)
        assert (judged.verdict is Verdict.LIQUIDATABLE) == expected["liquidatable"]
        assert judged.reason == (expected["reason"] or "above_min_collateral")
