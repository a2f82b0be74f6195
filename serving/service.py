"""The BentoML service: the routes mounted on it, the guard around it."""

from typing import Any

import bentoml
from starlette.types import ASGIApp

from serving.api import Guard, application
from serving.desk import open_desk
from serving.settings import from_environment

ROUTES = application()
TIMEOUT_SECONDS = 60
MOST_REQUESTS = 64


class GuardedService(bentoml.Service[Any]):  # type: ignore[misc]
    """A service whose whole application stands behind the guard.

    BentoML has no body for its own 404, 429 and 504 that a client of this API would know, and
    labels its metrics with raw paths; the guard answers before and after it.
    """

    def to_asgi(self, is_main: bool = True) -> ASGIApp:  # noqa: FBT001, FBT002 - BentoML's own signature
        """Return the guarded application."""
        return Guard(super().to_asgi(is_main=is_main), ROUTES)


@bentoml.asgi_app(ROUTES, path="/")
@bentoml.service(
    name="forewarn",
    service_class=GuardedService,
    workers=1,
    traffic={"timeout": TIMEOUT_SECONDS, "max_concurrency": MOST_REQUESTS},
)
class Forewarn:
    """Scores leveraged accounts: the venue's rule beside the forecast."""

    def __init__(self) -> None:
        ROUTES.state.desk = open_desk(from_environment())

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Give back the store's connections."""
        desk = ROUTES.state.desk
        if desk.store is not None:
            desk.store.close()
