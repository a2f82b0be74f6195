"""Hyperliquid against liquidation prices the exchange returned and published tiers."""

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from vectors import cases, read

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.perpetual import maintenance_margin, tier_at
from models.margin.venues import hyperliquid
from models.margin.venues.hyperliquid import LeverageTier, Terms

AT = datetime(2026, 1, 1, tzinfo=UTC)
FILE = "hyperliquid.json"
# Stated by the file: the margin snapshot is not that of the moment of liquidation.
TOLERANCE = Fraction(2, 10_000)


@pytest.mark.parametrize("case", cases(FILE, "positions"))
def test_liquidation_price(case: dict[str, Any]) -> None:
    """The price is the exchange's within the stated tolerance, and the recorded root."""
    quantity, entry = case["side"] * Fraction(case["size"]), Fraction(case["entryPrice"])
    margin = Fraction(case["isolatedMarginSnapshot"])
    account = Account(
        id="h",
        venue="hyperliquid",
        version="2026-09",
        market="m",
        legs=(
            Leg(kind=LegKind.COLLATERAL, asset="USDC", quantity=margin),
            Leg(kind=LegKind.POSITION, asset=case["coin"], quantity=quantity, entry=entry),
        ),
        options={f"{case['coin']}.leverage": case["leverage"]},
    )
    mark = Price(value=int(entry * 10**8), decimals=8, observed_at=AT)
    market = Market(at=AT, prices={case["coin"]: mark})
    table = (LeverageTier(floor=Fraction(0), max_leverage=case["maxLeverage"]),)
    terms = Terms(coins={case["coin"]: table})
    found = hyperliquid.liquidation_price(account, market, terms, coin=case["coin"])
    assert isinstance(found, Fraction)
    expected = Fraction(case["expectedExchangeLiqPx"])
    assert abs(found - expected) <= TOLERANCE * expected
    assert round(found, 8) == Fraction(case["computed"])
    deviation = abs(found - expected) / expected
    assert float(deviation) == pytest.approx(case["relDeviation"], rel=1e-3, abs=1e-15)


@pytest.mark.parametrize("case", cases(FILE, "tier_maintenance"))
def test_tier_maintenance(case: dict[str, Any]) -> None:
    """Rate, deduction and maintenance margin are exact at and around every tier."""
    rows = read(FILE)["tiers"][case["table"]]
    table = tuple(LeverageTier(floor=Fraction(low), max_leverage=most) for low, most in rows)
    tiers, notional = hyperliquid.maintenance_tiers(table), Fraction(case["notional"])
    tier = tier_at(tiers, notional)
    assert tier.rate == Fraction(case["rate"])
    assert tier.deduction == Fraction(case["deduction"])
    assert maintenance_margin(tiers, notional) == Fraction(case["maintenanceMargin"])
