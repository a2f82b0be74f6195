"""New heads told by WebSocket: looked at at once, and polled for while the connection is gone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aave_market import AaveMarket
from aiohttp import web
from chain_reading import CHAIN_ID, funded, reader_of

from serving.connect import rpc
from serving.connect.follow import Follower
from serving.connect.heads import Heads
from serving.store import Store, connections, open_store

NAME = "mine"
PATIENCE = 60.0
NEVER = 600.0
"""Seconds between looks that no test waits for."""


@dataclass
class Cable:
    """A way to the chain that can be cut."""

    port: int
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    is_cut: bool = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection both ways."""
        if self.is_cut:
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers += [writer, back]
        with contextlib.suppress(OSError):
            await asyncio.gather(_pour(reader, back), _pour(there, writer))

    def cut(self) -> None:
        """End every connection, and let no new one be."""
        self.is_cut = True
        for writer in self.writers:
            writer.close()
        self.writers.clear()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes until nothing more does."""
    while data := await reader.read(2**16):
        writer.write(data)
        await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def laid(url: str) -> AsyncIterator[tuple[Cable, str]]:
    """Yield a cable to a chain, and the address at its near end."""
    cable = Cable(int(url.rpartition(":")[2]))
    server = await asyncio.start_server(cable.carry, "127.0.0.1", 0)
    try:
        yield cable, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        cable.cut()
        server.close()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


def head_of(store: Store) -> int:
    """Return the number of the newest block that was written; 0 where none was."""
    with store.read() as transaction:
        return max((block.number for block in connections.blocks(transaction, NAME)), default=0)


def heads_of(store: Store) -> str | None:
    """Return how heads are learnt, as the connection says."""
    with store.read() as transaction:
        stored = connections.read(transaction, NAME)
    return None if stored is None or stored.status is None else stored.status["heads"]


async def followed(
    aave: AaveMarket,
    store: Store,
    act: Callable[[Follower], Awaitable[None]],
    *,
    sockets: tuple[str, ...],
    poll: float,
) -> None:
    """Run something while a follower runs."""
    (user,) = funded(aave, 1, seed=71)
    chain = rpc.chain_of("test", CHAIN_ID, [aave.node.url])
    follower = Follower(NAME, store, chain, reader_of(aave), {user}, sockets=sockets)
    stop = asyncio.Event()
    running = asyncio.create_task(follower.run(stop, poll=poll))
    try:
        await act(follower)
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE)
        await rpc.close(chain)


def opened(place: Path) -> Store:
    """Return an empty store with a connection in it."""
    store = open_store(f"sqlite:///{place / 'book.sqlite3'}")
    with store.begin() as transaction:
        connections.write(transaction, NAME, {}, sealed=None, now=datetime.now(tz=UTC))
    return store


def height(aave: AaveMarket) -> int:
    """Return the number of the newest block."""
    return int(aave.node.ask("eth_blockNumber"), 16)


def test_a_head_is_looked_at_as_it_comes(aave: AaveMarket, tmp_path: Path) -> None:
    """Nobody would look for ten minutes; each block is written all the same."""
    store = opened(tmp_path)

    async def act(follower: Follower) -> None:
        await until(lambda: follower.is_subscribed and head_of(store) == height(aave))
        for _ in range(3):
            aave.node.mine()
            await until(lambda: head_of(store) == height(aave))
        assert heads_of(store) == "subscribed"

    socket = aave.node.url.replace("http", "ws")
    asyncio.run(followed(aave, store, act, sockets=(socket,), poll=NEVER))
    store.close()


def test_a_dropped_connection_is_polled_for_and_caught_up(aave: AaveMarket, tmp_path: Path) -> None:
    """Blocks of the time without it are read one by one; then heads are told again."""
    store = opened(tmp_path)

    async def whole() -> None:
        async with laid(aave.node.url) as (cable, socket):

            async def act(follower: Follower) -> None:
                await until(lambda: follower.is_subscribed and head_of(store) == height(aave))
                cable.cut()
                await until(lambda: not follower.is_subscribed)
                first = head_of(store)
                for _ in range(3):
                    aave.node.mine()
                await until(lambda: head_of(store) == height(aave))
                await until(lambda: heads_of(store) == "polled")
                with store.read() as transaction:
                    numbers = {each.number for each in connections.blocks(transaction, NAME)}
                assert set(range(first, height(aave) + 1)) <= numbers
                cable.is_cut = False
                await until(lambda: follower.is_subscribed)
                aave.node.mine()
                await until(
                    lambda: head_of(store) == height(aave) and heads_of(store) == "subscribed"
                )
                assert follower.heads[0].drops == 1

            await followed(aave, store, act, sockets=(socket,), poll=0.2)

    asyncio.run(whole())
    store.close()


def test_an_endpoint_that_refuses_to_subscribe_is_shown_and_polled(
    aave: AaveMarket, tmp_path: Path
) -> None:
    """A refusal and nonsense stand as the error, with no more of the URL than its host."""
    store = opened(tmp_path)
    refusal = '{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no such method"}}'

    async def serve(answer: str) -> tuple[web.AppRunner, str]:
        async def handle(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.receive()
            await socket.send_str(answer)
            await socket.receive()
            return socket

        app = web.Application()
        app.router.add_get("/secret", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        return runner, f"ws://127.0.0.1:{port}/secret"

    async def whole(answer: str, error: str) -> None:
        runner, socket = await serve(answer)

        async def act(follower: Follower) -> None:
            await until(lambda: bool(follower.heads) and follower.heads[0].error is not None)
            assert error in str(follower.heads[0].error)
            assert "secret" not in str(follower.heads[0].error)
            aave.node.mine()
            await until(lambda: head_of(store) == height(aave))
            assert heads_of(store) == "polled"

        await followed(aave, store, act, sockets=(socket,), poll=0.2)
        await runner.cleanup()

    asyncio.run(whole(refusal, "no such method"))
    asyncio.run(whole("no JSON", "without JSON"))
    asyncio.run(whole('{"id": 1}', "no subscription"))
    store.close()


def test_a_socket_that_cannot_be_reached_is_tried_less_and_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody listens there: the error is told, and whoever polls is woken to poll."""
    waits: list[float] = []

    async def whole() -> None:
        told = Heads("ws://127.0.0.1:9/key", asyncio.Event())

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 9:
                raise asyncio.CancelledError

        monkeypatch.setattr(asyncio, "sleep", sleep)
        with contextlib.suppress(asyncio.CancelledError):
            await told.run()
        assert told.news.is_set()
        assert "key" not in str(told.error)

    asyncio.run(whole())
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
