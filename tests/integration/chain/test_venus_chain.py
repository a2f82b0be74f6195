"""Venus' core pool that runs its own code: what is read and judged equals what it says itself."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import chain_node
import chain_packages
import pytest
import venus_market
from chain_reading import STEPS, STEPS_A_BLOCK, USERS, addresses_of, reading_chain
from venus_market import WAD, VenusLife, VenusMarket

from models.domain import LegKind, MarketId
from models.margin.result import Liquidation, Refusal
from models.margin.rulebook import Liquidate, load
from serving.connect import venus
from serving.connect.errors import NotAContract, UnknownRevision
from serving.connect.follow import Follower
from serving.connect.reading import Reading
from serving.connect.rpc import Chain
from serving.connect.venus import VenusReader
from serving.store import accounts, connections, open_store


@pytest.fixture(scope="module")
def core() -> Iterator[VenusMarket]:
    """Yield a market on a chain of its own."""
    with chain_node.running() as node:
        yield venus_market.deployed(node)


def reader_of(market: VenusMarket) -> VenusReader:
    """Return a reader of the test market."""
    whose = MarketId("venus", "core", "test")
    return VenusReader(market=whose, comptroller=market.comptroller.address.lower())


def test_selectors_and_topics_are_those_of_the_package() -> None:
    """Every function and event has the hash that its own artefacts give it."""
    artefacts = chain_packages.contracts("venus") | chain_packages.contracts("fixtures")
    known = {s: x for each in artefacts.values() for s, x in each["selectors"].items()}
    topics = {s: x for each in artefacts.values() for s, x in each["topics"].items()}
    for method in venus.METHODS:
        assert known[method.signature] == method.selector
    for event in venus.EVENTS:
        assert topics[event.signature] == event.topic


def test_what_is_no_comptroller_and_an_older_one_are_refused(
    core: VenusMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of something else, and code that no rulebook is held to."""

    async def act(chain: Chain) -> None:
        await reader_of(core).prepare(chain, await chain.head())

    async def other(chain: Chain) -> None:
        reader = replace(reader_of(core), comptroller=core.oracle.address.lower())
        await reader.prepare(chain, await chain.head())

    with pytest.raises(NotAContract, match=r"does not answer getAllMarkets\(\)"):
        reading_chain(core.node, other)
    absent = replace(venus.BOUNDED_ORACLE, signature="noSuchOracle()", selector="00000001")
    monkeypatch.setattr(venus, "BOUNDED_ORACLE", absent)
    with pytest.raises(UnknownRevision, match="is not of release 10"):
        reading_chain(core.node, act)


def test_an_account_is_followed(core: VenusMarket, tmp_path: Path) -> None:
    """What it did and what was taken of it stand in the store, and a new market is read, too."""
    node, admin = core.node, core.admin
    user, other = addresses_of(node, 2, seed=3)
    store = open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}")
    with store.begin() as transaction:
        connections.write(transaction, "mine", {}, sealed=None, now=datetime.now(tz=UTC))

    async def act(chain: Chain) -> None:
        reader = reader_of(core)
        follower = Follower("mine", store, chain, reader, {user, other})
        await follower.step()
        for owner in (user, other):
            node.send(admin, core.markets["BNB"], "mintBehalf", owner, 10 * WAD)
            node.send(owner, core.comptroller, "enterMarkets", [core.markets["BNB"].address])
        assert (await follower.step()).mismatches == ()
        node.send(user, core.markets["USDC"], "borrow", 4_700 * 10**6)
        assert (await follower.step()).mismatches == ()
        venus_market.listed(core, "NEW", (18, 5, (50, 55, 110)))
        node.send(user, core.vai_controller, "mintVAI", WAD)
        assert (await follower.step()).mismatches == ()
        assert reader.layout is not None
        assert reader.layout.markets[-1].name == "NEW"
        core.set_price("BNB", 500 * WAD)
        node.mine()
        first = node.ask("eth_blockNumber")
        await follower.step()
        place = core.markets["BNB"].address
        node.send(admin, core.markets["USDC"], "liquidateBorrow", user, 10**9, place)
        assert (await follower.step()).mismatches == ()
        head = await chain.head()
        logs = [
            log
            async for part in chain.logs(
                reader.contracts, first=int(first, 16) + 1, last=head.number, topics=[]
            )
            for log in part.logs
        ]
        assert reader.touched(logs, {user, other}) == {user}
        assert reader.liquidations(logs, {user, other}) == {user: (("BNB", "USDC"),)}
        everything = [
            log
            async for part in chain.logs(
                reader.contracts[:1], first=0, last=head.number, topics=[[*reader.borrow_topics]]
            )
            for log in part.logs
        ]
        assert reader.borrowers(everything) == {user, other}
        core.set_price("BNB", 600 * WAD)
        node.mine()

    reading_chain(node, act)
    with store.read() as transaction:
        (body,) = accounts.read(transaction, [f"venus:test:core:{user}"]).values()
    assert [event["kind"] for event in body["events"]] == [
        "deposit",
        "borrow",
        "borrow",
        "liquidate",
    ]
    lent, minted = (int(event["debt"]) for event in body["events"][1:3])
    assert lent == 4_700 * 10**6
    assert minted == WAD
    assert {leg["asset"] for leg in body["legs"]} == {"BNB", "USDC", "VAI"}
    store.close()


@dataclass
class Comparison:
    """A random life, and what came of comparing every account after each of its blocks."""

    life: VenusLife
    chain: Chain
    reader: VenusReader
    outcomes: Counter[str] = field(default_factory=Counter)

    async def run(self, blocks: int) -> None:
        """Live through blocks of random steps, liquidating whom the venue lets be liquidated."""
        await self.reader.prepare(self.chain, await self.chain.head())
        for _ in range(blocks):
            for _ in range(STEPS_A_BLOCK):
                self.life.step()
            self.life.mine()
            reading = await self.settled()
            below = [
                user
                for user, each in reading.accounts.items()
                if each.answer is not None
                and (each.answer["is_liquidatable"] or each.answer["shortfall"])
                and any(leg.kind is LegKind.COLLATERAL for leg in each.legs)
                and any(leg.kind is LegKind.DEBT and leg.asset != "VAI" for leg in each.legs)
            ]
            if below:
                await self.liquidate(self.life.chance.choice(below))

    async def settled(self) -> Reading:
        """Read everything at the head; no account may differ in any figure."""
        reading = await self.reader.read(self.chain, await self.chain.head(), self.life.users)
        checks = self.reader.checks(reading)
        assert len(checks) == len(self.life.users)
        assert [check for check in checks if not check.is_equal] == []
        for each in reading.accounts.values():
            if any(leg.kind is LegKind.DEBT for leg in each.legs) and each.answer is not None:
                self.outcomes["owing"] += 1
                self.outcomes["short"] += each.answer["shortfall"] > 0
                self.outcomes["in a pool"] += each.options["pool"] > 0
                self.outcomes["owing VAI"] += any(leg.asset == "VAI" for leg in each.legs)
                self.outcomes["forced"] += any(name.endswith(".forced") for name in each.options)
        self.outcomes["blocks"] += 1
        return reading

    async def liquidate(self, user: str) -> None:
        """Liquidate a pair; what the rules foretell of that block happens, or both refuse."""
        node = self.life.market.node
        before = node.ask("evm_snapshot")
        node.mine_next_second()
        reading = await self.settled()
        account = reading.accounts[user]
        held, owed = (
            [leg.asset for leg in account.legs if leg.kind is kind and leg.asset != "VAI"]
            for kind in (LegKind.COLLATERAL, LegKind.DEBT)
        )
        empty = [name.removesuffix(".entered") for name in account.options if "entered" in name]
        collateral, debt = (self.life.chance.choice(each) for each in (held + empty, owed))
        expected = load("venus", "10").liquidate(  # type: ignore[misc]
            reading.account(user),
            reading.as_market(),
            reading.typed_terms(),
            Liquidate(collateral_asset=collateral, debt_asset=debt),
        )
        node.ask("evm_revert", before)
        amount = 1_000
        if isinstance(expected, Liquidation):
            amount = int(expected.repaid[debt])
        happened = self.life.liquidation(user, collateral, debt, amount)
        if isinstance(expected, Refusal):
            assert happened is None, expected
            self.outcomes[f"refused: {expected.reason}"] += 1
            return
        assert happened == (expected.repaid[debt], expected.seized[collateral])
        self.outcomes["dust against an empty market"] += collateral in empty
        left = (await self.settled()).accounts[user]
        assert expected.after is not None
        assert expected.after.maintenance is not None
        assert left.answer is not None
        if any(leg.kind is LegKind.DEBT for leg in left.legs):
            surplus = left.answer["liquidity"] - left.answer["shortfall"]
            assert expected.after.maintenance.surplus == surplus
        else:
            assert expected.after.reason == "no_debt"
        self.outcomes["seized nothing"] += not expected.seized[collateral]
        self.outcomes["as foretold"] += 1


def test_every_account_is_judged_as_the_comptroller_judges_it(core: VenusMarket) -> None:
    """After each block of a random life every figure of every account is equal to the unit."""
    life = VenusLife(core, addresses_of(core.node, USERS, seed=14), random.Random(14))  # noqa: S311

    async def act(chain: Chain) -> Comparison:
        comparison = Comparison(life, chain, reader_of(core))
        await comparison.run(STEPS // STEPS_A_BLOCK)
        return comparison

    outcomes = reading_chain(core.node, act).outcomes
    print(dict(life.done), dict(outcomes))  # noqa: T201 - figures of a long run
    assert outcomes["owing"] > STEPS / 10
    for name in ("short", "as foretold", "owing VAI", "in a pool", "dust against an empty market"):
        assert outcomes[name] > 0, name
    for step in ("supply", "borrow", "mint", "repay", "redeem", "price", "bound", "fork"):
        assert life.done[step] > 0, step
