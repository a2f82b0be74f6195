"""Run connections: each a follower on a chain, until they are told to stop."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from models.domain import MarketId
from serving.connect import (
    aave_v2,
    compound_v3,
    euler_v2,
    liquity_v1,
    maker,
    morpho_blue,
    venus,
    venus_isolated,
)
from serving.connect.aave_v2 import AaveV2Reader
from serving.connect.aave_v3 import AaveV3Reader
from serving.connect.body import Target
from serving.connect.compound_v3 import CompoundV3Reader
from serving.connect.errors import HistoryPruned
from serving.connect.euler_v2 import EulerV2Reader
from serving.connect.follow import POLL_SECONDS, Follower, Step
from serving.connect.liquity_v1 import LiquityV1Reader
from serving.connect.maker import MakerReader
from serving.connect.morpho_blue import MorphoBlueReader
from serving.connect.reading import Reader
from serving.connect.rpc import Chain, chain_of, close
from serving.connect.venus import VenusReader
from serving.connect.venus_isolated import VenusIsolatedReader
from serving.store import Store

LOGGER = logging.getLogger("forewarn.connect")


READERS: Mapping[str, Callable[[MarketId, str], Reader]] = {
    compound_v3.VENUE: lambda whose, at: CompoundV3Reader(market=whose, comet=at),
    euler_v2.VENUE: lambda whose, at: EulerV2Reader(market=whose, vault=at),
    liquity_v1.VENUE: lambda whose, at: LiquityV1Reader(market=whose, manager=at),
    maker.VENUE: lambda whose, at: MakerReader(market=whose, chainlog=at),
    morpho_blue.VENUE: lambda whose, at: MorphoBlueReader(market=whose, morpho=at),
    venus.VENUE: lambda whose, at: VenusReader(market=whose, comptroller=at),
    venus_isolated.VENUE: lambda whose, at: VenusIsolatedReader(market=whose, comptroller=at),
}
"""By venue what reads a market, found from an address."""


def reader_of(target: Target) -> Reader:
    """Return what reads a target's market."""
    venue = target.market.venue
    if venue in READERS:
        return READERS[venue](target.market, target.contract)
    idle = not target.takes_borrowers
    if venue == aave_v2.VENUE:
        return AaveV2Reader(market=target.market, pool=target.contract, reads_idle=idle)
    return AaveV3Reader(market=target.market, pool=target.contract, reads_idle=idle)


def follower_of(
    name: str,
    target: Target,
    endpoints: Mapping[str, Sequence[str]],
    store: Store,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(tz=UTC),
) -> Follower:
    """Return a follower of a target; raises `InvalidInput` where an endpoint is no URL.

    Parameters
    ----------
    endpoints
        URLs of JSON-RPC (`rpc`), and of WebSocket (`ws`) where there are any.
    """
    chain = chain_of(target.market.chain, target.chain_id, endpoints["rpc"])
    return Follower(
        name=name,
        store=store,
        chain=chain,
        reader=reader_of(target),
        addresses=set(target.addresses),
        takes_borrowers=target.takes_borrowers,
        sockets=tuple(endpoints.get("ws", ())),
        clock=clock,
    )


async def once(
    follower: Follower, *, borrowers_from: int | None = None, since: datetime | None = None
) -> Step:
    """Look at the chain once.

    Parameters
    ----------
    borrowers_from
        Block from which on borrowers are looked for; None to look for none.
    since
        Moment from which on what happened to the accounts is read; None to read none of it. Where
        that state is gone, it is told in the log and left.

    Raises
    ------
    ConnectFailed, StoreFailed
        When the chain cannot be read, or the store not written.
    """
    await follower.chain.verify()
    if borrowers_from is not None:
        await follower.discover(borrowers_from)
    if since is not None:
        try:
            await follower.backfill(since)
        except HistoryPruned as error:
            LOGGER.warning("history_pruned: %s; what happened before is not known", error)
    return await follower.step()


async def follow_all(
    followers: Sequence[Follower], stop: asyncio.Event, *, poll: float = POLL_SECONDS
) -> None:
    """Follow until told to stop."""
    try:
        await asyncio.gather(*(follower.run(stop, poll=poll) for follower in followers))
    finally:
        chains: dict[int, Chain] = {id(each.chain): each.chain for each in followers}
        await asyncio.gather(*(close(chain) for chain in chains.values()))


def status_line(name: str, status: dict[str, Any] | None) -> str:
    """Return how a connection stands, on one line."""
    if status is None:
        return f"{name}: not begun"
    block = status.get("block", {})
    reasons = "; ".join(each["text"] for each in status.get("reasons", ()))
    head = f" at block {block['number']}" if block else ""
    return f"{name}: {status['state']}{head}{': ' if reasons else ''}{reasons}"
