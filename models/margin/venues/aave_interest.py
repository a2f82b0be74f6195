"""Interest as Aave accrues it: linear income, compounded debt, and an SDK's own forms.

Rates and factors are in ray (10^27), rates per year of 365 days, times in seconds.

References
----------
aave-dao/aave-v3-origin at v3.3 to v3.7 (MathUtils, ReserveLogic); the `sdk_` functions
pin aave/aave-utilities at d4c93961 (math-utils), which rounds unlike the contracts.
"""

from collections.abc import Callable

from models.margin.fixed_point import BPS, RAY, mul_div_half_up

YEAR = 31_536_000
SDK_DECIMALS = 20

Compounding = Callable[[int, int], int]
"""(rate per year in ray, seconds) to a growth factor in ray."""


def linear_factor(rate: int, seconds: int) -> int:
    """Return the growth of income over `seconds`, ray, truncated."""
    return RAY + rate * seconds // YEAR


def binomial_factor(rate: int, seconds: int) -> int:
    """Return the growth of debt by three binomial terms, ray: version 3.3.

    The powers are scaled to one second before they are multiplied by the number of
    periods, so that their truncation is multiplied as well.
    """
    if seconds == 0:
        return RAY
    square = mul_div_half_up(rate, rate, RAY) // YEAR**2
    cube = mul_div_half_up(square, rate, RAY) // YEAR
    pairs = seconds * (seconds - 1)
    triples = pairs * max(0, seconds - 2)
    return RAY + rate * seconds // YEAR + pairs * square // 2 + triples * cube // 6


def taylor_factor(rate: int, seconds: int) -> int:
    """Return the growth of debt by three Taylor terms, ray: versions from 3.4 on."""
    x = rate * seconds // YEAR
    return RAY + x + mul_div_half_up(x, x // 2 + mul_div_half_up(x, x // 6, RAY), RAY)


def normalized_income(index: int, rate: int, *, seconds: int) -> int:
    """Return the liquidity index `seconds` after it was stored, ray."""
    return mul_div_half_up(linear_factor(rate, seconds), index, RAY)


def normalized_debt(index: int, rate: int, *, seconds: int, compounding: Compounding) -> int:
    """Return the borrow index `seconds` after it was stored, ray."""
    return mul_div_half_up(compounding(rate, seconds), index, RAY)


def sdk_linear_factor(rate: int, seconds: int) -> int:
    """Return the SDK's growth of income, ray: the share of a year is rounded first."""
    return RAY + mul_div_half_up(rate, mul_div_half_up(seconds, RAY, YEAR), RAY)


def sdk_compounded_factor(rate: int, seconds: int) -> int:
    """Return the SDK's growth of debt, ray: the rate per second is truncated first."""
    if seconds == 0:
        return RAY
    each = rate // YEAR
    square = mul_div_half_up(each, each, RAY)
    cube = mul_div_half_up(square, each, RAY)
    pairs = seconds * (seconds - 1)
    triples = pairs * max(0, seconds - 2)
    return RAY + each * seconds + pairs * square // 2 + triples * cube // 6


def sdk_normalized_income(index: int, rate: int, *, seconds: int) -> int:
    """Return the SDK's liquidity index `seconds` after it was stored, ray."""
    return mul_div_half_up(sdk_linear_factor(rate, seconds), index, RAY)


def sdk_health_factor(collateral: int, debt: int, *, threshold: int) -> int | None:
    """Return the SDK's health factor at 20 decimals, half up; None without debt.

    Parameters
    ----------
    collateral, debt
        In one currency unit.
    threshold
        Liquidation threshold of the whole account, basis points.
    """
    if debt == 0:
        return None
    return mul_div_half_up(collateral * threshold, 10**SDK_DECIMALS, debt * BPS)
