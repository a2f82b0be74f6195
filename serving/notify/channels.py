"""The channels: each sends one message and says whether it arrived, may later, or never will.

A channel is one entry of `KINDS`: what sends, what may be a target, what of a target is shown.
"""

import asyncio
import base64
import hashlib
import ipaddress
import os
import re
import smtplib
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import parseaddr
from functools import cache
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import apprise
import httpx
import msgspec
from standardwebhooks import Webhook

from serving.brokers.broker import sink as open_sink
from serving.brokers.messages import BrokerFailed, MessageRefused, Sink
from serving.notify.message import Message
from serving.notify.url_guard import TargetRefused, literal_fault, parts, resolve
from serving.settings import AlertSettings, Network, prefix_of
from serving.waits import retry_after

WEBHOOK, MAIL, APPRISE, STREAM = "webhook", "mail", "apprise", "stream"
HOSTED: Mapping[str, frozenset[str]] = {
    "tgram": frozenset({"silent", "preview", "topic", "thread"}),
    "slack": frozenset(),
    "discord": frozenset({"tts", "thread"}),
    "pover": frozenset({"priority", "sound"}),
    "twilio": frozenset(),
    "opsgenie": frozenset({"region", "priority", "tags"}),
    "pagerduty": frozenset({"region", "severity"}),
    "sinch": frozenset({"region"}),
}
"""Services of apprise whose host no receiver can choose, each with the parameters it may have.

Other services could be aimed inside, and other parameters read files or addresses.
"""

_HOSTED_TEXT = re.compile(r"[A-Za-z0-9_\-.~:/@+%=&?#*]*")
_SUBJECT = re.compile(r"alerts(\.[A-Za-z0-9_-]{1,60}){1,4}")
SECONDS = 20.0
GONE, TOO_MANY, UNAVAILABLE = 410, 429, 503
MOST_WAIT = timedelta(hours=1)
SECRET_BYTES = 24
MAIL_VARIABLE = f"{prefix_of('alerts')}MAIL_URL"
BROKER_VARIABLE = f"{prefix_of('alerts')}BROKER"
MAIL_REFUSED = 500


@dataclass(frozen=True, slots=True)
class SendResult:
    """What a channel says of one attempt.

    Parameters
    ----------
    outcome
        `delivered`; `later`, worth another attempt; `never`, not worth one; `gone`, the
        channel is to be stopped.
    wait
        How long the receiver asked to be left alone.
    """

    outcome: Literal["delivered", "later", "never", "gone"]
    error: str = ""
    wait: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where one message goes.

    Parameters
    ----------
    key
        The message's own, the same on every attempt.
    secrets
        A webhook is signed with each of them.
    """

    key: str
    target: str
    secrets: tuple[str, ...] = ()


class Sender(Protocol):
    """Sends a message to a destination."""

    def __call__(self, message: Message, to: Destination, /) -> SendResult:
        """Return what became of one attempt; never raises for the receiver's doing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSender:
    """Signed POSTs by the Standard Webhooks specification.

    Parameters
    ----------
    allowed
        Networks that may be reached though they are private.
    trust
        What TLS certificates are checked against; made once, since that takes long.
    """

    allowed: tuple[Network, ...] = ()
    trust: ssl.SSLContext = field(default_factory=httpx.create_ssl_context)

    def __call__(self, message: Message, to: Destination) -> SendResult:
        """Return what became of one attempt; the id is the same on every one.

        References
        ----------
        https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md,
        read 2026-11: `webhook-id`, `webhook-timestamp`, `webhook-signature` with one signature
        per secret, separated by spaces; 410 ends a subscription; redirects are failures.
        """
        body = msgspec.json.encode(message.payload).decode()
        headers = signed(body, to, at=datetime.now(tz=UTC))
        try:
            return asyncio.run(asyncio.wait_for(self._post(to.target, body, headers), SECONDS))
        except TargetRefused as error:
            return SendResult("never", str(error))
        except TimeoutError:
            return SendResult("later", f"no answer within {SECONDS:.0f} s")
        except (httpx.HTTPError, OSError, UnicodeError) as error:
            return SendResult("later", f"{type(error).__name__}: {error}")

    async def _post(self, target: str, body: str, headers: Mapping[str, str]) -> SendResult:
        """Post to the address that was looked at, and read no more than the status."""
        host, port, address = await resolve(target, allowed=self.allowed)
        split = urlsplit(target)
        literal = f"[{address}]" if isinstance(address, ipaddress.IPv6Address) else str(address)
        pinned = urlunsplit((split.scheme, f"{literal}:{port}", split.path or "/", split.query, ""))
        async with (
            httpx.AsyncClient(
                verify=self.trust, timeout=SECONDS, follow_redirects=False, trust_env=False
            ) as client,
            client.stream(
                "POST",
                pinned,
                content=body,
                headers={**headers, "host": split.netloc},
                extensions={"sni_hostname": host},
            ) as response,
        ):
            return send_result(response.status_code, response.headers.get("retry-after"))


def message_id(key: str) -> str:
    """Return the opaque ASCII id of a message, the same for the same key."""
    return f"msg_{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def signed(body: str, to: Destination, *, at: datetime) -> dict[str, str]:
    """Return the headers of a signed webhook, one signature per secret in use."""
    name = message_id(to.key)
    marks = [Webhook(secret).sign(msg_id=name, timestamp=at, data=body) for secret in to.secrets]
    return {
        "content-type": "application/json",
        "user-agent": "forewarn",
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(marks),
    }


def send_result(status: int, wait: str | None) -> SendResult:
    """Return the outcome of an attempt by its HTTP status.

    Parameters
    ----------
    wait
        The header `Retry-After`; an hour at most is waited.
    """
    if 200 <= status < 300:  # noqa: PLR2004 - the range that means success
        return SendResult("delivered")
    if status == GONE:
        return SendResult("gone", "the receiver answered 410: it wants no more")
    if 300 <= status < 400:  # noqa: PLR2004 - the range that means redirection
        return SendResult("never", f"the receiver redirects ({status}); redirects are not followed")
    delay = retry_after(wait, now=datetime.now(tz=UTC))
    limited = None if delay is None else min(delay, MOST_WAIT)
    return SendResult("later", f"the receiver answered {status}", limited)


def new_secret() -> str:
    """Return a fresh signing secret in the form the specification gives it."""
    return "whsec_" + base64.b64encode(os.urandom(SECRET_BYTES)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSender:
    """Mail through the operator's server; a receiver chooses an address and nothing else.

    Parameters
    ----------
    server
        URL as apprise writes it.
    """

    server: str

    def __call__(self, message: Message, to: Destination) -> SendResult:
        """Return what became of one attempt."""
        server = mail_server(self.server)
        if server is None:
            return SendResult("later", f"{MAIL_VARIABLE} is not the URL of a mail server")
        try:
            _submit(server, mail(message, to, sender=server.from_addr))
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            return SendResult("never" if min(codes) >= MAIL_REFUSED else "later", _said(error))
        except (smtplib.SMTPException, OSError) as error:
            return SendResult("later", _said(error))
        return SendResult("delivered")


def mail_server(url: str) -> Any:
    """Return a mail server as apprise reads its URL; None where it cannot."""
    return apprise.Apprise.instantiate(f"{url}{'&' if '?' in url else '?'}to=nobody@example.org")


class PlainPolicy(EmailPolicy):
    """Leaves a header of one ASCII word as it is: an address that is folded or encoded is lost.

    Python would encode words longer than its line, as the addresses of links are, and mail
    programs read `List-Unsubscribe` and `Message-ID` as they stand (RFC 2369, RFC 5322).
    """

    def fold_binary(self, name: str, value: str) -> bytes:
        """Return a header's lines."""
        if value.isascii() and not any(character.isspace() for character in value):
            return f"{name}: {value}{self.linesep}".encode()
        return super().fold_binary(name, value)


PLAIN = PlainPolicy()


def mail(message: Message, to: Destination, *, sender: tuple[str, str]) -> EmailMessage:
    """Return a mail with the message as text and as HTML.

    Parameters
    ----------
    sender
        Name, which may be empty, and address.

    References
    ----------
    RFC 8058, https://www.rfc-editor.org/rfc/rfc8058, read 2026-11: one-click unsubscription is
    a POST to the https address in `List-Unsubscribe`.
    """
    name, address = sender
    made = EmailMessage(policy=PLAIN)
    made["Subject"] = message.subject
    made["From"] = Address(name or "Forewarn", addr_spec=address)
    made["To"] = Address(addr_spec=to.target)
    made["Message-ID"] = f"<{message_id(to.key)}@{address.rpartition('@')[2]}>"
    if message.unsubscribe is not None:
        made["List-Unsubscribe"] = f"<{message.unsubscribe}>"
        if message.unsubscribe.startswith("https:"):
            made["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    made.set_content(message.text)
    made.add_alternative(message.html, subtype="html")
    return made


def _submit(server: Any, made: EmailMessage) -> None:
    """Hand a mail to a server."""
    context = ssl.create_default_context()
    if not server.verify_certificate:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    seconds = min(float(server.socket_connect_timeout or SECONDS), SECONDS)
    place = (server.smtp_host, server.port)
    with (
        smtplib.SMTP_SSL(*place, timeout=seconds, context=context)
        if server.secure_mode == "ssl"
        else smtplib.SMTP(*place, timeout=seconds)
    ) as smtp:
        if server.secure_mode == "starttls":
            smtp.starttls(context=context)
        if server.user and server.password:
            smtp.login(server.user, server.password)
        smtp.send_message(made)


def _said(error: Exception) -> str:
    """Return a mail server's reply on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def address_fault(target: str) -> str | None:
    """Return why a text is not one mail address, or None."""
    is_one = parseaddr(target)[1] == target and target.count("@") == 1
    is_plain = target.isascii() and not any(c in target for c in " ,;<>\"'\r\n?&=%/\\")
    return None if is_one and is_plain else f"{target[:80]!r} is not one mail address"


def send_hosted(message: Message, to: Destination) -> SendResult:
    """Send through a hosted service that apprise knows, and return what became of it."""
    fault = hosted_fault(to.target)
    service = None if fault else apprise.Apprise.instantiate(to.target)
    if service is None:
        return SendResult("never", fault or "apprise cannot read the target")
    robot = apprise.Apprise()
    # One service: a text would be taken apart into several.
    robot.add(service)
    done = robot.notify(
        title=message.subject, body=message.text, body_format=apprise.NotifyFormat.TEXT
    )
    return (
        SendResult("delivered")
        if done
        else SendResult("later", "the service did not take the message")
    )


def hosted_fault(target: str) -> str | None:
    """Return why a target is not one of the hosted services, or None."""
    scheme, mark, rest = target.partition("://")
    if scheme not in HOSTED or not mark:
        return (
            f"{scheme[:20]!r} is not one of {', '.join(HOSTED)}: of other services a receiver "
            "could choose the host"
        )
    if "://" in rest or not _HOSTED_TEXT.fullmatch(rest):
        return f"a {scheme} target is one URL of plain characters, without commas or spaces"
    named = [name for name, _ in parse_qsl(rest.partition("?")[2], keep_blank_values=True)]
    unknown = sorted({name[:20] for name in named} - HOSTED[scheme])
    if unknown:
        return f"a {scheme} target has no parameter {', '.join(map(repr, unknown))} here"
    if apprise.Apprise.instantiate(target) is None:
        return f"a {scheme} target that apprise cannot read"
    return None


@dataclass(slots=True, kw_only=True)
class StreamSender:
    """The webhook's payload as a message of the operator's broker, confirmed before it counts.

    Parameters
    ----------
    broker
        URL of the broker; opened by the first message, and again after one that failed.
    """

    broker: str
    sink: Sink | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, message: Message, to: Destination) -> SendResult:
        """Return what became of one attempt; the id is the same on every one.

        NATS drops what comes again with one id within its window (`Nats-Msg-Id`); beyond it, and
        on Kafka (`idempotency-key`), readers know a repeat by it.
        """
        body = msgspec.json.encode(message.payload)
        headers = {"content-type": "application/json", "forewarn-type": message.payload["type"]}
        with self.lock:  # a client of a broker is made once, however many wait for it
            try:
                if self.sink is None:
                    self.sink = open_sink(self.broker)
                self.sink.publish(
                    to.target, body, key=message_id(to.key), headers=headers, order=to.target
                )
            except ModuleNotFoundError as error:
                return SendResult("later", f"{error.name} is not installed: see the extra streams")
            except MessageRefused as error:
                return SendResult("never", str(error))
            except BrokerFailed as error:
                failed, self.sink = self.sink, None
                if failed is not None:
                    failed.close()
                return SendResult("later", str(error))
        return SendResult("delivered")


@cache
def stream_sender(broker: str) -> StreamSender:
    """Return what writes to a broker: one connection of a process, whoever sends."""
    return StreamSender(broker=broker)


def subject_fault(target: str) -> str | None:
    """Return why a text is not a subject that a channel may write to, or None."""
    if _SUBJECT.fullmatch(target):
        return None
    return f"{target[:80]!r} is not a subject alerts.NAME of letters, digits, - and _"


def url_fault(target: str) -> str | None:
    """Return why a URL cannot be a webhook's, as far as its text tells; None where it can."""
    try:
        parts(target)
    except TargetRefused as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelKind:
    """One kind of channel.

    Parameters
    ----------
    fault
        Why a text cannot be a target; None where it can.
    shown
        A target as it may be shown: where it leads, without what opens it.
    host
        What stalls together: where a target leads.
    missing
        Which setting every channel of the kind needs and is not there; None where none is.
    barred
        Why a target may not be reached under some settings; None where nothing speaks against it.
    is_signed
        Whether its messages carry signatures, by secrets of its own.
    """

    sender: Callable[[AlertSettings], Sender]
    fault: Callable[[str], str | None]
    shown: Callable[[str], str]
    host: Callable[[str], str]
    missing: Callable[[AlertSettings], str | None] = lambda _settings: None
    barred: Callable[[str, AlertSettings], str | None] = lambda _target, _settings: None
    is_signed: bool = False


def _no_mail(settings: AlertSettings) -> str | None:
    """Return why no mail can be sent under some settings."""
    return None if settings.mail_url else f"no mail server is named: set {MAIL_VARIABLE}"


def _no_broker(settings: AlertSettings) -> str | None:
    """Return why nothing can be written to a broker under some settings."""
    return None if settings.broker else f"no broker is named: set {BROKER_VARIABLE}"


def _no_network(target: str, settings: AlertSettings) -> str | None:
    """Return why a webhook may not be reached under some settings, as far as its text tells."""
    fault = literal_fault(target, allowed=settings.allowed_networks)
    return None if fault is None else f"{fault}; see {prefix_of('alerts')}ALLOWED_NETWORKS"


def _scheme(target: str) -> str:
    """Return the scheme of a target."""
    return target.partition("://")[0]


KINDS: Mapping[str, ChannelKind] = {
    WEBHOOK: ChannelKind(
        sender=lambda settings: WebhookSender(allowed=settings.allowed_networks),
        fault=url_fault,
        shown=lambda target: f"{_scheme(target)}://{urlsplit(target).hostname}/…",
        host=lambda target: urlsplit(target).netloc,
        barred=_no_network,
        is_signed=True,
    ),
    MAIL: ChannelKind(
        sender=lambda settings: MailSender(server=settings.mail_url or ""),
        fault=address_fault,
        shown=lambda target: f"{target[:1]}…@{target.rpartition('@')[2]}",
        host=lambda _target: MAIL,
        missing=_no_mail,
    ),
    APPRISE: ChannelKind(
        sender=lambda _settings: send_hosted,
        fault=hosted_fault,
        shown=lambda target: f"{_scheme(target)}://…",
        host=_scheme,
    ),
    STREAM: ChannelKind(
        sender=lambda settings: stream_sender(settings.broker or ""),
        fault=subject_fault,
        shown=lambda target: target,
        host=lambda _target: STREAM,
        missing=_no_broker,
    ),
}


def senders(settings: AlertSettings) -> dict[str, Sender]:
    """Return what sends to each kind of channel."""
    return {name: kind.sender(settings) for name, kind in KINDS.items()}


def unusable(kind: str, target: str, settings: AlertSettings) -> str | None:
    """Return why a channel cannot be used under some settings; None where it can."""
    channel_kind = KINDS.get(kind)
    if channel_kind is None:
        return f"{kind!r} is not a kind of channel"
    return channel_kind.missing(settings) or channel_kind.barred(target, settings)


def lane(kind: str, target: str) -> str:
    """Return what of a channel stalls together with others."""
    return KINDS[kind].host(target) if kind in KINDS else kind


def shown(kind: str, target: str) -> str:
    """Return a target as it may be shown: where it leads, without what opens it."""
    return KINDS[kind].shown(target) if kind in KINDS else target
