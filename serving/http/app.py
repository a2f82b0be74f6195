"""The ASGI application: from a connection to an operation's answer, or a problem."""

import asyncio
import logging
import math
import re
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from anyio import CancelScope, CapacityLimiter, Semaphore, move_on_after, to_thread
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from models.errors import Fault, InvalidInput
from serving.application.deployment import Follower
from serving.application.scoring import ScoringService
from serving.application.warm import Warmer
from serving.http.admission import Admission, is_local
from serving.http.breakers import BreakerLook
from serving.http.keys import LOOPBACK, Principal
from serving.http.language import spoken, varying
from serving.http.refusals import refusal
from serving.http.responses import document
from serving.http.routing import NUL, Answer, Call, Operation, RouteMatch, Routes
from serving.schemas import problems, requests
from serving.schemas.problems import MEDIA_TYPE, Refused, encode
from serving.telemetry import Visit, instruments, visited

LOGGER = logging.getLogger("forewarn")
HEADER = "X-Request-Id"
LONGEST_QUERY = 8_000
LONGEST_PATH = 6_000
"""Two names of 200 characters, each of up to 12 percent-encoded bytes, and what is around them."""

MOST_PROBES = 4
"""Threads for admission and probes, apart from those that work."""

LARGE = 2**17
"""Bytes of a body from which on work that takes turns waits for its turn."""

MOST_TURNS = 4
"""Large bodies that are worked on at once. One lock holds their threads apart for the most part, so
that more of them are done no sooner, and each takes up to 15 MB until it is answered."""

LONGEST_WAIT = 0.25
"""Part of its time that work waits for its turn; then it is done beside the others."""

API = "/v1/"
"""What the paths of the API begin with; those of pages and documents do not."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
SECURE: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class _Request:
    """One request as it comes.

    Parameters
    ----------
    headers
        Names in lower case.
    """

    scope: Scope
    receive: Receive
    headers: Mapping[str, str]


@dataclass(slots=True)
class Api:
    """Every operation, behind the gate.

    Parameters
    ----------
    desk, gate
        Set by the service once the worker has loaded them; until then everything that needs
        them is refused with 503.
    follower
        Swaps the desk's bundles as a registry's pointers move; None without a registry.
    warmer
        Keeps the book read and judged; None where the settings do not ask for it.
    """

    routes: Routes
    desk: ScoringService | None = None
    gate: Admission | None = None
    follower: Follower | None = None
    warmer: Warmer | None = None
    _breakers: BreakerLook = field(default_factory=BreakerLook)
    _late: set["asyncio.Future[Any]"] = field(default_factory=set)
    # As many threads as there are places: work that has a place waits for no thread.
    _working: CapacityLimiter = field(default_factory=partial(CapacityLimiter, math.inf))
    _turns: Semaphore = field(default_factory=partial(Semaphore, MOST_TURNS))
    _probing: CapacityLimiter = field(default_factory=partial(CapacityLimiter, MOST_PROBES))

    def close(self) -> None:
        """End what runs beside the requests and give back the store's connections."""
        for beside in (self.follower, self.warmer):
            if beside is not None:
                beside.stop()
        if self.desk is not None and self.desk.shadow is not None:
            self.desk.shadow.stop()
        if self.desk is not None and self.desk.store is not None:
            self.desk.store.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http":
            return
        request = _Request(scope, receive, _headers(scope))
        visit = Visit(request_id=_request_id(scope, request.headers), method=scope["method"])
        began = time.perf_counter()
        try:
            answer = await self._answer(request, visit)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the one outermost guard
            answer = _problem(refusal(error, visit.request_id), visit)
        visit.status, visit.seconds = answer.status, time.perf_counter() - began
        visited(visit)
        marks = {HEADER: visit.request_id, **SECURE, **self._cors(request)}
        await _sent(answer, marks)(scope, receive, send)

    async def _answer(self, request: _Request, visit: Visit) -> Answer:
        """Return the answer of a request.

        Raises
        ------
        Refused
            When it is refused before its operation is asked.
        """
        match = _match(self.routes, request.scope)
        visit.route = match.template
        if visit.method == "OPTIONS" and "origin" in request.headers:
            return self._preflight(request, match)
        operation = _operation(match, visit.method)
        desk, gate = self.desk, self.gate
        if desk is None or gate is None:
            if operation.scope is None and operation.path == "/livez":
                return operation.work(_NO_DESK, Call(request_id=visit.request_id))
            raise Refused(
                problems.UNAVAILABLE, "the worker is starting", headers={"Retry-After": "2"}
            )
        principal = await self._admitted(request, operation, gate, desk)
        visit.caller = principal.id
        length = _body_length(operation, request)
        query = _query(request.scope)
        faults = operation.name_faults(match.parameters)
        faults += [Fault(f"?{name[:80]}", NUL) for name, text in query.items() if "\0" in text]
        if faults:
            raise InvalidInput(faults)
        call = Call(
            path=match.parameters,
            query=query,
            headers=request.headers,
            request_id=visit.request_id,
            principal=principal,
        )
        seconds = gate.settings.timeout_seconds
        if operation.is_probe:
            work = to_thread.run_sync(operation.work, desk, call, limiter=self._probing)
            return await self._in_time(work, seconds, release=lambda: None)
        if length is not None and operation.at_once is not None and length <= operation.at_once:
            read = replace(call, body=await _read(request, seconds=seconds))
            return _in_language(self._breakers.at_once, operation, desk, read)
        with ExitStack() as place:
            # A body is held by who has a place: what all of them hold is bounded too.
            place.enter_context(gate.place(principal.id))
            if length != 0:
                call = replace(call, body=await _read(request, seconds=seconds))
            act = partial(_in_language, self._breakers.work, operation, desk, call)
            is_large = operation.takes_turns and len(call.body) >= LARGE
            done = self._at_its_turn(act, seconds) if is_large else self._done(act)
            return await self._in_time(done, seconds, release=place.pop_all().close)

    async def _admitted(
        self, request: _Request, operation: Operation, gate: Admission, desk: ScoringService
    ) -> Principal:
        """Return who asks, once the gate has let the request pass."""
        if operation.scope is None:
            return LOOPBACK
        client, host = request.scope.get("client"), request.headers.get("host", "")
        local = is_local(client[0] if client else None, host, headers=request.headers)
        admit = partial(
            gate.admit,
            request.headers.get("authorization"),
            operation.scope,
            is_local=local,
            at=desk.clock(),
            now=time.monotonic(),
        )
        is_due = gate.keyring.is_due(now=time.monotonic())
        principal = await to_thread.run_sync(admit, limiter=self._probing) if is_due else admit()
        origin = request.headers.get("origin")
        if origin is None or principal is not LOOPBACK:
            return principal
        # A page of our own names the very host that it asks, which `is_local` has checked.
        same_origin = f"{request.scope.get('scheme', 'http')}://{host}"
        if origin not in {same_origin, *gate.settings.origins}:
            detail = f"pages of {str(origin)[:200]} may not ask a service without keys"
            raise Refused(problems.FORBIDDEN, detail)
        return principal

    async def _done(self, work: Callable[[], Answer]) -> Answer:
        """Return the answer of work on a thread."""
        return await to_thread.run_sync(work, limiter=self._working)

    async def _at_its_turn(self, work: Callable[[], Answer], seconds: float) -> Answer:
        """Return the answer of work on a thread once it is its turn, or it has waited for long."""
        has_turn = False
        with move_on_after(LONGEST_WAIT * seconds):
            await self._turns.acquire()
            has_turn = True
        try:
            return await self._done(work)
        finally:
            if has_turn:
                self._turns.release()

    async def _in_time(
        self, work: Coroutine[Any, Any, Answer], seconds: float, *, release: Callable[[], None]
    ) -> Answer:
        """Return the answer of work on a thread, or give it up after the time allowed.

        A thread ends by itself: work that is given up keeps its place until it looks whether it
        still is wanted, as judging does at every evaluation of the rules.

        Parameters
        ----------
        release
            Gives back the place once the thread has ended.
        """
        scope = CancelScope()
        task = asyncio.ensure_future(_within(scope, work))
        self._late.add(task)
        task.add_done_callback(partial(self._ended, release))
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            scope.cancel()
            raise Refused(problems.TIMEOUT, f"the answer took longer than {seconds:g} s")
        return task.result()

    def _ended(self, release: Callable[[], None], work: "asyncio.Future[Any]") -> None:
        """Note that a piece of work has ended."""
        release()
        self._late.discard(work)
        if not work.cancelled():
            work.exception()  # an unread one would be reported as a defect of the loop

    def _preflight(self, request: _Request, match: RouteMatch) -> Answer:
        """Answer a browser that asks whether it may ask."""
        if not self._cors(request):
            raise Refused(problems.FORBIDDEN, "pages of this origin may not ask")
        methods = ", ".join(sorted(match.operations))
        allowed = f"Accept-Language, Authorization, Content-Type, Idempotency-Key, {HEADER}"
        headers = {
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": allowed,
            "Access-Control-Max-Age": "600",
        }
        return Answer(body=b"", status=204, headers=headers)

    def _cors(self, request: _Request) -> dict[str, str]:
        """Return the headers that let a listed origin's page read the answer."""
        origin = request.headers.get("origin")
        allowed = self.gate.settings.origins if self.gate is not None else ()
        if origin is None or origin not in allowed:
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": f"{HEADER}, Retry-After",
        }


async def _within(scope: CancelScope, work: Coroutine[Any, Any, Answer]) -> Answer:
    """Return the answer of work that a scope can call off."""
    with scope:
        return await work
    raise asyncio.CancelledError


def _in_language(
    work: Callable[[Operation, ScoringService, Call], Answer],
    operation: Operation,
    desk: ScoringService,
    call: Call,
) -> Answer:
    """Return an operation's answer, that of the API in the language that is asked for."""
    answer = work(operation, desk, call)
    return spoken(answer, call.headers) if operation.path.startswith(API) else answer


_NO_DESK: Any = None
"""Liveness asks nothing of a desk."""


def _match(routes: Routes, scope: Scope) -> RouteMatch:
    """Return the route that matches the path of a request."""
    raw = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0].decode("latin-1")
    if len(path) > LONGEST_PATH:
        raise Refused(problems.UNKNOWN_PATH, f"a path of {len(path)} characters")
    match = routes.find(path)
    if match is None:
        paths = ", ".join([*routes.plain, *routes.templates])
        raise Refused(problems.UNKNOWN_PATH, f"{path[:200]!r} is none of {paths}")
    return match


def _operation(match: RouteMatch, method: str) -> Operation:
    """Return the operation of a method; HEAD is answered as GET, without the body."""
    operation = match.operations.get("GET" if method == "HEAD" else method)
    if operation is None:
        named = [*match.operations, *(["HEAD"] if "GET" in match.operations else [])]
        raise Refused(
            problems.METHOD_NOT_ALLOWED,
            f"{match.template} takes {' or '.join(named)}, not {method[:20]}",
            headers={"Allow": ", ".join(named)},
        )
    return operation


def _body_length(operation: Operation, request: _Request) -> int | None:
    """Return the length of the body; None where only its end tells.

    Raises
    ------
    Refused
        400 where there is one and the operation takes none, 415 where it is compressed or of a
        form that the operation does not read.
    """
    if "transfer-encoding" in request.headers:
        length = None
    else:
        # The parser has let digits alone pass.
        length = int(request.headers.get("content-length", "0"))
    if not operation.media_types and length != 0:
        detail = f"{operation.method} {operation.path} takes no body"
        raise Refused(problems.BAD_REQUEST, detail)
    _refuse_media(operation, request)
    return length


def _refuse_media(operation: Operation, request: _Request) -> None:
    """Refuse a compressed body, and one of a form that the operation does not read."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        detail = f"Content-Encoding {coding[:40]!r} is not read: send the body as it is"
        raise Refused(problems.UNSUPPORTED, detail)
    stated = request.headers.get("content-type")
    kind = (stated or "").partition(";")[0].strip().lower()
    if operation.media_types and stated is not None and kind not in operation.media_types:
        detail = f"Content-Type {kind[:80]!r} is none of {', '.join(operation.media_types)}"
        raise Refused(problems.UNSUPPORTED, detail)


def _query(scope: Scope) -> dict[str, str]:
    """Return the parameters behind the path; one that stands twice is refused."""
    raw = scope.get("query_string", b"")
    if not raw:
        return {}
    if len(raw) > LONGEST_QUERY:
        detail = f"a query of {len(raw)} characters, at most {LONGEST_QUERY}"
        raise Refused(problems.BAD_REQUEST, detail)
    pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True)
    named = dict(pairs)
    if len(named) != len(pairs):
        raise Refused(problems.BAD_REQUEST, "a parameter of the query stands twice")
    return named


async def _read(request: _Request, *, seconds: float) -> bytes:
    """Return the body; raises as `_whole` does, and 408 when it takes too long to come."""
    try:
        async with asyncio.timeout(seconds):
            return await _whole(request)
    except TimeoutError:
        detail = f"the body took longer than {seconds:g} s to come"
        raise Refused(problems.TOO_SLOW, detail) from None


async def _whole(request: _Request) -> bytes:
    """Return the body.

    A longer body is read to its end, up to four times the limit, before it is refused: a
    client that is still sending would see a reset connection instead of the reason.

    Raises
    ------
    Refused
        413 when it is longer than the limit.
    ClientDisconnect
        When the caller is gone before its end.
    """
    parts: list[bytes] = []
    size, is_more = 0, True
    while is_more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part, is_more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size <= requests.MOST_BYTES:
            parts.append(part)
        elif size > 4 * requests.MOST_BYTES:
            break
    if size > requests.MOST_BYTES:
        raise Refused(problems.TOO_LARGE, f"a body has at most {requests.MOST_BYTES} bytes")
    return b"".join(parts)


def _problem(refused: Refused, visit: Visit) -> Answer:
    """Return and count a refusal."""
    kind = refused.kind
    instruments().refusals.labels(kind=kind.name).inc()
    written = document(
        kind, request_id=visit.request_id, detail=refused.detail, faults=refused.faults
    )
    return Answer(
        body=encode(written), status=kind.status, media_type=MEDIA_TYPE, headers=refused.headers
    )


def _sent(answer: Answer, marks: Mapping[str, str]) -> Response:
    """Return an answer as a response.

    Parameters
    ----------
    marks
        Headers of every response; what the answer says of the same name wins.
    """
    stated = {name.lower() for name in answer.headers}
    headers = {name: value for name, value in marks.items() if name.lower() not in stated}
    headers |= answer.headers
    if "Access-Control-Allow-Origin" in headers:
        headers = varying(headers, "Origin")
    return Response(
        answer.body, status_code=answer.status, media_type=answer.media_type, headers=headers
    )


def _headers(scope: Scope) -> dict[str, str]:
    """Return the headers of a request, names in lower case; of one that stands twice, the first."""
    return {
        name.decode("latin-1").lower(): value.decode("latin-1")
        for name, value in reversed(scope["headers"])
    }


def _request_id(scope: Scope, headers: Mapping[str, str]) -> str:
    """Return the id of a request, given to it once."""
    if "forewarn.request_id" not in scope:
        named = headers.get(HEADER.lower(), "")
        scope["forewarn.request_id"] = named if _ID.fullmatch(named) else uuid.uuid4().hex
    return str(scope["forewarn.request_id"])
