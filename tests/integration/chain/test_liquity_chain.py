"""A Liquity system that runs its own code: troves are judged and closed as it does itself."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import chain_node
import chain_packages
import liquity_market
import pytest
from chain_reading import STEPS, STEPS_A_BLOCK, USERS, addresses_of, reading_chain
from liquity_market import UNIT, LiquityLife, LiquityMarket

from models.domain import LegKind, MarketId
from models.margin.result import Liquidation, Verdict
from models.margin.rulebook import Liquidate, load
from serving.connect import liquity_v1
from serving.connect.errors import NotAContract
from serving.connect.follow import Follower
from serving.connect.liquity_v1 import COLLATERAL, DIALECTS, LiquityV1Reader
from serving.connect.reading import Reading
from serving.connect.rpc import Chain
from serving.store import Store, accounts, connections, open_store

LIQUIDATION = "Liquidation(uint256,uint256,uint256,uint256)"


@pytest.fixture(scope="module")
def liquity() -> Iterator[LiquityMarket]:
    """Yield a system on a chain of its own."""
    with chain_node.running() as node:
        yield liquity_market.deployed(node)


def reader_of(liquity: LiquityMarket) -> LiquityV1Reader:
    """Return a reader of the test system."""
    whose = MarketId("liquity-v1", "core", "test")
    return LiquityV1Reader(market=whose, manager=liquity.manager.address.lower())


def test_selectors_and_topics_are_those_of_the_compiler() -> None:
    """Every function and event that the fork has in common has the hash its artefacts give it."""
    artefacts = chain_packages.contracts("liquity")
    known = {s: x for each in artefacts.values() for s, x in each["selectors"].items()}
    lusd = DIALECTS[0]
    originals = {lusd.stability_pool, lusd.token, lusd.reserve, lusd.deposits}
    assert len(liquity_v1.METHODS) > 20
    for method in set(liquity_v1.METHODS) - originals:
        assert known[method.signature] == method.selector
    topics = {s: x for each in artefacts.values() for s, x in each["topics"].items()}
    for event in liquity_v1.EVENTS:
        assert topics[event.signature] == event.topic


def test_what_is_no_system_is_refused(liquity: LiquityMarket) -> None:
    """An address of nothing, and another contract of the system."""

    async def act(chain: Chain, manager: str) -> None:
        reader = replace(reader_of(liquity), manager=manager)
        await reader.prepare(chain, await chain.head())

    with pytest.raises(NotAContract, match="no code there"):
        reading_chain(liquity.node, lambda chain: act(chain, "0x" + "12" * 20))
    with pytest.raises(NotAContract, match="does not answer borrowerOperationsAddress"):
        reading_chain(liquity.node, lambda chain: act(chain, liquity.token.address.lower()))


@dataclass
class Comparison:
    """A random life, and what came of comparing every trove after each of its blocks."""

    life: LiquityLife
    chain: Chain
    reader: LiquityV1Reader
    outcomes: Counter[str] = field(default_factory=Counter)

    async def run(self, blocks: int) -> None:
        """Live through blocks of random steps, liquidating whom the system lets be."""
        await self.reader.prepare(self.chain, await self.chain.head())
        for _ in range(blocks):
            for _ in range(STEPS_A_BLOCK):
                self.life.step()
            self.life.mine()
            reading = await self.settled()
            liquidatable = [
                user
                for user, each in reading.accounts.items()
                if each.answer is not None and each.answer.get("is_liquidatable")
            ]
            if liquidatable:
                self.liquidate(reading, self.life.chance.choice(liquidatable))
                await self.settled()

    async def settled(self) -> Reading:
        """Read everything at the head; no trove may differ in anything."""
        reading = await self.reader.read(self.chain, await self.chain.head(), self.life.users)
        checks = self.reader.checks(reading)
        assert len(checks) == len(self.life.users)
        assert [check for check in checks if not check.is_equal] == []
        for each in reading.accounts.values():
            assert each.answer is not None
            self.outcomes["owing"] += any(leg.kind is LegKind.DEBT for leg in each.legs)
            self.outcomes["liquidatable"] += each.answer.get("is_liquidatable", 0)
        self.outcomes["recovering"] += next(iter(reading.accounts.values())).answer[  # type: ignore[index]
            "is_recovering"
        ]
        self.outcomes["blocks"] += 1
        return reading

    def liquidate(self, reading: Reading, user: str) -> None:
        """Liquidate; what is paid off and taken is what the rules foretold."""
        account, market = reading.account(user), reading.as_market()
        book, terms = load("liquity-v1", "1"), reading.typed_terms()
        judged = book.margin(account, market, terms)
        assert judged.verdict is Verdict.LIQUIDATABLE
        expected = book.liquidate(account, market, terms, Liquidate())  # type: ignore[misc]
        receipt = self.life.liquidation(user)
        assert receipt is not None
        assert isinstance(expected, Liquidation), expected
        topic = chain_packages.contracts("liquity")["TroveManager"]["topics"][LIQUIDATION]
        (log,) = [log for log in receipt["logs"] if log["topics"][0] == topic]
        debt, collateral, compensation, reserve = (
            int(log["data"][place : place + 64], 16) for place in range(2, 258, 64)
        )
        assert expected.repaid == {terms.debt_asset: debt}
        assert expected.seized == {COLLATERAL: collateral + compensation}
        assert reserve == terms.gas_compensation
        self.outcomes[judged.reason] += 1


def test_every_trove_is_judged_as_the_system_judges_it(liquity: LiquityMarket) -> None:
    """After each block of a random life, in recovery mode and out of it, nothing differs."""
    users = addresses_of(liquity.node, USERS, seed=7)
    life = LiquityLife(liquity, users, random.Random(7))  # noqa: S311 - drawn anew by anyone

    async def act(chain: Chain) -> Counter[str]:
        comparison = Comparison(life, chain, reader_of(liquity))
        await comparison.run(STEPS // STEPS_A_BLOCK)
        return comparison.outcomes

    outcomes = reading_chain(liquity.node, act)
    print(dict(life.done), dict(outcomes))  # noqa: T201 - figures of a long run
    assert outcomes["owing"] > STEPS / 10
    assert 0 < outcomes["recovering"] < outcomes["blocks"]
    assert outcomes["below_least_ratio"] > 0
    assert outcomes["below_total_ratio_in_recovery_mode"] > 0
    for step in ("open", "deposit", "withdraw", "borrow", "repay", "liquidation", "price", "fork"):
        assert life.done[step] > 0, step


def test_a_trove_that_was_given_more_is_read_with_it(liquity: LiquityMarket) -> None:
    """What a redistribution adds counts before the trove is touched."""
    node = liquity.node
    small, large = addresses_of(node, 2, seed=8)
    liquity.set_price(liquity_market.FIRST_PRICE)
    for name, arguments in (("withdrawFromSP", (2**255,)),):
        node.post(liquity.admin, liquity.pool.address, liquity.pool.data(name, *arguments))
    liquity.open(large, 900 * UNIT, 500_000 * UNIT)
    liquity.open(small, 10 * UNIT, 17_500 * UNIT)
    node.mine()

    async def act(chain: Chain) -> tuple[Reading, Reading]:
        reader = reader_of(liquity)
        await reader.prepare(chain, await chain.head())
        before = await reader.read(chain, await chain.head(), (large,))
        liquity.set_price(liquity_market.FIRST_PRICE * 9 // 10)
        node.mine()
        data = liquity.manager.data("liquidate", small)
        node.post(liquity.admin, liquity.manager.address, data)
        node.mine()
        after = await reader.read(chain, await chain.head(), (large,))
        assert [check.differences for check in reader.checks(after)] == [()]
        return before, after

    before, after = reading_chain(node, act)
    owed, owes = (
        next(int(leg.quantity) for leg in each.accounts[large].legs if leg.kind is LegKind.DEBT)
        for each in (before, after)
    )
    assert owes > owed


def test_a_system_is_followed(liquity: LiquityMarket, tmp_path: Path) -> None:
    """What a redistribution adds, and a liquidation, stand in the store as they happened."""
    node = liquity.node
    small, large = addresses_of(node, 2, seed=9)
    store = open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}")
    with store.begin() as transaction:
        connections.write(transaction, "mine", {}, sealed=None, now=datetime.now(tz=UTC))
    liquity.set_price(liquity_market.FIRST_PRICE)
    data = liquity.pool.data("withdrawFromSP", 2**255)
    node.post(liquity.admin, liquity.pool.address, data)
    node.mine()

    async def act(chain: Chain) -> tuple[int, int]:
        follower = Follower("mine", store, chain, reader_of(liquity), {small, large})
        await follower.step()
        liquity.open(large, 900 * UNIT, 500_000 * UNIT)
        liquity.open(small, 10 * UNIT, 17_500 * UNIT)
        node.mine()
        before = await follower.step()
        assert before.mismatches == ()
        owed = debt_of(store, large)
        liquity.set_price(liquity_market.FIRST_PRICE * 9 // 10)
        node.mine()
        await follower.step()
        call = liquity.manager.data("liquidate", small)
        node.post(liquity.admin, liquity.manager.address, call)
        node.mine()
        after = await follower.step()
        assert after.mismatches == ()
        return owed, debt_of(store, large)

    owed, owes = reading_chain(node, act)
    assert owes > owed
    with store.read() as transaction:
        (gone,) = accounts.read(transaction, [key_of(small)]).values()
    assert gone["legs"] == []
    assert [event["kind"] for event in gone["events"]] == ["deposit", "borrow", "liquidate"]
    assert gone["events"][-1]["collateral"] == str(10 * UNIT)
    store.close()


def key_of(owner: str) -> str:
    """Return the name of a trove in the store."""
    return f"liquity-v1:test:core:{owner}"


def debt_of(store: Store, owner: str) -> int:
    """Return what a trove owes by the store."""
    with store.read() as transaction:
        (body,) = accounts.read(transaction, [key_of(owner)]).values()
    return sum(int(leg["quantity"]) for leg in body["legs"] if leg["kind"] == "debt")
