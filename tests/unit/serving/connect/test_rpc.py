"""A chain behind endpoints that fail, lag, lie and limit."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, TypeVar

import httpx
import pytest

from models.errors import InvalidInput
from serving.connect import rpc
from serving.connect.abi import Event, Method, decoded, split_types, topic_of
from serving.connect.endpoint import Endpoint, Request, meaning
from serving.connect.errors import (
    AnswerInvalid,
    BlockGone,
    ConnectFailed,
    EndpointFailed,
    EndpointsDisagree,
    HistoryPruned,
    RangeTooWide,
    RateLimited,
    Reverted,
    WrongChain,
)
from serving.connect.rpc import Block, Chain

T = TypeVar("T")
CHAIN_ID = 7
BLOCK = Block(5, "0x05", "0x04", datetime(2026, 1, 1, tzinfo=UTC))
TARGET = "0x" + "ab" * 20
SUPPLY = Method("scaledTotalSupply()", "b1bf962d", ("uint256",))


def block_at(number: int, fork: str = "") -> dict[str, Any]:
    """Return a block as a node tells it."""
    return {
        "number": hex(number),
        "hash": f"0x{number:02x}{fork}",
        "parentHash": f"0x{number - 1:02x}{fork}",
        "timestamp": hex(1_767_225_600 + 12 * number),
    }


@dataclass
class Server:
    """An endpoint of a test: what it answers to each method, and what it was asked."""

    host: str
    answers: dict[str, Any] = field(default_factory=dict)
    head: int = 5
    fork: str = ""
    methods: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a body."""
        body = json.loads(request.content)
        items = body if isinstance(body, list) else [body]
        answers = [self.answer(item) for item in items]
        whole = next((each for each in answers if isinstance(each, httpx.Response)), None)
        return whole or httpx.Response(200, json=answers if isinstance(body, list) else answers[0])

    def answer(self, item: Mapping[str, Any]) -> Any:
        """Answer one request."""
        method = item["method"]
        self.methods.append(method)
        stated = self.answers.get(method, self.usual)
        outcome = stated(method, item["params"]) if callable(stated) else stated
        if isinstance(outcome, httpx.Response):
            return outcome
        kind = "error" if isinstance(outcome, dict) and "message" in outcome else "result"
        return {"jsonrpc": "2.0", "id": item["id"], kind: outcome}

    def usual(self, method: str, params: list[Any]) -> Any:
        """Answer as a node in order does."""
        if method == "eth_chainId":
            return hex(CHAIN_ID)
        if method == "eth_getBlockByNumber":
            number = self.head if params[0] == "latest" else int(params[0], 16)
            return block_at(number, self.fork) if number <= self.head else None
        if method == "eth_getBlockByHash":
            return next(
                (
                    b
                    for n in range(self.head + 1)
                    if (b := block_at(n, self.fork))["hash"] == params[0]
                ),
                None,
            )
        return "0x"


def with_chain(
    servers: list[Server], act: Callable[[Chain], Awaitable[T]], *, confirms: bool = True
) -> tuple[T, list[float]]:
    """Run something against endpoints; return its answer and how long it waited each time."""
    by_host = {server.host: server for server in servers}
    pauses: list[float] = []
    now = [0.0]

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    async def whole() -> T:
        transport = httpx.MockTransport(lambda request: by_host[request.url.host](request))
        async with httpx.AsyncClient(transport=transport) as client:
            endpoints = tuple(Endpoint(f"https://{host}/key", client) for host in by_host)
            chain = Chain(
                "test",
                CHAIN_ID,
                endpoints,
                confirms=confirms,
                sleep=sleep,
                clock=lambda: now[0],
            )
            return await act(chain)

    return asyncio.run(whole()), pauses


async def supply(chain: Chain) -> int:
    """Read one number of a contract."""
    chain._has_multicall = False  # noqa: SLF001 - as on a chain that lacks it
    (answer,) = await chain.call([SUPPLY.at(TARGET)], BLOCK)
    assert isinstance(answer, bytes)
    number: int = SUPPLY.read(answer)
    return number


def word(number: int) -> str:
    """Return a number as a contract returns it."""
    return f"0x{number:064x}"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("query returned more than 10000 results", RangeTooWide),
        ("exceed maximum block range: 5000", RangeTooWide),
        ("daily request count exceeded, request rate limited", RateLimited),
        ("Your app has exceeded its compute units per second capacity", RateLimited),
        ("missing trie node 1234 (path )", HistoryPruned),
        ("state already discarded for 0xab", HistoryPruned),
        ("hash is not currently canonical", BlockGone),
        ("header not found", BlockGone),
        ("execution reverted: Panic(0x11)", Reverted),
        ("the moon is in the wrong house", EndpointFailed),
    ],
)
def test_errors_mean_what_nodes_mean(message: str, kind: type[ConnectFailed]) -> None:
    """One code stands for several things; the words tell them apart."""
    error = meaning({"code": -32005, "message": message}, "host")
    assert type(error) is kind
    assert str(error).startswith("host: ")


def test_an_endpoint_shows_its_host_alone() -> None:
    """Keys stand in paths, queries and users of URLs: none of them is ever shown."""

    async def act(chain: Chain) -> list[Any]:
        return await chain.ask([Request("eth_call")])

    server = Server("eth.example", {"eth_call": httpx.Response(500, text="<html>")})
    with pytest.raises(AnswerInvalid) as caught:
        with_chain([server], act)
    assert str(caught.value) == "eth.example: HTTP 500 without JSON"


def test_another_chain_is_refused() -> None:
    """Every endpoint of another chain is named."""
    others = [Server("b", {"eth_chainId": "0x1"}), Server("c", {"eth_chainId": "0x2"})]

    async def act(chain: Chain) -> None:
        await chain.verify()

    with pytest.raises(WrongChain) as caught:
        with_chain([Server("a"), *others], act)
    assert str(caught.value) == "b serves chain 1; c serves chain 2; test is chain 7"


def test_what_answers_nothing_is_asked_elsewhere() -> None:
    """A broken endpoint costs nothing while another is well."""
    servers = [
        Server("broken", {"eth_call": httpx.Response(502, text="bad gateway")}),
        Server("well", {"eth_call": word(9)}),
    ]
    assert with_chain(servers, supply) == (9, [])


def test_an_endpoint_that_is_busy_is_left_alone_as_long_as_it_asks() -> None:
    """`Retry-After` is kept; then it is asked again."""
    answers = iter([httpx.Response(429, headers={"retry-after": "7"}), word(3)])
    server = Server("busy", {"eth_call": lambda *_: next(answers)})
    number, pauses = with_chain([server], supply)
    assert (number, pauses) == (3, [7.0])


def test_waits_grow_and_end() -> None:
    """What never answers is asked six times, later and later."""
    server = Server("down", {"eth_call": httpx.Response(503, text="")})
    pauses: list[float] = []

    async def act(chain: Chain) -> None:
        rested = chain.sleep

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)
            await rested(seconds)

        chain.sleep = sleep
        await supply(chain)

    with pytest.raises(EndpointFailed, match="down: HTTP 503 without JSON"):
        with_chain([server], act)
    assert 3 <= len(server.methods) <= len(pauses) <= 6
    assert max(pauses) > 2 * pauses[0]


def test_two_endpoints_must_agree() -> None:
    """A number that one endpoint alone says is not taken."""
    servers = [Server("a", {"eth_call": word(1)}), Server("b", {"eth_call": word(2)})]
    with pytest.raises(EndpointsDisagree, match="a and b answer eth_call differently"):
        with_chain(servers, supply)


def test_a_third_endpoint_decides() -> None:
    """Where two of three agree, theirs is taken."""
    servers = [
        Server("liar", {"eth_call": word(1)}),
        Server("b", {"eth_call": word(2)}),
        Server("c", {"eth_call": word(2)}),
    ]
    assert with_chain(servers, supply) == (2, [])


def test_the_head_is_what_all_have() -> None:
    """The newest block that every endpoint in step has; one far behind is not waited for."""
    servers = [Server("a", head=20), Server("b", head=19), Server("behind", head=3)]

    async def act(chain: Chain) -> tuple[int, str | None]:
        head = await chain.head()
        return head.number, chain.endpoints[2].health.code

    assert with_chain(servers, act)[0] == (19, "lagging")


def test_a_fork_goes_back_to_where_endpoints_agree() -> None:
    """Two endpoints on two forks have a head in common; strangers have none."""

    @dataclass
    class Forked(Server):
        since: int = 0

        def usual(self, method: str, params: list[Any]) -> Any:
            usual = super().usual(method, params)
            if isinstance(usual, dict) and int(usual["number"], 16) > self.since:
                return block_at(int(usual["number"], 16), "f")
            return usual

    async def act(chain: Chain) -> str:
        return (await chain.head()).hash

    assert with_chain([Server("a", head=9), Forked("b", head=9, since=7)], act)[0] == "0x07"
    with pytest.raises(EndpointsDisagree, match="differ about every block from 2 to 9"):
        with_chain([Server("a", head=9), Forked("b", head=9, since=-1)], act)


def test_a_block_in_place_of_another_is_refused() -> None:
    """An endpoint that answers with another block than the one asked for is broken."""

    async def act(chain: Chain) -> Block:
        return await chain.block("0x04")

    server = Server("odd", {"eth_getBlockByHash": block_at(3)})
    with pytest.raises(AnswerInvalid, match="block 3 in place of 0x04"):
        with_chain([server], act)


def test_logs_come_in_ranges_that_the_endpoint_allows() -> None:
    """A range that is too wide is made narrower, one that is empty wider, none left out."""
    spans: list[tuple[int, int]] = []

    def logs(_: str, params: list[Any]) -> Any:
        first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        if last - first >= 300:
            return {"code": -32005, "message": "query returned more than 10000 results"}
        spans.append((first, last))
        return []

    async def act(chain: Chain) -> list[tuple[int, int]]:
        return [(each.first, each.last) async for each in chain.logs([TARGET], first=10, last=1500)]

    ranges, _ = with_chain([Server("a", {"eth_getLogs": logs})], act)
    assert ranges == spans
    assert ranges[0][0] == 10
    assert ranges[-1][1] == 1500
    assert all(left[1] + 1 == right[0] for left, right in pairwise(ranges))


def test_a_block_with_too_many_logs_is_refused() -> None:
    """One block cannot be made narrower."""
    refusal = {"code": -32005, "message": "query returned more than 10000 results"}

    async def act(chain: Chain) -> None:
        async for _ in chain.logs([TARGET], first=1, last=9):
            pass

    with pytest.raises(RangeTooWide):
        with_chain([Server("a", {"eth_getLogs": refusal})], act)


def test_pruned_history_is_asked_of_an_archive() -> None:
    """One endpoint without the state is no reason to give up; all without it are."""
    pruned = {"code": -32000, "message": "missing trie node 00"}
    servers = [Server("full", {"eth_call": pruned}), Server("archive", {"eth_call": word(4)})]
    assert with_chain(servers, supply) == (4, [])
    with pytest.raises(HistoryPruned):
        with_chain([Server("full", {"eth_call": pruned})], supply)


def test_a_batch_answered_in_part_is_no_answer() -> None:
    """Answers are matched by their numbers: one that is missing is not filled."""

    def partial(request: httpx.Request) -> httpx.Response:
        items = json.loads(request.content)
        return httpx.Response(200, json=[{"id": items[0]["id"], "result": "0x1"}])

    async def act() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(partial)) as client:
            await Endpoint("https://a/", client).ask([Request("x"), Request("y")])

    with pytest.raises(AnswerInvalid, match="1 answers to 2 requests"):
        asyncio.run(act())


def test_endpoints_are_urls_that_stand_once() -> None:
    """Every fault of the list is told, and no path of a URL."""
    with pytest.raises(InvalidInput) as caught:
        rpc.chain_of("test", 1, ["https://a/secret", "ftp://b", "https://a/secret", "nonsense"])
    assert [str(fault) for fault in caught.value.faults] == [
        "/rpc/1: is no URL of http or https",
        "/rpc/2: a stands twice",
        "/rpc/3: is no URL of http or https",
    ]
    with pytest.raises(InvalidInput, match="name at least one endpoint"):
        rpc.chain_of("test", 1, [])


def test_words_are_read_within_their_width() -> None:
    """A number wider than its type is no answer, and neither are too few bytes."""
    assert decoded(("uint8", "uint256"), (7).to_bytes(32, "big") + bytes(32), "f") == (7, 0)
    with pytest.raises(AnswerInvalid, match="300 is no uint8"):
        decoded(("uint8",), (300).to_bytes(32, "big"), "f")
    with pytest.raises(AnswerInvalid, match="3 bytes are no answer"):
        decoded(("uint256",), b"abc", "f")
    with pytest.raises(AnswerInvalid):
        decoded(("address", "string"), b"abc", "f")


def test_logs_are_read_by_name() -> None:
    """Indexed parameters stand in the topics, the others in the data."""
    event = Event(
        "Transfer(address,address,uint256)",
        "0xdd",
        ("sender", "receiver", "value"),
        ("sender", "receiver"),
    )
    topics = ["0xdd", topic_of(TARGET), topic_of("0x" + "cd" * 20)]
    assert event.read(topics, (12).to_bytes(32, "big")) == {
        "sender": TARGET,
        "receiver": "0x" + "cd" * 20,
        "value": 12,
    }
    with pytest.raises(AnswerInvalid, match="2 topics"):
        event.read(topics[:2], bytes(32))


@pytest.mark.parametrize(
    "signature", ["f()", "f(uint256)", "f((address,bytes)[],bool,(uint8,(int256,bool)))"]
)
def test_types_are_split_at_the_outer_commas(signature: str) -> None:
    """Put together again they are the signature."""
    assert f"f({','.join(split_types(signature))})" == signature
    assert all(each.count("(") == each.count(")") for each in split_types(signature))
