"""What is kept for how long: histories end, what may still be told or asked about does not."""

from dataclasses import dataclass
from datetime import datetime

from serving.store import Store, accounts, alerts, assessments, book_course, outbox

AT_ONCE = 500
"""Accounts whose histories end in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many rows went."""

    assessments: int
    signals: int
    messages: int


def prune(store: Store, *, before: datetime) -> Pruned:
    """Remove histories before a moment, in short transactions so that no writer waits long.

    They are looked up account by account, some at a time, by the keys under which they lie.

    The newest assessment of every account, every transition, messages that wait and dead
    letters stay, whatever their age.
    """
    with store.read() as reading:
        names = accounts.keys(reading)
    assessment_count = signal_count = 0
    for first in range(0, len(names), AT_ONCE):
        some = names[first : first + AT_ONCE]
        with store.begin() as transaction:
            assessment_count += assessments.forget(transaction, some, before=before)
            signal_count += alerts.forget_signals(transaction, some, before=before)
    with store.begin() as transaction:
        book_course.forget(transaction, before=before)
        messages = outbox.forget(transaction, before=before)
    return Pruned(assessments=assessment_count, signals=signal_count, messages=messages)
