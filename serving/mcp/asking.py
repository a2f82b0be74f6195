"""How a tool asks the API: over the network, or within the process, as whoever called the tool."""

import json
import uuid
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import httpx
from mcp.server.mcpserver.exceptions import ToolError
from starlette.types import ASGIApp

FAILED = 400
TIMEOUT = 120.0
FORWARDED = ("authorization", "forwarded", "via", "x-forwarded-for", "x-real-ip", "origin")
"""Headers of the caller that decide what the API lets them do."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who called a tool over HTTP.

    Parameters
    ----------
    address
        Host and port that the connection comes from.
    host
        As the caller named the service.
    headers
        Those of `FORWARDED` that were sent.
    """

    address: tuple[str, int]
    host: str
    headers: Mapping[str, str] = field(default_factory=dict)


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


class Api:
    """The API behind the tools.

    Parameters
    ----------
    url
        Of a running service; None where `app` answers.
    key
        Bearer token for the service at `url`.
    app
        The API in this process, asked in the name of whoever called the tool.
    """

    def __init__(
        self, url: str | None = None, *, key: str | None = None, app: ASGIApp | None = None
    ) -> None:
        self._app = app
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._client: httpx.AsyncClient | None = None
        if app is None:
            self._client = httpx.AsyncClient(base_url=url or "", headers=headers, timeout=TIMEOUT)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the answer of an operation.

        Raises
        ------
        ToolError
            With the problem document of the API when it refuses, so that an agent reads every
            fault with its place; and when the service cannot be reached.
        """
        options: dict[str, Any] = {
            "params": {name: value for name, value in (query or {}).items() if value is not None}
        }
        if body is not None:
            options["json"] = {name: value for name, value in body.items() if value is not None}
        try:
            answer = await self._send(method, path, options)
        except httpx.HTTPError as error:
            raise ToolError(_unreachable(error)) from None
        if answer.status_code >= FAILED:
            raise ToolError(answer.text)
        content: dict[str, Any] = answer.json()
        return content

    async def _send(self, method: str, path: str, options: Mapping[str, Any]) -> httpx.Response:
        """Send one request."""
        if self._client is not None:
            return await self._client.request(method, path, **options)
        caller = CALLER.get() or Caller(("127.0.0.1", 0), "127.0.0.1")
        transport = httpx.ASGITransport(self._app, client=caller.address)  # type: ignore[arg-type]
        base = f"http://{caller.host}"
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, headers=dict(caller.headers), **options)

    async def close(self) -> None:
        """Give back the connections."""
        if self._client is not None:
            await self._client.aclose()


def _unreachable(error: httpx.HTTPError) -> str:
    """Return a problem document for a service that did not answer."""
    return json.dumps(
        {
            "type": "urn:forewarn:problem:unavailable",
            "title": "The service cannot be reached",
            "status": 503,
            "detail": f"{type(error).__name__}: {error}"[:300],
            "instance": f"urn:forewarn:request:{uuid.uuid4().hex}",
        }
    )
