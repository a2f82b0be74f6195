"""What a worker loads when it starts: settings, desk, gate and the operations."""

import logging
from functools import partial
from pathlib import Path

from serving.application.breaker_board import is_frozen
from serving.application.deployment import Deployment, Follower
from serving.application.scoring import ScoringService, open_service, swapped
from serving.application.warm import Warmer
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.telemetry import forget_ended, log_to_stderr

LOGGER = logging.getLogger("forewarn")


def open_api(settings: Settings) -> Api:
    """Return the API, ready to answer."""
    log_to_stderr(settings.log_level)
    forget_ended()
    desk = open_service(settings)
    for reason in desk.status()[1]["reasons"]:
        LOGGER.warning("degraded from the start: %s", reason)
    gate = Admission(settings=settings, keyring=Keyring(desk.keys))
    api = Api(routes(OPERATIONS), desk=desk, gate=gate)
    api.follower = _follow(settings.bundle, desk, api)
    if settings.warm and desk.store is not None:
        api.warmer = Warmer(desk, desk.store).start()
    return api


def _follow(directory: Path | None, desk: ScoringService, api: Api) -> Follower | None:
    """Return what swaps the bundles in use as a registry's pointers move; None without one."""
    deployment = desk.deployed
    if directory is None or deployment is None or not deployment.marks:
        return None

    def swap(later: Deployment) -> None:
        api.desk = swapped(api.desk or desk, later)

    return Follower(directory, deployment, swap, is_frozen=partial(is_frozen, desk.store))
