"""Uniswap v3 arithmetic where no vector reaches."""

from datetime import UTC, datetime

import pytest

from models.domain import Price
from models.margin import uniswap_v3
from models.margin.result import Refusal
from models.margin.uniswap_v3 import Pair, TickChange

AT = datetime(2026, 1, 1, tzinfo=UTC)
NOW = int(AT.timestamp())
PAIR = Pair(name="pool", base_is_token0=True, base_decimals=18, quote_decimals=6)


def test_half_tick_powers_are_the_published_ones() -> None:
    """The first two and the last factor, as anyone can compute them to 128 bits."""
    powers = uniswap_v3.half_tick_powers()
    assert powers[0] == 0xFFFCB933BD6FAD37AA2D162D1A594001
    assert powers[1] == 0xFFF97272373D413259A46990580E213A
    assert powers[19] == 0x48A170391F7DC42444E8FA2


@pytest.mark.parametrize("tick", [-887273, 887273])
def test_tick_outside_the_range_is_refused(tick: int) -> None:
    """No pool can hold such a tick."""
    refused = uniswap_v3.sqrt_price_x96(tick)
    assert isinstance(refused, Refusal)
    assert refused.reason == "T"


def test_ends_of_the_range() -> None:
    """The least and the greatest square root price."""
    assert uniswap_v3.sqrt_price_x96(-887272) == 4295128739
    assert uniswap_v3.sqrt_price_x96(887272) == 1461446703485210103287273052203988822378723970342


def test_quote_drops_bits_only_above_the_boundary() -> None:
    """At 2^128 - 1 the full product is used, at 2^128 the shortened one."""
    assert uniswap_v3.quote(2**128 - 1, 2**64, base_is_token0=True) == 2**128 - 2
    assert uniswap_v3.quote(2**128, 2**64, base_is_token0=True) == 2**128
    full = uniswap_v3.quote(2**128 - 1, 2**127 - 1, base_is_token0=False)
    assert full == 9223372036854775807
    shortened = 6277101735386680763833281574983250068606578479964893383084
    amount = 2**128 - 135951006097486909
    found = uniswap_v3.quote(2**128 + 140719340484, amount, base_is_token0=True)
    assert found == shortened


def test_mean_tick_is_rounded_toward_minus_infinity() -> None:
    """A negative mean with a remainder goes down, not toward zero."""
    assert uniswap_v3.mean_tick(-7, 2) == -4
    assert uniswap_v3.mean_tick(-8, 2) == -4
    assert uniswap_v3.mean_tick(7, 2) == 3


def test_window_older_than_the_first_change_is_refused() -> None:
    """The venue has nothing to answer with."""
    refused = uniswap_v3.twap_tick([TickChange(NOW - 10, 5)], now=NOW, window=11)
    assert isinstance(refused, Refusal)
    assert refused.reason == "OLD"
    assert uniswap_v3.twap_tick([], now=NOW, window=1) == Refusal(
        "OLD", f"nothing observed as early as {NOW - 1}"
    )


def test_empty_window_is_refused() -> None:
    """A window of no time has no mean."""
    refused = uniswap_v3.twap_tick([TickChange(NOW - 10, 5)], now=NOW, window=0)
    assert isinstance(refused, Refusal)
    assert refused.reason == "BP"


def test_twap_price_weighs_ticks_by_time() -> None:
    """Half an hour at tick 0 and half at tick 2 is tick 1."""
    changes = [TickChange(NOW - 3600, 0), TickChange(NOW - 1800, 2)]
    price = uniswap_v3.twap_price(changes, PAIR, at=AT, window=3600)
    assert isinstance(price, Price)
    assert (price.value, price.decimals) == (1_000_100_000_000_000_000, 6)
    assert (price.observed_at, price.source) == (AT, "pool")


def test_price_of_an_impossible_tick_is_an_error() -> None:
    """Only a programming error asks for it."""
    with pytest.raises(ValueError, match="887273"):
        uniswap_v3.tick_price(887273, PAIR, at=AT, stale_after=None)
