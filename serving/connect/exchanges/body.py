"""What a connection to an exchange is to follow, as it is asked for, and its credentials."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from models.errors import Fault, InvalidInput
from serving.schemas.fields import Body

ExchangeVenue = Literal["binance-usdm", "bybit", "okx", "hyperliquid", "dydx", "deribit"]
VENUES: tuple[ExchangeVenue, ...] = get_args(ExchangeVenue)
PUBLIC: Mapping[str, re.Pattern[str]] = {
    "hyperliquid": re.compile(r"0x[0-9a-fA-F]{40}"),
    "dydx": re.compile(r"dydx1[02-9ac-hj-np-z]{38}(/[0-9]{1,6})?"),
}
"""Exchanges whose accounts anybody may read by their address; dYdX: address/subaccount."""

WITH_PASSPHRASE = frozenset({"okx"})
MOST_ADDRESSES = 100
CREDENTIALS = ("key", "secret", "passphrase")
LONGEST_SECRET = 500


def _secret(value: object) -> object:
    """Refuse what is no credential, without showing it."""
    if value is not None and (not isinstance(value, str) or not 0 < len(value) <= LONGEST_SECRET):
        raise ValueError(f"is no text of 1 to {LONGEST_SECRET} characters")
    return value


Secret = Annotated[str, BeforeValidator(_secret), Field(min_length=1, max_length=LONGEST_SECRET)]


class ExchangeBody(Body):
    """Accounts of an exchange: by a key that can only read, or by public addresses.

    A key that can trade or withdraw is refused. Credentials are sealed at once and shown nowhere.
    """

    venue: ExchangeVenue
    key: Secret | None = Field(default=None, description="of the API; one that can only read")
    secret: Secret | None = Field(default=None, description="that the key signs with")
    passphrase: Secret | None = Field(default=None, description="of the key; OKX alone has one")
    addresses: Annotated[
        list[Annotated[str, Field(max_length=100, strict=True)]], Field(max_length=MOST_ADDRESSES)
    ] = Field(
        default_factory=list,
        description="Hyperliquid and dYdX, which need no key; dYdX: address, or address/subaccount",
    )
    base_url: Annotated[str, Field(max_length=500, strict=True)] | None = Field(
        default=None, description="speaks for every host of the exchange, such as a sandbox"
    )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Credentials:
    """What signs requests; never written, shown or logged."""

    key: str = ""
    secret: str = ""
    passphrase: str = ""

    def hidden(self) -> tuple[str, ...]:
        """Return what no text may hold."""
        return tuple(part for part in (self.key, self.secret, self.passphrase) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeTarget:
    """A connection to an exchange with nothing left to be looked up.

    Parameters
    ----------
    addresses
        In lower case; empty where a key says whose accounts they are.
    base_url
        None for the exchange's own hosts.
    """

    venue: ExchangeVenue
    addresses: tuple[str, ...]
    base_url: str | None


def exchange_target(body: ExchangeBody) -> ExchangeTarget:
    """Return what a connection follows.

    Raises
    ------
    InvalidInput
        Listing what lacks, what is too much, and what is no address or URL; never a secret.
    """
    faults = _key_faults(body) if body.venue not in PUBLIC else _address_faults(body)
    if body.base_url is not None:
        faults += _url_faults(body.base_url)
    if faults:
        raise InvalidInput(faults)
    return ExchangeTarget(
        venue=body.venue,
        addresses=tuple(address.lower() for address in body.addresses),
        base_url=body.base_url,
    )


def _key_faults(body: ExchangeBody) -> list[Fault]:
    """Return what lacks of a key, and what it has no use for."""
    needed = ["key", "secret"] + ["passphrase"] * (body.venue in WITH_PASSPHRASE)
    faults = [
        Fault(f"/{name}", f"{body.venue} needs it, of a key that can only read")
        for name in needed
        if getattr(body, name) is None
    ]
    if body.passphrase is not None and body.venue not in WITH_PASSPHRASE:
        faults.append(Fault("/passphrase", f"keys of {body.venue} have none"))
    if body.addresses:
        faults.append(Fault("/addresses", f"the key of {body.venue} says whose accounts they are"))
    return faults


def _address_faults(body: ExchangeBody) -> list[Fault]:
    """Return what is no address, what stands twice, and keys that are not needed."""
    faults = [
        Fault(f"/{name}", f"{body.venue} needs an address alone; never hand out a key of it")
        for name in CREDENTIALS
        if getattr(body, name) is not None
    ]
    if not body.addresses:
        faults.append(Fault("/addresses", "name an address"))
    for place, address in enumerate(body.addresses):
        if PUBLIC[body.venue].fullmatch(address) is None:
            faults.append(Fault(f"/addresses/{place}", f"is no address of {body.venue}"))
        elif address.lower() in [each.lower() for each in body.addresses[:place]]:
            faults.append(Fault(f"/addresses/{place}", f"{address} stands twice"))
    return faults


def _url_faults(url: str) -> list[Fault]:
    """Return why a text is no URL of a server."""
    try:
        parts = urlsplit(url)
        is_sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_sound = False
    if not is_sound:
        return [Fault("/base_url", "is no URL of http or https")]
    if parts.path.strip("/") or parts.query or parts.username is not None:
        return [Fault("/base_url", "is a scheme, a host and a port, nothing more")]
    return []


def credentials_of(body: ExchangeBody) -> Credentials:
    """Return what signs the requests of a body; empty for public accounts."""
    return Credentials(
        key=body.key or "", secret=body.secret or "", passphrase=body.passphrase or ""
    )


def stated(body: ExchangeBody) -> dict[str, Any]:
    """Return a body as it may be stored in the clear and shown: without its credentials."""
    return body.model_dump(exclude=set(CREDENTIALS))


def secrets_of(body: ExchangeBody) -> dict[str, str]:
    """Return what is sealed of a body; empty where there is nothing to seal."""
    values = {name: getattr(body, name) for name in CREDENTIALS}
    return {name: value for name, value in values.items() if value is not None}


def credentials_in(
    text: str | None, environment: Mapping[str, str], *, where: str
) -> dict[str, str]:
    """Return credentials of a file's text, else of variables.

    Parameters
    ----------
    text
        TOML with `key`, `secret` and, for OKX, `passphrase`; None to read the variables
        `FOREWARN_EXCHANGE_KEY`, `…_SECRET` and `…_PASSPHRASE`.
    where
        What a fault calls the text.

    Raises
    ------
    InvalidInput
        When the text is no such file; never with what it holds.
    """
    if text is None:
        named = {name: f"FOREWARN_EXCHANGE_{name.upper()}" for name in CREDENTIALS}
        return {
            n: environment[variable] for n, variable in named.items() if variable in environment
        }
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise InvalidInput([Fault(where, "is no TOML")]) from None
    faults = [
        Fault(where, f"holds {name[:40]!r}, which is none of {', '.join(CREDENTIALS)}")
        for name in tree
        if name not in CREDENTIALS
    ]
    faults += [
        Fault(where, f"{name} is no text")
        for name in CREDENTIALS
        if name in tree and not isinstance(tree[name], str)
    ]
    if faults:
        raise InvalidInput(faults)
    return dict(tree)


def text_of(file: Path | None, standard_input: Any) -> str | None:
    """Return the text of a file of credentials, `-` for standard input; None where none is named.

    Raises
    ------
    InvalidInput
        When it cannot be read.
    """
    if file is None:
        return None
    try:
        return str(standard_input.read()) if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        detail = getattr(error, "strerror", None) or "is no text"
        raise InvalidInput([Fault("--credentials", f"{file}: {detail}")]) from None
