"""A book over many venues, both sides and many assets, as requests and as a store.

Six assets have candles: four that move, one pegged to the dollar, one with an odd name; another
odd one has none. Accounts are lending on five venues and perpetuals on three, long, short and
both.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from models.domain import MarketId, Price
from serving.store import Store, accounts, market

Body = dict[str, Any]
AT = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURS = 45 * 24
RAY = str(10**27)
WAD = 10**18

PRICES: Mapping[str, tuple[str, int]] = {
    "WETH": ("2000.50", 8),
    "WBTC": ("61000.25", 8),
    "USDC": ("0.9998", 8),
    "ETH": ("2000.50", 18),
    "BTC": ("61000", 2),
    "wstETH": ("0.0000000023406", 36),
    "BTC/USDT:USDT": ("61000", 1),
    "ETH/USDT:USDT": ("2000.5", 2),
    "kPEPE 库/1": ("0.0125", 6),
    "DOGE-USD": ("0.20415", 5),
    "ODD~coin\n2": ("17.25", 4),
}
"""By asset: price at the moment, quote per unit as its venue counts, and decimals stated."""

VOLATILITY: Mapping[str, float] = {
    "WETH": 0.007,
    "WBTC": 0.005,
    "USDC": 0.0002,
    "ETH": 0.007,
    "BTC": 0.005,
    "wstETH": 0.007,
    "BTC/USDT:USDT": 0.005,
    "ETH/USDT:USDT": 0.007,
    "kPEPE 库/1": 0.015,
    "DOGE-USD": 0.01,
}
"""By asset that has candles: deviation of an hour's move."""

STATE: Mapping[tuple[str, str], Mapping[str, int]] = {
    ("aave-v3", "core"): {
        f"{asset}.{side}_index": 10**27
        for asset in ("WETH", "WBTC", "USDC")
        for side in ("liquidity", "borrow")
    },
    ("compound-v3", "cUSDCv3"): {"base_supply_index": 10**15, "base_borrow_index": 10**15},
    ("morpho-blue", "wstETH/USDC"): {
        "total_supply_assets": 9_000_000 * 10**6,
        "total_borrow_assets": 8_000_000 * 10**6,
        "total_borrow_shares": 8_000_000 * 10**12,
        "borrow_rate_per_second": 10**9,
    },
    ("maker", "ETH-A"): {"ETH-A.rate": 10**27},
}
"""Accumulators by venue and market."""


def leg(kind: str, asset: str, quantity: str | int, **more: Any) -> Body:
    """Return one leg."""
    return {"kind": kind, "asset": asset, "quantity": str(quantity), **more}


def reserve(place: int, decimals: int, ltv: int, threshold: int) -> Body:
    """Return a reserve of Aave."""
    return {
        "id": place,
        "decimals": decimals,
        "ltv": ltv,
        "threshold": threshold,
        "bonus": 10_500,
        "protocol_fee": 0,
    }


AAVE = {
    "reserves": {
        "WETH": reserve(0, 18, 8_000, 8_300),
        "WBTC": reserve(1, 8, 7_300, 7_800),
        "USDC": reserve(2, 6, 7_500, 7_800),
    }
}
COMPOUND = {
    "base_asset": "USDC",
    "base_decimals": 6,
    "collaterals": [
        {
            "asset": asset,
            "decimals": decimals,
            "borrow_factor": str(82 * 10**16),
            "liquidate_factor": str(85 * 10**16),
            "liquidation_factor": str(93 * 10**16),
        }
        for asset, decimals in (("WETH", 18), ("WBTC", 8))
    ],
}
MORPHO = {"loan_asset": "USDC", "collateral_asset": "wstETH", "lltv": str(86 * 10**16)}
MAKER = {
    "mat": str(145 * 10**25),
    "duty": RAY,
    "dust": str(100 * 10**45),
    "chop": str(113 * 10**16),
    "hole": str(10**53),
    "hole_all": str(10**53),
}
BINANCE = {
    "symbols": {
        symbol: [
            {"floor": "0", "rate": "0.004", "max_leverage": 125},
            {"floor": "300000", "rate": "0.005", "max_leverage": 100, "deduction": "300"},
        ]
        for symbol in ("BTC/USDT:USDT", "ETH/USDT:USDT")
    }
}
HYPERLIQUID = {
    "coins": {
        "kPEPE 库/1": [{"floor": "0", "max_leverage": 10}],
        "ODD~coin\n2": [{"floor": "0", "max_leverage": 5}],
    }
}
DYDX = {
    "perpetuals": {
        "DOGE-USD": {
            "atomic_resolution": -5,
            "initial_margin_ppm": 50_000,
            "maintenance_fraction_ppm": 600_000,
        }
    }
}


def lending() -> list[Body]:
    """Return the borrowers: three of Aave, one each of Compound, Morpho and Maker."""
    return [
        {
            "id": "aave/two collaterals",
            "venue": "aave-v3",
            "version": "3.7",
            "market": "core",
            "legs": [
                leg("collateral", "WETH", 10 * WAD),
                leg("collateral", "WBTC", 25_000_000),
                leg("debt", "USDC", 26_000 * 10**6),
            ],
            "terms": AAVE,
        },
        {
            "id": "aave: Jürgen 库🙂, short",
            "venue": "aave-v3",
            "version": "3.7",
            "market": "core",
            "legs": [
                leg("collateral", "USDC", 60_000 * 10**6),
                leg("debt", "WETH", 21 * WAD),
            ],
            "terms": AAVE,
        },
        {
            "id": "aave, both ways",
            "venue": "aave-v3",
            "version": "3.7",
            "market": "core",
            "legs": [
                leg("collateral", "WBTC", 100_000_000),
                leg("collateral", "USDC", 5_000 * 10**6),
                leg("debt", "WETH", 20 * WAD),
                leg("debt", "USDC", 5_000 * 10**6),
            ],
            "terms": AAVE,
        },
        {
            "id": "comet",
            "venue": "compound-v3",
            "market": "cUSDCv3",
            "legs": [
                leg("debt", "USDC", 30_000 * 10**6),
                leg("collateral", "WETH", 12 * WAD),
                leg("collateral", "WBTC", 30_000_000),
            ],
            "terms": COMPOUND,
        },
        {
            "id": "morpho\nposition",
            "venue": "morpho-blue",
            "market": "wstETH/USDC",
            "legs": [
                leg("collateral", "wstETH", 10 * WAD),
                leg("debt", "USDC", 19_000 * 10**12),
            ],
            "terms": MORPHO,
        },
        {
            "id": "vault ~/1",
            "venue": "maker",
            "market": "ETH-A",
            "legs": [leg("collateral", "ETH", 10 * WAD), leg("debt", "DAI", 12_800 * WAD)],
            "terms": MAKER,
        },
    ]


def perpetuals() -> list[Body]:
    """Return positions: Binance cross and alone, Hyperliquid with odd names, dYdX short."""
    return [
        {
            "id": "binance, long and short",
            "venue": "binance-usdm",
            "market": "USDT",
            "legs": [
                leg("collateral", "USDT", "9000"),
                leg("position", "BTC/USDT:USDT", "1.5", entry="62000"),
                leg("position", "ETH/USDT:USDT", "-10", entry="2000"),
            ],
            "terms": BINANCE,
        },
        {
            "id": "binance, long",
            "venue": "binance-usdm",
            "market": "USDT",
            "legs": [
                leg("collateral", "USDT", "900"),
                leg("position", "BTC/USDT:USDT", "0.2", entry="62000"),
            ],
            "terms": BINANCE,
        },
        {
            "id": "hyper, long",
            "venue": "hyperliquid",
            "market": "cross",
            "legs": [
                leg("collateral", "USDC", "1000"),
                leg("position", "kPEPE 库/1", "500000", entry="0.0126"),
            ],
            "options": {"kPEPE 库/1.leverage": 10},
            "terms": HYPERLIQUID,
        },
        {
            "id": "hyper, no candles",
            "venue": "hyperliquid",
            "market": "cross",
            "legs": [
                leg("collateral", "USDC", "300"),
                leg("position", "ODD~coin\n2", "-40", entry="17"),
            ],
            "options": {"ODD~coin\n2.leverage": 5},
            "terms": HYPERLIQUID,
        },
        {
            "id": "dydx, short",
            "venue": "dydx-v4",
            "market": "0",
            "legs": [
                leg("collateral", "USDC", 22_000 * 10**6),
                leg("position", "DOGE-USD", -100_000 * 10**5),
            ],
            "terms": DYDX,
        },
    ]


def book() -> list[Body]:
    """Return every account."""
    return [*lending(), *perpetuals()]


def prices() -> dict[str, Body]:
    """Return the prices as a request states them, one minute old; ETH's oracle is delayed."""
    observed = (AT - timedelta(minutes=1)).isoformat()
    stated: dict[str, Body] = {
        name: {"value": value, "observed_at": observed, "stale_after_seconds": 3 * 3600}
        for name, (value, _) in PRICES.items()
    }
    stated["ETH"] |= {"next_value": "1990", "next_at": (AT + HOUR / 2).isoformat()}
    return stated


def candles() -> pd.DataFrame:
    """Return hourly candles that end near the price; the last closed half an hour ago."""
    opens = pd.date_range(AT - HOUR / 2 - HOURS * HOUR, periods=HOURS, freq="h")
    frames = []
    for seed, (name, deviation) in enumerate(VOLATILITY.items()):
        moves = np.random.default_rng(seed).normal(0.0, deviation, HOURS)
        course = np.cumsum(moves)
        close = float(PRICES[name][0]) * np.exp(course - course[-1])
        opened = np.roll(close, 1)
        opened[0] = close[0]
        spread = np.exp(np.abs(np.random.default_rng(100 + seed).normal(0.0, deviation, HOURS)))
        frames.append(
            pd.DataFrame(
                {
                    "symbol": name,
                    "open_time": opens,
                    "open": opened,
                    "high": np.maximum(opened, close) * spread,
                    "low": np.minimum(opened, close) / spread,
                    "close": close,
                    "volume": 1_000.0 + np.arange(HOURS) % 24,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def candle_bodies() -> dict[str, Body]:
    """Return the candles as a request states them."""
    bodies = {}
    for name, rows in candles().groupby("symbol", sort=False):
        columns = {part: rows[part].tolist() for part in ("open", "high", "low", "close", "volume")}
        bodies[str(name)] = {"start": rows["open_time"].iloc[0].isoformat(), **columns}
    return bodies


def request(chosen: Iterable[Body] | None = None, **more: Any) -> Body:
    """Return a request about accounts that carries the whole market."""
    state = {name: str(value) for part in STATE.values() for name, value in part.items()}
    return {
        "as_of": AT.isoformat(),
        "market": {"prices": prices(), "candles": candle_bodies(), "state": state},
        "accounts": list(book() if chosen is None else chosen),
        **more,
    }


def lay(store: Store) -> None:
    """Lay the market and every account into a store whose clock stands still."""
    observed = AT - timedelta(minutes=1)
    stated = [(name, _price(name, observed)) for name in PRICES]
    with store.begin() as transaction:
        market.write_notes(transaction, {"clock": AT.isoformat()})
        market.push_candles(transaction, candles())
        market.push_prices(transaction, stated, now=AT)
        for whose, part in STATE.items():
            market.push_state(transaction, MarketId(*whose), part, at=observed)
        accounts.upsert(transaction, book(), at=observed, now=AT)


def _price(name: str, observed: datetime) -> Price:
    """Return a price as the store takes it."""
    text, decimals = PRICES[name]
    scale = 10**decimals
    following = {"next_value": 1990 * scale, "next_at": AT + HOUR / 2} if name == "ETH" else {}
    return Price(
        value=int(Fraction(text) * scale),
        decimals=decimals,
        observed_at=observed,
        source="test",
        stale_after=3 * HOUR,
        **following,
    )
