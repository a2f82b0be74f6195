"""How a request is made: with the key, asked again where that is safe, refusals raised."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

ATTEMPTS = 4
BUSY = frozenset({429, 503})
FAILED = 400
LONGEST_SECONDS = 86_400.0
Outcome = httpx.Response | httpx.TransportError
"""What comes of one attempt."""


class Fault(msgspec.Struct, frozen=True):
    """One fault of a request, and the JSON pointer of its place."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, frozen=True):
    """A refusal, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str = ""
    errors: tuple[Fault, ...] = ()


class ServiceRefused(Exception):  # noqa: N818 - it is a refusal, not a fault of the program
    """The service refused a request.

    Parameters
    ----------
    status
        Of HTTP.
    problem
        As it was answered; None where the answer was no problem document.
    """

    def __init__(self, status: int, problem: Problem | None) -> None:
        self.status = status
        self.problem = problem
        super().__init__(status, problem)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every fault that the service found."""
        return () if self.problem is None else self.problem.errors

    def __str__(self) -> str:
        """Show what was refused and why."""
        if self.problem is None:
            return f"HTTP status {self.status}"
        listed = "".join(f"\n{fault.pointer}: {fault.detail}" for fault in self.faults)
        return f"{self.problem.title} ({self.status}): {self.problem.detail}{listed}"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request, ready to be sent as often as needed."""

    method: str
    url: str
    params: dict[str, Any]
    content: bytes | None
    headers: dict[str, str]


def request(
    method: str,
    path: str,
    *,
    at: Mapping[str, str] | None = None,
    query: Mapping[str, Any] | None = None,
    body: Any = None,
    writes: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Request:
    """Return a request; a write gets an idempotency key of its own, unless one is given.

    Parameters
    ----------
    path
        With the names of its parameters in braces.
    at, query
        Parameters of the path and of the query; those of the query that are None are left out.
    body
        Sent as JSON; bytes are sent as they are.
    """
    named = dict(headers or {})
    content: bytes | None = None
    if isinstance(body, bytes):
        content = body
    elif body is not None:
        content = msgspec.json.encode(body)
        named.setdefault("Content-Type", "application/json")
    if writes:
        named.setdefault("Idempotency-Key", uuid.uuid4().hex)
    parts = {name: quote(value, safe="") for name, value in (at or {}).items()}
    params = {name: value for name, value in (query or {}).items() if value is not None}
    return Request(
        method=method,
        url=path.format_map(parts),
        params=params,
        content=content,
        headers=named,
    )


def wait_seconds(answer: httpx.Response) -> float:
    """Return how long a busy service asks to be left alone, in seconds; 1 where it says nothing."""
    stated = answer.headers.get("Retry-After", "")
    try:
        seconds = float(stated)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(stated) - datetime.now(tz=UTC)).total_seconds()
        except (TypeError, ValueError):
            return 1.0
    return min(max(seconds, 0.0), LONGEST_SECONDS) if seconds == seconds else 1.0  # noqa: PLR0124 - NaN


def wait_before(attempt: int, outcome: Outcome) -> float | None:
    """Return the seconds to wait before asking again; None where an outcome stands."""
    if attempt == ATTEMPTS:
        return None
    if isinstance(outcome, httpx.TransportError):
        return 0.1 * 2**attempt
    return wait_seconds(outcome) if outcome.status_code in BUSY else None


def checked(outcome: Outcome) -> bytes:
    """Return the body of a sound answer.

    Raises
    ------
    ServiceRefused
        When it is a refusal.
    httpx.TransportError
        When there is no answer.
    """
    if isinstance(outcome, httpx.TransportError):
        raise outcome
    if outcome.status_code < FAILED:
        return outcome.content
    is_problem = outcome.headers.get("Content-Type", "").startswith("application/problem+json")
    problem = msgspec.json.decode(outcome.content, type=Problem) if is_problem else None
    raise ServiceRefused(outcome.status_code, problem)


def headers_of(key: str | None, language: str | None) -> dict[str, str]:
    """Return what every request of a client says of who asks, and in which language."""
    named = {} if language is None else {"Accept-Language": language}
    return named if key is None else {**named, "Authorization": f"Bearer {key}"}


class Transport:
    """Asks and waits.

    Parameters
    ----------
    url
        Of the service.
    key
        As `forewarn keys create` shows it once; None on loopback while no keys exist.
    language
        Of every `text` in the answers, such as `de`; None for English.
    timeout
        Seconds for one attempt.
    transport, sleep
        For tests.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        language: str | None = None,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url
        headers = headers_of(key, language)
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=timeout, transport=transport
        )
        self._sleep = sleep

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, method: str, path: str, **options: Any) -> bytes:
        """Return the body of a sound answer; busy services and broken connections are asked again.

        Parameters
        ----------
        options
            As `request` takes them.

        Raises
        ------
        ServiceRefused
            When the answer is a refusal.
        httpx.TransportError
            When no attempt got an answer.
        """
        made, attempt = request(method, path, **options), 1
        while (wait := wait_before(attempt, outcome := self._send(made))) is not None:
            self._sleep(wait)
            attempt += 1
        return checked(outcome)

    def _send(self, made: Request) -> Outcome:
        """Return what comes of one attempt."""
        try:
            return self._http.request(**msgspec.structs.asdict(made))
        except httpx.TransportError as error:
            return error

    def _json(self, method: str, path: str, **options: Any) -> Any:
        """Return an answer, decoded."""
        return msgspec.json.decode(self.ask(method, path, **options))

    def _bytes(self, method: str, path: str, **options: Any) -> bytes:
        """Return an answer as it came."""
        return self.ask(method, path, **options)


class AsyncTransport:
    """Asks without blocking; parameters as in `Transport`."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        language: str | None = None,
        timeout: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.url = url
        headers = headers_of(key, language)
        self._http = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=timeout, transport=transport
        )
        self._sleep = sleep

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(self, method: str, path: str, **options: Any) -> bytes:
        """Return the body of a sound answer, as `Transport.ask` does."""
        made, attempt = request(method, path, **options), 1
        while (wait := wait_before(attempt, outcome := await self._send(made))) is not None:
            await self._sleep(wait)
            attempt += 1
        return checked(outcome)

    async def _send(self, made: Request) -> Outcome:
        """Return what comes of one attempt."""
        try:
            return await self._http.request(**msgspec.structs.asdict(made))
        except httpx.TransportError as error:
            return error

    async def _json(self, method: str, path: str, **options: Any) -> Any:
        """Return an answer, decoded."""
        return msgspec.json.decode(await self.ask(method, path, **options))

    async def _bytes(self, method: str, path: str, **options: Any) -> bytes:
        """Return an answer as it came."""
        return await self.ask(method, path, **options)
