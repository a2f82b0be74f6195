"""Writes over HTTP: act, audit line and the answer for a repeat in one transaction."""

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from models.errors import Fault, InvalidInput
from serving.application.scoring import ScoringService
from serving.http.routing import Answer, Call, Parameter
from serving.schemas import problems
from serving.schemas.problems import Refused, encode
from serving.store import Store, Transaction, audit, idempotency
from serving.store.idempotency import RequestKey, forget_answers

KEY = "idempotency-key"
REMEMBERED = timedelta(days=7)
"""How long a repeat gets the first answer."""

_KEY = re.compile(r"[\x21-\x7e]{1,200}")

IDEMPOTENCY = Parameter(
    name="Idempotency-Key",
    place="header",
    schema={"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]{1,200}$"},
    meaning="the same key with the same body gets the same answer and writes nothing again; with "
    "another body it is refused",
)


def opened(desk: ScoringService) -> Store:
    """Return the store.

    Raises
    ------
    Refused
        503 where none is connected.
    """
    if desk.store is None:
        detail = desk.store_absence or "no store is connected: start with --store URL"
        raise Refused(problems.UNAVAILABLE, detail)
    return desk.store


def written(
    desk: ScoringService,
    call: Call,
    *,
    action: str,
    subject: str,
    act: Callable[[Transaction], Any],
    rows: str = "",
) -> Answer:
    """Act in one transaction and return its answer, or the stored answer of the first time.

    Parameters
    ----------
    action, subject
        What the audit log says was done, and to what.
    act
        Writes, and returns the value to answer with.
    rows
        Pointer of the rows in the body, before which the store's faults are put.

    Raises
    ------
    StoreFailed
        When nothing was written.
    StoreConflict
        When the idempotency key was used for another body.
    """
    now = desk.clock()
    store = opened(desk)
    key = _idempotency_key(call)
    with store.begin() as transaction:

        def first() -> idempotency.StoredAnswer:
            answer = _placed(act, transaction, rows)
            entry = audit.AuditEntry(
                at=now,
                actor=call.principal.id,
                action=action,
                subject=subject[:500],
                request_id=call.request_id,
            )
            audit.note(transaction, entry)
            return idempotency.StoredAnswer(200, encode(answer))

        if key is None:
            stored = first()
        else:
            forget_answers(transaction, before=now - REMEMBERED)
            once = RequestKey(actor=call.principal.id, key=key, digest=_digest(action, call))
            stored = idempotency.answer_once(transaction, once, first, now=now)
    return Answer(body=stored.body, status=stored.status)


def _placed(act: Callable[[Transaction], Any], transaction: Transaction, rows: str) -> Any:
    """Act; faults of the store are told at the rows of the body."""
    try:
        return act(transaction)
    except InvalidInput as error:
        moved = [Fault(f"{rows}{fault.where}", fault.message) for fault in error.faults]
        raise type(error)(moved) from None


def _idempotency_key(call: Call) -> str | None:
    """Return the caller's key for a repeat.

    Raises
    ------
    Refused
        400 where it is no such key.
    """
    key = call.headers.get(KEY)
    if key is not None and not _KEY.fullmatch(key):
        detail = f"Idempotency-Key {key[:80]!r} is not 1 to 200 visible ASCII characters"
        raise Refused(problems.BAD_REQUEST, detail)
    return key


def _digest(action: str, call: Call) -> str:
    """Return a hash of action, path and body."""
    paths = "\n".join(f"{name}={value}" for name, value in sorted(call.path.items()))
    return hashlib.sha256(f"{action}\n{paths}\n".encode() + call.body).hexdigest()
