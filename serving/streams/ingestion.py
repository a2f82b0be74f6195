"""One message, one push: the same body, checks, errors and rows as over HTTP."""

import re
from collections.abc import Mapping

from serving.application.scoring import ScoringService
from serving.brokers.messages import Message
from serving.http.keys import Principal, Scope
from serving.http.refusals import refusal
from serving.http.responses import document
from serving.http.routing import Call, Work
from serving.routes import accounts, market
from serving.schemas import problems, requests
from serving.schemas.problems import Refused, encode

KINDS: Mapping[str, Work] = {
    "accounts": accounts.upsert_dated,
    "candles": market.push_candles,
    "events": market.push_events,
    "prices": market.push_prices,
    "state": market.push_state,
    "terms": market.push_terms,
}
"""By the last part of a subject: `PUT /v1/accounts` and `POST /v1/…` of the same name."""

IDEMPOTENCY_HEADERS = ("idempotency-key", "nats-msg-id")
MOST_REASONS = 20
"""Faults that a dead letter lists; a header is no place for ten thousand."""

_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")
_LONGEST_KEY = 200


def ingest(desk: ScoringService, message: Message, *, group: str) -> None:
    """Write what a message brings, once however often it is read.

    The message's `Idempotency-Key`, or on NATS its `Nats-Msg-Id`, is the key of a repeat; a
    message without one is known by its rows.

    Raises
    ------
    ForewarnError
        As the operation over HTTP does.
    """
    if len(message.body) > requests.MOST_BYTES:
        detail = f"a body has at most {requests.MOST_BYTES} bytes"
        raise Refused(problems.TOO_LARGE, detail)
    work = KINDS[message.subject.rpartition(".")[2]]
    stated = (message.headers.get(name) for name in IDEMPOTENCY_HEADERS)
    key = next((key for key in stated if key), None)
    call = Call(
        body=message.body,
        headers={} if key is None else {"idempotency-key": key},
        request_id=request_id(message),
        principal=Principal(id=f"stream {group}", scopes=frozenset({Scope.WRITE})),
    )
    work(desk, call)


def request_id(message: Message) -> str:
    """Return what audit and dead letters call a message: where it stands, in visible ASCII."""
    return _UNPRINTABLE.sub("_", message.place)[:_LONGEST_KEY]


def refused(error: Exception, message: Message) -> Refused:
    """Return the problem that an error of a message is told as over HTTP."""
    return refusal(error, request_id(message))


def reason(problem: Refused, message: Message) -> bytes:
    """Return why a message was refused, as HTTP answers it, on one line."""
    faults = problem.faults[:MOST_REASONS]
    left = len(problem.faults) - len(faults)
    detail = f"{problem.detail}; the first {MOST_REASONS} are listed" if left else problem.detail
    answer = document(problem.kind, request_id=request_id(message), detail=detail, faults=faults)
    text = encode(answer).decode()
    return text.encode("ascii", "backslashreplace")
