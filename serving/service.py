"""The BentoML service: how the API is packaged, deployed and scaled.

The supervising process imports this module only to read the service's settings, so that what a
worker needs to answer is imported by the worker.
"""

from typing import Any

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import HTTP_PROTOCOLS

from serving.server import PROTOCOL, Application
from serving.settings import from_environment


class Guard:
    """The outermost layer: every request is the application's, the life cycle BentoML's as well.

    BentoML's middleware costs about a millisecond a request and labels its metrics with raw
    paths; the API counts, limits and logs its own requests.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self.inner = inner
        self.application = Application()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the server's own start and end."""
        if scope["type"] == "lifespan":
            async with self.application.living():
                await self.inner(scope, receive, send)
        else:
            await self.application(scope, receive, send)


class GuardedService(bentoml.Service[Any]):  # type: ignore[misc]
    """A service whose requests are all the application's own."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:  # noqa: FBT001, FBT002 - BentoML's own signature
        """Return the guarded application, whose connections are within bounds.

        BentoML makes uvicorn's configuration itself; the name that it leaves to uvicorn is the one
        place where a protocol can be put.
        """
        HTTP_PROTOCOLS["auto"] = PROTOCOL
        return Guard(super().to_asgi(is_main=is_main))


@bentoml.service(name="forewarn", service_class=GuardedService, workers=from_environment().workers)
class Forewarn:
    """Scores leveraged accounts: the venue's rule beside the forecast."""
