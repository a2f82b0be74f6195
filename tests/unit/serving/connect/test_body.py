"""What may be asked of a connection, and what is looked up for it."""

import re
import tomllib
from importlib import resources
from typing import Any

import pytest
from pydantic import ValidationError

from models.domain import MarketId
from models.errors import InvalidInput
from serving.connect.body import ConnectionBody, public, secret, target

OWNER = "0x" + "Ab" * 20


def body(**changes: Any) -> ConnectionBody:
    """Return the body of a connection with some of it changed."""
    usual = {
        "venue": "aave-v3",
        "chain": "ethereum",
        "rpc": ["https://eth.example/key"],
        "addresses": [OWNER],
    }
    return ConnectionBody.model_validate({**usual, **changes})


def test_a_known_market_needs_no_contract() -> None:
    """Chain, market and contract of the main pool are looked up; addresses are lower case."""
    aim = target(body())
    assert aim.market == MarketId("aave-v3", "core", "ethereum")
    assert aim.chain_id == 1
    assert aim.contract == "0x87870bca3f3fd6335c3f4ce8392d69350b4fa4e2"
    assert aim.addresses == frozenset({OWNER.lower()})


def test_a_market_of_morpho_is_its_id() -> None:
    """One singleton holds every market of a chain."""
    aim = target(body(venue="morpho-blue", market="0x" + "1" * 64))
    assert aim.contract == "0xbbbbbbbbbb9cc5e90e3b3af64bdaf62c37eeffcb"


def test_the_core_pool_of_venus_is_known_by_its_comptroller() -> None:
    """On its home chain."""
    aim = target(body(venue="venus", chain="bnb"))
    assert (aim.chain_id, aim.contract) == (56, "0xfd36e2c2a6789db23113685031d7f16329158384")


def test_isolated_pools_of_venus_are_known_by_their_comptrollers() -> None:
    """By the package's names; where a chain has no pool called core, one is to be named."""
    aim = target(body(venue="venus-isolated", chain="bnb", market="stablecoins"))
    assert (aim.chain_id, aim.contract) == (56, "0x94c1495cd4c557f1560cbd68eab0d197e6291571")
    aim = target(body(venue="venus-isolated"))
    assert aim.contract == "0x687a01ecf6d3907658f7a7c714749fac32336d1b"
    with pytest.raises(InvalidInput, match="stablecoins on bnb"):
        target(body(venue="venus-isolated", chain="bnb"))


def test_systems_of_liquity_are_known_by_their_managers() -> None:
    """The one on Ethereum, and the fork on Rootstock under its own name."""
    assert target(body(venue="liquity-v1")).contract == "0xa39739ef8b0231dbfa0dcda07d7e29faabcf4bb2"
    aim = target(body(venue="liquity-v1", chain="rootstock", market="zero"))
    assert (aim.chain_id, aim.contract) == (30, "0x82b09695ee4f214f3a0803683c4aaec332e4e0a3")


def test_every_deployment_on_record_is_sound() -> None:
    """Its chain has an id, its address 20 bytes, and nothing stands twice."""
    text = resources.files("serving.connect").joinpath("deployments.toml").read_text("utf-8")
    tree = tomllib.loads(text)
    places = [(each["venue"], each["chain"], each.get("market")) for each in tree["contracts"]]
    assert len(places) == len(set(places))
    assert len(set(tree["chains"].values())) == len(tree["chains"])
    assert {chain for _, chain, _ in places} <= tree["chains"].keys()
    addresses = [each["address"] for each in tree["contracts"]]
    assert [each for each in addresses if re.fullmatch("0x[0-9a-fA-F]{40}", each) is None] == []


@pytest.mark.parametrize(
    ("venue", "chain", "market", "chain_id", "contract"),
    [
        ("aave-v3", "ethereum", "spark", 1, "0xc13e21b648a5ee794902342038ff3adab66be987"),
        ("maker", "ethereum", "ETH-A", 1, "0xda0ab1e0017debcd72be8599041a2aa3ba7e740f"),
        ("compound-v3", "base", "weth", 8453, "0x46e6b214b524310239732d51387075e0e70970bf"),
        ("aave-v2", "polygon", "core", 137, "0x8dff5e27ea6b7ac08ebfdf9eb090f32ee9a30fcf"),
        (
            "morpho-blue",
            "base",
            "0x" + "1" * 64,
            8453,
            "0xbbbbbbbbbb9cc5e90e3b3af64bdaf62c37eeffcb",
        ),
        (
            "morpho-blue",
            "unichain",
            "0x" + "1" * 64,
            130,
            "0x8f5ae9cddb9f68de460c77730b018ae7e04a140a",
        ),
    ],
)
def test_other_deployments_of_known_code_are_found_by_name(
    venue: str, chain: str, market: str, chain_id: int, contract: str
) -> None:
    """Spark is a market of Aave v3's code, and a singleton stands elsewhere on other chains."""
    aim = target(body(venue=venue, chain=chain, market=market))
    assert (aim.chain_id, aim.contract) == (chain_id, contract)


def test_sockets_are_urls_of_websocket_and_kept_as_secret_as_endpoints() -> None:
    """Neither is shown; an address of HTTP is no socket."""
    whole = body(ws=["wss://eth.example/key"])
    assert not {"rpc", "ws"} & public(whole).keys()
    assert secret(whole) == {"rpc": ["https://eth.example/key"], "ws": ["wss://eth.example/key"]}
    with pytest.raises(InvalidInput) as caught:
        target(body(ws=["https://eth.example/key", "ws://a.example", "ws://a.example"]))
    assert [(fault.where, fault.message) for fault in caught.value.faults] == [
        ("/ws/0", "is no URL of ws or wss"),
        ("/ws/2", "a.example stands twice"),
    ]


def test_what_is_not_known_must_be_stated() -> None:
    """Every fault is told at once, with what is known."""
    with pytest.raises(InvalidInput) as caught:
        target(body(chain="moon", addresses=[]))
    places = [fault.where for fault in caught.value.faults]
    assert places == ["/chain_id", "/contract", "/addresses"]
    assert "core on ethereum" in caught.value.faults[1].message
    aim = target(body(chain="moon", chain_id=7, contract="0x" + "CD" * 20))
    assert (aim.chain_id, aim.contract) == (7, "0x" + "cd" * 20)


def test_what_contradicts_is_refused() -> None:
    """A chain of another number, and an address that stands twice."""
    with pytest.raises(InvalidInput, match="ethereum is chain 1"):
        target(body(chain_id=5))
    with pytest.raises(InvalidInput, match="stands twice"):
        target(body(addresses=[OWNER, OWNER.lower()]))


@pytest.mark.parametrize(
    "changes",
    [
        {"venue": "aave-v1"},
        {"addresses": ["0x12"]},
        {"addresses": ["vitalik.eth"]},
        {"rpc": []},
        {"private_key": "0x1"},
        {"chain_id": "1"},
    ],
)
def test_a_body_is_read_strictly(changes: dict[str, Any]) -> None:
    """No private key has a place to stand in."""
    with pytest.raises(ValidationError):
        body(**changes)


def test_endpoints_are_no_part_of_what_is_shown() -> None:
    """What is stored in the clear has no endpoint, and can be read again."""
    shown = public(body())
    assert "rpc" not in shown
    assert "key" not in str(shown)
    assert target(body(**{**shown, "rpc": ["https://x.example"]})) == target(body())
