"""A test market as the product reads it."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aave_market import AaveMarket
from chain_node import Node

from models.domain import MarketId
from serving.connect import rpc
from serving.connect.aave_v3 import AaveV3Reader
from serving.connect.rpc import Chain

T = TypeVar("T")
CHAIN_ID = 31337
STEPS = int(os.environ.get("FOREWARN_CHAIN_STEPS", "400"))
"""Random steps that are taken, and the accounts that take them."""

USERS = int(os.environ.get("FOREWARN_CHAIN_USERS", "20"))
STEPS_A_BLOCK = max(6, STEPS // 400)
MARKET = MarketId("aave-v3", "core", "test")


def reader_of(aave: AaveMarket) -> AaveV3Reader:
    """Return a reader of the test market."""
    return AaveV3Reader(market=MARKET, pool=aave.pool.address.lower())


def on_chain(aave: AaveMarket, act: Callable[[Chain], Awaitable[T]], chain_id: int = CHAIN_ID) -> T:
    """Run something against the chain of a market."""
    return reading_chain(aave.node, act, chain_id)


def reading_chain(node: Node, act: Callable[[Chain], Awaitable[T]], chain_id: int = CHAIN_ID) -> T:
    """Run something against a chain."""

    async def whole() -> T:
        chain = rpc.chain_of("test", chain_id, [node.url])
        try:
            return await act(chain)
        finally:
            await rpc.close(chain)

    return asyncio.run(whole())


def funded(aave: AaveMarket, count: int, *, seed: int) -> list[str]:
    """Return fresh addresses that can pay for their transactions on the chain of a market."""
    return addresses_of(aave.node, count, seed=seed)


def addresses_of(node: Node, count: int, *, seed: int) -> list[str]:
    """Return fresh addresses that can pay for their transactions."""
    chance = random.Random(seed)  # noqa: S311 - drawn anew by anyone
    users = [f"0x{chance.randbytes(20).hex()}" for _ in range(count)]
    node.fund(users)
    return users
