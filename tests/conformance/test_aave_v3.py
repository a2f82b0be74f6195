"""Aave v3 against answers of the executed contracts, release by release."""

from datetime import UTC, datetime
from typing import Any

import pytest
from vectors import cases

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import MAX_UINT256, WAD
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate, load
from models.margin.venues.aave_v3_account import (
    Position,
    account_data,
    available_borrows,
    position,
    user_configuration,
)
from models.margin.venues.aave_v3_liquidation import liquidation_call, seize
from models.margin.venues.aave_v3_terms import (
    V3_4,
    V3_5,
    V3_6,
    V3_7,
    Category,
    Policy,
    Reserve,
    Terms,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
FILES = (
    ("aave_v3_4.json", V3_4),
    ("aave_v3_5.json", V3_5),
    ("aave_v3_6.json", V3_6),
    ("aave_v3_7.json", V3_7),
)


def by_release(section: str, files: tuple[tuple[str, Policy], ...] = FILES) -> list[Any]:
    """Return (policy, case) for one section of the releases' files."""
    return [
        pytest.param(policy, *case.values, id=case.id, marks=case.marks)
        for file, policy in files
        for case in cases(file, section)
    ]


def terms_of(case: dict[str, Any]) -> Terms:
    """Read the recorded parameters; reserves are named by their place in the list."""
    reserves = {
        str(i): Reserve(
            id=i,
            decimals=row["dec"],
            ltv=row["ltv"],
            threshold=row["lt"],
            bonus=row["lb"],
            protocol_fee=row["fee"],
        )
        for i, row in enumerate(case["reserves"])
    }
    mode = case["emode"]
    if mode is None:
        return Terms(reserves=reserves)
    category = Category(
        ltv=mode["ltv"], threshold=mode["lt"], bonus=mode["lb"], collateral_bitmap=mode["bitmap"]
    )
    return Terms(reserves=reserves, categories={1: category})


def positions_of(case: dict[str, Any], policy: Policy) -> tuple[Position, ...]:
    """Read the recorded account as prepared positions."""
    terms = terms_of(case)
    return tuple(
        position(
            terms.reserves[str(i)],
            terms.categories.get(1),
            policy,
            collateral=int(row["sa"]),
            debt=int(row["sv"]),
            pledged=row["coll"],
            borrowed=row["bor"],
            liquidity_index=int(row["li"]),
            borrow_index=int(row["vi"]),
            price=int(row["price"]),
        )
        for i, row in enumerate(case["reserves"])
    )


def account_of(case: dict[str, Any], policy: Policy) -> Account:
    """Read the recorded account as legs."""
    legs = []
    for i, row in enumerate(case["reserves"]):
        asset, held, owed = str(i), int(row["sa"]), int(row["sv"])
        legs.append(Leg(kind=LegKind.COLLATERAL, asset=asset, quantity=held, pledged=row["coll"]))
        legs.append(Leg(kind=LegKind.DEBT, asset=asset, quantity=owed))
    return Account(
        id="a",
        venue="aave-v3",
        version=policy.version,
        market="core",
        legs=tuple(legs),
        options={"emode": 1} if case["emode"] else {},
    )


def market_of(case: dict[str, Any]) -> Market:
    """Read the recorded prices and indices."""
    rows = {str(i): row for i, row in enumerate(case["reserves"])}
    state = {f"{asset}.liquidity_index": int(row["li"]) for asset, row in rows.items()}
    state |= {f"{asset}.borrow_index": int(row["vi"]) for asset, row in rows.items()}
    prices = {
        asset: Price(value=int(row["price"]), decimals=8, observed_at=AT)
        for asset, row in rows.items()
    }
    return Market(at=AT, prices=prices, state=state)


@pytest.mark.parametrize(("policy", "case"), by_release("account_data"))
def test_account_data(policy: Policy, case: dict[str, Any]) -> None:
    """Totals, averages, health factor, borrowing power and verdict equal the contract's."""
    check_margin(policy, case)
    data = account_data(positions_of(case, policy), policy)
    assert case["expected"] == {
        "totalCollateralBase": str(data.collateral),
        "totalDebtBase": str(data.debt),
        "avgLtv": str(data.ltv),
        "avgLiquidationThreshold": str(data.threshold),
        "healthFactor": str(data.health_factor),
        "hasZeroLtvCollateral": data.has_zero_ltv,
        "availableBorrowsBase": str(available_borrows(data, policy)),
    }


def check_margin(policy: Policy, case: dict[str, Any]) -> None:
    """Compare the rulebook's ratio and verdict with the recorded health factor."""
    book = load("aave-v3", policy.version)
    judged = book.margin(account_of(case, policy), market_of(case), terms_of(case))
    expected = int(case["expected"]["healthFactor"])
    assert judged.ratio is not None
    assert judged.ratio.value == (None if expected == MAX_UINT256 else expected)
    assert (judged.verdict is Verdict.SAFE) == (expected >= WAD)


@pytest.mark.parametrize(("policy", "case"), by_release("seize", FILES[:3]))
def test_seize(policy: Policy, case: dict[str, Any]) -> None:
    """Collateral for a given debt, the debt it takes and the fee equal the contract's."""
    taken = Position(
        collateral=0,
        debt=0,
        pledged=True,
        borrowed=False,
        counts=True,
        lends_nothing=False,
        liquidity_index=0,
        borrow_index=0,
        price=int(case["collPrice"]),
        unit=10 ** case["collDecimals"],
        ltv=0,
        threshold=0,
        bonus=case["liquidationBonus"],
        protocol_fee=case["protocolFee"],
    )
    owed = taken._replace(price=int(case["debtPrice"]), unit=10 ** case["debtDecimals"])
    found = seize(
        taken,
        owed,
        repaid=int(case["debtToCover"]),
        balance=int(case["borrowerCollateralBalance"]),
        policy=policy,
    )
    assert case["expected"] == {
        "collateralToLiquidator": str(found.to_liquidator),
        "debtNeeded": str(found.debt_needed),
        "protocolFeeAmount": str(found.fee),
    }


@pytest.mark.parametrize("case", cases("aave_v3_7.json", "liquidations"))
def test_liquidation_call(case: dict[str, Any]) -> None:
    """Amounts, scaled balances, deficit and bitmap equal the contract's, or its revert."""
    check_liquidate(case)
    positions, expected = positions_of(case, V3_7), case["expected"]
    collateral, debt = case["collateral"], case["debt"]
    outcome = liquidation_call(
        positions, collateral=collateral, debt=debt, offered=int(case["debtToCover"]), policy=V3_7
    )
    if isinstance(outcome, Refusal):
        assert expected == {"revert": outcome.reason}
        return
    after = outcome.after
    assert expected == {
        "collToLiquidator": str(outcome.to_liquidator),
        "protocolFee": str(outcome.fee),
        "debtBurnedScaled": str(positions[debt].debt - after[debt].debt),
        "collScaledAfter": str(after[collateral].collateral),
        "debtScaledAfter": str(after[debt].debt),
        "deficit": str(outcome.deficits[debt]),
        "userConfigAfter": str(user_configuration(enumerate(after))),
        "actualDebtToLiquidate": str(outcome.repaid),
        "healthFactorBefore": str(account_data(positions, V3_7).health_factor),
    }


def check_liquidate(case: dict[str, Any]) -> None:
    """Compare what the rulebook repays, seizes and writes off, or why it refuses."""
    book = load("aave-v3", "3.7")
    assert book.liquidate is not None
    collateral, debt, expected = str(case["collateral"]), str(case["debt"]), case["expected"]
    request = Liquidate(
        debt_asset=debt, collateral_asset=collateral, repay=int(case["debtToCover"])
    )
    account, market = account_of(case, V3_7), market_of(case)
    found = book.liquidate(account, market, terms_of(case), request)
    if isinstance(found, Refusal):
        assert found.reason == expected["revert"]
        return
    assert isinstance(found, Liquidation)
    assert found.repaid == {debt: int(expected["actualDebtToLiquidate"])}
    assert found.bad_debt.get(debt, 0) == int(expected["deficit"])
    assert found.protocol_fee[collateral] == int(expected["protocolFee"])
    taken = int(expected["collToLiquidator"]) + int(expected["protocolFee"])
    assert found.seized == {collateral: taken}
