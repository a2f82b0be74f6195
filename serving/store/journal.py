"""What was written by whom, and the answer each repeated request gets again."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from models.errors import Fault
from serving.store.engine import Transaction
from serving.store.errors import StoreConflict
from serving.store.rows import insert_new
from serving.store.schema import AUDIT, IDEMPOTENCY


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
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
class Answer:
    """Status and body that a request was answered with."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the audit log."""

    at: datetime
    actor: str
    action: str
    subject: str
    request_id: str
    detail: Any = None


def once(
    transaction: Transaction, request: Once, act: Callable[[], Answer], *, now: datetime
) -> Answer:
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
        held = transaction.execute(sa.select(IDEMPOTENCY).where(mine)).one()
        if held.digest != request.digest:
            where = "/headers/Idempotency-Key"
            raise StoreConflict([Fault(where, f"{request.key[:80]!r} was used for another body")])
        return Answer(held.status, held.answer)
    answer = act()
    kept = sa.update(IDEMPOTENCY).where(mine)
    transaction.execute(kept.values(status=answer.status, answer=answer.body))
    return answer


def forget_answers(transaction: Transaction, *, before: datetime) -> int:
    """Remove the answers kept before a moment and return how many went."""
    gone = transaction.execute(sa.delete(IDEMPOTENCY).where(IDEMPOTENCY.c.at < before))
    return int(gone.rowcount)


def note(transaction: Transaction, entry: Entry) -> None:
    """Add a line to the audit log."""
    transaction.execute(sa.insert(AUDIT).values(asdict(entry)))


def audit(transaction: Transaction, *, after: int = 0, limit: int = 100) -> list[tuple[int, Entry]]:
    """Return lines of the audit log with their numbers, oldest first.

    Parameters
    ----------
    after
        Cursor: number of the last line of the page before.
    """
    chosen = sa.select(AUDIT).where(AUDIT.c.number > after).order_by(AUDIT.c.number).limit(limit)
    names = [field.name for field in fields(Entry)]
    return [
        (int(row["number"]), Entry(**{name: row[name] for name in names}))
        for row in transaction.execute(chosen).mappings()
    ]
