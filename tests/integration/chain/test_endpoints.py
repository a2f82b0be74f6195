"""A real chain behind endpoints of which one lies, limits or has forgotten."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from aave_market import AaveMarket
from chain_reading import CHAIN_ID, funded, reader_of

from serving.connect import rpc
from serving.connect.errors import EndpointsDisagree
from serving.connect.follow import Follower, Step
from serving.store import Store, connections, open_store

NAME = "mine"
Change = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
"""From a request and its answer to what is answered."""


@contextlib.contextmanager
def proxy(target: str, change: Change) -> Iterator[str]:
    """Yield the address of an endpoint that answers as another does, changed."""
    client = httpx.Client(timeout=60)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            items = body if isinstance(body, list) else [body]
            answers = client.post(target, json=items).json()
            by_number = {answer["id"]: answer for answer in answers}
            changed = [change(item, by_number[item["id"]]) for item in items]
            content = json.dumps(changed if isinstance(body, list) else changed[0]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        client.close()


def lying(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Answer every call with its last byte changed."""
    if request["method"] == "eth_call" and "result" in answer:
        last = "0" if answer["result"][-1] != "0" else "1"
        return {**answer, "result": answer["result"][:-1] + last}
    return answer


def pruned(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Have forgotten every state."""
    if request["method"] == "eth_call":
        error = {"code": -32000, "message": "missing trie node 12 (path )"}
        return {"jsonrpc": "2.0", "id": answer["id"], "error": error}
    return answer


def honest(_: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Answer as it is."""
    return answer


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Store]:
    """Yield an empty store with a connection in it."""
    store = open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}")
    with store.begin() as transaction:
        connections.write(transaction, NAME, {}, sealed=None, now=datetime.now(tz=UTC))
    yield store
    store.close()


def look(aave: AaveMarket, store: Store, urls: list[str], user: str) -> Step:
    """Look once through endpoints."""

    async def whole() -> Step:
        chain = rpc.chain_of("test", CHAIN_ID, urls)
        try:
            return await Follower(NAME, store, chain, reader_of(aave), {user}).step()
        finally:
            await rpc.close(chain)

    return asyncio.run(whole())


def owing(aave: AaveMarket) -> str:
    """Return an account that owes."""
    (user,) = funded(aave, 1, seed=51)
    aave.supply("WETH", 10**18, user)
    aave.node.mine()
    aave.borrow("USDC", 500 * 10**6, user)
    aave.node.mine()
    return user


def test_of_two_endpoints_of_which_one_lies_neither_is_believed(
    aave: AaveMarket, book: Store
) -> None:
    """Nothing is written of what only one of two says."""
    user = owing(aave)
    with (
        proxy(aave.node.url, lying) as liar,
        pytest.raises(EndpointsDisagree, match="answer eth_call differently"),
    ):
        look(aave, book, [aave.node.url, liar], user)
    with book.read() as transaction:
        assert connections.blocks(transaction, NAME) == []


def test_with_a_third_endpoint_the_liar_is_outvoted(aave: AaveMarket, book: Store) -> None:
    """What two of three say is what the chain says."""
    user = owing(aave)
    with proxy(aave.node.url, lying) as liar, proxy(aave.node.url, honest) as other:
        step = look(aave, book, [liar, aave.node.url, other], user)
    assert step.mismatches == ()
    assert len(step.checks) == 1


def test_an_endpoint_that_has_forgotten_is_no_hindrance(aave: AaveMarket, book: Store) -> None:
    """The state of the block is asked of the one that has it."""
    user = owing(aave)
    with proxy(aave.node.url, pruned) as full:
        step = look(aave, book, [full, aave.node.url], user)
    assert step.mismatches == ()
