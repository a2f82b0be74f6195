"""What goes wrong between a chain and the store: told by its code, and nothing is guessed."""

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aave_market import AaveMarket
from chain_proxy import Change, Refusal, honest, lying, never, proxy, pruned
from chain_reading import CHAIN_ID, MARKET, funded, reader_of
from commands import within

from serving.application.scoring import ScoringService
from serving.connect import rpc, run
from serving.connect.errors import AnswerInvalid, RateLimited
from serving.connect.follow import Follower, Step
from serving.connect.reading import account_id
from serving.connect.rpc import Chain
from serving.evaluation.assess import Model
from serving.schemas.assessment import Assessment, Batch
from serving.store import Store, accounts, connections, open_store

NAME = "mine"


@pytest.fixture
def book(book_url: str) -> Iterator[Store]:
    """Yield an empty store with a connection in it."""
    store = open_store(book_url)
    with store.begin() as transaction:
        connections.write(transaction, NAME, {}, sealed=None, now=datetime.now(tz=UTC))
    yield store
    store.close()


@pytest.fixture(scope="module")
def owner(aave: AaveMarket) -> str:
    """Return an account that owes."""
    (user,) = funded(aave, 1, seed=61)
    aave.supply("WETH", 10**18, user)
    aave.node.mine()
    aave.borrow("USDC", 500 * 10**6, user)
    aave.node.mine()
    return user


def followed(
    aave: AaveMarket, store: Store, owner: str, urls: list[str], pauses: list[float], **past: Any
) -> Step:
    """Look once through endpoints; pauses are noted and not waited for."""

    async def whole() -> Step:
        chain = rpc.chain_of("test", CHAIN_ID, urls)
        clock = itertools.count()
        chain.clock = lambda: float(100 * next(clock))

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        chain.sleep = sleep
        try:
            return await run.once(Follower(NAME, store, chain, reader_of(aave), {owner}), **past)
        finally:
            await rpc.close(chain)

    return asyncio.run(whole())


def command(aave: AaveMarket, place: Path, *more: str) -> Any:
    """Run `forewarn connect` once on the test pool."""
    usual = (
        *("connect", "aave-v3", "--store", f"sqlite:///{place / 'book.db'}", "--once"),
        *("--rpc", aave.node.url, "--days", "0"),
    )
    return within(*usual, *more)


def pool(aave: AaveMarket) -> tuple[str, ...]:
    """Return the options that name the test pool."""
    return ("--chain", "test", "--chain-id", str(CHAIN_ID), "--contract", aave.pool.address)


def test_an_address_without_positions_is_told(aave: AaveMarket, tmp_path: Path) -> None:
    """It is followed all the same, and said to hold nothing."""
    (nobody,) = funded(aave, 1, seed=62)
    done = command(aave, tmp_path, *pool(aave), "--address", nobody)
    assert done.exit_code == 0, done.output
    assert "1 accounts, 1 judged as their venue judges them, 1 without positions" in done.output
    assert f"{nobody} holds nothing in" in done.output


def test_another_chain_is_refused_by_name(aave: AaveMarket, tmp_path: Path) -> None:
    """Nothing is read of a chain that is not the one named."""
    done = command(aave, tmp_path, "--chain", "ethereum", "--address", "0x" + "12" * 20)
    assert done.exit_code == 1
    assert "wrong_chain: " in done.output
    assert "serves chain 31337; ethereum is chain 1" in done.output


def test_what_is_no_contract_is_refused_by_its_address(aave: AaveMarket, tmp_path: Path) -> None:
    """An address without code, as a mistyped one is."""
    options = ("--chain", "test", "--chain-id", str(CHAIN_ID), "--contract", "0x" + "12" * 20)
    done = command(aave, tmp_path, *options, "--address", "0x" + "12" * 20)
    assert done.exit_code == 1
    assert f"not_a_contract: pool {'0x' + '12' * 20}: no code there on test" in done.output


def part_of(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any] | None:
    """Leave the call of a batch out."""
    return None if request["method"] == "eth_call" else answer


def half_of(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Cut what a call returns in half."""
    if request["method"] == "eth_call" and "result" in answer:
        return {**answer, "result": answer["result"][: len(answer["result"]) // 4 * 2]}
    return answer


@pytest.mark.parametrize("change", [part_of, half_of])
def test_partial_answers_are_no_answers(
    aave: AaveMarket, book: Store, owner: str, change: Change
) -> None:
    """Neither a batch without one of its answers nor half of one is taken; nothing is written."""
    with proxy(aave.node.url, change) as url, pytest.raises(AnswerInvalid):
        followed(aave, book, owner, [url], [])
    with book.read() as transaction:
        assert connections.blocks(transaction, NAME) == []
        assert accounts.read(transaction, [account_id(MARKET, owner)]) == {}


def limited(times: int, seconds: int) -> Refusal:
    """Return what refuses so many bodies, asking to be left alone for so long."""
    left = itertools.count(times, -1)
    return lambda: (429, {"Retry-After": str(seconds)}) if next(left) > 0 else None


def test_an_endpoint_that_limits_is_waited_for_as_long_as_it_asks(
    aave: AaveMarket, book: Store, owner: str
) -> None:
    """Then everything is read; nothing is lost by it."""
    pauses: list[float] = []
    with proxy(aave.node.url, honest, refuse=limited(2, 9)) as url:
        step = followed(aave, book, owner, [url], pauses)
    assert step.mismatches == ()
    assert pauses.count(9.0) >= 1


def test_an_endpoint_that_limits_for_ever_is_told(
    aave: AaveMarket, book: Store, owner: str
) -> None:
    """By its code, after it was asked as often as is decent."""
    refuse = limited(1_000, 5)
    with proxy(aave.node.url, honest, refuse=refuse) as url, pytest.raises(RateLimited) as caught:
        followed(aave, book, owner, [url], [])
    assert caught.value.code == "rate_limited"


def test_history_that_is_gone_is_told_and_left_out(
    aave: AaveMarket, book: Store, owner: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What is held now is read and judged; of what was before is said that it is not known."""
    head = aave.node.ask("eth_getBlockByNumber", "latest", False)["hash"]  # noqa: FBT003

    def forgetful(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_call" and request["params"][1]["blockHash"] != head:
            return pruned(request, answer)
        return answer

    with proxy(aave.node.url, forgetful) as url:
        step = followed(aave, book, owner, [url], [], since=datetime(2000, 1, 1, tzinfo=UTC))
    assert step.mismatches == ()
    assert "history_pruned" in caplog.text
    with book.read() as transaction:
        (body,) = accounts.read(transaction, [account_id(MARKET, owner)]).values()
    assert {leg["asset"] for leg in body["legs"]} == {"WETH", "USDC"}
    assert body["events"] == []


CASES: dict[str, tuple[Change, Refusal]] = {
    "endpoints_disagree": (lying, never),
    "rate_limited": (honest, limited(10_000, 1)),
}


@pytest.mark.parametrize("code", CASES)
def test_what_stands_ages_while_nothing_can_be_read(
    aave: AaveMarket, book: Store, owner: str, code: str
) -> None:
    """The state says why, the block stays the last one, and no answer looks fresh any more."""
    change, refuse = CASES[code]
    before = followed(aave, book, owner, [aave.node.url], [])
    aave.node.mine()

    async def act(chain: Chain) -> dict[str, Any]:
        async def sleep(_: float) -> None:
            await asyncio.sleep(0)

        chain.sleep = sleep
        chain.clock = map(float, itertools.count(0, 100)).__next__
        follower = Follower(NAME, book, chain, reader_of(aave), {owner})
        stop = asyncio.Event()
        running = asyncio.create_task(follower.run(stop, poll=0.05))
        status: dict[str, Any] = {}
        async with asyncio.timeout(60):
            while status.get("state") != "failing":
                await asyncio.sleep(0.05)
                with book.read() as transaction:
                    stored = connections.read(transaction, NAME)
                assert stored is not None
                status = stored.status or {}
        stop.set()
        await running
        return status

    async def whole(url: str) -> dict[str, Any]:
        urls = [url] if code == "rate_limited" else [aave.node.url, url]
        chain = rpc.chain_of("test", CHAIN_ID, urls)
        try:
            return await act(chain)
        finally:
            await rpc.close(chain)

    with proxy(aave.node.url, change, refuse=refuse) as url:
        status = asyncio.run(whole(url))
    assert [reason["code"] for reason in status["reasons"]] == [code]
    assert status["block"]["number"] == before.head.number
    assert reasons(book, owner, before.head.at + timedelta(seconds=30)) == set()
    assert "price_stale" in reasons(book, owner, before.head.at + timedelta(minutes=6))


def reasons(store: Store, owner: str, at: datetime) -> set[str]:
    """Return what keeps an answer about prices from being taken as fresh, as of a moment."""
    desk = ScoringService(model=Model(bundle=None), store=store, clock=lambda: at)
    key = account_id(MARKET, owner)
    batch = desk.answer(msgspec.json.encode({"accounts": [key]}), "test")
    assert isinstance(batch, Batch)
    (assessed,) = batch.assessments
    assert isinstance(assessed, Assessment)
    return {each.code for each in assessed.degraded_reasons if each.code.startswith("price_")}
