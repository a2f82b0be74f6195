"""One JSON-RPC endpoint of a chain: what is sent, what comes back, what its errors mean.

References
----------
JSON-RPC 2.0, https://www.jsonrpc.org/specification; Ethereum execution APIs,
https://github.com/ethereum/execution-apis; EIP-1474 for error codes; read 2026-11.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import msgspec

from serving.connect.errors import (
    AnswerInvalid,
    BlockGone,
    ConnectFailed,
    EndpointFailed,
    HistoryPruned,
    RangeTooWide,
    RateLimited,
    Reverted,
)
from serving.waits import retry_after

TIMEOUT_SECONDS = 20.0
TOO_MANY_REQUESTS = 429
LATENCY_WEIGHT = 0.2
"""Weight of the newest answer in the mean time to answer."""

TROUBLE: dict[type[httpx.HTTPError | httpx.InvalidURL], str] = {
    httpx.ConnectError: "cannot be reached",
    httpx.ConnectTimeout: "no connection in time",
    httpx.ReadTimeout: "no answer in time",
    httpx.RemoteProtocolError: "breaks the connection off",
}
"""What went wrong, by the class of an error: its text may hold the URL, and a key in it."""

MEANINGS: tuple[tuple[type[ConnectFailed], tuple[str, ...]], ...] = (
    (
        RangeTooWide,
        (
            "query returned more than",
            "block range",
            "range is too large",
            "range too large",
            "too many blocks",
            "too many results",
            "response size",
            "logs limit",
            "max results",
            "exceeds max",
            "limited to",
        ),
    ),
    (
        RateLimited,
        (
            "rate limit",
            "rate-limit",
            "too many requests",
            "request limit",
            "request count exceeded",
            "capacity",
            "quota",
            "throughput",
        ),
    ),
    (
        HistoryPruned,
        (
            "missing trie node",
            "pruned",
            "historical state",
            "state not available",
            "state is not available",
            "state already discarded",
            "no state available",
            "archive",
        ),
    ),
    (
        BlockGone,
        (
            "header not found",
            "header for hash not found",
            "block not found",
            "blocknotfound",
            "unknown block",
            "not currently canonical",
            "not canonical",
            "block does not exist",
            "resource not found",
        ),
    ),
    (Reverted, ("revert", "invalid opcode", "stack underflow", "bad jump", "out of gas")),
)
"""What nodes write, by what it means; codes alone are used for several things."""


class Request(NamedTuple):
    """One question: a method of the API and its parameters."""

    method: str
    params: tuple[Any, ...] = ()


@dataclass(slots=True)
class Health:
    """How an endpoint did of late.

    Parameters
    ----------
    failures
        In a row.
    rests_until
        Monotonic time until which it is left alone.
    error
        What went wrong last; None while it is well.
    code
        The code of that error.
    head
        Number of the newest block it spoke of.
    seconds
        Mean time to answer.
    """

    failures: int = 0
    rests_until: float = 0.0
    error: str | None = None
    code: str | None = None
    head: int | None = None
    seconds: float | None = None

    def succeed(self, seconds: float) -> None:
        """Note an answer."""
        before = self.seconds
        self.seconds = seconds if before is None else before + LATENCY_WEIGHT * (seconds - before)
        self.failures, self.error, self.code = 0, None, None

    def fail(self, error: ConnectFailed, *, rests_until: float) -> None:
        """Note a failure, and until when nothing more is asked."""
        self.failures += 1
        self.error, self.code = str(error), error.code
        self.rests_until = rests_until


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """A server that speaks for a chain.

    Parameters
    ----------
    url
        With whatever key it carries: `name` is what may be shown.
    client
        Connections, shared by endpoints.
    """

    url: str
    client: httpx.AsyncClient
    health: Health = field(default_factory=Health)

    @property
    def name(self) -> str:
        """Return the host, and nothing that may be a secret."""
        return shown(self.url)

    async def ask(self, requests: Sequence[Request]) -> list[Any]:
        """Return what each request is answered: its result, or the error as a value.

        Raises
        ------
        EndpointFailed
            When there is no answer, or none to all of the requests.
        """
        started = time.perf_counter()
        answers = await self._post(requests)
        self.health.succeed(time.perf_counter() - started)
        return answers

    async def _post(self, requests: Sequence[Request]) -> list[Any]:
        """Send one body and match its answers; raises as `ask` does."""
        bodies = [
            {"jsonrpc": "2.0", "id": number, "method": request.method, "params": request.params}
            for number, request in enumerate(requests)
        ]
        content = msgspec.json.encode(bodies if len(bodies) > 1 else bodies[0])
        try:
            response = await self.client.post(
                self.url, content=content, headers={"content-type": "application/json"}
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            trouble = TROUBLE.get(type(error), type(error).__name__)
            raise EndpointFailed(f"{self.name}: {trouble}") from None
        if response.status_code == TOO_MANY_REQUESTS:
            wait = retry_after(response.headers.get("retry-after"), now=datetime.now(tz=UTC))
            raise RateLimited(f"{self.name}: asked too often (HTTP 429)", wait)
        try:
            tree = msgspec.json.decode(response.content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            detail = f"HTTP {response.status_code} without JSON"
            raise AnswerInvalid(f"{self.name}: {detail}") from None
        return self._matched(tree, len(requests), response.status_code)

    def _matched(self, tree: Any, count: int, status: int) -> list[Any]:
        """Return the answers in the order of their requests; raises as `ask` does."""
        if isinstance(tree, dict) and "error" in tree and (count > 1 or tree.get("id") is None):
            raise self._whole(meaning(tree["error"], self.name))
        items = [tree] if isinstance(tree, dict) else tree
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise AnswerInvalid(f"{self.name}: HTTP {status} without an answer")
        by_number = {item.get("id"): item for item in items}
        if set(by_number) != set(range(count)):
            detail = f"{len(items)} answers to {count} requests, or others' answers"
            raise AnswerInvalid(f"{self.name}: {detail}")
        return [self._value(by_number[number]) for number in range(count)]

    def _value(self, item: dict[str, Any]) -> Any:
        """Return a result, or what its error means."""
        if item.get("error") is not None:
            return meaning(item["error"], self.name)
        if "result" not in item:
            raise AnswerInvalid(f"{self.name}: an answer with neither result nor error")
        return item["result"]

    def _whole(self, error: ConnectFailed) -> EndpointFailed:
        """Return the error of a whole batch as a failure of the endpoint."""
        return error if isinstance(error, EndpointFailed) else EndpointFailed(str(error))


def shown(url: str) -> str:
    """Return a URL's host and port: paths, queries and users hold keys.

    >>> shown("https://user:secret@eth.example/v3/KEY?x=1"), shown("http://127.0.0.1:8545")
    ('eth.example', '127.0.0.1:8545')
    """
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.hostname or 'no host'}{port}"


def meaning(error: Any, name: str) -> ConnectFailed:
    """Return what the error object of an answer means.

    Parameters
    ----------
    name
        Of the endpoint.
    """
    stated = error if isinstance(error, dict) else {"message": error}
    text = str(stated.get("message", ""))[:200]
    words = text.lower()
    for kind, phrases in MEANINGS:
        if any(phrase in words for phrase in phrases):
            if kind is Reverted:
                return Reverted(f"{name}: {text}", _revert_data(stated.get("data")))
            return kind(f"{name}: {text}")
    return EndpointFailed(f"{name}: {text or 'an error without words'} ({stated.get('code')})")


def _revert_data(data: Any) -> bytes:
    """Return what a contract said as it refused; empty where that is not told."""
    try:
        return bytes.fromhex(data[2:]) if isinstance(data, str) else b""
    except ValueError:
        return b""
