"""A real chain behind endpoints of which one lies, limits or has forgotten."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from aave_market import AaveMarket
from chain_proxy import honest, lying, proxy, pruned
from chain_reading import CHAIN_ID, funded, reader_of

from serving.connect import rpc
from serving.connect.errors import EndpointsDisagree
from serving.connect.follow import Follower, Step
from serving.store import Store, connections, open_store

NAME = "mine"


@pytest.fixture
def book(book_url: str) -> Iterator[Store]:
    """Yield an empty store with a connection in it."""
    store = open_store(book_url)
    with store.begin() as transaction:
        connections.write(transaction, NAME, {}, sealed=None, now=datetime.now(tz=UTC))
    yield store
    store.close()


def look(aave: AaveMarket, store: Store, urls: list[str], user: str) -> Step:
    """Look once through endpoints."""

    async def whole() -> Step:
        chain = rpc.chain_of("test", CHAIN_ID, urls)
        try:
            return await Follower(NAME, store, chain, reader_of(aave), {user}).step()
        finally:
            await rpc.close(chain)

    return asyncio.run(whole())


def owing(aave: AaveMarket) -> str:
    """Return an account that owes."""
    (user,) = funded(aave, 1, seed=51)
    aave.supply("WETH", 10**18, user)
    aave.node.mine()
    aave.borrow("USDC", 500 * 10**6, user)
    aave.node.mine()
    return user


def test_of_two_endpoints_of_which_one_lies_neither_is_believed(
    aave: AaveMarket, book: Store
) -> None:
    """Nothing is written of what only one of two says."""
    user = owing(aave)
    with (
        proxy(aave.node.url, lying) as liar,
        pytest.raises(EndpointsDisagree, match="answer eth_call differently"),
    ):
        look(aave, book, [aave.node.url, liar], user)
    with book.read() as transaction:
        assert connections.blocks(transaction, NAME) == []


def test_with_a_third_endpoint_the_liar_is_outvoted(aave: AaveMarket, book: Store) -> None:
    """What two of three say is what the chain says."""
    user = owing(aave)
    with proxy(aave.node.url, lying) as liar, proxy(aave.node.url, honest) as other:
        step = look(aave, book, [liar, aave.node.url, other], user)
    assert step.mismatches == ()
    assert len(step.checks) == 1


def test_an_endpoint_that_has_forgotten_is_no_hindrance(aave: AaveMarket, book: Store) -> None:
    """The state of the block is asked of the one that has it."""
    user = owing(aave)
    with proxy(aave.node.url, pruned) as full:
        step = look(aave, book, [full, aave.node.url], user)
    assert step.mismatches == ()
