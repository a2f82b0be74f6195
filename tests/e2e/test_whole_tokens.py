"""Amounts go out in whole tokens, at every venue: by hand, from what its own unit stands for."""

import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from local import Caller, calling

from models.margin.rulebook import load_all
from serving.demo.run import CHAMPION
from serving.pages.files import HERE

Body = dict[str, Any]
EXAMPLES: dict[str, Body] = json.loads((HERE / "static/examples.json").read_text())
RAY = 10**27
AAVE = {"WETH.liquidity_index": 12 * RAY // 10, "USDC.borrow_index": 11 * RAY // 10}
"""Every scaled ether is 1.2 ether, every scaled dollar owed 1.1 dollars."""

STATES: dict[str, dict[str, int]] = {
    "aave-v2": AAVE,
    "aave-v3": AAVE,
    # 1,000,000 shares own 1,200,000 ether; a drawn share owes 1.1.
    "aave-v4": {"WETH.added_assets": 12 * 10**23, "USDC.drawn_index": 11 * RAY // 10},
    "compound-v3": {"base_borrow_index": 11 * 10**14},
    "euler-v2": {"WETH.exchange_rate": 105 * 10**16},
    "fluid": {"supply_exchange_price": 11 * 10**11, "borrow_exchange_price": 12 * 10**11},
    "maker": {"ETH-B.rate": 105 * RAY // 100},
    "morpho-blue": {"total_borrow_assets": 550 * 10**9},
}
"""What is put into the state of an example, so that a share is not a token."""

SCALED = ("12 WETH", "16500 USDC")
TOKENS = {
    "aave-v2": SCALED,
    "aave-v3": SCALED,
    # Rounded down beside a million virtual shares.
    "aave-v4": ("11.999999999999999998 WETH", "16500 USDC"),
    "binance-usdm": ("5000 USDT", "1 BTC/USDT:USDT"),
    "bybit-linear": ("5000 USDC", "1 BTC/USDC:USDC"),
    "okx-swap": ("5000 USDT", "1 BTC-USDT-SWAP"),
    # 500 cTokens of 8 digits at 0.02 ether.
    "compound-v2": ("10 ETH", "12000 DAI"),
    "compound-v3": ("14300 USDC", "10 WETH"),
    "deribit": ("1 BTC",),
    "dydx-v4": ("4000 USDC", "0.1 BTC"),
    "euler-v2": ("15000 USDC", "10.5 WETH"),
    "flat-margin": ("1000 USDT", "0.1 BTC-PERP"),
    "fluid": ("11 WETH", "18000 USDC"),
    "gmx-v2": ("100 USDC", "0.5 WETH"),
    "hyperliquid": ("1000 USDC", "0.1 BTC"),
    "liquity-v1": ("10 ETH", "10000 LUSD"),
    "maker": ("10 ETH", "12600 DAI"),
    "morpho-blue": ("10 WETH", "16500 USDC"),
    "portfolio-margin": ("60000 USD", "2 BTC-PERP"),
    "reg-t": ("500000 USD", "100 ACME"),
    # 400 vTokens of 8 digits at 0.025 BNB.
    "venus": ("10 BNB", "4000 USDC"),
    "venus-isolated": ("10 BNB", "4000 USDC"),
}
"""By venue, what its example holds and owes; the exact amounts, as the API tells them."""

TEXTS = {
    "11.999999999999999998 WETH": ("12.00 WETH", "12,00 WETH"),
    "16500 USDC": ("16,500.00 USDC", "16.500,00 USDC"),
    "0.5 WETH": ("0.50 WETH", "0,50 WETH"),
    "1 BTC/USDT:USDT": ("1.00 BTC/USDT:USDT", "1,00 BTC/USDT:USDT"),
}

PER_UNIT = {
    "aave-v2": Fraction(11, 10**7),
    "aave-v3": Fraction(11, 10**7),
    "aave-v4": Fraction(11, 10**7),
    "compound-v2": Fraction(1, 10**18),
    "compound-v3": Fraction(11, 10**7),
    "euler-v2": Fraction(1, 2**31 * 10**6),
    "fluid": Fraction(12, 10**7),
    "liquity-v1": Fraction(1, 10**18),
    "maker": Fraction(105, 10**20),
    "morpho-blue": Fraction(11, 10**13),
    "venus": Fraction(1, 10**6),
    "venus-isolated": Fraction(1, 10**6),
}
"""By lending venue, the whole tokens that a unit of its debt stands for."""


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """Return a caller of the API with an empty store."""
    with calling(tmp_path_factory.mktemp("tokens"), CHAMPION) as made:
        yield made


def body_of(name: str) -> Body:
    """Return the example of a rulebook, where a share is not a token."""
    body: Body = json.loads(json.dumps(EXAMPLES[name]))
    state = {key: str(value) for key, value in STATES.get(name.split(maxsplit=1)[0], {}).items()}
    body["market"]["state"] = {**body["market"].get("state", {}), **state}
    return body


def test_every_rulebook_is_walked() -> None:
    """A rulebook more needs a line here."""
    assert {f"{venue} {version}" for venue, version in load_all()} == set(EXAMPLES)
    assert {venue for venue, _ in load_all()} == set(TOKENS)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_what_is_held_and_owed_is_told_in_whole_tokens(caller: Caller, name: str) -> None:
    """Exact beside what people read, in both languages."""
    stated = body_of(name)
    told = caller.post("/v1/margin", json=stated).json()
    listed = [f"{token['amount']} {token['asset']}" for token in told["tokens"]]
    assert tuple(listed) == TOKENS[name.split(maxsplit=1)[0]]
    german = caller.post("/v1/margin", json=stated, headers={"Accept-Language": "de-CH"}).json()
    for exact, english, other in zip(listed, told["tokens"], german["tokens"], strict=True):
        if exact in TEXTS:
            assert (english["text"], other["text"]) == TEXTS[exact]


@pytest.mark.parametrize("name", [n for n in sorted(EXAMPLES) if n.split()[0] in PER_UNIT])
def test_a_plan_repays_in_whole_tokens(caller: Caller, name: str) -> None:
    """So much of the venue's unit is so much of the token, to a smallest unit on either side."""
    asked = {**body_of(name), "target": {"health": "3"}, "means": {"kinds": ["repay"]}}
    answer = caller.post("/v1/plan", json=asked)
    assert answer.status_code == 200, answer.text
    (action,) = answer.json()["actions"]
    tokens = Fraction(action["quantity"]) * PER_UNIT[name.split(maxsplit=1)[0]]
    assert abs(Fraction(action["tokens"]) - tokens) <= Fraction(2, 10**6)
    assert action["asset"] in action["text"]
    assert "venue's units" not in action["text"]


@pytest.mark.parametrize("name", [n for n in sorted(EXAMPLES) if n.split()[0] in PER_UNIT])
def test_a_unit_of_a_leg_is_told_even_of_nothing(caller: Caller, name: str) -> None:
    """Of an account that was closed, too: its events are amounts in that unit."""
    stated = body_of(name)
    for leg in stated["account"]["legs"]:
        leg["quantity"] = "0"
    told = caller.post("/v1/margin", json=stated).json()
    (debt,) = [one for one in told["tokens"] if one["kind"] == "debt"]
    assert Fraction(debt["amount"]) == 0
    expected = PER_UNIT[name.split(maxsplit=1)[0]]
    assert abs(Fraction(debt["per_unit"]) - expected) <= expected / 10**9


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_values_of_legs_add_up(caller: Caller, name: str) -> None:
    """To what the whole is worth; of positions there is none, and what they gained is beside it."""
    told = caller.post("/v1/margin", json=body_of(name)).json()
    values = [(one["kind"], one["value"]) for one in told["tokens"]]
    assert not [value for kind, value in values if kind == "position" and value is not None]
    if told["debt"] is None or told["standing"]["reason"] == "no_debt":
        assert not [value for _, value in values if value is not None]
        return
    for kind, whole in (("collateral", told["collateral_value"]), ("debt", told["debt"])):
        parts = [Fraction(value) for one, value in values if one == kind and value is not None]
        if "position" not in dict(values):
            assert sum(parts) == Fraction(whole)


def test_each_of_several_legs_has_its_value(caller: Caller) -> None:
    """Two collaterals and two debts, each at its own price."""
    stated = body_of("aave-v3 3.6")
    legs = stated["account"]["legs"]
    others = [
        {**leg, "asset": asset, "quantity": str(int(leg["quantity"]) // 10)}
        for leg, asset in zip(legs, ("USDC", "WETH"), strict=True)
    ]
    legs[:] = [
        *legs,
        {**others[0], "quantity": "100000000"},
        {**others[1], "quantity": str(10**16)},
    ]
    stated["market"]["state"] |= {
        name.replace(asset, other): value
        for name, value in list(stated["market"]["state"].items())
        for asset, other in (("WETH", "USDC"), ("USDC", "WETH"))
    }
    told = caller.post("/v1/margin", json=stated).json()
    by_leg = {(one["kind"], one["asset"]): one for one in told["tokens"]}
    prices = {"WETH": 2_000, "USDC": 1}
    assert len(by_leg) == 4
    for (_, asset), one in by_leg.items():
        assert Fraction(one["value"]) == Fraction(one["amount"]) * prices[asset], one


@pytest.mark.parametrize("name", ["euler-v2 evk", "fluid vault-t1", "morpho-blue 1"])
def test_prices_are_told_of_whole_tokens(caller: Caller, name: str) -> None:
    """Where the venue's own are of smallest units: two thousand, and the trigger in proportion."""
    stated = body_of(name)
    told = caller.post("/v1/margin", json=stated).json()
    prices = {one["asset"]: one for one in told["prices"]}
    assert Fraction(prices["WETH"]["token_price"]) == 2_000
    flipping = caller.post("/v1/trigger", json=stated).json()["price_triggers"]
    for one in flipping:
        own = prices[one["asset"]]
        shares = [Fraction(one[price]) / Fraction(own[price]) for price in ("price", "token_price")]
        assert shares[0] == shares[1]
    scored = caller.post("/v1/score", json=stated).json()["rule"]["trigger"]
    assert scored["token_price"] in {one["token_price"] for one in flipping}


def test_values_are_in_whole_units_of_the_quote(caller: Caller) -> None:
    """10.5 ether at 2,000 against 15,000 dollars; 11 against 18,000, in dollars of the debt."""
    euler = caller.post("/v1/margin", json=body_of("euler-v2 evk")).json()
    # Balances count as the vault's price says, which is of shares: 10 at 2,000.
    assert Fraction(euler["debt"]) == 15_000
    assert Fraction(euler["standing"]["maintenance"]["credit"]) == 10 * 2_000 * Fraction(85, 100)
    fluid = caller.post("/v1/margin", json=body_of("fluid vault-t1")).json()
    morpho = caller.post("/v1/margin", json=body_of("morpho-blue 1")).json()
    assert (morpho["collateral_value"], morpho["debt"]) == ("20000", "16500")
    owed = Fraction(fluid["standing"]["maintenance"]["requirement"])
    # A tick is 0.15 % wide, and a position stands on the next above its ratio.
    assert 18_000 <= owed <= 18_000 * Fraction(10_016, 10_000)
