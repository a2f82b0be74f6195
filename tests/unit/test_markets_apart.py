"""Many markets in one request: each judged by its own state, terms and oracle, or refused."""

import json
from fractions import Fraction
from typing import Any

import pytest

from models.errors import InvalidInput
from serving.desk import Desk
from serving.judging.assess import Model
from serving.margin import requests

AT = "2026-09-01T12:00:00Z"
SEEN = "2026-09-01T11:59:00Z"
DESK = Desk(model=Model(bundle=None))
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
    return {"value": str(value), "decimals": decimals, "observed_at": SEEN}


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
    one = {"WETH.liquidity_index": liquidity * RAY // 100, "WETH.borrow_index": RAY}
    other = {"USDC.liquidity_index": RAY, "USDC.borrow_index": RAY}
    return {name: str(value) for name, value in {**one, **other, **switches}.items()}


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


def asked(**market: Any) -> Body:
    """Return a request about every account."""
    told = {"prices": SPOT, "markets": MARKETS, **market}
    return {"as_of": AT, "market": told, "accounts": ACCOUNTS}


def verdicts(body: Body) -> dict[str, str]:
    """Return the verdict by account."""
    told = json.loads(requests.margin(DESK, json.dumps(body).encode(), "unit"))
    return {one["account"]: one["standing"]["verdict"] for one in told["margins"]}


def faults(body: Body) -> dict[str, str]:
    """Return message by pointer of what is wrong with a body."""
    with pytest.raises(InvalidInput) as caught:
        requests.margin(DESK, json.dumps(body).encode(), "unit")
    return {fault.where: fault.message for fault in caught.value.faults}


def test_every_market_of_a_request_is_judged_by_its_own_figures() -> None:
    """Two Comets, two Morpho markets, Aave on three chains, a delayed and a spot price of ETH."""
    assert verdicts(asked()) == RIGHT


def test_the_order_in_which_markets_are_stated_changes_nothing() -> None:
    """No market's figures are written over another's."""
    assert verdicts(asked(markets=MARKETS[::-1])) == RIGHT


def test_a_name_that_two_markets_read_is_refused_with_the_choices() -> None:
    """Indices of a Comet, a market's books, a switch and terms, stated by name alone."""
    bare = {**index("1", "1"), "total_borrow_assets": "1", "liquidation_allowed": "0"}
    told = faults(asked(state=bare, terms={"core": {"reserves": RESERVES}}))
    how = "state it in /market/markets with its venue, market and chain"
    comets = f"may be of compound-v3 usdc, compound-v3 usdc on base: {how}"
    chains = ", ".join(f"aave-v3 core on {chain}" for chain in ("arbitrum", "base", "ethereum"))
    assert told == {
        "/market/state/base_supply_index": f"base_supply_index {comets}",
        "/market/state/base_borrow_index": f"base_borrow_index {comets}",
        "/market/state/total_borrow_assets": (
            f"total_borrow_assets may be of morpho-blue 0xaa, morpho-blue 0xbb: {how}"
        ),
        "/market/state/liquidation_allowed": f"liquidation_allowed may be of {chains}: {how}",
        "/market/terms/core": f"core may be of {chains}: {how}",
    }


def test_a_name_that_one_market_reads_needs_no_market() -> None:
    """As long as a request has one Comet, its index is its own; Maker's names say theirs."""
    body = {
        "as_of": AT,
        "market": {"prices": SPOT, "state": {**index("1.08", "1.10"), "ETH-B.rate": str(RAY)}},
        "accounts": [comet("usdc", "usdc"), vault("spot", "ETH-B")],
    }
    assert verdicts(body) == {"usdc": "liquidatable", "spot": "safe"}


def test_a_market_that_is_not_stated_lends_nothing_to_another() -> None:
    """Without its own indices a Comet is not judged by those of its neighbour."""
    body = {**asked(markets=MARKETS[1:2]), "accounts": ACCOUNTS[:2]}
    told = json.loads(requests.margin(DESK, json.dumps(body).encode(), "unit"))
    first, second = told["margins"]
    assert second["standing"]["verdict"] == "safe"
    assert "standing" not in first or first["standing"]["verdict"] == "unevaluable"


@pytest.mark.parametrize(
    ("market", "where", "message"),
    [
        (
            {"state": {"USDC.borow_indx": "1"}},
            "/market/state/USDC.borow_indx",
            "no rulebook reads state called 'USDC.borow_indx'; did you mean USDC.borrow_index?",
        ),
        (
            {"markets": [{**AAVE, "state": {"WETH.liquidty_index": "1"}}]},
            "/market/markets/0/state/WETH.liquidty_index",
            "no rulebook reads state called 'WETH.liquidty_index'; did you mean WETH.liquidity_i",
        ),
        (
            {"markets": [{**AAVE, "state": {"base_borrow_index": "1"}}]},
            "/market/markets/0/state/base_borrow_index",
            "no rulebook reads state called 'base_borrow_index'; /v1/rulebooks lists the names",
        ),
        (
            {"markets": [{"venue": "maker", "market": "A", "state": {"B.rate": "1"}}]},
            "/market/markets/0/state/B.rate",
            "B.rate is of market B, not of maker A",
        ),
        (
            {"markets": [{"venue": "avae-v3", "market": "m"}]},
            "/market/markets/0/venue",
            "no rulebook of 'avae-v3'; did you mean aave-v3?",
        ),
        (
            {"markets": [*MARKETS[:1], *MARKETS[:1]]},
            "/market/markets/1",
            "compound-v3 usdc stands at /market/markets/0 already",
        ),
        (
            {"markets": [{"venue": "maker", "market": "A", "prices": {"ETH": AHEAD}}]},
            "/market/markets/0/prices/ETH/observed_at",
            "2026-09-01T12:00:01+00:00 is later than as_of 2026-09-01T12:00:00+00:00",
        ),
    ],
)  # fmt: skip
def test_what_no_rulebook_reads_is_named_with_the_nearest(
    market: Body, where: str, message: str
) -> None:
    """A misspelt name is refused where it stands, never left out in silence."""
    assert faults(asked(**market))[where].startswith(message)


def test_what_is_stated_by_name_and_by_market_is_refused() -> None:
    """Which of the two is meant is not guessed."""
    body = {
        "as_of": AT,
        "market": {"prices": SPOT, "state": index("1", "1"), "markets": MARKETS[:1]},
        "account": comet("usdc", "usdc"),
    }
    assert faults(body) == {
        f"/market/markets/0/state/{name}": f"{name} stands at /market/state/{name} as well"
        for name in ("base_supply_index", "base_borrow_index")
    }


def test_an_option_that_no_rule_reads_is_named_with_the_nearest() -> None:
    """A misspelt e-mode must not be judged as none."""
    one = {**aave("ethereum", "ethereum"), "options": {"emod": 1}}
    assert faults({**asked(), "accounts": [one]}) == {
        "/accounts/0/options/emod": (
            "the rules of aave-v3 read no option called 'emod'; did you mean emode?"
        )
    }


def test_an_oracle_of_a_market_wins_over_a_spot_price_that_the_scale_would_round() -> None:
    """A spot price with more digits than the venue reads does not disturb it."""
    fine = {**SPOT, "WETH": {"value": "2000.123456789", "observed_at": SEEN}}
    own = [{**MARKETS[0], "prices": {"WETH": price(2_000 * 10**8, 8)}}]
    body = {
        "as_of": AT,
        "market": {"prices": fine, "markets": own},
        "accounts": [comet("usdc", "usdc")],
    }
    assert verdicts(body) == {"usdc": "liquidatable"}
