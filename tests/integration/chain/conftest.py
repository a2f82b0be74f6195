"""Chains of one test module each, with a venue deployed on them."""

from collections.abc import Iterator

import aave_market
import chain_node
import pytest
from aave_market import AaveMarket


@pytest.fixture(scope="module")
def aave() -> Iterator[AaveMarket]:
    """Yield an Aave market on a chain of its own."""
    with chain_node.running() as node:
        yield aave_market.deployed(node)
