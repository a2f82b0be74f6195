"""Maker by its published interfaces: what is read, judged and compared, on a chain.

The contracts are our own (`vaults.sol`), for want of a package with the venue's: what is tried here
is that everything is asked for and read rightly. That the rules are the venue's is held by the
recorded answers of its code (`tests/conformance/test_maker.py`), and live by the comparison.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import chain_node
import chain_packages
import pytest
import vault_market
from chain_reading import CHAIN_ID, STEPS, STEPS_A_BLOCK, USERS, addresses_of, reading_chain
from commands import within
from vault_market import ILK, RAY, WAD, VaultLife, VaultMarket

from models.domain import LegKind, MarketId
from models.margin.result import Liquidation
from models.margin.rulebook import Liquidate, load
from serving.connect import maker
from serving.connect.errors import NotAContract, UnknownRevision
from serving.connect.follow import Follower
from serving.connect.maker import MakerReader
from serving.connect.reading import Reading
from serving.connect.rpc import Chain
from serving.store import accounts, connections, open_store

T = TypeVar("T")


@pytest.fixture(scope="module")
def vaults() -> Iterator[VaultMarket]:
    """Yield the contracts on a chain of their own."""
    with chain_node.running() as node:
        yield vault_market.deployed(node)


def reader_of(vaults: VaultMarket, ilk: str = ILK) -> MakerReader:
    """Return a reader of the test type."""
    whose = MarketId("maker", ilk, "test")
    return MakerReader(market=whose, chainlog=vaults.chainlog.address.lower())


def on_chain(vaults: VaultMarket, act: Callable[[Chain], Awaitable[T]]) -> T:
    """Run something against the chain."""
    return reading_chain(vaults.node, act)


def test_selectors_are_those_of_the_compiler() -> None:
    """Every function of the interfaces has the hash that the compiler gives it, notes too."""
    artefacts = chain_packages.contracts("vaults").values()
    compiled = {s: x for each in artefacts for s, x in each["selectors"].items()}
    for method in maker.METHODS:
        assert compiled[method.signature] == method.selector
    types = "bytes32,address,address,address,int256,int256"
    assert maker.FROB[2:10] == compiled[f"frob({types})"]
    assert maker.GRAB[2:10] == compiled[f"grab({types})"]
    assert maker.FORK[2:10] == compiled["fork(bytes32,address,address,int256,int256)"]


def test_what_is_no_type_is_refused(vaults: VaultMarket) -> None:
    """A type that nobody made, and a contract that lists nothing."""

    async def act(chain: Chain) -> None:
        await reader_of(vaults, "ETH-Z").prepare(chain, await chain.head())

    with pytest.raises(NotAContract, match="ETH-Z is no collateral type that is liquidated"):
        on_chain(vaults, act)

    async def other(chain: Chain) -> None:
        reader = replace(reader_of(vaults), chainlog=vaults.contracts["Clip"].address.lower())
        await reader.prepare(chain, await chain.head())

    with pytest.raises(NotAContract, match="does not answer getAddress"):
        on_chain(vaults, other)


@dataclass
class Comparison:
    """A random life, and what came of comparing every vault after each of its blocks."""

    life: VaultLife
    chain: Chain
    reader: MakerReader
    outcomes: Counter[str] = field(default_factory=Counter)

    async def run(self, blocks: int) -> None:
        """Live through blocks of random steps, liquidating whom the dog lets be."""
        await self.reader.prepare(self.chain, await self.chain.head())
        for _ in range(blocks):
            for _ in range(STEPS_A_BLOCK):
                self.life.step()
            self.life.mine()
            reading = await self.settled()
            unsafe = [
                vault
                for vault, each in reading.accounts.items()
                if each.answer is not None and each.answer.get("is_unsafe")
            ]
            if unsafe:
                self.bark(reading, self.life.chance.choice(unsafe))
                await self.settled()

    async def settled(self) -> Reading:
        """Read everything at the head; no vault may differ in anything."""
        reading = await self.reader.read(self.chain, await self.chain.head(), self.life.vaults)
        checks = self.reader.checks(reading)
        assert [check for check in checks if not check.is_equal] == []
        owing = [
            each
            for each in reading.accounts.values()
            if any(leg.kind is LegKind.DEBT for leg in each.legs)
        ]
        assert len(checks) == len(owing)
        for each in owing:
            assert each.answer is not None
            self.outcomes["shut down"] += "is_unsafe" not in each.answer
            self.outcomes["unsafe"] += each.answer.get("is_unsafe", 0)
            self.outcomes["liquidatable"] += each.answer["is_liquidatable"]
        self.outcomes["owing"] += len(owing)
        self.outcomes["blocks"] += 1
        return reading

    def bark(self, reading: Reading, vault: str) -> None:
        """Liquidate; what is taken is what the rules foretold, fee and price brought up to then."""
        book, market = load("maker", "dss"), reading.as_market()
        terms = reading.typed_terms()
        later = book.accrue(market, terms, market.at + timedelta(seconds=1))
        expected = book.liquidate(reading.account(vault), later, terms, Liquidate())
        before = self.life.market.vault(vault)
        if self.life.bark(vault) is None:
            assert not isinstance(expected, Liquidation)
            self.outcomes["refused"] += 1
            return
        assert isinstance(expected, Liquidation), expected
        after = self.life.market.vault(vault)
        assert list(expected.seized.values()) == [before[0] - after[0]]
        rate = later.state[f"{ILK}.rate"]
        assert list(expected.repaid.values()) == [(before[1] - after[1]) * rate // RAY]
        self.outcomes["in part"] += after[1] > 0


def test_every_vault_is_judged_as_the_contracts_judge_it(vaults: VaultMarket) -> None:
    """After each block of a random life prices, safety and liquidations tried are equal."""
    users = addresses_of(vaults.node, USERS, seed=5)
    life = VaultLife(vaults, users, random.Random(5))  # noqa: S311 - drawn anew by anyone

    async def act(chain: Chain) -> Counter[str]:
        comparison = Comparison(life, chain, reader_of(vaults))
        await comparison.run(STEPS // STEPS_A_BLOCK)
        return comparison.outcomes

    outcomes = on_chain(vaults, act)
    print(dict(life.done), dict(outcomes))  # noqa: T201 - figures of a long run
    assert outcomes["owing"] > STEPS / 10
    for name in ("unsafe", "liquidatable", "shut down"):
        assert outcomes[name] > 0, name
    assert outcomes["unsafe"] > outcomes["liquidatable"]
    for step in ("open", "pay", "bark", "price", "fee", "reorganise"):
        assert life.done[step] > 0, step


@pytest.mark.parametrize(
    ("curve", "said"),
    [
        ("Stairs", {"kind": "stairstep", "step": "90", "cut": str(99 * 10**25)}),
        ("Slope", {"kind": "linear", "tau": "21600"}),
        ("Decay", {"kind": "exponential", "cut": str(999 * 10**24)}),
        ("Symbol", None),
    ],
)
def test_curves_are_known_by_what_they_can_be_asked(
    vaults: VaultMarket, curve: str, said: dict[str, str] | None
) -> None:
    """Each kind by its parameters; what has none of them is refused."""
    artefacts = chain_packages.contracts("vaults")
    calc = vaults.node.deploy(artefacts, curve, *(["x"] if curve == "Symbol" else []))

    async def act(chain: Chain) -> object:
        reader, head = reader_of(vaults), await chain.head()
        await reader.prepare(chain, head)
        assert reader.layout is not None
        reader.layout = replace(reader.layout, calc=calc.address.lower())
        reading = await reader.read(chain, head, [])
        reading.typed_terms()
        return reading.terms["curve"]

    if said is None:
        with pytest.raises(UnknownRevision, match="is no curve of an auction"):
            on_chain(vaults, act)
    else:
        assert on_chain(vaults, act) == said


def test_auctions_may_move_to_another_contract(vaults: VaultMarket) -> None:
    """Parameters of auctions are those of the contract that the dog names now."""
    artefacts = chain_packages.contracts("vaults")
    old, market = vaults.contracts["Clip"].address, vault_market
    curve = vaults.node.deploy(artefacts, "Slope").address
    other = vaults.node.deploy(artefacts, "Clip", curve).address
    hole = 10**6 * market.RAD

    async def act(chain: Chain) -> list[object]:
        reader = reader_of(vaults)
        await reader.prepare(chain, await chain.head())
        curves = []
        for clip in (other, old):
            vaults.post("Dog", "set", market.KEY, clip, market.CHOP, hole, hole)
            vaults.node.mine()
            reading = await reader.read(chain, await chain.head(), [])
            curves.append(reading.terms["curve"]["kind"])
        return curves

    assert on_chain(vaults, act) == ["linear", "stairstep"]


def test_vaults_are_followed(vaults: VaultMarket, tmp_path: Path) -> None:
    """Whoever takes on debt is found by the vat's notes; what happened stands in the store."""
    (vault,) = addresses_of(vaults.node, 1, seed=6)
    vaults.set_price(2_000 * WAD)
    for name, method, *arguments in (
        ("Spotter", "poke", vault_market.KEY),
        ("Clip", "stop", 0),
        ("Dog", "cage", 1),
        ("Dog", "digs", vault_market.KEY),
    ):
        vaults.post(name, method, *arguments)
    vaults.node.mine()
    hole = 10**6 * vault_market.RAD
    clip = vaults.contracts["Clip"].address
    vaults.post("Dog", "set", vault_market.KEY, clip, vault_market.CHOP, hole, hole)
    vaults.node.mine()
    store = open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}")
    with store.begin() as transaction:
        connections.write(transaction, "mine", {}, sealed=None, now=datetime.now(tz=UTC))

    async def act(chain: Chain) -> None:
        follower = Follower("mine", store, chain, reader_of(vaults), set(), takes_borrowers=True)
        await follower.step()
        vaults.frob(vault, 10**18, 1_000 * WAD)
        vaults.node.mine()
        await follower.step()
        assert vault in follower.addresses
        vaults.frob(vault, 0, -100 * WAD)
        vaults.node.mine()
        await follower.step()
        vaults.set_price(1_000 * WAD)
        vaults.post("Spotter", "poke", vault_market.KEY)
        vaults.post("Dog", "bark", vault_market.KEY, vault, vaults.admin)
        vaults.node.mine()
        step = await follower.step()
        assert step.mismatches == ()

    on_chain(vaults, act)
    key = f"maker:test:{ILK}:{vault}"
    with store.read() as transaction:
        body = accounts.read(transaction, [key])[key]
    store.close()
    assert [event["kind"] for event in body["events"]] == ["repay", "liquidate"]
    assert body["events"][0]["debt"] == str(100 * WAD)
    assert body["events"][1]["collateral"] == str(10**18)
    assert body["events"][1]["debt"] == str(900 * WAD)
    assert body["legs"] == []


def test_an_owner_is_enough(vaults: VaultMarket, tmp_path: Path) -> None:
    """Vaults of an owner and of the owner's proxy are found, those of other types are not."""
    owner, proxy, first, second, other = addresses_of(vaults.node, 5, seed=10)
    nobody = "0x" + "ab" * 20
    node, admin, artefacts = vaults.node, vaults.admin, chain_packages.contracts("vaults")
    manager = vaults.contracts["Vat"].address
    lister = node.deploy(artefacts, "GetCdps", manager)
    registry = node.deploy(artefacts, "Proxies")
    for name, place in (
        ("CDP_MANAGER", manager),
        ("GET_CDPS", lister.address),
        ("PROXY_REGISTRY", registry.address),
    ):
        node.send(admin, vaults.chainlog, "set", vault_market.key(name), place)
    node.send(admin, registry, "set", owner, proxy)
    node.send(admin, lister, "add", owner, 1, first, vault_market.KEY)
    node.send(admin, lister, "add", owner, 2, other, vault_market.key("WBTC-A"))
    node.send(admin, lister, "add", proxy, 3, second, vault_market.KEY)
    vaults.set_price(2_000 * WAD)
    vaults.post("Spotter", "poke", vault_market.KEY)
    for vault in (first, second):
        vaults.frob(vault, 10**18, 1_000 * WAD)
    node.mine()
    store = open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}")
    with store.begin() as transaction:
        connections.write(transaction, "mine", {}, sealed=None, now=datetime.now(tz=UTC))

    async def act(chain: Chain) -> None:
        follower = Follower("mine", store, chain, reader_of(vaults), {owner, nobody})
        step = await follower.step()
        assert follower.addresses == {first, second, nobody}
        assert follower.empty() == [nobody]
        assert {check.account for check in step.checks} == {
            f"maker:test:{ILK}:{vault}" for vault in (first, second)
        }
        assert step.mismatches == ()

    on_chain(vaults, act)
    store.close()


def test_the_command_line_reads_it(vaults: VaultMarket, tmp_path: Path) -> None:
    """One command, an address, and what the venue says beside what the rules say."""
    (user,) = addresses_of(vaults.node, 1, seed=9)
    vaults.set_price(2_000 * WAD)
    vaults.post("Spotter", "poke", vault_market.KEY)
    vaults.frob(user, 10**18, 1_000 * WAD)
    vaults.node.mine()
    done = within(
        *("connect", "maker", "--rpc", vaults.node.url, "--chain", "test", "--chain-id"),
        *(str(CHAIN_ID), "--market", "ETH-A", "--contract", vaults.chainlog.address),
        *("--address", user, "--days", "0", "--once"),
        *("--store", f"sqlite:///{tmp_path / 'book.sqlite3'}"),
    )
    assert done.exit_code == 0, done.output
    assert "1 accounts, 1 judged as their venue judges them, 0 without positions" in done.output
