"""What a worker loads when it starts: settings, desk, gate and the operations."""

from serving.api import Api
from serving.desk import open_desk
from serving.gate import Gate, Keyring
from serving.operations import routes
from serving.routes import OPERATIONS
from serving.settings import from_environment
from serving.telemetry import log_to_stderr


def open_api() -> Api:
    """Return the API, ready to answer.

    Raises
    ------
    InvalidInput
        Listing every faulty setting.
    """
    settings = from_environment()
    log_to_stderr(settings.log_level)
    desk = open_desk(settings)
    return Api(
        routes(OPERATIONS), desk=desk, gate=Gate(settings=settings, keyring=Keyring(desk.keys))
    )
