"""A question about a made-up vault, which asks for all that a first request would wait for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from features.inputs import HOUR, LOOKBACK
from models.margin.fixed_point import RAY

ASSET, MARKET = "ETH", "ETH-B"
AT = datetime(2030, 1, 1, tzinfo=UTC)
HOURS = int(LOOKBACK.total_seconds()) // HOUR
PRICE = 1500.0
SWING, PERIOD = 0.01, 24.0
"""Of a price that rises and falls with the hours: its features are numbers like others."""

OPENED = timedelta(days=20)


def first_request() -> dict[str, Any]:
    """Return the body of a request for one account that brings its whole market."""
    closes = PRICE * (1.0 + SWING * np.sin(np.arange(HOURS + 1) * (2.0 * np.pi / PERIOD)))
    opens, closes = closes[:-1], closes[1:]
    candles = {
        "start": (AT - timedelta(hours=HOURS)).isoformat(),
        "open": opens.tolist(),
        "high": np.maximum(opens, closes).tolist(),
        "low": np.minimum(opens, closes).tolist(),
        "close": closes.tolist(),
        "volume": np.full(HOURS, 1000.0).tolist(),
    }
    price = {
        "value": str(int(PRICE)),
        "decimals": 0,
        "observed_at": (AT - timedelta(hours=1)).isoformat(),
        "next_value": str(int(PRICE)),
        "next_at": (AT + timedelta(hours=1)).isoformat(),
    }
    collateral, debt = 12 * 10**18, 12_000 * 10**18
    account = {
        "id": "first",
        "venue": "maker",
        "market": MARKET,
        "opened_at": (AT - OPENED).isoformat(),
        "legs": [
            {"kind": "collateral", "asset": ASSET, "quantity": str(collateral)},
            {"kind": "debt", "asset": "DAI", "quantity": str(debt)},
        ],
        "events": [
            {
                "at": (AT - OPENED).isoformat(),
                "kind": "deposit",
                "collateral": str(collateral),
                "debt": "0",
            },
            {
                "at": (AT - OPENED / 2).isoformat(),
                "kind": "borrow",
                "collateral": "0",
                "debt": str(debt),
            },
        ],
    }
    market = {
        "prices": {ASSET: price},
        "state": {f"{MARKET}.rate": str(RAY)},
        "candles": {ASSET: candles},
    }
    return {"as_of": AT.isoformat(), "market": market, "accounts": [account]}
