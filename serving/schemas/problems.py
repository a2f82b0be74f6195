"""Refusals as RFC 9457 `application/problem+json`, each with a stable type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from models.errors import Fault, ForewarnError

MEDIA_TYPE = "application/problem+json"
MOST_FAULTS = 1000


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of refusal.

    Parameters
    ----------
    name
        Last part of the stable `type`.
    status
        HTTP status.
    title
        What happened, the same for every occurrence.
    """

    name: str
    status: int
    title: str

    @property
    def type(self) -> str:
        """Stable identifier, an URN so that it depends on no host."""
        return f"urn:forewarn:problem:{self.name}"


NOT_JSON = ProblemKind("not-json", 400, "The body is not JSON")
NOT_ARROW = ProblemKind("not-arrow", 400, "The body is not a plain Arrow stream")
BAD_REQUEST = ProblemKind("bad-request", 400, "The request cannot be read")
UNAUTHORIZED = ProblemKind("unauthorized", 401, "A valid key is needed")
FORBIDDEN = ProblemKind("forbidden", 403, "The key does not carry the scope")
UNKNOWN_PATH = ProblemKind("not-found", 404, "No such path")
UNKNOWN_ACCOUNT = ProblemKind("unknown-account", 404, "The store knows no such account")
UNKNOWN_THING = ProblemKind("unknown-thing", 404, "No such thing")
METHOD_NOT_ALLOWED = ProblemKind("method-not-allowed", 405, "The path does not take this method")
NOT_ACCEPTABLE = ProblemKind("not-acceptable", 406, "The answer has no such form")
TOO_SLOW = ProblemKind("body-too-slow", 408, "The request came too slowly")
CONFLICT = ProblemKind("conflict", 409, "The request contradicts what is stored")
STALE_BOOK = ProblemKind("stale-book", 409, "Prices or positions are too old to go by")
BOOK_INCOMPLETE = ProblemKind(
    "book-incomplete", 409, "Accounts cannot be judged: a gate that skips them is no gate"
)
NOT_ALLOWED = ProblemKind("not-allowed", 409, "What is asked for is not allowed as things stand")
NOT_THEIRS = ProblemKind("not-theirs", 403, "Somebody else has to do this")
OPTED_OUT = ProblemKind("opted-out", 403, "The owner asked not to be scored")
TOO_LARGE = ProblemKind("body-too-large", 413, "The body is too long")
UNSUPPORTED = ProblemKind("unsupported-media-type", 415, "The body has a form that is not read")
INVALID = ProblemKind("invalid-request", 422, "The request cannot be assessed")
HEAD_TOO_LONG = ProblemKind(
    "head-too-long", 431, "The line and headers of the request are too long"
)
TOO_MANY = ProblemKind("too-many-requests", 429, "Too many requests at once")
INTERNAL = ProblemKind("internal", 500, "Forewarn failed; this is its fault, not the request's")
UNAVAILABLE = ProblemKind("unavailable", 503, "Nothing sound can be said now")
TIMEOUT = ProblemKind("timeout", 504, "The answer took too long")
KINDS: Mapping[str, ProblemKind] = {
    kind.name: kind
    for kind in (
        BAD_REQUEST,
        NOT_JSON,
        NOT_ARROW,
        UNAUTHORIZED,
        FORBIDDEN,
        UNKNOWN_PATH,
        UNKNOWN_ACCOUNT,
        UNKNOWN_THING,
        METHOD_NOT_ALLOWED,
        NOT_ACCEPTABLE,
        TOO_SLOW,
        CONFLICT,
        STALE_BOOK,
        BOOK_INCOMPLETE,
        NOT_ALLOWED,
        NOT_THEIRS,
        OPTED_OUT,
        TOO_LARGE,
        UNSUPPORTED,
        INVALID,
        HEAD_TOO_LONG,
        TOO_MANY,
        INTERNAL,
        UNAVAILABLE,
        TIMEOUT,
    )
}


class Refused(ForewarnError):  # noqa: N818 - named for what happened
    """A request is refused with a problem.

    Parameters
    ----------
    kind
        Which problem.
    detail
        What is wrong with this request.
    faults
        Every fault with its place.
    headers
        Sent with the problem, such as `Retry-After`.
    """

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.detail = detail
        self.faults = tuple(faults)
        self.headers = dict(headers or {})
        super().__init__(f"{kind.name}: {detail}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultAnswer:
    """One fault: where it is (JSON pointer into the request) and what is wrong."""

    pointer: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The members of a problem document."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: tuple[FaultAnswer, ...] = ()


def listed(faults: Sequence[Fault]) -> tuple[FaultAnswer, ...]:
    """Return faults as they are answered."""
    return tuple(FaultAnswer(pointer=f.where, detail=f.message) for f in faults[:MOST_FAULTS])


def encode(value: Any) -> bytes:
    """Return JSON: floats by their shortest exact decimal, NaN as null."""
    return msgspec.json.encode(value)
