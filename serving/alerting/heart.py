"""Whether alerting is alive: assessing, delivering and the data it rests on."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from serving.alerting.passes import DELIVERING, FAILING, TURN
from serving.store import (
    Store,
    StoreFailed,
    Transaction,
    alerts,
    assessments,
    changes,
    outbox,
    turns,
)
from serving.store.alerts import DESK
from serving.store.outbox import Draft

LIMITS: Mapping[str, timedelta] = {
    "assessing": timedelta(minutes=5),
    "delivering": timedelta(minutes=5),
    "prices": timedelta(hours=3),
    "outbox": timedelta(minutes=15),
}
"""Silence beyond which each is taken to have stopped; an hourly feed is given three updates."""

AHEAD = timedelta(minutes=1)
"""By which two clocks may differ."""

EVERY = timedelta(minutes=1)
"""Between two looks of a process that watches or delivers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Something that was not heard of for too long.

    Parameters
    ----------
    since
        When it was last heard of; None where it never was.
    """

    what: str
    since: datetime | None
    limit: timedelta


def stopped(store: Store, *, now: datetime) -> list[Stopped]:
    """Return what has been silent beyond its limit."""
    with store.read() as transaction:
        return _stopped(transaction, now)


@dataclass(slots=True)
class Lookout:
    """Raises the alarm from within a process that lives: each tells of the others' silence."""

    store: Store
    looked_at: datetime | None = None

    def look(self, now: datetime) -> None:
        """Look once a minute; a store that fails is looked at again."""
        if self.looked_at is not None and now - self.looked_at < EVERY:
            return
        self.looked_at = now
        with contextlib.suppress(StoreFailed):
            alarm(self.store, now=now)


def alarm(store: Store, *, now: datetime) -> list[Stopped]:
    """Tell every desk what has stopped, once per stop, and return it."""
    with store.begin() as transaction:
        found = _stopped(transaction, now)
        desks = alerts.receivers(transaction, [])
        drafts = [
            _draft(one, name, now)
            for one in found
            for name, receiver in desks.items()
            if receiver.audience == DESK
        ]
        outbox.post(transaction, drafts, now=now)
    return found


def _stopped(transaction: Transaction, now: datetime) -> list[Stopped]:
    """Return what is silent; what never began is not, but for a book that nobody watches."""
    beats = turns.beats(transaction)
    priced = changes.newest(transaction, changes.PRICES)
    _, waited = outbox.depth(transaction, now=now)
    heard = {
        "assessing": beats.get(TURN, (None,))[0],
        "delivering": beats.get(DELIVERING, (None,))[0],
        "prices": None if priced is None else priced.at,
        "outbox": now - waited,
    }
    silent = [
        Stopped(what=what, since=at, limit=LIMITS[what])
        for what, at in heard.items()
        if at is not None and now - at > LIMITS[what]
    ]
    return [*silent, *_ahead(transaction, now), *_unevaluable(transaction)]


def _ahead(transaction: Transaction, now: datetime) -> Iterator[Stopped]:
    """Yield the latest moment that was noted, where it lies in the future: a clock is wrong."""
    noted = [at for at, _ in turns.beats(transaction).values()]
    newest = assessments.newest(transaction)
    latest = max([*noted, *([] if newest is None else [newest])], default=now)
    if latest - now > AHEAD:
        yield Stopped(what="clock", since=latest, limit=AHEAD)


def _unevaluable(transaction: Transaction) -> Iterator[Stopped]:
    """Yield since when accounts cannot be evaluated though they should be."""
    detail = turns.beats(transaction).get(FAILING, (None, None))[1]
    if detail and detail["accounts"]:
        since = datetime.fromisoformat(detail["since"])
        yield Stopped(what="evaluation", since=since, limit=timedelta(0))


def _draft(one: Stopped, receiver: str, now: datetime) -> Draft:
    """Return the message of one stop; the same stop has the same key."""
    since = None if one.since is None else one.since.isoformat()
    body: dict[str, Any] = {
        "key": f"{receiver}/heartbeat/{one.what}/{since}",
        "shape": "heartbeat",
        "at": now.isoformat(),
        "what": one.what,
        "since": since,
        "limit_minutes": one.limit.total_seconds() / 60.0,
        "counts": {},
        "items": [],
        "more": 0,
    }
    return Draft(key=body["key"], receiver=receiver, stream="", urgency=0, body=body)
