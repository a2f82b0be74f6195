"""A store with a small book of vaults whose terms can be governed, and keys that may."""

from datetime import UTC, datetime, timedelta
from typing import Any

from models.domain import MarketId, Price
from models.terms import terms_in_force
from serving.application.governance import Actor, raw
from serving.store import Store, accounts, market

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
ETH_B = MarketId("maker", "ETH-B")
WAD, RAY = 10**18, 10**27
RATIOS = {"thin": 132, "middling": 136, "thick": 200}
"""Collateral per debt of each vault, per cent; 130 is liquidated."""


def vault(name: str, ratio: int) -> dict[str, Any]:
    """Return a vault that owes 1,000 against ETH at a price of 1,000."""
    legs = [
        {"kind": "collateral", "asset": "ETH", "quantity": str(ratio * WAD // 100)},
        {"kind": "debt", "asset": "DAI", "quantity": str(1000 * WAD)},
    ]
    return {"id": name, "venue": "maker", "market": "ETH-B", "legs": legs}


def price(value: int, at: datetime) -> Price:
    """Return a price of ETH in whole units."""
    return Price(value=value * WAD, decimals=18, observed_at=at)


def lay(store: Store, *, at: datetime = NOON) -> None:
    """Write the book, its price, its accumulator and its terms."""
    result = terms_in_force("maker", "dss", "ETH-B", datetime(2021, 6, 1, tzinfo=UTC))
    with store.begin() as transaction:
        bodies = [vault(name, ratio) for name, ratio in RATIOS.items()]
        accounts.upsert(transaction, bodies, at=at, now=at)
        market.push_prices(transaction, [("ETH", price(1000, at))], now=at)
        market.push_state(transaction, ETH_B, {"ETH-B.rate": RAY}, at=at)
        since = at - timedelta(days=30)
        market.push_terms(transaction, ETH_B, raw(result.terms), valid_from=since)


def reprice(store: Store, value: int, *, at: datetime) -> None:
    """Move the price of ETH, and tell once more what everybody holds."""
    with store.begin() as transaction:
        bodies = [vault(name, ratio) for name, ratio in RATIOS.items()]
        accounts.upsert(transaction, bodies, at=at, now=at)
        market.push_prices(transaction, [("ETH", price(value, at))], now=at)


def body(to: str = "1.34", *, accounts_at_most: int = 1, debt: str = "1000") -> dict[str, Any]:
    """Return a proposal to raise the liquidation ratio."""
    return {
        "title": "Raise the ratio",
        "reason": "volatility",
        "changes": [{"venue": "maker", "parameter": "mat", "to": to}],
        "limits": {"accounts": accounts_at_most, "debt": debt},
    }


def who(name: str, minutes: int = 0, *, version: int | None = None) -> Actor:
    """Return somebody who acts some minutes after noon."""
    return Actor(id=name, at=NOON + timedelta(minutes=minutes), version=version)
