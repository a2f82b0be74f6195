"""What a connection is to follow, as it is asked for: which venue, where, and whose accounts."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from models.domain import MarketId
from models.errors import Fault, InvalidInput
from models.margin.refused import refused
from serving.schemas.fields import Body, Chain, Name, Strict

MOST_ADDRESSES = 10_000
MOST_ENDPOINTS = 8
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
SECRET = {"rpc", "ws"}
SINGLETONS = {"maker", "morpho-blue"}
"""Venues of which one contract on a chain leads to every market."""

WHOLE_MARKET = "core"
"""Name of a venue's main market on a chain."""


def _address(value: str) -> str:
    """Return an address in lower case.

    Raises
    ------
    ValueError
        When it is none.
    """
    if ADDRESS.fullmatch(value) is None:
        raise ValueError(f"{value[:60]!r} is no address: 0x and 40 hexadecimal digits")
    return value.lower()


Address = Annotated[str, Field(max_length=100, strict=True), AfterValidator(_address)]
ChainVenue = Literal[
    "aave-v3",
    "aave-v2",
    "compound-v3",
    "euler-v2",
    "liquity-v1",
    "maker",
    "morpho-blue",
    "venus",
    "venus-isolated",
]


class ConnectionBody(Body):
    """A market on a chain, and the accounts in it that are followed.

    Nothing is signed: an address is enough, and no private key is ever asked for.
    """

    venue: ChainVenue
    chain: Chain = Field(description="by the name under which accounts state it")
    chain_id: Annotated[int, Field(ge=1, lt=2**63, strict=True)] | None = Field(
        default=None, description="EIP-155; left out where the chain's name is known"
    )
    market: Name = Field(
        default=WHOLE_MARKET,
        description="name of the market; for Morpho Blue its id, for Maker the collateral type",
    )
    contract: Address | None = Field(
        default=None, description="the venue's contract; left out where the market is known"
    )
    rpc: Annotated[
        list[Annotated[str, Field(max_length=500, strict=True)]],
        Field(min_length=1, max_length=MOST_ENDPOINTS),
    ] = Field(description="endpoints; with two or more every answer must be given by two")
    ws: Annotated[
        list[Annotated[str, Field(max_length=500, strict=True)]], Field(max_length=MOST_ENDPOINTS)
    ] = Field(
        default_factory=list,
        description="WebSocket endpoints that tell of new heads; without, or while they are "
        "silent, the chain is looked at at intervals",
    )
    addresses: Annotated[list[Address], Field(max_length=MOST_ADDRESSES)] = Field(
        default_factory=list
    )
    all_borrowers: Strict = Field(
        default=False, description="follow whoever borrows, and all who borrowed before"
    )


def refuse_named(venue: object) -> None:
    """Refuse a venue whose rules are known to be missing, by its name.

    Raises
    ------
    InvalidInput
        Saying why.
    """
    reason = refused(venue) if isinstance(venue, str) else None
    if reason is not None:
        raise InvalidInput([Fault("/venue", f"is not read: {reason}")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A connection with nothing left to be looked up.

    Parameters
    ----------
    contract
        Address, lower case.
    """

    market: MarketId
    chain_id: int
    contract: str
    addresses: frozenset[str]
    takes_borrowers: bool


@cache
def _deployments() -> tuple[Mapping[str, int], Mapping[MarketId, str]]:
    """Return the ids of chains, and where markets stand."""
    text = resources.files("serving.connect").joinpath("deployments.toml").read_text("utf-8")
    tree: dict[str, Any] = tomllib.loads(text)
    contracts = {
        MarketId(each["venue"], each.get("market", ""), each["chain"]): each["address"].lower()
        for each in tree["contracts"]
    }
    return tree["chains"], contracts


def target(body: ConnectionBody) -> Target:
    """Return what a connection follows.

    Raises
    ------
    InvalidInput
        Listing what is neither stated nor known, and what contradicts what is known.
    """
    chains, contracts = _deployments()
    faults = [*url_faults(body.rpc), *url_faults(body.ws, where="/ws", schemes=("ws", "wss"))]
    chain_id = body.chain_id or chains.get(body.chain)
    if chain_id is None:
        names = ", ".join(sorted(chains))
        faults.append(Fault("/chain_id", f"state it: {body.chain!r} is none of {names}"))
    elif chains.get(body.chain, chain_id) != chain_id:
        faults.append(Fault("/chain_id", f"{body.chain} is chain {chains[body.chain]}"))
    whose = MarketId(body.venue, body.market, body.chain)
    place = whose._replace(market="") if body.venue in SINGLETONS else whose
    contract = body.contract or contracts.get(place)
    if contract is None:
        names = ", ".join(
            sorted(f"{m.market} on {m.chain}" for m in contracts if m.venue == body.venue)
        )
        faults.append(Fault("/contract", f"state it: {whose} is none of {names}"))
    if not body.addresses and not body.all_borrowers:
        faults.append(Fault("/addresses", "name an address, or take all borrowers"))
    repeated = {each for each in body.addresses if body.addresses.count(each) > 1}
    faults += [Fault("/addresses", f"{each} stands twice") for each in sorted(repeated)]
    if faults or chain_id is None or contract is None:
        raise InvalidInput(faults)
    return Target(
        market=whose,
        chain_id=chain_id,
        contract=contract,
        addresses=frozenset(body.addresses),
        takes_borrowers=body.all_borrowers,
    )


def url_faults(
    urls: Sequence[str], *, where: str = "/rpc", schemes: tuple[str, str] = ("http", "https")
) -> list[Fault]:
    """Return what is no URL of two schemes, and what stands twice; of a URL its host at most."""
    faults = []
    for place, url in enumerate(urls):
        try:
            parts = urlsplit(url)
            is_sound = parts.scheme in schemes and bool(parts.hostname)
            is_sound = is_sound and parts.port != 0
        except ValueError:
            is_sound = False
        if not is_sound:
            faults.append(Fault(f"{where}/{place}", f"is no URL of {' or '.join(schemes)}"))
        elif url in urls[:place]:
            faults.append(Fault(f"{where}/{place}", f"{parts.hostname} stands twice"))
    return faults


def public(body: ConnectionBody) -> dict[str, Any]:
    """Return a body as it may be stored in the clear and shown: endpoints are left out."""
    return body.model_dump(exclude=SECRET)


def secret(body: ConnectionBody) -> dict[str, list[str]]:
    """Return what of a body is kept sealed: endpoints, whose URLs hold keys."""
    sealed: dict[str, list[str]] = body.model_dump(include=SECRET)
    return sealed
