"""Which problem an error is told as, to who asks over HTTP and to who reads dead letters."""

import logging

from models.errors import InvalidInput
from serving.application.scoring import UnknownAccounts
from serving.schemas import problems
from serving.schemas.problems import Refused
from serving.schemas.strict_json import NotJson
from serving.store import StoreConflict, StoreFailed

LOGGER = logging.getLogger("forewarn")


def refusal(error: Exception, request_id: str) -> Refused:
    """Return the problem that an error is told as."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, NotJson):
        return Refused(problems.NOT_JSON, str(error))
    if isinstance(error, StoreFailed):
        LOGGER.warning("request %s: the store failed: %s", request_id, error)
        detail = "the store failed and nothing was written; ask again"
        return Refused(problems.UNAVAILABLE, detail, headers={"Retry-After": "2"})
    if isinstance(error, InvalidInput):
        return _faulty(error)
    LOGGER.error("request %s failed", request_id, exc_info=error)
    return Refused(problems.INTERNAL, "see the service's log")


def _faulty(error: InvalidInput) -> Refused:
    """Return the problem of an input with faults."""
    kind = problems.INVALID
    if isinstance(error, UnknownAccounts):
        kind = problems.UNKNOWN_ACCOUNT
    elif isinstance(error, StoreConflict):
        kind = problems.CONFLICT
    count = len(error.faults)
    detail = f"{count} fault{'s' if count != 1 else ''} found"
    return Refused(kind, detail, faults=error.faults)
