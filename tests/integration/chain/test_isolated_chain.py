"""An isolated pool of Venus that runs its own code: what is judged equals what it says itself."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import chain_node
import chain_packages
import isolated_market
import pytest
from chain_reading import STEPS, STEPS_A_BLOCK, USERS, addresses_of, reading_chain
from isolated_market import WAD, IsolatedLife, IsolatedMarket

from models.domain import LegKind, MarketId
from models.margin.result import Liquidation, Refusal
from models.margin.rulebook import Liquidate, load
from models.margin.venues.venus_isolated import holdings, orders_of
from serving.connect import venus_isolated, vtokens
from serving.connect.errors import NotAContract, UnknownRevision
from serving.connect.follow import Follower
from serving.connect.reading import Reading
from serving.connect.rpc import Chain
from serving.connect.venus_isolated import VenusIsolatedReader
from serving.store import accounts, connections, open_store

BOOK = load("venus-isolated", "4")


@pytest.fixture(scope="module")
def pool() -> Iterator[IsolatedMarket]:
    """Yield a pool on a chain of its own."""
    with chain_node.running() as node:
        yield isolated_market.deployed(node)


def reader_of(market: IsolatedMarket) -> VenusIsolatedReader:
    """Return a reader of the test pool."""
    whose = MarketId("venus-isolated", "core", "test")
    return VenusIsolatedReader(market=whose, comptroller=market.comptroller.address.lower())


def test_selectors_and_topics_are_those_of_the_package() -> None:
    """Every function and event has the hash that its own artefacts give it."""
    artefacts = chain_packages.contracts("isolated") | chain_packages.contracts("fixtures")
    known = {s: x for each in artefacts.values() for s, x in each["selectors"].items()}
    topics = {s: x for each in artefacts.values() for s, x in each["topics"].items()}
    for method in (*vtokens.METHODS, *venus_isolated.METHODS):
        assert known[method.signature] == method.selector
    for event in venus_isolated.EVENTS:
        assert topics[event.signature] == event.topic


def test_what_is_no_pool_and_another_release_are_refused(
    pool: IsolatedMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of something else, and code that no rulebook is held to."""

    async def act(chain: Chain) -> None:
        await reader_of(pool).prepare(chain, await chain.head())

    async def other(chain: Chain) -> None:
        reader = replace(reader_of(pool), comptroller=pool.oracle.address.lower())
        await reader.prepare(chain, await chain.head())

    with pytest.raises(NotAContract, match=r"does not answer getAllMarkets\(\)"):
        reading_chain(pool.node, other)
    absent = replace(venus_isolated.LEAST, signature="noSuchLeast()", selector="00000001")
    monkeypatch.setattr(venus_isolated, "LEAST", absent)
    monkeypatch.setattr(venus_isolated, "OF_RELEASE", (absent, *venus_isolated.OF_RELEASE[1:]))
    with pytest.raises(UnknownRevision, match=r"noSuchLeast\(\).*release 4"):
        reading_chain(pool.node, act)


def test_an_account_is_followed_until_it_is_written_off(
    pool: IsolatedMarket, tmp_path: Path
) -> None:
    """What it did and what was taken of it stand in the store."""
    node, admin = pool.node, pool.admin
    user, other = addresses_of(node, 2, seed=3)
    store = open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}")
    with store.begin() as transaction:
        connections.write(transaction, "mine", {}, sealed=None, now=datetime.now(tz=UTC))

    async def act(chain: Chain) -> None:
        reader = reader_of(pool)
        follower = Follower("mine", store, chain, reader, {user, other})
        await follower.step()
        for owner in (user, other):
            node.send(admin, pool.markets["BNB"], "mintBehalf", owner, 30 * WAD)
            node.send(owner, pool.comptroller, "enterMarkets", [pool.markets["BNB"].address])
        assert (await follower.step()).mismatches == ()
        node.send(user, pool.markets["USDC"], "borrow", 13_800 * 10**6)
        assert (await follower.step()).mismatches == ()
        pool.set_price("BNB", 550 * WAD)
        node.mine()
        await follower.step()
        place = pool.markets["BNB"].address
        node.send(admin, pool.markets["USDC"], "liquidateBorrow", user, 10**9, place)
        assert (await follower.step()).mismatches == ()
        pool.set_price("BNB", 300 * WAD)
        node.mine()
        first = int(node.ask("eth_blockNumber"), 16)
        assert (await follower.step()).mismatches == ()
        node.send(admin, pool.comptroller, "healAccount", user)
        assert (await follower.step()).mismatches == ()
        head = await chain.head()
        logs = [
            log
            async for part in chain.logs(
                reader.contracts, first=first + 1, last=head.number, topics=[]
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
        pool.set_price("BNB", 600 * WAD)
        node.mine()

    reading_chain(node, act)
    with store.read() as transaction:
        (body,) = accounts.read(transaction, [f"venus-isolated:test:core:{user}"]).values()
    assert [event["kind"] for event in body["events"]] == [
        "deposit",
        "borrow",
        "liquidate",
        "liquidate",
    ]
    assert int(body["events"][1]["debt"]) == 13_800 * 10**6
    assert body["legs"] == []
    store.close()


def test_a_small_account_is_settled_whole_as_foretold(pool: IsolatedMarket) -> None:
    """Two debts are repaid at once out of two collaterals, to the unit; what is left is as told."""
    node, admin, users = pool.node, pool.admin, addresses_of(pool.node, 1, seed=4)
    (user,) = users
    places = [each.address for each in pool.markets.values()]
    node.send(admin, pool.markets["BNB"], "mintBehalf", user, 8 * WAD // 10 + 13)
    node.send(admin, pool.markets["BTCB"], "mintBehalf", user, 10**6 // 2 + 7)
    node.send(user, pool.comptroller, "enterMarkets", places)
    node.send(user, pool.markets["USDC"], "borrow", 345 * 10**6 + 11)
    node.send(user, pool.markets["FLOKI"], "borrow", 84 * 10**9 + 17)
    pool.set_price("BNB", 540 * WAD)
    node.mine()
    life = IsolatedLife(pool, users, random.Random(4))  # noqa: S311

    async def act(chain: Chain) -> Comparison:
        comparison = Comparison(life, chain, reader_of(pool))
        await comparison.reader.prepare(chain, await chain.head())
        await comparison.liquidate(user)
        return comparison

    outcomes = reading_chain(node, act).outcomes
    assert outcomes["liquidateAccount as foretold"] == 1
    pool.set_price("BNB", 600 * WAD)
    node.mine()


@dataclass
class Comparison:
    """A random life, and what came of comparing every account after each of its blocks."""

    life: IsolatedLife
    chain: Chain
    reader: VenusIsolatedReader
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
                and (each.answer["is_liquidatable"] or each.answer.get("shortfall"))
                and any(leg.kind is LegKind.DEBT for leg in each.legs)
            ]
            small = [
                user
                for user in below
                if (answer := reading.accounts[user].answer)
                and (answer["is_settled"] or answer["is_healed"])
            ]
            if below:
                await self.liquidate(self.life.chance.choice(small or below))

    async def settled(self) -> Reading:
        """Read everything at the head; no account may differ in any figure."""
        reading = await self.reader.read(self.chain, await self.chain.head(), self.life.users)
        checks = self.reader.checks(reading)
        assert len(checks) == len(self.life.users)
        assert [check for check in checks if not check.is_equal] == []
        for each in reading.accounts.values():
            if any(leg.kind is LegKind.DEBT for leg in each.legs) and each.answer is not None:
                self.outcomes["owing"] += 1
                self.outcomes["short"] += each.answer.get("shortfall", 0) > 0
                self.outcomes["to be settled whole"] += each.answer["is_settled"]
                self.outcomes["to be written off"] += each.answer["is_healed"]
                self.outcomes["not told by the venue"] += "liquidity" not in each.answer
        self.outcomes["blocks"] += 1
        return reading

    async def liquidate(self, user: str) -> None:
        """Liquidate an account; what the rules foretell of that block happens, or both refuse."""
        node = self.life.market.node
        before = node.ask("evm_snapshot")
        self.life.used()
        node.mine_next_second()
        reading = await self.settled()
        account, market = reading.account(user), reading.as_market()
        terms = reading.typed_terms()
        debt, collateral = (
            self.life.chance.choice(
                [leg.asset for leg in account.legs if leg.kind is kind] or [*isolated_market.ASSETS]
            )
            for kind in (LegKind.DEBT, LegKind.COLLATERAL)
        )
        wish = Liquidate(debt_asset=debt, collateral_asset=collateral)
        expected = BOOK.liquidate(account, market, terms, wish)  # type: ignore[misc]
        node.ask("evm_revert", before)
        answer = reading.accounts[user].answer or {}
        is_free = not market.state[f"{debt}.forced"]
        name, arguments = "liquidateBorrow", [debt, 1_000, collateral]
        if isinstance(expected, Liquidation):
            by_asset = holdings(account, terms)
            assert not isinstance(by_asset, Refusal)
            arguments = [debt, int(expected.repaid[debt]), collateral]
            if is_free and answer["is_healed"] and not answer["is_settled"]:
                name, arguments = "healAccount", []
            elif is_free and answer["is_settled"]:
                found = orders_of(by_asset, market, terms, first=(collateral,))
                assert not isinstance(found, Refusal)
                rows = [(each.collateral, each.debt, each.repaid) for each in found[0]]
                name, arguments = "liquidateAccount", [self.life.orders(rows)]
        happened = self.life.liquidation(name, user, *arguments)
        if isinstance(expected, Refusal):
            assert happened is None, expected
            self.outcomes[f"refused: {expected.reason}"] += 1
            return
        assert happened is not None, (name, expected)
        repaid, lost = happened
        assert {asset: each for asset, each in repaid.items() if each} == {
            asset: each for asset, each in expected.repaid.items() if each
        }
        assert lost == {asset: each for asset, each in expected.seized.items() if each}
        left = (await self.settled()).accounts[user]
        assert expected.after is not None
        assert left.answer is not None
        if not any(leg.kind is LegKind.DEBT for leg in left.legs):
            assert expected.after.reason == "no_debt"
        elif "liquidity" in left.answer:
            assert expected.after.maintenance is not None
            surplus = left.answer["liquidity"] - left.answer["shortfall"]
            assert expected.after.maintenance.surplus == surplus
        else:
            assert expected.after.maintenance is None
        self.outcomes["left with bad debt"] += any(expected.bad_debt.values())
        self.outcomes[f"{name} as foretold"] += 1


def test_every_account_is_judged_as_the_comptroller_judges_it(pool: IsolatedMarket) -> None:
    """After each block of a random life every figure of every account is equal to the unit."""
    users = addresses_of(pool.node, USERS, seed=15)
    life = IsolatedLife(pool, users, random.Random(15))  # noqa: S311

    async def act(chain: Chain) -> Comparison:
        comparison = Comparison(life, chain, reader_of(pool))
        await comparison.run(STEPS // STEPS_A_BLOCK)
        return comparison

    outcomes = reading_chain(pool.node, act).outcomes
    print(dict(life.done), dict(outcomes))  # noqa: T201 - figures of a long run
    assert outcomes["owing"] > STEPS / 10
    for name in ("short", "not told by the venue", "liquidateBorrow as foretold"):
        assert outcomes[name] > 0, name
    for step in ("supply", "borrow", "repay", "redeem", "price", "proposal", "fork"):
        assert life.done[step] > 0, step
