"""From the outbox to the channels: claim, send side by side, settle.

A message is late rather than lost, and sent again, with the same key, only where a dispatcher
died between sending and settling. Whoever stalls holds up its own messages: a channel is sent
one message at a time, one host takes a share of the places, and channels that failed share a
few places among themselves.
"""

import contextlib
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from serving.notify.channels import SECONDS, Destination, Sender, SendResult, lane
from serving.notify.links import links
from serving.notify.liveness import Watchdog
from serving.notify.message import compose
from serving.store import Store, StoreFailed, alerts, consents, leases, outbox
from serving.store.leases import DELIVERING
from serving.store.outbox import Candidate, ClaimedMessage

LOGGER = logging.getLogger("forewarn.deliver")
REPORT_EVERY = timedelta(minutes=1)
IDLE = 0.2
BEAT_EVERY = timedelta(seconds=10)
LEASE = timedelta(seconds=60)
LIMIT = timedelta(seconds=SECONDS)
FIRST_WAIT = timedelta(seconds=5)
MOST_WAIT = timedelta(minutes=30)
MOST_REST = timedelta(minutes=5)
MOST_ATTEMPTS = 12
OLDEST = timedelta(hours=24)
PLACES = 32
"""Messages under way at once."""

PLACES_PER_HOST = 8
"""Of them to one host."""

PLACES_OF_FAILING = 4
"""Of them to channels that failed."""

FAILING = "deliver_failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatcher:
    """One that sends; several may run on one store.

    Parameters
    ----------
    holder
        Its name in leases, unlike any other's.
    senders
        By kind of channel.
    fault
        Why a channel of a kind and target cannot be used here at all; None where it can.
    places
        Messages under way at once.
    """

    store: Store
    senders: Mapping[str, Sender]
    holder: str
    public_url: str | None = None
    spread: Callable[[], float] = random.random
    fault: Callable[[str, str], str | None] = lambda _kind, _target: None
    places: int = PLACES


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one attempt.

    Parameters
    ----------
    sent
        None where the message was not sent: its channel was stopped, or the lease is lost.
    at
        When that was known.
    is_of_channel
        Whether a failure is the channel's doing rather than the message's.
    """

    sent: SendResult | None
    at: datetime
    is_of_channel: bool = True


@dataclass(slots=True, kw_only=True)
class Sending:
    """What a dispatcher has under way.

    Parameters
    ----------
    under_way
        By attempt the message; one that was answered stays until that is written down.
    """

    dispatcher: Dispatcher
    clock: Callable[[], datetime]
    pool: ThreadPoolExecutor
    under_way: dict[Future[Answer], ClaimedMessage] = field(default_factory=dict)
    renewed_at: datetime | None = None
    beaten_at: datetime | None = None
    reported_at: datetime | None = None
    outcomes: Counter[str] = field(default_factory=Counter)


def deliver(dispatcher: Dispatcher, *, now: datetime) -> int:
    """Send what is due at a moment and return how many messages were tried."""
    tried = 0
    with _sending(dispatcher, lambda: now) as sending:
        while True:
            tried += _claim(sending)
            if not sending.under_way:
                return tried
            wait(sending.under_way, return_when=FIRST_COMPLETED)
            _settle_answered(sending)


def run(
    dispatcher: Dispatcher,
    *,
    clock: Callable[[], datetime],
    is_over: Callable[[], bool],
    pause: Callable[[float], None],
) -> None:
    """Deliver until it is over; a failed round is noted and tried again."""
    lookout = Watchdog(dispatcher.store, fault=dispatcher.fault)
    LOGGER.info("delivers holder=%s kinds=%s", dispatcher.holder, ",".join(dispatcher.senders))
    with _sending(dispatcher, clock) as sending:
        while not is_over():
            claimed = 0
            try:
                _report(sending)
                lookout.look(clock())
                _settle_answered(sending)
                _renew(sending)
                claimed = _claim(sending)
            except Exception as error:
                LOGGER.exception("a round of delivery failed")
                _note(sending, error)
                pause(IDLE)
            if claimed:
                continue
            if sending.under_way:
                wait(sending.under_way, timeout=IDLE, return_when=FIRST_COMPLETED)
            else:
                pause(IDLE)
    LOGGER.info("stopped holder=%s", dispatcher.holder)


def _report(sending: Sending) -> None:
    """Log once a minute what was sent and what was not, where something was tried."""
    now = sending.clock()
    if sending.reported_at is None:
        sending.reported_at = now
    if now - sending.reported_at < REPORT_EVERY or not sending.outcomes:
        return
    LOGGER.info(
        "delivered seconds=%.0f delivered=%d later=%d given_up=%d",
        (now - sending.reported_at).total_seconds(),
        sending.outcomes["delivered"],
        sending.outcomes["later"],
        sending.outcomes["never"] + sending.outcomes["gone"],
    )
    sending.reported_at = now
    sending.outcomes.clear()


@contextlib.contextmanager
def _sending(dispatcher: Dispatcher, clock: Callable[[], datetime]) -> Iterator[Sending]:
    """Yield what sends; what is under way at the end is answered and written down first."""
    pool = ThreadPoolExecutor(dispatcher.places, thread_name_prefix="deliver")
    sending = Sending(dispatcher=dispatcher, clock=clock, pool=pool)
    try:
        yield sending
    finally:
        pool.shutdown()
        with contextlib.suppress(StoreFailed):
            _settle_answered(sending)


def _claim(sending: Sending) -> int:
    """Claim what is due, as far as there are places, begin to send it; return how many."""
    dispatcher, now = sending.dispatcher, sending.clock()
    _beat(sending, now)
    limit = dispatcher.places - len(sending.under_way)
    with dispatcher.store.read() as transaction:
        if limit <= 0 or not outbox.is_due(transaction, now=now):
            return 0
    with dispatcher.store.begin() as transaction:
        key = consents.link_key(transaction)
        parcels = outbox.claim(
            transaction,
            holder=dispatcher.holder,
            now=now,
            lease=LEASE,
            limit=limit,
            choose=partial(_choose, sending),
        )
        readers = alerts.readers(transaction, [parcel.receiver for parcel in parcels])
    for parcel in parcels:
        reader = readers.get(parcel.receiver, alerts.Reader())
        attempt = sending.pool.submit(
            _attempt, dispatcher, parcel, reader=reader, key=key, clock=sending.clock
        )
        sending.under_way[attempt] = parcel
    return len(parcels)


def _choose(sending: Sending, candidates: Iterable[Candidate], limit: int) -> list[Candidate]:
    """Return what is sent next: one per channel, a few per host, a few to those that failed."""
    hosts = Counter(lane(parcel.kind, parcel.target) for parcel in sending.under_way.values())
    failing = sum(parcel.is_failing for parcel in sending.under_way.values())
    chosen: dict[str, Candidate] = {}
    for candidate in candidates:
        host = lane(candidate.kind, candidate.target)
        is_full = hosts[host] >= PLACES_PER_HOST or (
            candidate.is_failing and failing >= PLACES_OF_FAILING
        )
        if candidate.channel in chosen or is_full:
            continue
        chosen[candidate.channel] = candidate
        hosts[host] += 1
        failing += candidate.is_failing
        if len(chosen) >= limit:
            break
    return list(chosen.values())


def _attempt(
    dispatcher: Dispatcher,
    parcel: ClaimedMessage,
    *,
    reader: alerts.Reader,
    key: bytes,
    clock: Callable[[], datetime],
) -> Answer:
    """Return what became of one attempt; a sender that fails is itself only late."""
    send = dispatcher.senders.get(parcel.kind)
    if send is None:
        fault = dispatcher.fault(parcel.kind, parcel.target)
        error = fault or f"no {parcel.kind} channel is set up here"
        return Answer(sent=SendResult("later", error), at=clock())
    offered = links(
        dispatcher.public_url,
        key,
        receiver=parcel.receiver,
        account=parcel.stream,
        channel=parcel.channel,
        at=parcel.created_at,
    )
    is_composed = False
    try:
        message = compose(parcel.body, reader.language, offered, zone=reader.zone)
        to = Destination(key=parcel.key, target=parcel.target, secrets=parcel.secrets)
        is_composed = True
        with dispatcher.store.read() as transaction:
            until = clock() + LIMIT
            if not outbox.may_send(transaction, parcel, holder=dispatcher.holder, until=until):
                return Answer(sent=None, at=clock())
        return Answer(sent=send(message, to), at=clock())
    except Exception as error:  # the delivering loop: recorded in the message's row
        LOGGER.exception("message %s could not be sent", parcel.number)
        failed = SendResult("later", f"{type(error).__name__}: {error}")
        return Answer(sent=failed, at=clock(), is_of_channel=is_composed)


def _settle_answered(sending: Sending) -> None:
    """Store the outcomes of finished attempts; one stays until it could be stored."""
    for attempt in [future for future in sending.under_way if future.done()]:
        answer = attempt.result()
        if answer.sent is not None:
            sending.outcomes[answer.sent.outcome] += 1
            _settle(sending.dispatcher, sending.under_way[attempt], answer, answer.sent)
        del sending.under_way[attempt]


def _settle(
    dispatcher: Dispatcher, parcel: ClaimedMessage, answer: Answer, sent: SendResult
) -> None:
    """Write what became of an attempt."""
    holder, now = dispatcher.holder, answer.at
    due = sent.wait or backoff(parcel.attempts, dispatcher.spread())
    # Shorter than the message's own wait: others of the channel have their turn before it.
    rest = sent.wait or min(backoff(parcel.failures + 1, 0.0) / 2, MOST_REST)
    failed: dict[str, Any] = {
        "now": now,
        "error": sent.error,
        "rest": rest if answer.is_of_channel else None,
    }
    with dispatcher.store.begin() as transaction:
        if sent.outcome == "delivered":
            outbox.mark_sent(transaction, parcel, holder=holder, now=now)
            return
        LOGGER.warning(
            "not delivered message=%s kind=%s outcome=%s error=%s",
            parcel.number,
            parcel.kind,
            sent.outcome,
            sent.error,
        )
        if sent.outcome == "gone":
            outbox.mark_dead(transaction, parcel, holder=holder, **failed)
            consents.stop(transaction, parcel.channel, actor="the receiver's server", now=now)
        elif sent.outcome == "never" or _is_spent(parcel, now):
            outbox.mark_dead(transaction, parcel, holder=holder, **failed)
        else:
            outbox.reschedule(transaction, parcel, holder=holder, due=now + due, **failed)


def backoff(attempts: int, spread: float) -> timedelta:
    """Return the wait after some attempts: doubling, with half of it drawn at random.

    Parameters
    ----------
    spread
        In [0, 1).
    """
    whole = min(FIRST_WAIT * 2 ** min(attempts - 1, 16), MOST_WAIT)
    return whole * (0.5 + 0.5 * spread)


def _is_spent(parcel: ClaimedMessage, now: datetime) -> bool:
    """Return whether a message was tried often or long enough."""
    return parcel.attempts >= MOST_ATTEMPTS or now - parcel.created_at >= OLDEST


def _renew(sending: Sending) -> None:
    """Hold what is under way for longer, well before its lease ends."""
    now = sending.clock()
    if sending.renewed_at is not None and now - sending.renewed_at < LEASE / 4:
        return
    sending.renewed_at = now
    numbers = [parcel.number for parcel in sending.under_way.values()]
    if numbers:
        with sending.dispatcher.store.begin() as transaction:
            outbox.renew(
                transaction, numbers, holder=sending.dispatcher.holder, now=now, lease=LEASE
            )


def _beat(sending: Sending, now: datetime) -> None:
    """Say now and then that somebody delivers."""
    if sending.beaten_at is None or now - sending.beaten_at >= BEAT_EVERY:
        with sending.dispatcher.store.begin() as transaction:
            leases.beat(transaction, DELIVERING, now=now)
        sending.beaten_at = now


def _note(sending: Sending, error: Exception) -> None:
    """Write a failed round down where the heartbeat is read."""
    detail = {
        "holder": sending.dispatcher.holder,
        "error": f"{type(error).__name__}: {error}"[:500],
    }
    with contextlib.suppress(StoreFailed), sending.dispatcher.store.begin() as transaction:
        leases.beat(transaction, FAILING, now=sending.clock(), detail=detail)
