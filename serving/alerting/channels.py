"""The channels: each sends one message and says whether it arrived, may later, or never will."""

import asyncio
import base64
import ipaddress
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

import apprise
import httpx
import msgspec
from standardwebhooks import Webhook

from serving.alerting.guard import TargetRefused, resolve
from serving.alerting.message import Message
from serving.alerting.settings import Network

WEBHOOK, MAIL, APPRISE = "webhook", "mail", "apprise"
HOSTED = ("tgram", "slack", "discord", "pover", "twilio", "opsgenie", "pagerduty", "sinch")
"""Services of apprise whose host no receiver can choose; others could be aimed inside."""

SECONDS = 20.0
GONE, TOO_MANY, UNAVAILABLE = 410, 429, 503
MOST_WAIT = timedelta(hours=1)
SECRET_BYTES = 24


@dataclass(frozen=True, slots=True)
class Sent:
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

    def __call__(self, message: Message, to: Destination) -> Sent:
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

    def __call__(self, message: Message, to: Destination) -> Sent:
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
            return Sent("never", str(error))
        except TimeoutError:
            return Sent("later", f"no answer within {SECONDS:.0f} s")
        except (httpx.HTTPError, OSError) as error:
            return Sent("later", f"{type(error).__name__}: {error}")

    async def _post(self, target: str, body: str, headers: Mapping[str, str]) -> Sent:
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
            return judged(response.status_code, response.headers.get("retry-after"))


def signed(body: str, to: Destination, *, at: datetime) -> dict[str, str]:
    """Return the headers of a signed webhook, one signature per secret in use."""
    marks = [Webhook(one).sign(msg_id=to.key, timestamp=at, data=body) for one in to.secrets]
    return {
        "content-type": "application/json",
        "user-agent": "forewarn",
        "webhook-id": to.key,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(marks),
    }


def judged(status: int, retry_after: str | None) -> Sent:
    """Return what an HTTP status says of an attempt."""
    if 200 <= status < 300:  # noqa: PLR2004 - the range that means success
        return Sent("delivered")
    if status == GONE:
        return Sent("gone", "the receiver answered 410: it wants no more")
    if 300 <= status < 400:  # noqa: PLR2004 - the range that means redirection
        return Sent("never", f"the receiver redirects ({status}); redirects are not followed")
    return Sent("later", f"the receiver answered {status}", _wait(retry_after))


def _wait(retry_after: str | None) -> timedelta | None:
    """Return how long a receiver asks to be left alone, an hour at most."""
    if retry_after is None:
        return None
    try:
        asked = timedelta(seconds=int(retry_after))
    except (ValueError, OverflowError):
        try:
            asked = parsedate_to_datetime(retry_after) - datetime.now(tz=UTC)
        except (ValueError, TypeError):
            return None
    return min(max(asked, timedelta(0)), MOST_WAIT)


def new_secret() -> str:
    """Return a fresh signing secret in the form the specification gives it."""
    return "whsec_" + base64.b64encode(os.urandom(SECRET_BYTES)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSender:
    """Mail through the operator's server; a receiver chooses an address and nothing else."""

    server: str

    def __call__(self, message: Message, to: Destination) -> Sent:
        """Return what became of one attempt."""
        joint = "&" if "?" in self.server else "?"
        return _notify(
            f"{self.server}{joint}to={quote(to.target)}&format=html", message.html, message
        )


def send_hosted(message: Message, to: Destination) -> Sent:
    """Send through a hosted service that apprise knows, and return what became of it."""
    fault = hosted_fault(to.target)
    return _notify(to.target, message.text, message) if fault is None else Sent("never", fault)


def hosted_fault(target: str) -> str | None:
    """Return why a target is not one of the hosted services, or None."""
    scheme = target.split("://", 1)[0].lower()
    if scheme not in HOSTED or "://" not in target:
        return f"{scheme[:20]!r} is not one of {', '.join(HOSTED)}"
    if apprise.Apprise.instantiate(target) is None:
        return f"a {scheme} target that apprise cannot read"
    return None


def shown(kind: str, target: str) -> str:
    """Return a target as it may be shown: where it leads, without what opens it."""
    split = urlsplit(target)
    if kind == WEBHOOK:
        return f"{split.scheme}://{split.hostname}/…"
    return f"{split.scheme}://…" if kind == APPRISE else target


def _notify(url: str, body: str, message: Message) -> Sent:
    """Hand one message to apprise."""
    is_html = body is message.html
    form = apprise.NotifyFormat.HTML if is_html else apprise.NotifyFormat.TEXT
    robot = apprise.Apprise()
    if not robot.add(url):
        return Sent("never", "apprise cannot read the target")
    done = robot.notify(title=message.subject, body=body, body_format=form)
    return Sent("delivered") if done else Sent("later", "the service did not take the message")
