"""Multiply-then-divide on integers, with the rounding in the name."""

from models.margin.uint import uint

BPS = 10**4
WAD = 10**18
RAY = 10**27
RAD = 10**45
MAX_UINT256 = 2**256 - 1


def mul_div_down(a: int, b: int, c: int) -> int:
    """Return a·b/c rounded toward minus infinity."""
    return a * b // c


def mul_div_up(a: int, b: int, c: int) -> int:
    """Return a·b/c rounded toward plus infinity."""
    return -(-a * b // c)


def mul_div_half_up(a: int, b: int, c: int) -> int:
    """Return a·b/c rounded to the nearest, halves up, for a·b ≥ 0 and c > 0."""
    return (a * b + c // 2) // c


def mul_div_toward_zero(a: int, b: int, c: int) -> int:
    """Return a·b/c truncated as Solidity and Go do on signed integers."""
    product = a * b
    return product // c if (product >= 0) == (c > 0) else -(-product // c)


def rpow_half_up(x: int, n: int, unit: int) -> int:
    """Return (x/unit)^n·unit by squaring, each step rounded half up.

    Parameters
    ----------
    x
        Growth factor per step, in fixed point.
    n
        Number of steps, a uint256.
    unit
        What stands for 1, usually RAY.

    Raises
    ------
    OverflowError
        When a factor, or a product with its rounding, passes 2^256: the contract fails here.
    """
    n, x = uint(n), uint(x)
    result = x if n % 2 else unit
    n //= 2
    while n:
        x = uint(x * x + unit // 2) // unit
        if n % 2:
            result = uint(result * x + unit // 2) // unit
        n //= 2
    return result
