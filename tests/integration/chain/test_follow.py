"""A chain that is followed: what the store holds after each head, over forks, stops and kills."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, TypeVar

import aave_market
import chain_node
import msgspec
import pytest
from aave_market import AaveMarket
from aave_steps import Life
from chain_reading import CHAIN_ID, MARKET, funded, reader_of

from serving.application.scoring import ScoringService
from serving.connect import follow, rpc
from serving.connect.follow import Follower, Step
from serving.connect.reading import AccountReading, Reading, account_id
from serving.connect.rpc import Block, Chain
from serving.evaluation.assess import Model
from serving.schemas.assessment import Assessment, Batch
from serving.store import Store, accounts, connections, market, open_store

T = TypeVar("T")
NAME = "mine"


@pytest.fixture
def aave() -> Iterator[AaveMarket]:
    """Yield a market on a chain that no other test has lived on."""
    with chain_node.running() as node:
        yield aave_market.deployed(node)


@pytest.fixture
def book(book_url: str) -> Iterator[Store]:
    """Yield an empty store with a connection in it."""
    store = open_store(book_url)
    with store.begin() as transaction:
        connections.write(transaction, NAME, {}, sealed=None, now=datetime.now(tz=UTC))
    yield store
    store.close()


def following(
    aave: AaveMarket,
    store: Store,
    users: list[str],
    act: Callable[[Follower], Awaitable[T]],
    **options: Any,
) -> T:
    """Run something with a follower that begins as one that was just started."""

    async def whole() -> T:
        chain = rpc.chain_of("test", CHAIN_ID, [aave.node.url])
        follower = Follower(NAME, store, chain, reader_of(aave), set(users), **options)
        try:
            return await act(follower)
        finally:
            await rpc.close(chain)

    return asyncio.run(whole())


def look(aave: AaveMarket, store: Store, users: list[str], **options: Any) -> Step:
    """Start, look once and stop."""

    async def act(follower: Follower) -> Step:
        return await follower.step()

    return following(aave, store, users, act, **options)


def health(store: Store, users: list[str], at: datetime) -> dict[str, int | None]:
    """Return the health factors that the service says of accounts, from the store alone."""
    desk = ScoringService(model=Model(bundle=None), store=store, clock=lambda: at)
    keys = {account_id(MARKET, user): user for user in users}
    batch = desk.answer(msgspec.json.encode({"accounts": list(keys)}), "test")
    assert isinstance(batch, Batch)
    ratios: dict[str, int | None] = {}
    for assessed in batch.assessments:
        assert isinstance(assessed, Assessment)
        assert assessed.rule.ratio is not None
        value = assessed.rule.ratio.value
        ratios[keys[assessed.account]] = None if value is None else int(Fraction(value) * 10**18)
    return ratios


def test_the_store_alone_says_what_the_pool_says(aave: AaveMarket, book: Store) -> None:
    """Over heads and forks, each account of the store has the pool's health to the unit."""
    users = funded(aave, 12, seed=21)
    life = Life(aave, users, random.Random(21))  # noqa: S311 - drawn anew by anyone
    undone = 0

    async def act(follower: Follower) -> None:
        nonlocal undone
        for _ in range(26):
            for _ in range(6):
                life.step()
            life.mine()
            step = await follower.step()
            undone += step.undone
            assert step.is_new
            assert step.mismatches == ()
            theirs = {user: life.data_of(user)[5] for user in users}
            assert health(book, users, step.head.at) == {
                user: None if ratio == 2**256 - 1 else ratio for user, ratio in theirs.items()
            }

    following(aave, book, users, act)
    assert life.done["fork"] > 0
    assert undone > 0
    with book.read() as transaction:
        stored = accounts.read(transaction, [account_id(MARKET, user) for user in users])
    kinds = {event["kind"] for body in stored.values() for event in body["events"]}
    assert {"deposit", "borrow"} <= kinds


def test_a_fork_takes_back_what_it_undid(aave: AaveMarket, book: Store) -> None:
    """A repayment that never happened is gone: from the position, the events and the past."""
    (user,) = funded(aave, 1, seed=22)
    aave.supply("WETH", 10 * 10**18, user)
    aave.node.mine()
    aave.borrow("USDC", 10_000 * 10**6, user)
    aave.node.mine()
    before = look(aave, book, [user])
    aave.repay("USDC", 9_000 * 10**6, user)
    aave.node.mine()
    aave.node.mine()
    repaid = look(aave, book, [user])
    key = account_id(MARKET, user)
    with book.read() as transaction:
        body = accounts.read(transaction, [key])[key]
    assert [event["kind"] for event in body["events"]] == ["repay"]
    assert debt_of(body) < 1_100 * 10**6
    aave.node.ask("anvil_reorg", 2, [])
    aave.node.ask("anvil_dropAllTransactions")
    aave.node.mine()
    after = look(aave, book, [user])
    assert after.undone == 2
    assert after.head.number == repaid.head.number + 1
    with book.read() as transaction:
        body = accounts.read(transaction, [key])[key]
        early = accounts.read(transaction, [key], at=before.head.at)[key]
        remembered = [block.hash for block in connections.blocks(transaction, NAME)]
    assert body["events"] == []
    assert debt_of(body) == debt_of(early) >= 9_990 * 10**6
    assert repaid.head.hash not in remembered
    assert before.head.hash in remembered


@pytest.mark.parametrize("is_from_the_first_block", [True, False])
def test_what_happened_before_is_read(
    aave: AaveMarket, book: Store, *, is_from_the_first_block: bool
) -> None:
    """A connection that begins late knows every block that touched its accounts before.

    From the first block of the chain as well, in which the venue was not there yet.
    """
    users = funded(aave, 6, seed=29)
    life = Life(aave, users, random.Random(29))  # noqa: S311 - drawn anew by anyone
    begun = _block_clock(aave) + timedelta(seconds=1)
    begun = datetime(2000, 1, 1, tzinfo=UTC) if is_from_the_first_block else begun
    for _ in range(12):
        for _ in range(6):
            life.step()
        life.mine()

    async def act(follower: Follower) -> Step:
        assert await follower.backfill(begun) > 1
        step = await follower.step()
        assert await follower.backfill(begun) == 0
        return step

    step = following(aave, book, users, act)
    assert step.mismatches == ()
    with book.read() as transaction:
        stored = accounts.read(transaction, [account_id(MARKET, user) for user in users])
    assert any(body["events"] for body in stored.values())
    assert {key: debt_of(body) for key, body in stored.items()} == {
        account_id(MARKET, user): debt_value(aave, user) for user in users
    }
    assert set(health(book, users, step.head.at)) == set(users)


def debt_value(aave: AaveMarket, user: str) -> int:
    """Return what an account owes in all assets, scaled."""
    total = 0
    for token in aave.tokens.values():
        address = aave.node.read(aave.pool, "getReserveVariableDebtToken", token.address)
        debt = aave.node.at(aave.artefacts, "ATokenInstance", address)
        total += aave.node.read(debt, "scaledBalanceOf", user)
    return total


def debt_of(body: dict[str, Any]) -> int:
    """Return what an account of the store owes, scaled."""
    return sum(int(leg["quantity"]) for leg in body["legs"] if leg["kind"] == "debt")


def test_every_block_between_two_looks_is_read(aave: AaveMarket, book: Store) -> None:
    """Whoever was stopped for a while knows afterwards what was held in each block between."""
    (user,) = funded(aave, 1, seed=23)
    aave.supply("WETH", 4 * 10**18, user)
    aave.node.mine(seconds=60)
    look(aave, book, [user])
    times = []
    for amount in (1, 2, 3):
        aave.supply("WBTC", amount * 10**8, user)
        aave.node.mine(seconds=60)
        head = aave.node.ask("eth_getBlockByNumber", "latest", False)  # noqa: FBT003
        times.append(datetime.fromtimestamp(int(head["timestamp"], 16), tz=UTC))
    look(aave, book, [user])
    key = account_id(MARKET, user)
    balances = []
    for at in times:
        with book.read() as transaction:
            body = accounts.read(transaction, [key], at=at)[key]
        balances.append(
            next(int(leg["quantity"]) for leg in body["legs"] if leg["asset"] == "WBTC")
        )
    assert [round(each / 10**8) for each in balances] == [1, 3, 6]
    with book.read() as transaction:
        events = accounts.read(transaction, [key])[key]["events"]
    assert [(event["kind"], round(int(event["collateral"]) / 10**8)) for event in events] == [
        ("deposit", 1),
        ("deposit", 2),
        ("deposit", 3),
    ]


def test_nothing_is_written_twice(aave: AaveMarket, book: Store) -> None:
    """Looked at again, and by a process started anew, a head changes no row."""
    (user,) = funded(aave, 1, seed=24)
    aave.supply("WETH", 4 * 10**18, user)
    aave.node.mine()
    assert look(aave, book, [user]).is_new

    def rows() -> dict[str, Any]:
        at = datetime.now(tz=UTC) + timedelta(days=900)
        with book.read() as transaction:
            return {
                "state": market.state(transaction, at=at),
                "terms": market.terms(transaction, at=at),
                "accounts": accounts.read(transaction, [account_id(MARKET, user)]),
                "blocks": connections.blocks(transaction, NAME),
            }

    first = rows()
    look(aave, book, [user])
    assert rows() == first


def test_new_parameters_hold_from_their_block(aave: AaveMarket, book: Store) -> None:
    """What governance changes stands in the terms from the block on, and not before."""
    users = funded(aave, 1, seed=25)
    first = look(aave, book, users)

    async def act(follower: Follower) -> Step:
        await follower.step()
        token = aave.tokens["WETH"].address
        aave.node.send(
            aave.admin, aave.configurator, "configureReserveAsCollateral", token, 8000, 8200, 10600
        )
        aave.node.send(
            aave.admin, aave.configurator, "setEModeCategory", 2, 9000, 9200, 10200, "second"
        )
        return await follower.step()

    second = following(aave, book, users, act)
    with book.read() as transaction:
        before = market.terms(transaction, at=first.head.at)[MARKET][0]
        after, since = market.terms(transaction, at=second.head.at)[MARKET]
    assert after["reserves"]["WETH"]["threshold"] == "8200"
    assert before["reserves"]["WETH"]["threshold"] != "8200"
    assert "2" not in before["categories"]
    assert after["categories"]["2"]["threshold"] == "9200"
    assert since == second.head.at


class Wrong:
    """A reader that reads one unit of debt too much."""

    def __init__(self, reader: Any) -> None:
        self.reader = reader

    def __getattr__(self, name: str) -> Any:
        """Return what the reader has."""
        return getattr(self.reader, name)

    async def read(self, chain: Chain, block: Block, addresses: Any, **options: Any) -> Reading:
        """Return what was read with one unit more of each debt."""
        reading: Reading = await self.reader.read(chain, block, addresses, **options)
        changed = {address: more(each) for address, each in reading.accounts.items()}
        return replace(reading, accounts=changed)


def more(account: AccountReading) -> AccountReading:
    """Return an account that owes one unit more."""
    legs = tuple(
        replace(leg, quantity=leg.quantity + 1) if leg.kind == "debt" else leg
        for leg in account.legs
    )
    return replace(account, legs=legs)


def test_a_mismatch_is_recorded_and_shown(aave: AaveMarket, book: Store) -> None:
    """What the rules and the pool say differently stands in the store until they agree again."""
    (user,) = funded(aave, 1, seed=26)
    aave.supply("WETH", 10 * 10**18, user)
    aave.node.mine()
    aave.borrow("USDC", 10_000 * 10**6, user)
    aave.node.mine()
    key = account_id(MARKET, user)

    async def act(follower: Follower) -> tuple[Step, Step]:
        sound = follower.reader
        follower.reader = Wrong(sound)  # type: ignore[assignment]
        first = await follower.step()
        with book.read() as transaction:
            status = connections.read(transaction, NAME).status  # type: ignore[union-attr]
            (check,) = connections.differing(transaction)
        assert status is not None
        assert (status["state"], status["mismatches"]) == ("degraded", [key])
        assert [reason["code"] for reason in status["reasons"]] == ["rule_mismatch"]
        assert check.account == key
        assert degraded(book, key, first.head.at) == {"rule_mismatch", "no_model"}
        assert {each["figure"] for each in check.differences} >= {"debt", "health_factor"}
        follower.reader = sound
        follower._is_prepared = False  # noqa: SLF001 - as after a restart
        aave.node.mine()
        return first, await follower.step()

    first, second = following(aave, book, [user], act, clock=lambda: _block_clock(aave))
    assert [check.account for check in first.mismatches] == [key]
    assert second.mismatches == ()
    assert degraded(book, key, second.head.at) == {"no_model"}
    with book.read() as transaction:
        assert connections.differing(transaction) == []
        assert [each["block"] for each in connections.mismatches(transaction, key)] == [
            first.head.number
        ]
        status = connections.read(transaction, NAME).status  # type: ignore[union-attr]
    assert status is not None
    assert status["state"] == "live"


def degraded(store: Store, key: str, at: datetime) -> set[str]:
    """Return the codes of what degrades the service's answer about an account."""
    desk = ScoringService(model=Model(bundle=None), store=store, clock=lambda: at)
    assessed = desk.answer(msgspec.json.encode({"account": key}), "test")
    assert isinstance(assessed, Assessment)
    return {notice.code for notice in assessed.degraded_reasons}


def _block_clock(aave: AaveMarket) -> datetime:
    """Return the time of the newest block: chains of tests run ahead."""
    head = aave.node.ask("eth_getBlockByNumber", "latest", False)  # noqa: FBT003
    return datetime.fromtimestamp(int(head["timestamp"], 16), tz=UTC)


def test_a_chain_ahead_of_the_clock_degrades(aave: AaveMarket, book: Store) -> None:
    """A block of tomorrow degrades the connection, and so does one of long ago."""
    at = _block_clock(aave)

    def status(now: datetime) -> list[str]:
        look(aave, book, [], clock=lambda: now)
        with book.read() as transaction:
            stored = connections.read(transaction, NAME)
        assert stored is not None
        assert stored.status is not None
        return [reason["code"] for reason in stored.status["reasons"]]

    assert status(at - timedelta(days=1)) == ["clock_skew"]
    assert status(at + follow.OLD + timedelta(seconds=1)) == ["head_old"]
    assert status(at + timedelta(seconds=2)) == []


def test_whoever_borrows_is_followed(aave: AaveMarket, book: Store) -> None:
    """With borrowers taken, an account that nobody named is followed from its first loan on."""
    (user,) = funded(aave, 1, seed=27)

    async def act(follower: Follower) -> Step:
        await follower.step()
        aave.supply("WETH", 10 * 10**18, user)
        aave.node.mine()
        aave.borrow("USDC", 10_000 * 10**6, user)
        aave.node.mine()
        return await follower.step()

    step = following(aave, book, [], act, takes_borrowers=True)
    assert account_id(MARKET, user) in {check.account for check in step.checks}


def test_whoever_borrowed_before_is_discovered(aave: AaveMarket, book: Store) -> None:
    """Borrowers of the past are found by the logs; who only supplied is none."""
    borrower, supplier = funded(aave, 2, seed=28)
    for user in (borrower, supplier):
        aave.supply("WETH", 10 * 10**18, user)
    aave.node.mine()
    aave.borrow("USDC", 10_000 * 10**6, borrower)
    aave.node.mine()

    async def act(follower: Follower) -> Step:
        assert await follower.discover(0) == 1
        return await follower.step()

    step = following(aave, book, [], act, takes_borrowers=True)
    assert [check.account for check in step.checks] == [account_id(MARKET, borrower)]


def test_a_chain_that_falls_silent_is_noted(aave: AaveMarket, book: Store) -> None:
    """The run goes on and notes why nothing is new; it ends when told to."""

    async def act(follower: Follower) -> None:
        stop = asyncio.Event()
        await follower.step()

        async def no_sleep(_: float) -> None:
            await asyncio.sleep(0)

        follower.chain.sleep = no_sleep
        for endpoint in follower.chain.endpoints:
            object.__setattr__(endpoint, "url", "http://127.0.0.1:1")
        running = asyncio.create_task(follower.run(stop, poll=0.01))
        for _ in range(500):
            await asyncio.sleep(0.02)
            with book.read() as transaction:
                stored = connections.read(transaction, NAME)
            assert stored is not None
            assert stored.status is not None
            if stored.status["state"] == "failing":
                break
        stop.set()
        await asyncio.wait_for(running, 10)
        assert [reason["code"] for reason in stored.status["reasons"]] == ["endpoint_failed"]
        assert stored.status["block"]["number"] > 0

    following(aave, book, [], act)
