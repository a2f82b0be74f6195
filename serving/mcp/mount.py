"""The tools over streamable HTTP beside the API, under the API's own keys."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.mcp.asking import CALLER, FORWARDED, Api, Caller
from serving.mcp.tools import server

PATH = "/mcp"
LOCAL = ("127.0.0.1", "127.0.0.1:*", "localhost", "localhost:*", "[::1]", "[::1]:*")


class Mount:
    """The tools over streamable HTTP.

    Parameters
    ----------
    app
        The API, which each tool asks with its caller's key and address: scopes, limits, counts
        and logs are the API's own.
    hosts
        By which others may name the service, beside those of this machine.
    origins
        Web origins whose pages may ask.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Iterable[str] = (), origins: Iterable[str] = ()
    ) -> None:
        self._tools = server(Api(app=app))
        named = [host for name in hosts for host in (name, f"{name}:*")]
        security = TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=[*LOCAL, *named],
            allowed_origins=list(origins),
        )
        self._app: Any = self._tools.streamable_http_app(
            streamable_http_path=PATH,
            stateless_http=True,
            json_response=True,
            transport_security=security,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run what answers; once in a process."""
        async with self._tools.session_manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        CALLER.set(caller_of(scope))
        await self._app(scope, receive, send)


def caller_of(scope: Scope) -> Caller:
    """Return who asks."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    client = scope.get("client") or ("0.0.0.0", 0)  # noqa: S104 - nowhere: not this machine
    host = headers.get("host", "")
    if urlsplit(f"//{host}").hostname is None:
        host = "unnamed"
    return Caller(
        address=(client[0], client[1]),
        host=host,
        headers={name: headers[name] for name in FORWARDED if name in headers},
    )
