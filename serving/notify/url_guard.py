"""Where a webhook may go: every address is looked at after the name was resolved.

The connection is then made to the very address that was looked at, so that a name that
resolves differently a moment later leads nowhere else, and redirects are not followed.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from models.errors import ForewarnError
from serving.settings import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
EMBEDDING: tuple[ipaddress.IPv6Network, ...] = (
    ipaddress.IPv6Network("64:ff9b::/96"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
    ipaddress.IPv6Network("::/96"),
)
"""IPv6 networks that hold an IPv4 address in their last 32 bits."""

HTTPS, HTTP = 443, 80
LONGEST_URL = 2000
LONGEST_HOST = 253
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


class TargetRefused(ForewarnError):  # noqa: N818 - named for what happened
    """An address that a webhook must not reach."""


async def resolve(url: str, *, allowed: Sequence[Network]) -> tuple[str, int, Address]:
    """Return host, port and the address to connect to.

    Parameters
    ----------
    allowed
        Networks that may be reached though they are private; only there is plain http taken.

    Raises
    ------
    TargetRefused
        When the URL is unusable, or any address its name stands for is not public.
    OSError
        When the name cannot be resolved.
    """
    scheme, host, port = parts(url)
    loop = asyncio.get_running_loop()
    entries = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(entry[4][0]) for entry in entries]
    for address in addresses:
        _admit(scheme, host, address, allowed)
    return host, port, addresses[0]


def literal_fault(url: str, *, allowed: Sequence[Network]) -> str | None:
    """Return why a URL may not be reached, as far as its text alone tells; None where it may."""
    try:
        scheme, host, _ = parts(url)
        address = _literal(host)
        if address is not None:
            _admit(scheme, host, address, allowed)
    except TargetRefused as error:
        return str(error)
    return None


def _admit(scheme: str, host: str, address: Address, allowed: Sequence[Network]) -> None:
    """Let an address through.

    Raises
    ------
    TargetRefused
        When it is neither public and reached by https, nor allowed.
    """
    if _is_in(address, allowed):
        return
    if not is_public(address):
        raise TargetRefused(f"{host} leads to {address}, which is not a public address")
    if scheme != "https":
        raise TargetRefused("a webhook is reached by https")


def _literal(host: str) -> Address | None:
    """Return the address that a host is written as; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_name(host: str) -> bool:
    """Return whether a host can be a name: labels of 1 to 63 characters."""
    labels = host.removesuffix(".").split(".")
    return len(host) <= LONGEST_HOST and all(map(_LABEL.fullmatch, labels))


def parts(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL.

    Raises
    ------
    TargetRefused
        When it is not a plain http or https URL.
    """
    if len(url) > LONGEST_URL or not url.isascii() or any(c <= " " for c in url):
        raise TargetRefused(f"a webhook's URL is at most {LONGEST_URL} plain characters")
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port
    except ValueError as error:
        raise TargetRefused(f"{url[:80]!r} cannot be read: {error}") from None
    if split.scheme not in {"http", "https"} or not host:
        raise TargetRefused(f"{url[:80]!r} is not an http or https URL")
    if split.username is not None or split.password is not None or split.fragment:
        raise TargetRefused("a webhook's URL holds neither credentials nor a fragment")
    if _literal(host) is None and not _is_name(host):
        raise TargetRefused(f"{host[:80]!r} is no host: a label has 1 to 63 letters and digits")
    return split.scheme, host, port or (HTTPS if split.scheme == "https" else HTTP)


def is_public(address: Address) -> bool:
    """Return whether an address, and any that it stands for, is one of the public internet."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to, or None."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    """Return whether an address lies in one of some networks."""
    return any(address.version == network.version and address in network for network in networks)
