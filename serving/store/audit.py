"""What was written by whom, and the answer each repeated request gets again."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from serving.store.engine import Transaction
from serving.store.schema import AUDIT


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of the audit log."""

    at: datetime
    actor: str
    action: str
    subject: str
    request_id: str
    detail: Any = None


def note(transaction: Transaction, entry: AuditEntry) -> None:
    """Add a line to the audit log."""
    transaction.execute(sa.insert(AUDIT).values(asdict(entry)))


def newest(transaction: Transaction, action: str, *, since: datetime) -> AuditEntry | None:
    """Return the last line of an action that is not older than a moment; None without one."""
    mine = sa.select(AUDIT).where(AUDIT.c.action == action, AUDIT.c.at >= since)
    row = transaction.execute(mine.order_by(AUDIT.c.number.desc()).limit(1)).mappings().first()
    names = [field.name for field in fields(AuditEntry)]
    return None if row is None else AuditEntry(**{name: row[name] for name in names})


def audit(
    transaction: Transaction, *, after: int = 0, limit: int = 100
) -> list[tuple[int, AuditEntry]]:
    """Return lines of the audit log with their numbers, oldest first.

    Parameters
    ----------
    after
        Cursor: number of the last line of the page before.
    """
    chosen = sa.select(AUDIT).where(AUDIT.c.number > after).order_by(AUDIT.c.number).limit(limit)
    names = [field.name for field in fields(AuditEntry)]
    return [
        (int(row["number"]), AuditEntry(**{name: row[name] for name in names}))
        for row in transaction.execute(chosen).mappings()
    ]
