"""Limits of a mandate: each is named when an order breaks it, and none when it keeps them."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest

from models.orders.mandate import (
    Bounds,
    Limits,
    Proposal,
    Trigger,
    acting_prices,
    breaches,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
LIMITS = Limits(
    accounts=frozenset({"a"}),
    venues=frozenset({"aave-v3"}),
    assets=frozenset({"USDC"}),
    kinds=frozenset({"repay"}),
    per_order=Fraction(100),
    per_day=Fraction(250),
    expires_at=datetime(2030, 1, 2, tzinfo=UTC),
    prices={"ETH": Bounds(least=Fraction(1000), most=Fraction(3000))},
    slippage=Fraction(1, 50),
)
PROPOSAL = Proposal(
    accounts=frozenset({"a"}),
    venues=frozenset({"aave-v3"}),
    assets=frozenset({"USDC"}),
    kinds=frozenset({"repay"}),
    value=Fraction(100),
    prices={"ETH": Fraction(2000), "USDC": Fraction(1)},
)


def test_an_order_within_its_limits_breaks_none() -> None:
    """The limits themselves are within."""
    assert breaches(LIMITS, PROPOSAL, spent=Fraction(150), at=NOON) == ()


@pytest.mark.parametrize(
    ("changed", "spent", "limit", "text"),
    [
        ({"accounts": frozenset({"a", "b"})}, 0, "accounts", "b is not allowed"),
        ({"venues": frozenset({"gmx-v2"})}, 0, "venues", "gmx-v2 is not allowed"),
        ({"assets": frozenset({"USDC", "DAI", "ARB"})}, 0, "assets", "ARB, DAI is not allowed"),
        ({"kinds": frozenset({"swap"})}, 0, "kinds", "swap is not allowed"),
        ({"value": Fraction(10001, 100)}, 0, "per_order", "100.01 is more than 100 an order"),
        ({}, 151, "per_day", "100 beside 151 spent is more than 250 within 24 hours"),
        ({"prices": {"ETH": Fraction(999)}}, 0, "prices", "ETH at 999 is below 1000 or above 3000"),
    ],
)
def test_each_limit_is_named(changed: dict[str, Any], spent: int, limit: str, text: str) -> None:
    """One broken limit, one breach."""
    (breach,) = breaches(LIMITS, replace(PROPOSAL, **changed), spent=Fraction(spent), at=NOON)
    assert (breach.limit, breach.text) == (limit, text)


def test_every_broken_limit_is_named() -> None:
    """Whoever set them sees all of them at once."""
    wild = Proposal(
        accounts=frozenset({"b"}),
        venues=frozenset({"gmx-v2"}),
        assets=frozenset({"ARB"}),
        kinds=frozenset({"swap"}),
        value=Fraction(1000),
        prices={"ETH": Fraction(1)},
    )
    told = breaches(LIMITS, wild, spent=Fraction(0), at=LIMITS.expires_at)
    assert [breach.limit for breach in told] == [
        "expires_at",
        "accounts",
        "venues",
        "assets",
        "kinds",
        "per_order",
        "per_day",
        "prices",
    ]


def test_prices_of_acting_are_the_narrower_of_slippage_and_bounds() -> None:
    """2 % about 2,950 ends at the owner's 3,000."""
    found = acting_prices(LIMITS, {"ETH": Fraction(2950), "USDC": Fraction(1)})
    assert found["ETH"] == Bounds(least=Fraction(2891), most=Fraction(3000))
    assert found["USDC"] == Bounds(least=Fraction(49, 50), most=Fraction(51, 50))


@pytest.mark.parametrize(
    ("trigger", "probability", "buffer", "is_breached", "fired"),
    [
        (Trigger(probability=0.2), 0.2, 0.5, False, ("probability", "0.2")),
        (Trigger(probability=0.2), 0.19, 0.0, False, None),
        (Trigger(probability=0.2), None, 0.5, False, None),
        (Trigger(buffer=0.05), 0.9, 0.05, False, ("buffer", "0.05")),
        (Trigger(buffer=0.05), 0.9, 0.051, False, None),
        (Trigger(buffer=0.05), 0.9, None, False, None),
        (Trigger(probability=0.2, buffer=0.05), 0.3, 0.5, False, ("probability", "0.3")),
        (Trigger(), None, None, True, ("verdict", "liquidatable")),
        (Trigger(), 1.0, -1.0, False, None),
    ],
)
def test_what_fires(
    trigger: Trigger,
    probability: float | None,
    buffer: float | None,
    *,
    is_breached: bool,
    fired: tuple[str, str] | None,
) -> None:
    """Either figure is enough, a breached rule always; what is unknown fires nothing."""
    found = trigger.fires(probability=probability, buffer=buffer, is_breached=is_breached)
    assert found == fired
