"""The BentoML service: processes, life cycle and packaging; the API answers every request.

The supervising process imports this module only to read the service's settings, so that what a
worker needs to answer is imported by the worker.
"""

from typing import TYPE_CHECKING, Any

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import HTTP_PROTOCOLS

from serving.imports import without
from serving.settings import from_environment

if TYPE_CHECKING:
    from serving.http.app import Api
    from serving.mcp.mount import Mount


class Door:
    """Leads every request to the worker's API, which is set before the first one."""

    api: "Api | None" = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if self.api is not None:
            await self.api(scope, receive, send)


DOOR = Door()


class Guard:
    """The outermost layer: every request is the API's, the life cycle is BentoML's.

    BentoML's middleware costs about a millisecond a request and labels its metrics with raw
    paths; the API counts, limits and logs its own requests.

    Parameters
    ----------
    agents
        The tools at `/mcp`, which ask the API; None where they are not served.
    """

    def __init__(self, inner: ASGIApp, agents: "Mount | None" = None) -> None:
        self.inner = inner
        self.agents = agents

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if self.agents is not None and scope["type"] == "lifespan":
            async with self.agents.running():
                await self.inner(scope, receive, send)
        elif self.agents is not None and scope["type"] == "http" and scope["path"] == MCP_PATH:
            await self.agents(scope, receive, send)
        else:
            chosen = DOOR if scope["type"] == "http" else self.inner
            await chosen(scope, receive, send)


MCP_PATH = "/mcp"


def agents() -> "Mount | None":
    """Return the tools for agents; None where the settings do not ask for them."""
    settings = from_environment()
    if not settings.mcp:
        return None
    from serving.mcp.mount import Mount  # noqa: PLC0415 - a second, and the extra `mcp`

    return Mount(DOOR, hosts=settings.hosts, origins=settings.origins)


class GuardedService(bentoml.Service[Any]):  # type: ignore[misc]
    """A service whose requests are all the API's own."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:  # noqa: FBT001, FBT002 - BentoML's own signature
        """Return the guarded application, whose connections are within bounds.

        BentoML makes uvicorn's configuration itself; the name that it leaves to uvicorn is the one
        place where a protocol can be put.
        """
        HTTP_PROTOCOLS["auto"] = "serving.http.connection:Connection"
        return Guard(super().to_asgi(is_main=is_main), agents())


@bentoml.asgi_app(DOOR, path="/")
@bentoml.service(name="forewarn", service_class=GuardedService, workers=from_environment().workers)
class Forewarn:
    """Scores leveraged accounts: the venue's rule beside the forecast."""

    def __init__(self) -> None:
        with without("sklearn"):
            from serving.worker import open_api  # noqa: PLC0415 - see the module's docstring

        DOOR.api = open_api()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Give back the store's connections."""
        if DOOR.api is not None:
            DOOR.api.close()
