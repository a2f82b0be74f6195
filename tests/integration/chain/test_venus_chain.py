"""Venus' core pool that runs its own code: what is read and judged equals what it says itself."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import chain_node
import chain_packages
import pytest
import venus_market
from chain_reading import STEPS, STEPS_A_BLOCK, USERS, addresses_of, reading_chain
from venus_market import VenusLife, VenusMarket

from models.domain import LegKind, MarketId
from models.margin.result import Liquidation, Refusal
from models.margin.rulebook import Liquidate, load
from serving.connect import venus
from serving.connect.errors import NotAContract, UnknownRevision
from serving.connect.reading import Reading
from serving.connect.rpc import Chain
from serving.connect.venus import VenusReader


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
                self.outcomes["forced"] += len(each.options) > 1
        self.outcomes["blocks"] += 1
        return reading

    async def liquidate(self, user: str) -> None:
        """Liquidate a pair; what the rules foretell of that block happens, or both refuse."""
        node = self.life.market.node
        before = node.ask("evm_snapshot")
        node.mine_next_second()
        reading = await self.settled()
        legs = reading.accounts[user].legs
        collateral, debt = (
            self.life.chance.choice(
                [leg.asset for leg in legs if leg.kind is kind and leg.asset != "VAI"]
            )
            for kind in (LegKind.COLLATERAL, LegKind.DEBT)
        )
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
        answer = (await self.settled()).accounts[user].answer
        assert expected.after is not None
        assert expected.after.maintenance is not None
        assert answer is not None
        assert expected.after.maintenance.surplus == answer["liquidity"] - answer["shortfall"]
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
    for name in ("short", "as foretold", "owing VAI", "in a pool"):
        assert outcomes[name] > 0, name
    for step in ("supply", "borrow", "mint", "repay", "redeem", "price", "bound", "fork"):
        assert life.done[step] > 0, step
