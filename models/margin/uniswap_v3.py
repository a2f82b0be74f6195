"""Uniswap v3 price arithmetic: ticks, quotes and the time-weighted mean tick.

Units: a tick t stands for the price 1.0001^t of token 0 in token 1, both in smallest
units; sqrtPriceX96 is the price's square root times 2^96; times are whole seconds.

References
----------
Uniswap/v3-core at d8b1c635 (TickMath, Oracle); quotes as in v3-periphery's OracleLibrary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from math import isqrt

from models.domain import Price
from models.margin.fixed_point import MAX_UINT256, mul_div_down, mul_div_up
from models.margin.result import Refusal

MAX_TICK = 887272
MAX_UINT128 = 2**128 - 1
Q32 = 2**32
Q128 = 2**128
Q192 = 2**192


@dataclass(frozen=True, slots=True)
class TickChange:
    """The pool's tick from `at` on, until the next change.

    Parameters
    ----------
    at
        Seconds since the epoch.
    tick
        Tick in force.
    """

    at: int
    tick: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Which token of a pool is priced in the other.

    Parameters
    ----------
    name
        Said as the source of the price.
    base_is_token0
        Whether the priced token is the pool's token 0.
    base_decimals, quote_decimals
        Digits between a whole token and its smallest unit.
    """

    name: str
    base_is_token0: bool
    base_decimals: int
    quote_decimals: int


@cache
def half_tick_powers() -> tuple[int, ...]:
    """Return 2^128 / 1.0001^(2^i / 2) to the nearest integer, for i from 0 to 19."""
    scale = 1 << 2048
    power, powers = scale * 10_000 // 10_001, []
    for _ in range(20):
        root = isqrt(power << 2048)
        powers.append(((root >> 1919) + 1) >> 1)
        power = power * power >> 2048
    return tuple(powers)


def sqrt_price_x96(tick: int) -> int | Refusal:
    """Return the square root of the price at `tick`, times 2^96 and rounded up."""
    if abs(tick) > MAX_TICK:
        return Refusal("T", f"tick {tick} is outside ±{MAX_TICK}")
    ratio = Q128
    for bit, power in enumerate(half_tick_powers()):
        if abs(tick) >> bit & 1:
            ratio = mul_div_down(ratio, power, Q128)
    if tick > 0:
        ratio = MAX_UINT256 // ratio
    return mul_div_up(ratio, 1, Q32)


def quote(sqrt_price: int, amount: int, *, base_is_token0: bool) -> int:
    """Return what `amount` of the base token is worth, in the quote's smallest units.

    Parameters
    ----------
    sqrt_price
        Square root of the price times 2^96; above 2^128 the venue drops 64 bits first.
    amount
        Smallest units of the base token, below 2^128.
    base_is_token0
        Whether the base token is the pool's token 0.
    """
    price, scale = sqrt_price * sqrt_price, Q192
    if sqrt_price > MAX_UINT128:
        price, scale = price >> 64, Q128
    if base_is_token0:
        return mul_div_down(price, amount, scale)
    return mul_div_down(scale, amount, price)


def cumulative_tick(changes: Sequence[TickChange], *, at: int) -> int | Refusal:
    """Return the sum of tick · seconds from the first change to `at`.

    Parameters
    ----------
    changes
        In order of time; of several in one second the last is in force.
    at
        Seconds since the epoch.
    """
    if not changes or at < changes[0].at:
        return Refusal("OLD", f"nothing observed as early as {at}")
    ends = [change.at for change in changes[1:]] + [at]
    spans = zip(changes, ends, strict=True)
    return sum(change.tick * max(0, min(end, at) - change.at) for change, end in spans)


def mean_tick(delta: int, window: int) -> int:
    """Return a cumulative difference over `window` seconds, toward minus infinity."""
    return mul_div_down(delta, 1, window)


def twap_tick(changes: Sequence[TickChange], *, now: int, window: int) -> int | Refusal:
    """Return the mean tick of the `window` seconds before `now`."""
    if window <= 0:
        return Refusal("BP", f"window {window} s; must be positive")
    early = cumulative_tick(changes, at=now - window)
    late = cumulative_tick(changes, at=now)
    if isinstance(early, Refusal):
        return early
    return late if isinstance(late, Refusal) else mean_tick(late - early, window)


def tick_price(tick: int, pair: Pair, *, at: datetime, stale_after: timedelta | None) -> Price:
    """Return the price of one whole base token at `tick`, in the quote's smallest units.

    Raises
    ------
    ValueError
        When the tick is outside the range a pool can hold.
    """
    root = sqrt_price_x96(tick)
    if isinstance(root, Refusal):
        raise ValueError(root.detail)  # noqa: TRY004 - the tick's value is at fault
    value = quote(root, 10**pair.base_decimals, base_is_token0=pair.base_is_token0)
    return Price(
        value=value,
        decimals=pair.quote_decimals,
        observed_at=at,
        source=pair.name,
        stale_after=stale_after,
    )


def twap_price(
    changes: Sequence[TickChange],
    pair: Pair,
    *,
    at: datetime,
    window: int,
    stale_after: timedelta | None = None,
) -> Price | Refusal:
    """Return the time-weighted price over `window` seconds, known as of `at`."""
    tick = twap_tick(changes, now=int(at.timestamp()), window=window)
    if isinstance(tick, Refusal):
        return tick
    return tick_price(tick, pair, at=at, stale_after=stale_after)
