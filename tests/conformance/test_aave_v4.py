"""Aave v4 against answers of the executed contracts."""

from datetime import UTC, datetime
from typing import Any

import pytest
from vectors import cases

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import MAX_UINT256, WAD
from models.margin.result import Refusal, Verdict
from models.margin.rulebook import load
from models.margin.venues.aave_v4_account import Hub, Position, account_data
from models.margin.venues.aave_v4_liquidation import (
    Collateral,
    Curve,
    Debt,
    liquidation_amounts,
    liquidation_bonus,
)
from models.margin.venues.aave_v4_positions import Config, Reserve, Terms

AT = datetime(2026, 1, 1, tzinfo=UTC)
FILE = "aave_v4.json"
CURVE = Curve(target_health_factor=WAD, max_bonus_health_factor=WAD // 2, bonus_factor=0)


def position_of(row: dict[str, Any]) -> Position:
    """Read one recorded reserve."""
    return Position(
        supplied=int(row["sup"]),
        pledged=row["coll"],
        borrowed=row["bor"],
        drawn=int(row["drawn"]),
        premium_shares=int(row["prem"]),
        premium_offset=int(row["off"]),
        hub=Hub(int(row["ta"]), int(row["ts"])),
        drawn_index=int(row["di"]),
        price=int(row["price"]),
        decimals=row["dec"],
        factor=row["cf"],
        risk=row["risk"],
    )


@pytest.mark.parametrize("case", cases(FILE, "account_data"))
def test_account_data(case: dict[str, Any]) -> None:
    """Totals, average factor, health factor, risk premium and verdict equal the contract's."""
    check_margin(case)
    data = account_data([position_of(row) for row in case["reserves"]])
    assert case["expected"] == {
        "riskPremium": str(data.risk_premium),
        "avgCollateralFactor": str(data.factor),
        "healthFactor": str(data.health_factor),
        "totalCollateralValue": str(data.collateral),
        "totalDebtValueRay": str(data.debt_ray),
        "activeCollateralCount": str(data.collaterals),
        "borrowCount": str(data.debts),
    }


def check_margin(case: dict[str, Any]) -> None:
    """Compare the rulebook's ratio and verdict with the recorded health factor."""
    legs, options, state, prices, reserves = [], {}, {}, {}, {}
    for i, row in enumerate(case["reserves"]):
        asset, owed = str(i), int(row["drawn"]) if row["bor"] else 0
        supplied = int(row["sup"])
        legs += [
            Leg(kind=LegKind.COLLATERAL, asset=asset, quantity=supplied, pledged=row["coll"]),
            Leg(kind=LegKind.DEBT, asset=asset, quantity=owed),
        ]
        options[f"{asset}.premium_shares"] = int(row["prem"])
        options[f"{asset}.premium_offset_ray"] = int(row["off"])
        state[f"{asset}.added_assets"] = int(row["ta"])
        state[f"{asset}.added_shares"] = int(row["ts"])
        state[f"{asset}.drawn_index"] = int(row["di"])
        prices[asset] = Price(value=int(row["price"]), decimals=8, observed_at=AT)
        configs = {"1": Config(factor=row["cf"])}
        reserves[asset] = Reserve(decimals=row["dec"], risk=row["risk"], configs=configs)
    account = Account(
        id="a", venue="aave-v4", version="0.5.11", market="s", legs=tuple(legs), options=options
    )
    terms = Terms(reserves=reserves, curve=CURVE)
    market = Market(at=AT, prices=prices, state=state)
    judged = load("aave-v4", "0.5.11").margin(account, market, terms)
    expected = int(case["expected"]["healthFactor"])
    assert judged.ratio is not None
    assert judged.maintenance is not None
    assert judged.ratio.value == (None if expected == MAX_UINT256 else expected)
    assert (judged.verdict is Verdict.SAFE) == (expected >= WAD)
    assert (judged.maintenance.surplus >= 0) == (expected >= WAD)


@pytest.mark.parametrize("case", cases(FILE, "liquidation_amounts"))
def test_liquidation_amounts(case: dict[str, Any]) -> None:
    """Bonus, shares and premium moved equal the contract's, or its revert."""
    row = {key: int(amount) for key, amount in case["params"].items()}
    hub = Hub(int(case["hub"]["totalAddedAssets"]), int(case["hub"]["totalAddedShares"]))
    curve = Curve(
        target_health_factor=row["thf"],
        max_bonus_health_factor=row["hfmax"],
        bonus_factor=row["lbf"],
    )
    collateral = Collateral(
        shares=row["sup"],
        hub=hub,
        price=row["cprice"],
        decimals=row["cdec"],
        factor=row["cf"],
        max_bonus=row["mlb"],
        fee=row["fee"],
    )
    debt = Debt(
        drawn=row["ds"],
        premium_ray=row["prem"],
        drawn_index=row["di"],
        price=row["dprice"],
        decimals=row["ddec"],
    )
    bonus = liquidation_bonus(curve, max_bonus=row["mlb"], health_factor=row["hf"])
    found = liquidation_amounts(
        collateral,
        debt,
        curve,
        total_ray=row["tdv"],
        health_factor=row["hf"],
        offered=row["cover"],
    )
    if isinstance(found, Refusal):
        assert case["expected"] == {"liquidationBonus": bonus, "revert": found.reason}
        return
    assert case["expected"] == {
        "liquidationBonus": bonus,
        "collateralSharesToLiquidate": str(found.shares),
        "collateralSharesToLiquidator": str(found.shares_to_liquidator),
        "drawnSharesToLiquidate": str(found.drawn),
        "premiumDebtRayToLiquidate": str(found.premium_ray),
    }
