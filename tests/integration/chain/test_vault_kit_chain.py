"""Euler v2 by its published interfaces: what is read, judged and compared, on a chain.

The vaults are our own (`vault_kit.sol`), for want of a package with the venue's: what is tried here
is that everything is asked for and read rightly. That the rules are the venue's is held by the
recorded answers of its code (`tests/conformance/test_euler_v2.py`), and live by the comparison.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import chain_node
import chain_packages
import pytest
import vault_kit_market
from chain_reading import CHAIN_ID, STEPS, STEPS_A_BLOCK, USERS, addresses_of, reading_chain
from commands import within
from vault_kit_market import WAD, KitLife, KitMarket

from models.domain import LegKind, MarketId
from models.margin.result import Refusal, Verdict
from models.margin.rulebook import load
from serving.connect import euler_v2
from serving.connect.errors import NotAContract, UnknownRevision
from serving.connect.euler_v2 import EulerV2Reader
from serving.connect.follow import Follower
from serving.connect.reading import AccountReading, Reading
from serving.connect.rpc import Chain
from serving.store import accounts, connections, market, open_store

T = TypeVar("T")
NOBODY = "0x" + "00" * 20


@pytest.fixture(scope="module")
def kit() -> Iterator[KitMarket]:
    """Yield the vaults on a chain of their own."""
    with chain_node.running() as node:
        yield vault_kit_market.deployed(node)


def reader_of(kit: KitMarket) -> EulerV2Reader:
    """Return a reader of the test vault."""
    whose = MarketId("euler-v2", "usdt", "test")
    return EulerV2Reader(market=whose, vault=kit.vault.address.lower())


def on_chain(kit: KitMarket, act: Callable[[Chain], Awaitable[T]]) -> T:
    """Run something against the chain."""
    return reading_chain(kit.node, act)


def test_selectors_and_topics_are_those_of_the_compiler() -> None:
    """Every function and event of the interfaces has the hash that the compiler gives it."""
    artefacts = chain_packages.contracts("vault_kit").values()
    compiled = {s: x for each in artefacts for s, x in each["selectors"].items()}
    topics = {s: x for each in artefacts for s, x in each["topics"].items()}
    for method in euler_v2.METHODS:
        assert compiled[method.signature] == method.selector
    for event in euler_v2.EVENTS:
        assert topics[event.signature] == event.topic


def test_what_is_no_vault_is_refused(kit: KitMarket) -> None:
    """A token is none; a vault without an oracle lends to nobody."""

    async def act(chain: Chain) -> None:
        reader = replace(reader_of(kit), vault=kit.asset.address.lower())
        await reader.prepare(chain, await chain.head())

    with pytest.raises(NotAContract, match=r"does not answer asset\(\)"):
        on_chain(kit, act)
    artefacts = chain_packages.contracts("vault_kit")
    bare = kit.node.deploy(
        artefacts, "KitVault", kit.asset.address, NOBODY, NOBODY, kit.connector.address
    )

    async def other(chain: Chain) -> None:
        reader = replace(reader_of(kit), vault=bare.address.lower())
        await reader.prepare(chain, await chain.head())

    with pytest.raises(UnknownRevision, match="has no oracle"):
        on_chain(kit, other)


@dataclass
class Comparison:
    """A random life, and what came of comparing every account after each of its blocks."""

    life: KitLife
    chain: Chain
    reader: EulerV2Reader
    before: dict[str, AccountReading] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)

    async def run(self, blocks: int) -> None:
        """Live through blocks of random steps, taking what liquidators may."""
        await self.reader.prepare(self.chain, await self.chain.head())
        for _ in range(blocks):
            for _ in range(STEPS_A_BLOCK):
                self.life.step()
            self.life.mine()
            reading = await self.settled()
            await self.kept(reading)

    async def settled(self) -> Reading:
        """Read everything at the head; no account may differ in anything."""
        reading = await self.reader.read(self.chain, await self.chain.head(), self.life.users)
        checks = self.reader.checks(reading)
        assert [check for check in checks if not check.is_equal] == []
        owing = {
            address: each
            for address, each in reading.accounts.items()
            if any(leg.kind is LegKind.DEBT for leg in each.legs)
        }
        assert len(checks) == len(owing)
        book, terms = load("euler-v2", "evk"), reading.typed_terms()
        for address in owing:
            verdict = book.margin(reading.account(address), reading.as_market(), terms).verdict
            self.outcomes[verdict.value] += 1
        self.outcomes["owing"] += len(owing)
        self.outcomes["blocks"] += 1
        return reading

    async def kept(self, reading: Reading) -> None:
        """Judge accounts by what was read of them some blocks ago, where nothing happened since.

        Interest on what was read then has to lead to the same figures.
        """
        still = {
            address: each
            for address, each in self.before.items()
            if each.legs and is_untouched(each, reading.accounts[address], reading)
        }
        if still:
            later = await self.reader.read(self.chain, reading.block, list(still), unchanged=still)
            checks = self.reader.checks(later)
            assert [check for check in checks if not check.is_equal] == []
            self.outcomes["carried"] += len(checks)
        if self.life.chance.random() < 0.3:
            self.before = dict(reading.accounts)


def is_untouched(before: AccountReading, now: AccountReading, reading: Reading) -> bool:
    """Return whether all that differs is interest, by the accumulator."""
    if not before.options or not now.options:
        return False
    owed = [next(leg for leg in each.legs if leg.kind is LegKind.DEBT) for each in (before, now)]
    rest = [[leg for leg in each.legs if leg.kind is not LegKind.DEBT] for each in (before, now)]
    grown = (
        int(owed[0].quantity)
        * reading.state["interest_accumulator"]
        // before.options["interest_accumulator"]
    )
    return rest[0] == rest[1] and abs(grown - int(owed[1].quantity)) <= 1


def test_every_account_is_judged_as_the_vault_judges_it(kit: KitMarket) -> None:
    """After each block of a random life both tests' values and the verdict are the vault's."""
    users = addresses_of(kit.node, USERS, seed=5)
    life = KitLife(kit, users, random.Random(5))  # noqa: S311 - drawn anew by anyone

    async def act(chain: Chain) -> Counter[str]:
        comparison = Comparison(life, chain, reader_of(kit))
        await comparison.run(STEPS // STEPS_A_BLOCK)
        return comparison.outcomes

    outcomes = on_chain(kit, act)
    print(dict(life.done), dict(outcomes))  # noqa: T201 - figures of a long run
    assert outcomes["owing"] > STEPS / 10
    for name in (Verdict.LIQUIDATABLE.value, Verdict.SAFE.value, "carried"):
        assert outcomes[name] > 0, name
    for step in ("deposit", "borrow", "repay", "withdraw", "price", "limit", "rate", "fork"):
        assert life.done[step] > 0, step


@pytest.mark.parametrize("unit", [vault_kit_market.DOLLAR, "asset"])
def test_what_differs_is_named(unit: str) -> None:
    """A price, a limit or a debt read wrongly shows; roundings of oracles do not."""
    with chain_node.running() as node:
        kit = vault_kit_market.deployed(node, unit=unit)
        (user,) = addresses_of(node, 1, seed=7)
        kit.enable(user, 0)
        kit.deposit(user, 0, 10**18 // 3)
        node.mine()
        kit.post(kit.vault, "borrow", user, 500 * 10**6)
        node.mine()

        async def act(chain: Chain) -> tuple[Reading, EulerV2Reader]:
            reader = reader_of(kit)
            await reader.prepare(chain, await chain.head())
            return await reader.read(chain, await chain.head(), [user]), reader

        reading, reader = on_chain(kit, act)
    terms = reading.typed_terms()
    assert terms.unit_of_account == ("USDT" if unit == "asset" else "USD")
    first, *_, last = terms.collaterals
    assert first == "eWETH-1"
    assert last.startswith("eWETH-1-")
    (check,) = reader.checks(reading)
    assert check.is_equal, check.differences

    def figures(changed: Reading) -> set[str]:
        (told,) = reader.checks(changed)
        return {each.figure for each in told.differences}

    price = reading.prices["eWETH-1"]
    low = replace(price, value=price.value * 99 // 100)
    assert figures(replace(reading, prices={**reading.prices, "eWETH-1": low})) == {
        "liquidation_collateral_value"
    }
    owing = reading.accounts[user]
    more = tuple(
        replace(leg, quantity=leg.quantity * 2) if leg.kind is LegKind.DEBT else leg
        for leg in owing.legs
    )
    assert figures(replace(reading, accounts={user: replace(owing, legs=more)})) == {
        "liquidation_liability_value",
        "borrowing_liability_value",
        "is_violation",
    }


def test_amounts_are_told_in_whole_tokens(kit: KitMarket) -> None:
    """As each vault converts its shares and the debt vault rounds its debt; else it is said why."""
    user, other = addresses_of(kit.node, 2, seed=13)
    for place, first in enumerate(vault_kit_market.FIRST):
        kit.set_price(place, first * WAD)
        kit.post(kit.vault, "setLimit", kit.collaterals[place].address, 8_000, 8_500, 0)
    kit.set_price(-1, WAD)
    for account, place, shares in ((user, 0, 10**18), (user, 1, 10**7), (other, 3, 10**18)):
        kit.enable(account, place)
        kit.deposit(account, place, shares)
    kit.node.mine()
    for account in (user, other):
        kit.post(kit.vault, "borrow", account, 1_000 * 10**6)
    kit.node.mine(seconds=86_400)

    async def act(chain: Chain) -> tuple[Reading, int]:
        reader = reader_of(kit)
        await reader.prepare(chain, await chain.head())
        owed = kit.node.read(kit.vault, "debtOf", user)
        return await reader.read(chain, await chain.head(), [user, other]), owed

    reading, owed = on_chain(kit, act)
    book, terms = load("euler-v2", "evk"), reading.typed_terms()
    ask = book.tokens
    assert ask is not None
    amounts = ask(reading.account(user), reading.as_market(), terms)
    assert not isinstance(amounts, Refusal), amounts
    assert {each.asset: each.amount for each in amounts} == {
        "eWETH-1": Fraction(12, 10),
        "eWBTC-1": Fraction(105, 1_000),
        "USDT": Fraction(owed, 10**6),
    }
    assert book.margin(reading.account(user), reading.as_market(), terms).value_decimals == 18
    refused = ask(reading.account(other), reading.as_market(), terms)
    assert isinstance(refused, Refusal)
    assert refused.reason == "exchange_rate_missing"


def test_a_vault_is_followed(kit: KitMarket, tmp_path: Path) -> None:
    """Borrowers are found; what happened stands in the store, interest apart."""
    (user,) = addresses_of(kit.node, 1, seed=6)
    kit.spread = 10
    for place, first in enumerate(vault_kit_market.FIRST):
        kit.set_price(place, first * WAD)
    kit.set_price(-1, WAD)
    kit.post(kit.vault, "setLimit", kit.collaterals[0].address, 8_000, 8_500, 0)
    kit.post(kit.vault, "setHook", NOBODY, 0)
    kit.node.mine()
    store = open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}")
    with store.begin() as transaction:
        connections.write(transaction, "mine", {}, sealed=None, now=datetime.now(tz=UTC))
    key = f"euler-v2:test:usdt:{user}"

    async def act(chain: Chain) -> None:
        follower = Follower("mine", store, chain, reader_of(kit), set(), takes_borrowers=True)
        await follower.step()
        kit.enable(user, 0)
        kit.deposit(user, 0, 10**18)
        kit.node.mine()
        kit.post(kit.vault, "borrow", user, 1_400 * 10**6)
        kit.node.mine()
        await follower.step()
        assert user in follower.addresses
        kit.node.mine(seconds=86_400)
        kit.post(kit.vault, "repay", user, 100 * 10**6)
        kit.node.mine()
        await follower.step()
        kit.set_price(0, 1_500 * WAD)
        kit.node.mine()
        vault = kit.collaterals[0].address
        kit.post(kit.vault, "liquidate", user, vault, 600 * 10**6, 10**18 // 2)
        kit.node.mine()
        step = await follower.step()
        assert step.mismatches == ()

    on_chain(kit, act)
    with store.read() as transaction:
        body = accounts.read(transaction, [key])[key]
        whose = MarketId("euler-v2", "usdt", "test")
        quotes = market.quotes(transaction, at=datetime.max.replace(tzinfo=UTC), markets=[whose])
    store.close()
    assert [event["kind"] for event in body["events"]] == ["borrow", "repay", "liquidate"]
    assert body["events"][2]["collateral"] == str(10**18 // 2)
    price = quotes[whose]["eWETH-1"]
    # Worth of 10^18 smallest units of the share, and a thousandth either side of it.
    assert (price.bid, price.value, price.ask) == tuple(
        1_500 * WAD * part // 1_000 for part in (999, 1_000, 1_001)
    )


def test_an_owner_is_enough(kit: KitMarket, tmp_path: Path) -> None:
    """Sub-accounts that owe are found by their owner; one of them stands for itself alone."""
    (owner,) = addresses_of(kit.node, 1, seed=11)
    subs = [f"0x{int(owner, 16) ^ number:040x}" for number in (1, 77, 255)]
    kit.set_price(0, 2_000 * WAD)
    kit.set_price(-1, WAD)
    kit.post(kit.vault, "setLimit", kit.collaterals[0].address, 8_000, 8_500, 0)
    for account in (owner, *subs):
        kit.post(kit.connector, "register", account, owner)
        kit.enable(account, 0)
        kit.deposit(account, 0, 10**18)
    kit.node.mine()
    for account in subs[1:]:
        kit.post(kit.vault, "borrow", account, 1_000 * 10**6)
    kit.node.mine()
    store = open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}")
    with store.begin() as transaction:
        connections.write(transaction, "mine", {}, sealed=None, now=datetime.now(tz=UTC))

    async def act(chain: Chain) -> None:
        for named, expected in (({owner}, set(subs[1:])), ({subs[1]}, {subs[1]})):
            kit.node.mine()
            follower = Follower("mine", store, chain, reader_of(kit), set(named))
            step = await follower.step()
            assert step.is_new
            assert follower.addresses == expected
            assert step.mismatches == ()

    on_chain(kit, act)
    store.close()


def test_the_command_line_reads_it(kit: KitMarket, tmp_path: Path) -> None:
    """One command, an address, and what the venue says beside what the rules say."""
    (user,) = addresses_of(kit.node, 1, seed=9)
    kit.set_price(0, 2_000 * WAD)
    kit.set_price(-1, WAD)
    kit.post(kit.vault, "setLimit", kit.collaterals[0].address, 8_000, 8_500, 0)
    kit.enable(user, 0)
    kit.deposit(user, 0, 10**18)
    kit.node.mine()
    kit.post(kit.vault, "borrow", user, 1_000 * 10**6)
    kit.node.mine()
    done = within(
        *("connect", "euler-v2", "--rpc", kit.node.url, "--chain", "test", "--chain-id"),
        *(str(CHAIN_ID), "--market", "usdt", "--contract", kit.vault.address),
        *("--address", user, "--days", "0", "--once"),
        *("--store", f"sqlite:///{tmp_path / 'book.sqlite3'}"),
    )
    assert done.exit_code == 0, done.output
    assert "1 accounts, 1 judged as their venue judges them, 0 without positions" in done.output
