"""The ASGI routes, and the guard that stands around everything else."""

import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.errors import InvalidInput
from serving import margin, openapi, problems, wire
from serving.desk import Desk, UnknownAccounts
from serving.reading import NotJson
from serving.telemetry import instruments

LOGGER = logging.getLogger("forewarn")
HEADER = "X-Request-Id"
METHODS: Mapping[str, tuple[str, ...]] = {
    "/v1/score": ("POST",),
    "/v1/margin": ("POST",),
    "/v1/trigger": ("POST",),
    "/v1/liquidation": ("POST",),
    "/livez": ("GET", "HEAD"),
    "/readyz": ("GET", "HEAD"),
    "/metrics": ("GET", "HEAD"),
    "/openapi.json": ("GET", "HEAD"),
    "/docs": ("GET", "HEAD"),
}
THROUGH_BENTO = frozenset(
    {path for path, verbs in METHODS.items() if "POST" in verbs} | {"/metrics"}
)
FAILED = 400
_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")


def application() -> Starlette:
    """Return the routes; `app.state.desk` is set by the service before the first request."""
    return Starlette(
        routes=[
            Route("/v1/score", answering(Desk.score), methods=["POST"]),
            Route("/v1/margin", answering(margin.margin), methods=["POST"]),
            Route("/v1/trigger", answering(margin.trigger), methods=["POST"]),
            Route("/v1/liquidation", answering(margin.liquidation), methods=["POST"]),
            Route("/livez", livez, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/openapi.json", described, methods=["GET"]),
            Route("/docs", documented, methods=["GET"]),
        ]
    )


def answering(
    work: Callable[[Desk, bytes, str], bytes],
) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that answers a body by `work`, or says what is wrong with it."""

    async def endpoint(request: Request) -> Response:
        request_id = _request_id(request.scope)
        desk = _desk(request)
        if desk is None:
            return _starting(request_id)
        body = await _read(request)
        if body is None:
            return _refused(
                problems.TOO_LARGE, request_id, f"a body has at most {wire.MOST_BYTES} bytes"
            )
        try:
            answer = await run_in_threadpool(work, desk, body, request_id)
        except NotJson as error:
            return _refused(problems.NOT_JSON, request_id, str(error))
        except UnknownAccounts as error:
            return _refused(problems.UNKNOWN_ACCOUNT, request_id, str(error), error=error)
        except InvalidInput as error:
            count = len(error.faults)
            detail = f"{count} fault{'s' if count != 1 else ''} found"
            return _refused(problems.INVALID, request_id, detail, error=error)
        return Response(answer, media_type="application/json", headers={HEADER: request_id})

    return endpoint


async def livez(request: Request) -> Response:
    """Say that the process answers."""
    return JSONResponse({"status": "alive"}, headers={HEADER: _request_id(request.scope)})


async def readyz(request: Request) -> Response:
    """Say whether requests can be answered, and how soundly."""
    request_id = _request_id(request.scope)
    desk = _desk(request)
    if desk is None:
        return _starting(request_id)
    ready, state = desk.status()
    if not ready:
        detail = "; ".join(state["reasons"])
        return problems.respond(problems.UNAVAILABLE, request_id=request_id, detail=detail)
    return JSONResponse(state, headers={HEADER: request_id})


async def described(request: Request) -> Response:
    """Return the OpenAPI document."""
    body = msgspec.json.encode(openapi.document())
    headers = {HEADER: _request_id(request.scope)}
    return Response(body, media_type="application/json", headers=headers)


async def documented(request: Request) -> Response:
    """Return the OpenAPI document for reading."""
    return HTMLResponse(openapi.page(), headers={HEADER: _request_id(request.scope)})


def _desk(request: Request) -> Desk | None:
    """Return the worker's desk, or None while it starts."""
    found = getattr(request.app.state, "desk", None)
    return found if isinstance(found, Desk) else None


def _starting(request_id: str) -> Response:
    """Refuse while the worker starts."""
    return problems.respond(
        problems.UNAVAILABLE,
        request_id=request_id,
        detail="the worker is starting",
        headers={"Retry-After": "2"},
    )


def _refused(
    kind: problems.Kind, request_id: str, detail: str, *, error: InvalidInput | None = None
) -> Response:
    """Return and count a refusal."""
    instruments().refusals.labels(kind=kind.name).inc()
    faults = error.faults if error else ()
    return problems.respond(kind, request_id=request_id, detail=detail, faults=faults)


async def _read(request: Request) -> bytes | None:
    """Return the body, or None when it is longer than the limit.

    A longer body is read to its end, up to four times the limit, before it is refused: a
    client that is still sending would see a reset connection instead of the reason.
    """
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= wire.MOST_BYTES:
            parts.append(part)
        elif size > 4 * wire.MOST_BYTES:
            return None
    return b"".join(parts) if size <= wire.MOST_BYTES else None


def _request_id(scope: Scope) -> str:
    """Return the id of a request, given to it once."""
    if "forewarn.request_id" not in scope:
        wanted = dict(scope.get("headers", [])).get(HEADER.lower().encode(), b"")
        named = wanted.decode("latin-1")
        scope["forewarn.request_id"] = named if _ID.fullmatch(named) else uuid.uuid4().hex
    return str(scope["forewarn.request_id"])


class Guard:
    """The outermost layer: known paths only, problems as problems, an id on every answer.

    Parameters
    ----------
    inner
        The whole BentoML application: metrics, access log, limits, and the mounted routes.
    routes
        The routes themselves, for the paths that BentoML would answer in another shape.
    """

    def __init__(self, inner: ASGIApp, routes: ASGIApp) -> None:
        self.inner = inner
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        request_id = _request_id(scope)
        refusal = _misdirected(scope, request_id)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        outlet = _Outlet(send, request_id)
        chosen = self.inner if scope["path"] in THROUGH_BENTO else self.routes
        try:
            await chosen(scope, receive, outlet)
        except ClientDisconnect:
            return
        except Exception:  # the one outermost guard
            LOGGER.exception("request %s failed", request_id)
            if not outlet.started:
                response = problems.respond(
                    problems.INTERNAL, request_id=request_id, detail="see the service's log"
                )
                await response(scope, receive, send)


def _misdirected(scope: Scope, request_id: str) -> Response | None:
    """Return the refusal of an unknown path or method, before it can name a metric."""
    path = str(scope["path"])
    allowed = METHODS.get(path)
    if allowed is None:
        known = ", ".join(METHODS)
        detail = f"{path[:200]!r} is none of {known}"
        return problems.respond(problems.NOT_FOUND, request_id=request_id, detail=detail)
    if scope["method"] not in allowed:
        return problems.respond(
            problems.METHOD_NOT_ALLOWED,
            request_id=request_id,
            detail=f"{path} takes {' or '.join(allowed)}, not {scope['method'][:20]}",
            headers={"Allow": ", ".join(allowed)},
        )
    return None


class _Outlet:
    """Passes an answer on; an error in another shape leaves as a problem."""

    def __init__(self, send: Send, request_id: str) -> None:
        self.send = send
        self.request_id = request_id
        self.started = False
        self.replaced = False

    async def __call__(self, message: Message) -> None:
        """Pass one message on."""
        if self.replaced:
            return
        if message["type"] == "http.response.start":
            self.started = True
            headers = {name.lower(): value for name, value in message.get("headers", [])}
            kind = headers.get(b"content-type", b"").decode("latin-1")
            if message["status"] >= FAILED and not kind.startswith(problems.MEDIA_TYPE):
                self.replaced = True
                await self._replace(message["status"])
                return
            if HEADER.lower().encode() not in headers:
                own = (HEADER.lower().encode(), self.request_id.encode())
                message = {**message, "headers": [*message.get("headers", []), own]}
        await self.send(message)

    async def _replace(self, status: int) -> None:
        """Send a problem instead of another layer's error."""
        kind = problems.of_status(status)
        retry = {"Retry-After": "1"} if status in {429, 503} else {}
        response = problems.respond(
            kind, request_id=self.request_id, detail=kind.title, headers=retry
        )
        start: dict[str, Any] = {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
        await self.send(start)
        await self.send({"type": "http.response.body", "body": bytes(response.body)})
