"""The answer that each repeated request gets again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from models.errors import Fault
from serving.store.engine import Transaction
from serving.store.errors import StoreConflict
from serving.store.rows import insert_new
from serving.store.schema import IDEMPOTENCY


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """What makes a request the same request.

    Parameters
    ----------
    actor
        Who asks; two actors may use one key.
    key
        As the caller chose it.
    digest
        Hash of route and body.
    """

    actor: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """Status and body that a request was answered with."""

    status: int
    body: bytes


def answer_once(
    transaction: Transaction, request: RequestKey, act: Callable[[], StoredAnswer], *, now: datetime
) -> StoredAnswer:
    """Act and keep the answer, or return the answer kept for the same request.

    The request, what it does and its answer are one transaction: of two callers at the same
    moment the second waits for the first.

    Raises
    ------
    StoreConflict
        When the key was used for another body.
    """
    row = {"actor": request.actor, "key": request.key, "digest": request.digest, "at": now}
    mine = sa.and_(IDEMPOTENCY.c.actor == request.actor, IDEMPOTENCY.c.key == request.key)
    claim = {**row, "status": None, "answer": None}
    if not insert_new(transaction, IDEMPOTENCY, [claim]):
        stored = transaction.execute(sa.select(IDEMPOTENCY).where(mine)).one()
        if stored.digest != request.digest:
            where = "/headers/Idempotency-Key"
            raise StoreConflict([Fault(where, f"{request.key[:80]!r} was used for another body")])
        return StoredAnswer(stored.status, stored.answer)
    answer = act()
    update = sa.update(IDEMPOTENCY).where(mine)
    transaction.execute(update.values(status=answer.status, answer=answer.body))
    return answer


def forget_answers(transaction: Transaction, *, before: datetime) -> int:
    """Remove the answers kept before a moment and return how many went."""
    gone = transaction.execute(sa.delete(IDEMPOTENCY).where(IDEMPOTENCY.c.at < before))
    return int(gone.rowcount)
