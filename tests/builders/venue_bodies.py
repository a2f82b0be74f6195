"""One account of each of six venues, as a caller would ask about it.

Maker, Aave, Compound and Morpho are rows of the committed vectors; the exchanges' accounts
are small enough to be reckoned by hand.
"""

from typing import Any

Body = dict[str, Any]
AT = "2026-03-01T00:00:00Z"
RAY = str(10**27)


def price(value: str, decimals: int = 0, **more: Any) -> Body:
    """Return a price that is one minute old."""
    observed = "2026-02-28T23:59:00Z"
    return {"value": value, "decimals": decimals, "observed_at": observed, **more}


def leg(kind: str, asset: str, quantity: str, **more: Any) -> Body:
    """Return one leg."""
    return {"kind": kind, "asset": asset, "quantity": quantity, **more}


def body(account: Body, **market: Any) -> Body:
    """Return a request about one account."""
    return {"as_of": AT, "market": market, "account": account}


def maker(value: str = "7459442749180869341372") -> Body:
    """Return row 2 of the vaults in maker_dss.json: one more unit of debt is too much."""
    return body(
        {
            "id": "vault",
            "venue": "maker",
            "market": "ETH-B",
            "legs": [
                leg("collateral", "ETH", "17324978328577460707408"),
                leg("debt", "DAI", "96413080296863007218625841"),
            ],
            "terms": {
                "mat": "1100000000000000000000000000",
                "duty": RAY,
                "dust": "7500000000000000000000000000000000000000000000000",
                "chop": "1080000000000000000",
                "hole": "100000000000000000000000000000000000000000000000000000",
                "hole_all": "100000000000000000000000000000000000000000000000000000",
                "buf": "1100000000000000000000000000",
                "tail": 8400,
                "cusp": "450000000000000000000000000",
            },
        },
        prices={"ETH": price(value, 18)},
        state={"ETH-B.rate": "1218569886753763389608360250"},
    )


def aave() -> Body:
    """Return row 13 of the liquidations in aave_v3_7.json: a health factor of 0.95."""
    reserve = {"decimals": 18, "bonus": 10500, "protocol_fee": 0}
    return body(
        {
            "id": "borrower",
            "venue": "aave-v3",
            "version": "3.7",
            "market": "core",
            "legs": [
                leg("collateral", "0", "10000000000000000000000"),
                leg("debt", "1", "10000000000000000000000"),
            ],
            "terms": {
                "reserves": {
                    "0": {"id": 0, "ltv": 9000, "threshold": 9500, **reserve},
                    "1": {"id": 1, "ltv": 0, "threshold": 0, **reserve},
                }
            },
        },
        prices={"0": price("100000000", 8), "1": price("100000000", 8)},
        state={f"{i}.{side}_index": RAY for i in "01" for side in ("liquidity", "borrow")},
    )


def compound() -> Body:
    """Return row 7 of the positions in compound_v3_comet.json: liquidatable."""
    return body(
        {
            "id": "absorbed",
            "venue": "compound-v3",
            "market": "BASE",
            "legs": [
                leg("debt", "BASE", "10793012092752616298185644"),
                leg("collateral", "A0", "72251321"),
                leg("collateral", "A1", "831403918174"),
            ],
            "terms": {
                "base_asset": "BASE",
                "base_decimals": 18,
                "collaterals": [
                    {
                        "asset": "A0",
                        "decimals": 6,
                        "borrow_factor": "757000000000000000",
                        "liquidate_factor": "778500000000000000",
                        "liquidation_factor": "878000000000000000",
                    },
                    {
                        "asset": "A1",
                        "decimals": 6,
                        "borrow_factor": "518900000000000000",
                        "liquidate_factor": "544200000000000000",
                        "liquidation_factor": "944000000000000000",
                    },
                ],
            },
        },
        prices={
            "BASE": price("159378387800", 8),
            "A0": price("476531104", 8),
            "A1": price("4958072585443", 8),
        },
        state={
            "base_supply_index": "1064261772084345",
            "base_borrow_index": "1317142522637412",
        },
    )


def comet_of_two() -> Body:
    """Return a debt of 45,000 that the first of two collaterals covers: 90,000 and 32,000 at .7."""
    item = {
        "decimals": 6,
        "borrow_factor": "600000000000000000",
        "liquidate_factor": "700000000000000000",
        "liquidation_factor": "900000000000000000",
    }
    return body(
        {
            "id": "two",
            "venue": "compound-v3",
            "market": "USDC",
            "legs": [
                leg("debt", "USDC", "45000000000"),
                leg("collateral", "A1", "90000000000"),
                leg("collateral", "A2", "32000000000"),
            ],
            "terms": {
                "base_asset": "USDC",
                "base_decimals": 6,
                "collaterals": [{"asset": "A1", **item}, {"asset": "A2", **item}],
            },
        },
        prices={name: price("100000000", 8) for name in ("USDC", "A1", "A2")},
        state={"base_supply_index": "1000000000000000", "base_borrow_index": "1000000000000000"},
    )


def morpho() -> Body:
    """Return row 0 of morpho_blue.json: unhealthy, part of the debt to be repaid."""
    return body(
        {
            "id": "position",
            "venue": "morpho-blue",
            "market": "WETH/USDC",
            "legs": [
                leg("collateral", "WETH", "208464011727581118465"),
                leg("debt", "USDC", "138118189877385873995"),
            ],
            "terms": {
                "loan_asset": "USDC",
                "collateral_asset": "WETH",
                "lltv": "965000000000000000",
            },
        },
        prices={"WETH": price("739055000000000000000000000010", 36)},
        state={
            "total_supply_assets": "334987462343770",
            "total_borrow_assets": "278593642391314",
            "total_borrow_shares": "258813493781530706000",
            "borrow_rate_per_second": "1729513616",
        },
    )


def hyperliquid(mark: str = "10000") -> Body:
    """Return 10 X bought at 100 with 100 USDC at 10x: 5 % of the notional must be kept."""
    return body(
        {
            "id": "long",
            "venue": "hyperliquid",
            "market": "cross",
            "legs": [
                leg("collateral", "USDC", "100"),
                leg("position", "X", "10", entry="100"),
            ],
            "options": {"X.leverage": 10},
            "terms": {"coins": {"X": [{"floor": "0", "max_leverage": 10}]}},
        },
        prices={"X": price(mark, 2, bid=mark)},
    )


def binance() -> Body:
    """Return 1 BTC bought at 45,000 with 5,000 USDT, under the brackets that ship."""
    return body(
        {
            "id": "futures",
            "venue": "binance-usdm",
            "market": "USDT",
            "legs": [
                leg("collateral", "USDT", "5000"),
                leg("position", "BTC/USDT:USDT", "1", entry="45000"),
            ],
            "options": {"BTC/USDT:USDT.leverage": 10},
        },
        prices={"BTC/USDT:USDT": price("45000")},
    )


def all_venues() -> list[Body]:
    """Return a request per venue."""
    return [maker(), aave(), compound(), morpho(), hyperliquid(), binance()]
