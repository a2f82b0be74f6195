"""A Morpho market that runs its own code: what is read and judged equals what it says itself."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import chain_node
import chain_packages
import morpho_market
import pytest
from chain_reading import STEPS, STEPS_A_BLOCK, USERS, addresses_of, reading_chain
from morpho_market import MorphoLife, MorphoMarket

from models.domain import LegKind, MarketId
from models.errors import InvalidInput
from models.margin.result import Liquidation
from models.margin.rulebook import Liquidate, load
from serving.connect import morpho_blue
from serving.connect.errors import NotAContract
from serving.connect.follow import Follower
from serving.connect.morpho_blue import MorphoBlueReader
from serving.connect.reading import Reading
from serving.connect.rpc import Chain
from serving.store import accounts, connections, open_store

T = TypeVar("T")


@pytest.fixture(scope="module")
def morpho() -> Iterator[MorphoMarket]:
    """Yield a market on a chain of its own."""
    with chain_node.running() as node:
        yield morpho_market.deployed(node)


def funded(morpho: MorphoMarket, count: int, *, seed: int) -> list[str]:
    """Return fresh addresses that can pay for their transactions."""
    return addresses_of(morpho.node, count, seed=seed)


def reader_of(morpho: MorphoMarket, market_id: str | None = None) -> MorphoBlueReader:
    """Return a reader of the test market."""
    whose = MarketId("morpho-blue", market_id or morpho.market_id, "test")
    return MorphoBlueReader(market=whose, morpho=morpho.morpho.address.lower())


def on_chain(morpho: MorphoMarket, act: Callable[[Chain], Awaitable[T]]) -> T:
    """Run something against the chain."""
    return reading_chain(morpho.node, act)


def test_selectors_and_topics_are_those_of_the_compiler() -> None:
    """Every function and event has the hash that the compiler gives it."""
    artefacts = chain_packages.contracts("morpho")
    compiled = {s: x for each in artefacts.values() for s, x in each["selectors"].items()}
    for method in morpho_blue.METHODS:
        assert compiled[method.signature] == method.selector
    for event in morpho_blue.EVENTS:
        assert artefacts["EventsLib"]["topics"][event.signature] == event.topic


def test_what_is_no_market_is_refused(morpho: MorphoMarket) -> None:
    """A name in place of an id, an id of nothing, and an address of something else."""
    with pytest.raises(InvalidInput, match="is the market's id"):
        reader_of(morpho, "core")

    async def act(chain: Chain) -> None:
        await reader_of(morpho, "0x" + "12" * 32).prepare(chain, await chain.head())

    with pytest.raises(NotAContract, match="has no market 0x1212"):
        on_chain(morpho, act)

    async def other(chain: Chain) -> None:
        reader = replace(reader_of(morpho), morpho=morpho.loan.address.lower())
        await reader.prepare(chain, await chain.head())

    with pytest.raises(NotAContract, match="does not answer idToMarketParams"):
        on_chain(morpho, other)


@dataclass
class Comparison:
    """A random life, and what came of comparing every position after each of its blocks."""

    life: MorphoLife
    chain: Chain
    reader: MorphoBlueReader
    outcomes: Counter[str] = field(default_factory=Counter)

    async def run(self, blocks: int) -> None:
        """Live through blocks of random steps, liquidating whom the market lets be."""
        await self.reader.prepare(self.chain, await self.chain.head())
        for _ in range(blocks):
            for _ in range(STEPS_A_BLOCK):
                self.life.step()
            self.life.mine()
            reading = await self.settled()
            liquidatable = [
                user
                for user, each in reading.accounts.items()
                if each.answer is not None and each.answer["is_liquidatable"]
            ]
            if liquidatable:
                self.liquidate(reading, self.life.chance.choice(liquidatable))
                await self.settled()

    async def settled(self) -> Reading:
        """Read everything at the head; no position may differ in anything."""
        reading = await self.reader.read(self.chain, await self.chain.head(), self.life.users)
        checks = self.reader.checks(reading)
        assert len(checks) == len(self.life.users)
        assert [check for check in checks if not check.is_equal] == []
        for each in reading.accounts.values():
            assert each.answer is not None
            assert set(morpho_blue.TOTALS) < set(each.answer)
            self.outcomes["owing"] += any(leg.kind is LegKind.DEBT for leg in each.legs)
            self.outcomes["liquidatable"] += each.answer["is_liquidatable"]
        self.outcomes["blocks"] += 1
        return reading

    def liquidate(self, reading: Reading, user: str) -> None:
        """Liquidate; what is repaid, seized and lost is what the rules foretold."""
        chance, market = self.life.chance, reading.as_market()
        held = {leg.kind: int(leg.quantity) for leg in reading.accounts[user].legs}
        shares = held[LegKind.DEBT]
        part = max(shares // chance.choice((1, 2, 4)), 1) if chance.random() < 0.5 else None
        expected = load("morpho-blue", "1").liquidate(
            reading.account(user),
            replace(market, at=market.at + timedelta(seconds=1)),
            reading.typed_terms(),
            Liquidate(repay=part),
        )
        takes_all = (
            part is None
            and isinstance(expected, Liquidation)
            and next(iter(expected.seized.values())) == held.get(LegKind.COLLATERAL)
        )
        wish = (held[LegKind.COLLATERAL], 0) if takes_all else (0, part or shares)
        receipt = self.life.liquidation(user, *wish)
        if receipt is None:
            assert not isinstance(expected, Liquidation)
            self.outcomes["refused"] += 1
            return
        assert isinstance(expected, Liquidation), expected
        topic = morpho_blue.LIQUIDATION.topic
        (log,) = [log for log in receipt["logs"] if log["topics"][0] == topic]
        told = morpho_blue.LIQUIDATION.read(log["topics"], bytes.fromhex(log["data"][2:]))
        assert list(expected.repaid.values()) == [told["repaidAssets"]]
        assert list(expected.seized.values()) == [told["seizedAssets"]]
        assert sum(expected.bad_debt.values()) == told["badDebtAssets"]
        self.outcomes["with bad debt"] += told["badDebtAssets"] > 0


def test_every_position_is_judged_as_the_market_judges_it(morpho: MorphoMarket) -> None:
    """After each block of a random life books and verdicts are equal to the unit."""
    users = funded(morpho, USERS, seed=5)
    life = MorphoLife(morpho, users, random.Random(5))  # noqa: S311 - drawn anew by anyone

    async def act(chain: Chain) -> Counter[str]:
        comparison = Comparison(life, chain, reader_of(morpho))
        await comparison.run(STEPS // STEPS_A_BLOCK)
        return comparison.outcomes

    outcomes = on_chain(morpho, act)
    print(dict(life.done), dict(outcomes))  # noqa: T201 - figures of a long run
    assert outcomes["owing"] > STEPS / 10
    assert outcomes["liquidatable"] > 0
    for step in ("deposit", "borrow", "repay", "withdraw", "liquidation", "price", "fork"):
        assert life.done[step] > 0, step


def test_a_market_is_followed(morpho: MorphoMarket, tmp_path: Path) -> None:
    """Loans, repayments and liquidations stand in the store as they happened."""
    (user,) = funded(morpho, 1, seed=6)
    store = open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}")
    with store.begin() as transaction:
        connections.write(transaction, "mine", {}, sealed=None, now=datetime.now(tz=UTC))
    price = morpho.node.read(morpho.oracle, "price")

    async def act(chain: Chain) -> str:
        follower = Follower("mine", store, chain, reader_of(morpho), {user})
        await follower.step()
        morpho.post(morpho.admin, "supplyCollateral", 10**18, user, b"")
        morpho.node.mine()
        await follower.step()
        worth = price * 8 // 10 * 10**18 // 10**36
        morpho.post(user, "borrow", worth, 0, user, user)
        morpho.node.mine()
        await follower.step()
        oracle = morpho.oracle
        data = oracle.data("setPrice", price * 9 // 10)
        morpho.node.post(morpho.admin, oracle.address, data)
        morpho.node.mine()
        morpho.post(morpho.admin, "liquidate", user, 10**17, 0, b"")
        morpho.node.mine()
        step = await follower.step()
        assert step.mismatches == ()
        return step.checks[0].account

    key = on_chain(morpho, act)
    with store.read() as transaction:
        body = accounts.read(transaction, [key])[key]
    store.close()
    assert [event["kind"] for event in body["events"]] == ["deposit", "borrow", "liquidate"]
    assert body["events"][-1]["collateral"] == str(10**17)
    (leg,) = [leg for leg in body["legs"] if leg["kind"] == "collateral"]
    assert leg["quantity"] == str(9 * 10**17)
