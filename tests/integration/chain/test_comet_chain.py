"""Compound III by its published interface: what is read, judged and compared, on a chain.

The market is one of our own (`comet.sol`), for want of a package with the venue's: what is tried
here is that everything is asked for and read rightly. That the rules are the venue's is held by
the recorded answers of its code (`tests/conformance/test_compound_v3.py`), and live by the
comparison that these tests show at work.
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
import comet_market
import pytest
from chain_reading import CHAIN_ID, STEPS, STEPS_A_BLOCK, USERS, addresses_of, reading_chain
from comet_market import CometLife, CometMarket
from commands import within

from models.domain import LegKind, MarketId
from models.margin.result import Liquidation
from models.margin.rulebook import Liquidate, load
from serving.connect import compound_v3
from serving.connect.compound_v3 import CompoundV3Reader
from serving.connect.errors import NotAContract, UnknownRevision
from serving.connect.follow import Follower
from serving.connect.reading import Reading
from serving.connect.rpc import Chain
from serving.store import accounts, connections, open_store

T = TypeVar("T")


@pytest.fixture(scope="module")
def comet() -> Iterator[CometMarket]:
    """Yield a market on a chain of its own."""
    with chain_node.running() as node:
        yield comet_market.deployed(node)


def reader_of(comet: CometMarket) -> CompoundV3Reader:
    """Return a reader of the test market."""
    whose = MarketId("compound-v3", "usdc", "test")
    return CompoundV3Reader(market=whose, comet=comet.comet.address.lower())


def on_chain(comet: CometMarket, act: Callable[[Chain], Awaitable[T]]) -> T:
    """Run something against the chain."""
    return reading_chain(comet.node, act)


def test_selectors_and_topics_are_those_of_the_compiler() -> None:
    """Every function and event of the interface has the hash that the compiler gives it."""
    artefact = chain_packages.contracts("comet")["CometByInterface"]
    for method in compound_v3.METHODS:
        assert artefact["selectors"][method.signature] == method.selector
    for event in compound_v3.EVENTS:
        assert artefact["topics"][event.signature] == event.topic


def test_what_is_no_market_is_refused(comet: CometMarket) -> None:
    """A token has no version; a market of another major version is not judged by these rules."""

    async def act(chain: Chain) -> None:
        reader = replace(reader_of(comet), comet=comet.base.address.lower())
        await reader.prepare(chain, await chain.head())

    with pytest.raises(NotAContract, match=r"does not answer version\(\)"):
        on_chain(comet, act)
    other = comet_market.deployed(comet.node, version="1")

    async def later(chain: Chain) -> None:
        await reader_of(other).prepare(chain, await chain.head())

    with pytest.raises(UnknownRevision, match="is of version 1; rules are held to 0"):
        on_chain(comet, later)


@dataclass
class Comparison:
    """A random life, and what came of comparing every account after each of its blocks."""

    life: CometLife
    chain: Chain
    reader: CompoundV3Reader
    outcomes: Counter[str] = field(default_factory=Counter)

    async def run(self, blocks: int) -> None:
        """Live through blocks of random steps, absorbing whom the market lets be."""
        await self.reader.prepare(self.chain, await self.chain.head())
        for _ in range(blocks):
            for _ in range(STEPS_A_BLOCK):
                self.life.step()
            self.life.mine()
            reading = await self.settled()
            owing = [user for user, each in reading.accounts.items() if each.answer is not None]
            short = [
                user
                for user in owing
                if (reading.accounts[user].answer or {}).get("is_liquidatable")
            ]
            if short:
                self.absorb(reading, self.life.chance.choice(short))
                await self.settled()
            elif owing and self.life.chance.random() < 0.2:
                self.absorb(reading, self.life.chance.choice(owing))

    async def settled(self) -> Reading:
        """Read everything at the head; no account may differ in anything."""
        reading = await self.reader.read(self.chain, await self.chain.head(), self.life.users)
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
            self.outcomes["unpriced"] += "is_liquidatable" not in each.answer
            self.outcomes["liquidatable"] += each.answer.get("is_liquidatable", 0)
            beyond = {"C16", "C17"} & {leg.asset for leg in each.legs}
            self.outcomes["beyond sixteen assets"] += bool(beyond)
        self.outcomes["owing"] += len(owing)
        self.outcomes["blocks"] += 1
        return reading

    def absorb(self, reading: Reading, user: str) -> None:
        """Absorb; what is paid and seized is what the rules foretold."""
        market = reading.as_market()
        expected = load("compound-v3", "comet").liquidate(
            reading.account(user),
            replace(market, at=market.at + timedelta(seconds=1)),
            reading.typed_terms(),
            Liquidate(),
        )
        receipt = self.life.absorption(user)
        if receipt is None:
            assert not isinstance(expected, Liquidation)
            self.outcomes["refused"] += 1
            return
        assert isinstance(expected, Liquidation), expected
        layout = self.reader.layout
        assert layout is not None
        names = {each.token: each.name for each in layout.collaterals}
        seized, paid = {}, []
        for log in receipt["logs"]:
            data = bytes.fromhex(log["data"][2:])
            if log["topics"][0] == compound_v3.ABSORBED.topic:
                told = compound_v3.ABSORBED.read(log["topics"], data)
                seized[names[told["asset"].lower()]] = told["collateralAbsorbed"]
            if log["topics"][0] == compound_v3.DEBT_ABSORBED.topic:
                paid.append(compound_v3.DEBT_ABSORBED.read(log["topics"], data)["basePaidOut"])
        assert dict(expected.seized) == seized
        assert list(expected.repaid.values()) == paid
        self.outcomes["with bad debt"] += bool(expected.bad_debt)


def test_every_account_is_judged_as_the_market_judges_it(comet: CometMarket) -> None:
    """After each block of a random life indices, balances and both tests are equal to the unit."""
    users = addresses_of(comet.node, USERS, seed=5)
    life = CometLife(comet, users, random.Random(5))  # noqa: S311 - drawn anew by anyone

    async def act(chain: Chain) -> Counter[str]:
        comparison = Comparison(life, chain, reader_of(comet))
        await comparison.run(STEPS // STEPS_A_BLOCK)
        return comparison.outcomes

    outcomes = on_chain(comet, act)
    print(dict(life.done), dict(outcomes))  # noqa: T201 - figures of a long run
    assert outcomes["owing"] > STEPS / 10
    for name in ("liquidatable", "refused", "beyond sixteen assets"):
        assert outcomes[name] > 0, name
    for step in ("deposit", "borrow", "repay", "withdraw", "absorption", "price", "fork"):
        assert life.done[step] > 0, step


def test_what_differs_is_named(comet: CometMarket) -> None:
    """An index, a factor or a price that were read wrongly show as figures that differ."""
    (user,) = addresses_of(comet.node, 1, seed=7)
    restore(comet)
    comet.post(comet.admin, "supplyTo", user, comet.tokens[0].address, 10**18)
    comet.node.mine()
    comet.post(user, "withdraw", comet.base.address, 1_000 * 10**6)
    comet.node.mine()
    comet.node.mine(seconds=86_400)

    async def act(chain: Chain, *, has_multicall: bool = True) -> tuple[Reading, CompoundV3Reader]:
        if not has_multicall:
            chain._has_multicall = False  # noqa: SLF001 - as on a chain without that contract
        reader = reader_of(comet)
        await reader.prepare(chain, await chain.head())
        return await reader.read(chain, await chain.head(), [user]), reader

    reading, reader = on_chain(comet, act)
    (check,) = reader.checks(reading)
    assert check.is_equal, check.differences

    def figures(changed: Reading) -> set[str]:
        (told,) = reader.checks(changed)
        return {each.figure for each in told.differences}

    stale = {**reading.state, "base_borrow_index": reading.state["base_borrow_index"] + 10**9}
    assert figures(replace(reading, state=stale)) >= {"base_borrow_index", "borrow_balance"}
    name = reading.terms["collaterals"][0]["asset"]
    low = {**reading.prices, name: replace(reading.prices[name], value=10**8)}
    assert figures(replace(reading, prices=low)) == {
        "is_liquidatable",
        "is_borrow_collateralized",
    }
    # One call at a time nothing can be accrued first: both sides go by what is stored.
    alone, reader = on_chain(comet, lambda chain: act(chain, has_multicall=False))
    answer = alone.accounts[user].answer
    assert answer is not None
    assert answer["updated_at"] < alone.block.at.timestamp()
    assert figures(alone) == set()


def restore(comet: CometMarket) -> None:
    """Give every asset its first price again, with absorptions allowed."""
    for place, price in enumerate(comet.first):
        comet.set_price(place, price)
    comet.post(comet.admin, "pauseAbsorb", False)  # noqa: FBT003 - an argument of the chain's
    shares = [each * 10**16 for each in (75, 80, 90)]
    comet.post(comet.admin, "setFactors", 0, *shares)
    comet.node.mine()


def test_a_market_is_followed(comet: CometMarket, tmp_path: Path) -> None:
    """Whoever draws the base asset is found; what happened stands in the store as it did."""
    (user,) = addresses_of(comet.node, 1, seed=6)
    restore(comet)
    store = open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}")
    with store.begin() as transaction:
        connections.write(transaction, "mine", {}, sealed=None, now=datetime.now(tz=UTC))

    def principal() -> int:
        """Return what the market has of the account, owed below zero."""
        found: int = comet.node.read(comet.comet, "userBasic", user)[0]
        return found

    async def act(chain: Chain) -> tuple[str, int]:
        follower = Follower("mine", store, chain, reader_of(comet), set(), takes_borrowers=True)
        await follower.step()
        comet.post(comet.admin, "supplyTo", user, comet.tokens[0].address, 10**18)
        comet.node.mine()
        comet.post(user, "withdraw", comet.base.address, 1_400 * 10**6)
        comet.node.mine()
        await follower.step()
        assert user in follower.addresses
        comet.post(comet.admin, "supplyTo", user, comet.base.address, 100 * 10**6)
        comet.node.mine()
        await follower.step()
        owed = -principal()
        comet.set_price(1, 1_500 * 10**8)
        comet.node.mine()
        comet.post(comet.admin, "absorb", comet.admin, [user])
        comet.node.mine()
        step = await follower.step()
        assert step.mismatches == ()
        return f"compound-v3:test:usdc:{user}", owed

    key, owed = on_chain(comet, act)
    with store.read() as transaction:
        body = accounts.read(transaction, [key])[key]
    store.close()
    kinds = [event["kind"] for event in body["events"]]
    assert kinds == ["borrow", "repay", "liquidate", "deposit"]
    (gone,) = [event for event in body["events"] if event["kind"] == "liquidate"]
    assert gone["collateral"] == str(10**18)
    assert gone["debt"] == str(owed)
    # The collateral was credited at 90 %: 1,350 of about 1,300 owed; the rest is the owner's.
    (leg,) = body["legs"]
    assert (leg["kind"], leg["asset"]) == ("collateral", "USDC")
    assert leg["quantity"] == str(principal())
    assert principal() > 40 * 10**6


def test_the_command_line_reads_it(comet: CometMarket, tmp_path: Path) -> None:
    """One command, an address, and what the venue says beside what the rules say."""
    (user,) = addresses_of(comet.node, 1, seed=9)
    restore(comet)
    comet.post(comet.admin, "supplyTo", user, comet.tokens[0].address, 10**18)
    comet.node.mine()
    comet.post(user, "withdraw", comet.base.address, 1_000 * 10**6)
    comet.node.mine()
    done = within(
        *("connect", "compound-v3", "--rpc", comet.node.url, "--chain", "test", "--chain-id"),
        *(str(CHAIN_ID), "--market", "usdc", "--contract", comet.comet.address),
        *("--address", user, "--days", "0", "--once"),
        *("--store", f"sqlite:///{tmp_path / 'book.sqlite3'}"),
    )
    assert done.exit_code == 0, done.output
    assert "1 accounts, 1 judged as their venue judges them, 0 without positions" in done.output
