"""The BentoML service: the operations mounted on it, the guard around it."""

from pathlib import Path
from typing import Any

import bentoml
from starlette.types import ASGIApp

from serving.api import Api, Guard
from serving.desk import Desk, open_desk, swapped
from serving.gate import Gate, Keyring
from serving.operations import routes
from serving.registry import Deployed, Follower
from serving.routes import OPERATIONS
from serving.settings import from_environment
from serving.telemetry import log_to_stderr

API = Api(routes(OPERATIONS))


class GuardedService(bentoml.Service[Any]):  # type: ignore[misc]
    """A service whose requests are all the API's own.

    BentoML has no body for its own 404, 429 and 504 that a client of this API would know, and
    labels its metrics with raw paths.
    """

    def to_asgi(self, is_main: bool = True) -> ASGIApp:  # noqa: FBT001, FBT002 - BentoML's own signature
        """Return the guarded application."""
        return Guard(super().to_asgi(is_main=is_main), API)


@bentoml.asgi_app(API, path="/")
@bentoml.service(name="forewarn", service_class=GuardedService, workers=from_environment().workers)
class Forewarn:
    """Scores leveraged accounts: the venue's rule beside the forecast."""

    def __init__(self) -> None:
        settings = from_environment()
        log_to_stderr(settings.log_level)
        desk = open_desk(settings)
        API.gate = Gate(settings=settings, keyring=Keyring(desk.keys))
        API.desk = desk
        self.follower = _follow(settings.bundle, desk)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """End what runs beside the requests and give back the store's connections."""
        if self.follower is not None:
            self.follower.stop()
        if API.desk is not None and API.desk.shadow is not None:
            API.desk.shadow.stop()
        if API.desk is not None and API.desk.store is not None:
            API.desk.store.close()


def _follow(directory: Path | None, desk: Desk) -> Follower | None:
    """Return what swaps the bundles in use as a registry's pointers move; None without one."""
    found = desk.deployed
    if directory is None or found is None or not found.marks:
        return None

    def swap(later: Deployed) -> None:
        API.desk = swapped(API.desk or desk, later)

    return Follower(directory, found, swap)
