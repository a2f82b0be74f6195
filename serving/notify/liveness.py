"""Whether alerting is sound: assessing, delivering, the channels, and the prices it rests on."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from models.parameters.breakers import Effect
from serving.application import breaker_board
from serving.store import (
    Store,
    StoreFailed,
    Transaction,
    alerts,
    assessments,
    changes,
    connections,
    health,
    leases,
    market,
    outbox,
)
from serving.store.alerts import DESK
from serving.store.leases import DELIVERING, FAILING, TURN
from serving.store.outbox import OutboxMessage

LOGGER = logging.getLogger("forewarn.heart")
LIMITS: Mapping[str, timedelta] = {
    "assessing": timedelta(minutes=5),
    "delivering": timedelta(minutes=5),
    "prices": timedelta(hours=3),
    "outbox": timedelta(minutes=15),
    "connection": timedelta(minutes=5),
}
"""Silence beyond which each is taken to have stopped; an hourly feed is given three updates."""

AHEAD = timedelta(minutes=1)
"""By which two clocks may differ."""

UNREACHABLE = timedelta(minutes=15)
"""After which a channel that takes nothing is an alarm; at once where a message was given up."""

EVERY = timedelta(minutes=1)
"""Between two looks of a process that watches or delivers."""

ALARMS = "alarms"
UNWATCHED = "assessing: never begun; `forewarn watch` judges this book and nobody runs it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that keeps alerts from being made or from arriving.

    Parameters
    ----------
    what
        `assessing`, `delivering`, `prices` or `outbox`, not heard of; `channel`, which cannot be
        reached; `price`, which is too old; `clock`, which runs ahead; `evaluation`, which fails;
        `connection`, which cannot be read; `rule_mismatch`, where a venue judges otherwise;
        `breaker`, which is open.
    since
        When it was last sound.
    name
        The channel, the asset, the connection or the breaker; empty otherwise.
    owner
        Receiver of the channel; empty otherwise.
    error
        What is wrong with a channel or a connection, or why a breaker is open; empty otherwise.
    accounts
        Judged on the price, at least.
    """

    what: str
    since: datetime
    limit: timedelta = timedelta(0)
    name: str = ""
    owner: str = ""
    error: str = ""
    accounts: int = 0

    @property
    def text(self) -> str:
        """What is wrong, on one line."""
        since = self.since.isoformat(timespec="seconds")
        if self.what == "channel":
            return f"channel {self.name} of {self.owner!r}: unusable since {since}, {self.error}"
        if self.what == "price":
            return f"price of {self.name!r}: not renewed since {since}, {self.accounts} accounts"
        if self.what == "clock":
            return f"clock: something is noted for {since}, which lies ahead of this clock"
        if self.what in {"connection", "rule_mismatch", "breaker"}:
            return f"{self.what} {self.name!r}: since {since}, {self.error}"
        if self.what == "evaluation":
            return f"evaluation: accounts that should be judged cannot be since {since}"
        return f"{self.what}: not heard of since {since}, limit {_minutes(self.limit)} minutes"


@dataclass(slots=True)
class Watchdog:
    """Raises the alarm from within a process that lives: each tells of the others' silence.

    Parameters
    ----------
    fault
        Why a channel of a kind and target cannot be used by this process; None where it can.
    """

    store: Store
    fault: Callable[[str, str], str | None] | None = None
    looked_at: datetime | None = None
    reported: frozenset[str] = field(default_factory=frozenset)

    def look(self, now: datetime) -> None:
        """Look once a minute; a store that fails is looked at again."""
        if self.looked_at is not None and timedelta(0) <= now - self.looked_at < EVERY:
            return
        self.looked_at = now
        with contextlib.suppress(StoreFailed):
            if self.fault is not None:
                self._note_faults(self.fault, now)
            active = alarm(self.store, now=now)
            texts = frozenset(entry.text for entry in active)
            for text in sorted(texts - self.reported):
                LOGGER.warning("%s", text)
            self.reported = texts

    def _note_faults(self, fault: Callable[[str, str], str | None], now: datetime) -> None:
        """Write down which channels cannot be used; nothing is written where none changed."""
        with self.store.read() as transaction:
            changed = health.changed_faults(transaction, fault)
        if changed:
            with self.store.begin() as transaction:
                health.note_faults(transaction, changed, now=now)


def alarm(store: Store, *, now: datetime) -> list[Alarm]:
    """Tell every desk what is wrong, once per beginning of it, and return it.

    That nothing is wrong is noted when it is new, and when half of what it holds for is over.
    """
    with store.read() as transaction:
        active = alarms(transaction, now=now)
        at, texts = leases.beats(transaction).get(ALARMS, (None, None))
    if not active and texts == [] and at and timedelta(0) <= now - at < LIMITS["assessing"] / 2:
        return active
    with store.begin() as transaction:
        leases.beat(transaction, ALARMS, now=now, detail=[entry.text for entry in active])
        desks = alerts.receivers(transaction, []) if active else {}
        drafts = [
            _message(entry, name, now)
            for entry in active
            for name, receiver in desks.items()
            if receiver.audience == DESK
        ]
        outbox.post(transaction, drafts, now=now)
    return active


def alarms(transaction: Transaction, *, now: datetime) -> list[Alarm]:
    """Return what is wrong."""
    return [
        *_silent(transaction, now),
        *_unreachable(transaction, now),
        *_stale(transaction, now),
        *_tripped(transaction),
        *_unread(transaction, now),
        *_mismatched(transaction),
    ]


def was_watched(store: Store) -> bool:
    """Return whether anybody ever judged the book of a store, or a part of it."""
    with store.read() as transaction:
        return leases.oldest(leases.beats(transaction), TURN) is not None


def standing(transaction: Transaction, *, now: datetime) -> tuple[str, ...]:
    """Return the alarms as the last look found them, and that nobody looks any more."""
    at, texts = leases.beats(transaction).get(ALARMS, (None, None))
    if at is None:
        return ()
    if now - at > LIMITS["assessing"]:
        return (f"alerting was not looked after since {at.isoformat(timespec='seconds')}",)
    return tuple(texts or ())


def _silent(transaction: Transaction, now: datetime) -> Iterator[Alarm]:
    """Yield what is silent; what never began is not (see `was_watched`)."""
    beats = leases.beats(transaction)
    priced = changes.newest(transaction, changes.PRICES)
    _, waited = outbox.depth(transaction, now=now)
    heard = {
        "assessing": leases.oldest(beats, TURN),
        "delivering": beats.get(DELIVERING, (None,))[0],
        "prices": None if priced is None else priced.at,
        "outbox": now - waited,
    }
    for what, at in heard.items():
        if at is not None and now - at > LIMITS[what]:
            yield Alarm(what=what, since=at, limit=LIMITS[what])
    yield from _ahead(transaction, now)
    yield from _unevaluable(transaction)


def _ahead(transaction: Transaction, now: datetime) -> Iterator[Alarm]:
    """Yield the latest moment that was noted, where it lies in the future: a clock is wrong."""
    noted = [at for at, _ in leases.beats(transaction).values()]
    newest = assessments.newest(transaction)
    latest = max([*noted, *([] if newest is None else [newest])], default=now)
    if latest - now > AHEAD:
        yield Alarm(what="clock", since=latest, limit=AHEAD)


def _unevaluable(transaction: Transaction) -> Iterator[Alarm]:
    """Yield since when accounts cannot be evaluated though they should be."""
    details = [detail for _, detail in leases.of_parts(leases.beats(transaction), FAILING)]
    begun = [datetime.fromisoformat(each["since"]) for each in details if each and each["accounts"]]
    if begun:
        yield Alarm(what="evaluation", since=min(begun))


def _unreachable(transaction: Transaction, now: datetime) -> Iterator[Alarm]:
    """Yield the verified channels that cannot be reached."""
    for channel in health.failing(transaction):
        if channel.fault or channel.has_lost or now - channel.failing_since >= UNREACHABLE:
            yield Alarm(
                what="channel",
                name=channel.channel,
                owner=channel.receiver,
                since=channel.failing_since,
                error=channel.fault or channel.error or "no reason is known",
            )


def _stale(transaction: Transaction, now: datetime) -> Iterator[Alarm]:
    """Yield the prices that accounts are judged on and that are too old."""
    holders = health.stale_price_holders(transaction)
    prices = market.prices(transaction, at=now) if holders else {}
    for asset, accounts in holders.items():
        price = prices.get(asset)
        if price is not None and price.is_stale(now):
            yield Alarm(what="price", name=asset, since=price.observed_at, accounts=accounts)


def _tripped(transaction: Transaction) -> Iterator[Alarm]:
    """Yield the open breakers that page the desk."""
    for breaker, state in breaker_board.read(transaction).rows:
        if state.is_open and state.since is not None and Effect.PAGE in breaker.effects:
            yield Alarm(what="breaker", name=breaker.name, since=state.since, error=state.reason)


def _minutes(span: timedelta) -> int:
    """Return whole minutes."""
    return int(span.total_seconds() // 60)


def _message(entry: Alarm, receiver: str, now: datetime) -> OutboxMessage:
    """Return the message of one alarm; the same alarm has the same key."""
    since = entry.since.isoformat()
    # The name of an asset may be long; of a channel it is short.
    named = f"{entry.what}/{entry.name[:100]}" if entry.name else entry.what
    body: dict[str, Any] = {
        "key": f"{receiver}/heartbeat/{named}/{since}",
        "shape": "heartbeat",
        "at": now.isoformat(),
        "what": entry.what,
        "name": entry.name,
        "owner": entry.owner,
        "error": entry.error,
        "accounts": entry.accounts,
        "since": since,
        "limit_minutes": _minutes(entry.limit),
        "counts": {},
        "items": [],
        "more": 0,
    }
    return OutboxMessage(key=body["key"], receiver=receiver, stream="", urgency=0, body=body)


def _unread(transaction: Transaction, now: datetime) -> Iterator[Alarm]:
    """Yield the connections that cannot be read, or that nobody follows any more."""
    limit = LIMITS["connection"]
    for connection in connections.every(transaction):
        status, noted = connection.status, connection.status_at
        if status is None or noted is None:
            continue
        failing = status.get("failing_since")
        since = datetime.fromisoformat(failing) if failing else noted
        if now - since > limit:
            reasons = "; ".join(reason["text"] for reason in status.get("reasons", ()))
            error = f"cannot be read: {reasons}" if failing else "nobody follows it"
            yield Alarm(
                what="connection", name=connection.name, since=since, limit=limit, error=error
            )


def _mismatched(transaction: Transaction) -> Iterator[Alarm]:
    """Yield the connections on which a venue judges accounts otherwise than the rules."""
    by_connection: dict[str, list[datetime]] = {}
    for check in connections.differing(transaction):
        if check.differs_since is not None:
            by_connection.setdefault(check.connection, []).append(check.differs_since)
    for name, times in sorted(by_connection.items()):
        error = f"its venue judges {len(times)} accounts otherwise than the rules"
        yield Alarm(
            what="rule_mismatch", name=name, since=min(times), error=error, accounts=len(times)
        )
