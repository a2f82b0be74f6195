"""From the outbox to the channels: claim, send, settle.

A message is late rather than lost, and sent again, with the same key, only where a dispatcher
died between sending and settling or its lease ended.
"""

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from serving.alerting.channels import (
    APPRISE,
    MAIL,
    WEBHOOK,
    Destination,
    MailSender,
    Sender,
    Sent,
    WebhookSender,
    send_hosted,
)
from serving.alerting.heart import Lookout
from serving.alerting.links import links
from serving.alerting.message import compose
from serving.alerting.passes import DELIVERING
from serving.alerting.settings import AlertSettings
from serving.store import Store, StoreFailed, alerts, consents, outbox, turns
from serving.store.outbox import Parcel

LOGGER = logging.getLogger("forewarn.deliver")
IDLE = 0.2
LEASE = timedelta(seconds=60)
FIRST_WAIT = timedelta(seconds=5)
MOST_WAIT = timedelta(minutes=30)
MOST_ATTEMPTS = 12
OLDEST = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatcher:
    """One that sends; several may run on one store.

    Parameters
    ----------
    holder
        Its name in leases, unlike any other's.
    senders
        By kind of channel.
    """

    store: Store
    senders: Mapping[str, Sender]
    holder: str
    public_url: str | None = None
    spread: Callable[[], float] = random.random


def senders(settings: AlertSettings) -> dict[str, Sender]:
    """Return what sends to each kind of channel."""
    found: dict[str, Sender] = {
        WEBHOOK: WebhookSender(allowed=settings.allowed_networks),
        APPRISE: send_hosted,
    }
    if settings.mail_url is not None:
        found[MAIL] = MailSender(server=settings.mail_url)
    return found


def deliver(dispatcher: Dispatcher, *, now: datetime, limit: int = 20) -> int:
    """Send what is due and return how many messages were tried."""
    with dispatcher.store.begin() as transaction:
        turns.beat(transaction, DELIVERING, now=now)
        key = consents.link_key(transaction)
        parcels = outbox.claim(
            transaction, holder=dispatcher.holder, now=now, lease=LEASE, limit=limit
        )
        languages = alerts.languages(transaction, [parcel.receiver for parcel in parcels])
    for parcel in parcels:
        sent = _attempt(dispatcher, parcel, languages.get(parcel.receiver, ""), key)
        _settle(dispatcher, parcel, sent, now)
    return len(parcels)


def run(
    dispatcher: Dispatcher,
    *,
    clock: Callable[[], datetime],
    is_over: Callable[[], bool],
    pause: Callable[[float], None],
) -> None:
    """Deliver until it is over; a failed round is noted and tried again."""
    lookout = Lookout(dispatcher.store)
    while not is_over():
        lookout.look(clock())
        try:
            tried = deliver(dispatcher, now=clock())
        except StoreFailed:
            tried = 0
            LOGGER.exception("the store failed while delivering")
        if not tried:
            pause(IDLE)


def backoff(attempts: int, spread: float) -> timedelta:
    """Return the wait after some attempts: doubling, with half of it drawn at random.

    Parameters
    ----------
    spread
        In [0, 1).
    """
    whole = min(FIRST_WAIT * 2 ** min(attempts - 1, 16), MOST_WAIT)
    return whole * (0.5 + 0.5 * spread)


def _attempt(dispatcher: Dispatcher, parcel: Parcel, language: str, key: bytes) -> Sent:
    """Return what became of one attempt; a sender that fails is itself only late."""
    send = dispatcher.senders.get(parcel.kind)
    if send is None:
        return Sent("later", f"no {parcel.kind} channel is set up here")
    offered = links(
        dispatcher.public_url,
        key,
        receiver=parcel.receiver,
        account=parcel.stream,
        channel=parcel.channel,
        at=parcel.created_at,
    )
    try:
        message = compose(parcel.body, language, offered)
        to = Destination(key=parcel.key, target=parcel.target, secrets=parcel.secrets)
        return send(message, to)
    except Exception as error:  # noqa: BLE001 - the delivering loop: recorded in the message's row
        return Sent("later", f"{type(error).__name__}: {error}")


def _settle(dispatcher: Dispatcher, parcel: Parcel, sent: Sent, now: datetime) -> None:
    """Write what became of an attempt."""
    holder = dispatcher.holder
    with dispatcher.store.begin() as transaction:
        if sent.outcome == "delivered":
            outbox.sent(transaction, parcel, holder=holder, now=now)
        elif sent.outcome == "gone":
            outbox.dead(transaction, parcel, holder=holder, now=now, error=sent.error)
            consents.stop(transaction, parcel.channel, actor="the receiver's server", now=now)
        elif sent.outcome == "never" or _is_spent(parcel, now):
            outbox.dead(transaction, parcel, holder=holder, now=now, error=sent.error)
        else:
            wait = sent.wait or backoff(parcel.attempts, dispatcher.spread())
            outbox.later(transaction, parcel, holder=holder, due=now + wait, error=sent.error)


def _is_spent(parcel: Parcel, now: datetime) -> bool:
    """Return whether a message was tried often or long enough."""
    return parcel.attempts >= MOST_ATTEMPTS or now - parcel.created_at >= OLDEST
