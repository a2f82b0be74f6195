"""What is kept for how long: histories end, what may still be told or asked about does not."""

from dataclasses import dataclass
from datetime import datetime

from serving.store import Store, alerts, assessments, book_course, outbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many rows went."""

    assessments: int
    signals: int
    messages: int


def prune(store: Store, *, before: datetime) -> Pruned:
    """Remove histories before a moment, in a transaction each so that no writer waits long.

    The newest assessment of every account, every transition, messages that wait and dead
    letters stay, whatever their age.
    """
    with store.begin() as transaction:
        assessment_count = assessments.forget(transaction, before=before)
        book_course.forget(transaction, before=before)
    with store.begin() as transaction:
        signal_count = alerts.forget_signals(transaction, before=before)
    with store.begin() as transaction:
        messages = outbox.forget(transaction, before=before)
    return Pruned(assessments=assessment_count, signals=signal_count, messages=messages)
