"""Adding a channel: checked, written down, and sent its one-time code before anything else."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models.errors import Fault, InvalidInput
from serving.notify.channels import KINDS, Destination, SendResult, new_secret, senders
from serving.notify.message import compose
from serving.settings import AlertSettings
from serving.store import Store, Transaction, alerts, consents
from serving.store.consents import Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRequest:
    """A channel as it is asked for."""

    receiver: str
    kind: str
    target: str
    rank: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedChannel:
    """A channel that waits for its code.

    Parameters
    ----------
    secret
        What a webhook's messages are signed with, shown this once; empty for other channels.
    sent
        What became of the message with the code.
    """

    channel: str
    secret: str
    sent: SendResult


def add(
    store: Store, request: ChannelRequest, settings: AlertSettings, *, actor: str, now: datetime
) -> AddedChannel:
    """Add a channel and send its code there.

    Raises
    ------
    InvalidInput
        When the receiver is not known or the target cannot be used; lists every fault.
    """
    faults = target_faults(request, settings)
    kind = KINDS.get(request.kind)
    secret = new_secret() if kind is not None and kind.is_signed else ""
    with store.begin() as transaction:
        receiver = alerts.receiver(transaction, request.receiver)
        if receiver is None:
            faults.append(Fault("/receiver", f"{request.receiver[:80]!r} is not known"))
        if faults or receiver is None:
            raise InvalidInput(faults)
        channel = consents.add(
            transaction,
            receiver=request.receiver,
            kind=request.kind,
            target=request.target,
            secrets_=(secret,) if secret else (),
            rank=request.rank,
            actor=actor,
            now=now,
        )
        code = consents.challenge(transaction, channel, actor=actor, now=now)
        opened = _open_channel(transaction, channel)
    sent = _send(
        opened, (secret,) if secret else (), alerts.reader_of(receiver), code, settings, now
    )
    return AddedChannel(channel=channel, secret=secret, sent=sent)


def resend(
    store: Store, channel: str, settings: AlertSettings, *, actor: str, now: datetime
) -> SendResult:
    """Send a channel a fresh code; the one before is worth nothing from now on.

    Raises
    ------
    InvalidInput
        When the channel is not known or was stopped.
    """
    with store.begin() as transaction:
        opened = _open_channel(transaction, channel)
        secrets = consents.signing_secrets(transaction, channel)
        readers = alerts.readers(transaction, [opened.receiver])
        code = consents.challenge(transaction, channel, actor=actor, now=now)
    return _send(
        opened, secrets, readers.get(opened.receiver, alerts.Reader()), code, settings, now
    )


def rotate(store: Store, channel: str, *, actor: str, now: datetime) -> str:
    """Give a webhook a new secret and return it, this once; the one before signs along with it.

    Raises
    ------
    InvalidInput
        When the channel is not known, was stopped, or signs nothing.
    """
    secret = new_secret()
    with store.begin() as transaction:
        opened = _open_channel(transaction, channel)
        if not KINDS[opened.kind].is_signed:
            raise InvalidInput([Fault("/channel", f"a {opened.kind} channel has no secret")])
        consents.rotate(transaction, channel, secret, actor=actor, now=now)
    return secret


def _open_channel(transaction: Transaction, channel: str) -> Channel:
    """Return a channel that was not stopped.

    Raises
    ------
    InvalidInput
        When there is none of that id.
    """
    stored = consents.channel(transaction, channel)
    if stored is None or stored.status == consents.STOPPED:
        raise InvalidInput([Fault("/channel", f"{channel[:80]!r} is not known, or was stopped")])
    return stored


def _send(
    opened: Channel,
    secrets: tuple[str, ...],
    reader: alerts.Reader,
    code: str,
    settings: AlertSettings,
    now: datetime,
) -> SendResult:
    """Return what became of the message with a code."""
    missing = KINDS[opened.kind].missing(settings)
    if missing is not None:
        return SendResult("later", missing)
    send = senders(settings)[opened.kind]
    body = _challenge(opened.receiver, opened.id, code, now)
    to = Destination(key=body["key"], target=opened.target, secrets=secrets)
    return send(compose(body, reader.language, {}, zone=reader.zone), to)


def target_faults(request: ChannelRequest, settings: AlertSettings) -> list[Fault]:
    """Return what is wrong with a channel: its kind, the setting it needs, its target."""
    kind = KINDS.get(request.kind)
    if kind is None:
        return [Fault("/kind", f"{request.kind[:20]!r} is not one of {', '.join(KINDS)}")]
    checks = (("/kind", kind.missing(settings)), ("/target", kind.fault(request.target)))
    return [Fault(where, message) for where, message in checks if message is not None]


def _challenge(receiver: str, channel: str, code: str, now: datetime) -> dict[str, Any]:
    """Return the facts of the message that carries a code."""
    return {
        "key": f"verify/{channel}/{int(now.timestamp())}",
        "shape": "verify",
        "at": now.isoformat(),
        "code": code,
        "channel": channel,
        "receiver": receiver,
        "until": (now + consents.LIFE).isoformat(),
        "counts": {},
        "items": [],
        "more": 0,
    }
