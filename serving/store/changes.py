"""What changed, numbered in the order of commits: who knows a number has missed nothing below it.

A writer takes the next number as the last thing before it commits and holds the counter's row
until it has committed. So no number is committed before every lower one is, whatever order the
writers began in and whatever their clocks say, and a reader that sees a number sees every change
up to it. A transaction that is undone gives its number back. The row is the last lock that a
writer takes; two writers cannot wait for each other over it.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from serving.store.columns import insertion
from serving.store.schema import CHANGE_COUNT, CHANGES

ACCOUNTS, PRICES, WISHES, RECEIVERS = "accounts", "prices", "wishes", "receivers"
SERIES = ("candles", "series")
"""Topics of what features read beside the accounts."""

MARKET = (PRICES, "state", "terms", *SERIES)
"""Topics that move every account."""

JUDGED = (ACCOUNTS, PRICES, "state", "terms")
"""Topics of what verdicts rest on."""

TOPICS = (ACCOUNTS, WISHES, RECEIVERS, *MARKET)
_NOTED = "forewarn_changes"
_NUMBER = sa.select(CHANGE_COUNT.c.number)
_FOLLOWING = (
    sa.update(CHANGE_COUNT)
    .values(number=CHANGE_COUNT.c.number + 1)
    .returning(CHANGE_COUNT.c.number)
)


@dataclass(frozen=True, slots=True)
class Change:
    """The last change of something.

    Parameters
    ----------
    subject
        Which account or receiver; empty for a topic as a whole.
    number
        Of the change; several of one transaction share it.
    at
        When it was received; None where its writer does not say.
    """

    topic: str
    subject: str
    number: int
    at: datetime | None


def begin(transaction: sa.Connection) -> None:
    """Forget what an earlier transaction on this connection noted and did not commit."""
    transaction.info[_NOTED] = {}


def note(transaction: sa.Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Note that rows of a table changed, to be numbered when the transaction commits."""
    topic, column = table.info.get("topic"), table.info.get("subject")
    if topic is None:
        return
    noted: dict[tuple[str, str], datetime | None] = transaction.info.setdefault(_NOTED, {})
    for row in rows:
        key = (topic, "" if column is None else row[column])
        received = [at for at in (noted.get(key), row.get("received_at")) if at is not None]
        noted[key] = max(received, default=None)


def number(transaction: sa.Connection) -> None:
    """Give what was noted the next number; nothing may be locked between this and the commit."""
    noted: Mapping[tuple[str, str], datetime | None] = transaction.info.pop(_NOTED, {})
    if not noted:
        return
    taken = transaction.execute(_FOLLOWING).scalar_one()
    rows = [
        {"topic": topic, "subject": subject, "number": taken, "at": at}
        for (topic, subject), at in noted.items()
    ]
    transaction.execute(_over(transaction.dialect.name), rows)


@functools.cache
def _over(dialect: str) -> sa.Insert:
    """Return what writes changes over earlier ones of their subjects."""
    insert = insertion(dialect, CHANGES)
    newer = {name: insert.excluded[name] for name in ("number", "at")}
    over: sa.Insert = insert.on_conflict_do_update(index_elements=["topic", "subject"], set_=newer)
    return over


def last(transaction: sa.Connection, topics: Iterable[str] | None = None) -> int:
    """Return the number of the last change; every change up to it is visible.

    Parameters
    ----------
    topics
        Of which alone; every one where it is left out. 0 where nothing of them ever changed.
    """
    if topics is None:
        return int(transaction.execute(_NUMBER).scalar_one())
    rows = [newest(transaction, topic) for topic in topics]
    return max((row.number for row in rows if row is not None), default=0)


def since(transaction: sa.Connection, last_number: int) -> list[Change]:
    """Return what changed after a number, by topic and in the order of the numbers."""
    later = sa.and_(CHANGES.c.topic.in_(TOPICS), CHANGES.c.number > last_number)
    ordered = sa.select(CHANGES).where(later).order_by(CHANGES.c.topic, CHANGES.c.number)
    return [Change(*row) for row in transaction.execute(ordered)]


def newest(transaction: sa.Connection, topic: str) -> Change | None:
    """Return the last change of a topic; None where nothing of it ever changed."""
    mine = sa.select(CHANGES).where(CHANGES.c.topic == topic)
    row = transaction.execute(mine.order_by(CHANGES.c.number.desc()).limit(1)).first()
    return None if row is None else Change(*row)
