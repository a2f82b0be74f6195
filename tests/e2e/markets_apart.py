"""Nine accounts in nine markets of four venues whose figures have the same names.

Two Comets, two Morpho markets, Aave on three chains, and Maker by a delayed price of ETH and by
spot; each verdict is worked out by hand.
"""

from fractions import Fraction
from typing import Any

AT = "2026-09-01T12:00:00Z"
OBSERVED_AT = "2026-09-01T11:59:00Z"
WAD, RAY = 10**18, 10**27
Body = dict[str, Any]
WETH = {
    "asset": "WETH",
    "decimals": 18,
    "borrow_factor": "825000000000000000",
    "liquidate_factor": "895000000000000000",
    "liquidation_factor": "950000000000000000",
}
RESERVES = {
    "WETH": {
        "id": 0, "decimals": 18, "ltv": 8050, "threshold": 8300, "bonus": 10500,
        "protocol_fee": 1000,
    },
    "USDC": {
        "id": 1, "decimals": 6, "ltv": 7500, "threshold": 7800, "bonus": 10450,
        "protocol_fee": 1000,
    },
}  # fmt: skip
VAULT = {
    "mat": "1500000000000000000000000000",
    "duty": str(RAY),
    "dust": "0",
    "chop": str(WAD),
    "hole": str(10**60),
    "hole_all": str(10**60),
    "buf": str(RAY),
    "tail": 3600,
    "cusp": "400000000000000000000000000",
}


def price(value: int, decimals: int) -> Body:
    """Return a price a minute old."""
    return {"value": str(value), "decimals": decimals, "observed_at": OBSERVED_AT}


def leg(kind: str, asset: str, quantity: int) -> Body:
    """Return a leg."""
    return {"kind": kind, "asset": asset, "quantity": str(quantity)}


def comet(name: str, market: str, chain: str | None = None) -> Body:
    """Return 10 WETH against a principal of 16,300 USDC."""
    return {
        "id": name,
        "venue": "compound-v3",
        "market": market,
        "chain": chain,
        "legs": [leg("debt", "USDC", 16_300_000_000), leg("collateral", "WETH", 10 * WAD)],
        "terms": {"base_asset": "USDC", "base_decimals": 6, "collaterals": [WETH]},
    }


def morpho(name: str, market: str) -> Body:
    """Return 10 WETH against 17,000 · 10^12 shares of USDC."""
    return {
        "id": name,
        "venue": "morpho-blue",
        "market": market,
        "legs": [leg("collateral", "WETH", 10 * WAD), leg("debt", "USDC", 17_000 * 10**12)],
        "terms": {
            "loan_asset": "USDC",
            "collateral_asset": "WETH",
            "lltv": "860000000000000000",
        },
    }


def aave(name: str, chain: str) -> Body:
    """Return 10 WETH against 16,800 USDC, both scaled."""
    return {
        "id": name,
        "venue": "aave-v3",
        "version": "3.6",
        "market": "core",
        "chain": chain,
        "legs": [leg("collateral", "WETH", 10 * WAD), leg("debt", "USDC", 16_800_000_000)],
    }


def vault(name: str, market: str) -> Body:
    """Return 1 ETH against 1,000 DAI."""
    return {
        "id": name,
        "venue": "maker",
        "market": market,
        "legs": [leg("collateral", "ETH", WAD), leg("debt", "DAI", 1_000 * WAD)],
        "terms": VAULT,
    }


def index(supply: str, borrow: str) -> dict[str, str]:
    """Return the indices of a Comet, in parts of one."""
    return {
        "base_supply_index": str(int(Fraction(supply) * 10**15)),
        "base_borrow_index": str(int(Fraction(borrow) * 10**15)),
    }


def totals(assets: int) -> dict[str, str]:
    """Return the books of a Morpho market with 10 million shares lent."""
    return {
        "total_supply_assets": str(20 * 10**12),
        "total_borrow_assets": str(assets),
        "total_borrow_shares": str(10**19),
    }


def indices(liquidity: int, **switches: int) -> dict[str, str]:
    """Return the indices of an Aave market, the one of WETH in hundredths of a ray."""
    weth = {"WETH.liquidity_index": liquidity * RAY // 100, "WETH.borrow_index": RAY}
    other = {"USDC.liquidity_index": RAY, "USDC.borrow_index": RAY}
    return {name: str(value) for name, value in {**weth, **other, **switches}.items()}


ORACLE = {"WETH": price(2_000 * 10**24, 36)}
"""A unit of USDC per unit of WETH, both smallest, times 10^36: 2,000 USDC a coin."""

MARKETS = [
    {"venue": "compound-v3", "market": "usdc", "state": index("1.08", "1.10")},
    {"venue": "compound-v3", "market": "usdc", "chain": "base", "state": index("1.01", "1.02")},
    {
        "venue": "morpho-blue",
        "market": "0xaa",
        "state": totals(10_500_000_000_000),
        "prices": ORACLE,
    },
    {
        "venue": "morpho-blue",
        "market": "0xbb",
        "state": totals(10_000_000_000_000),
        "prices": ORACLE,
    },
    {
        "venue": "aave-v3",
        "market": "core",
        "chain": "ethereum",
        "state": indices(100),
        "terms": {"reserves": RESERVES},
    },
    {
        "venue": "aave-v3",
        "market": "core",
        "chain": "arbitrum",
        "state": indices(100, liquidation_allowed=0),
        "terms": {"reserves": RESERVES},
    },
    {
        "venue": "aave-v3",
        "market": "core",
        "chain": "base",
        "state": indices(110),
        "terms": {"reserves": RESERVES},
    },
    {
        "venue": "maker",
        "market": "ETH-A",
        "state": {"ETH-A.rate": str(RAY)},
        "prices": {"ETH": {**price(1_400 * WAD, 18), "source": "osm"}},
    },
    {"venue": "maker", "market": "ETH-B", "state": {"ETH-B.rate": str(RAY)}},
]
ACCOUNTS = [
    comet("usdc", "usdc"),
    comet("usdc-base", "usdc", "base"),
    morpho("aa", "0xaa"),
    morpho("bb", "0xbb"),
    aave("ethereum", "ethereum"),
    aave("arbitrum", "arbitrum"),
    aave("base", "base"),
    vault("delayed", "ETH-A"),
    vault("spot", "ETH-B"),
]
SPOT = {
    "WETH": price(2_000 * 10**8, 8),
    "USDC": price(10**8, 8),
    "ETH": price(2_000 * WAD, 18),
}
AAVE = {"venue": "aave-v3", "market": "m"}
AHEAD = {**price(1, 0), "observed_at": "2026-09-01T12:00:01Z"}
RIGHT = {
    # 16,300 · 1.10 = 17,930 against 20,000 · 0.895 = 17,900.
    "usdc": "liquidatable",
    # 16,300 · 1.02 = 16,626 against 17,900.
    "usdc-base": "safe",
    # 17,000 · 1.05 = 17,850 against 20,000 · 0.86 = 17,200.
    "aa": "liquidatable",
    # 17,000 · 1.00 against 17,200.
    "bb": "safe",
    # 20,000 · 0.83 = 16,600 against 16,800.
    "ethereum": "liquidatable",
    # The same, and the sequencer is down.
    "arbitrum": "not_executable",
    # 22,000 · 0.83 = 18,260 against 16,800.
    "base": "safe",
    # 1,400 against 1,000 · 1.5.
    "delayed": "liquidatable",
    # 2,000 against 1,500.
    "spot": "safe",
}
