"""One-click links: what they do is written into them and signed, so that nothing is stored."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from models.errors import ForewarnError

Act = Literal["acknowledge", "mute", "stop"]
LIFE = timedelta(days=30)


class LinkRefused(ForewarnError):  # noqa: N818 - named for what happened
    """A link is not one of ours, or too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a link does.

    Parameters
    ----------
    subject
        The account, or for `stop` the channel.
    until
        Second since 1970 at which the link ends.
    """

    act: Act
    subject: str
    receiver: str
    until: int


def sign(link: Link, key: bytes) -> str:
    """Return the token of a link."""
    body = msgspec.json.encode(link)
    return f"{_text(body)}.{_text(hmac.digest(key, body, hashlib.sha256))}"


def verify(token: str, key: bytes, *, now: datetime) -> Link:
    """Return what a token does.

    Raises
    ------
    LinkRefused
        When it is malformed, was not signed with the key, or has ended.
    """
    try:
        body, mark = (_bytes(part) for part in token.split(".", 1))
    except ValueError:
        raise LinkRefused("the link is malformed") from None
    if not hmac.compare_digest(mark, hmac.digest(key, body, hashlib.sha256)):
        raise LinkRefused("the link was not made by this service")
    link = msgspec.json.decode(body, type=Link)
    if now.timestamp() > link.until:
        raise LinkRefused("the link has ended")
    return link


def links(
    base: str | None, key: bytes, *, receiver: str, account: str, channel: str, at: datetime
) -> Mapping[str, str]:
    """Return the address of every act a message offers; none without a public address.

    Parameters
    ----------
    account
        Empty for a message about several: nothing to acknowledge or mute by one click.
    at
        When the message was made; a repeated attempt carries the same links.
    """
    if base is None:
        return {}
    until = int((at.astimezone(UTC) + LIFE).timestamp())
    subjects: dict[Act, str] = {"stop": channel}
    if account:
        subjects = {"acknowledge": account, "mute": account, **subjects}
    return {
        act: f"{base.rstrip('/')}/v1/alerts/links/"
        f"{sign(Link(act=act, subject=subject, receiver=receiver, until=until), key)}"
        for act, subject in subjects.items()
    }


def _text(raw: bytes) -> str:
    """Return bytes as they stand in an address."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Return the bytes of a part of a token."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
