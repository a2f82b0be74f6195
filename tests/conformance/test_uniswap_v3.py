"""Uniswap v3 against answers of the executed contracts."""

from typing import Any

import pytest
from vectors import cases

from models.margin import uniswap_v3
from models.margin.uniswap_v3 import TickChange

FILE = "uniswap_v3_oracle.json"


@pytest.mark.parametrize("case", cases(FILE, "tick_to_price"))
def test_tick_to_price(case: dict[str, Any]) -> None:
    """Square root price and quoted amount equal the contracts'."""
    root = uniswap_v3.sqrt_price_x96(case["tick"])
    assert root == int(case["sqrtPriceX96"])
    quoted = uniswap_v3.quote(
        int(case["sqrtPriceX96"]), int(case["baseAmount"]), base_is_token0=case["baseIsToken0"]
    )
    assert quoted == int(case["quoteAmount"])


@pytest.mark.parametrize("case", cases(FILE, "twap"))
def test_twap(case: dict[str, Any]) -> None:
    """Cumulative difference and mean tick equal the contracts'."""
    changes = [TickChange(at, tick) for at, tick in case["writes"]]
    now, window, expected = case["now"], case["window"], case["expected"]
    late = uniswap_v3.cumulative_tick(changes, at=now)
    early = uniswap_v3.cumulative_tick(changes, at=now - window)
    assert isinstance(late, int)
    assert isinstance(early, int)
    assert late - early == int(expected["tickCumulativeDelta"])
    mean = uniswap_v3.mean_tick(int(expected["tickCumulativeDelta"]), window)
    assert mean == expected["meanTickFloor"]
    assert uniswap_v3.twap_tick(changes, now=now, window=window) == mean
