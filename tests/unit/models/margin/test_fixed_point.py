"""Integer division, each rounding with its own answer."""

import pytest

from models.margin.fixed_point import (
    MAX_UINT256,
    RAY,
    mul_div_down,
    mul_div_half_up,
    mul_div_toward_zero,
    mul_div_up,
    rpow_half_up,
)
from models.margin.uint import sint, uint


@pytest.mark.parametrize(
    ("product", "down", "up", "toward_zero"),
    [
        ((7, 3, 10), 2, 3, 2),
        ((-7, 3, 10), -3, -2, -2),
        ((5, 4, 10), 2, 2, 2),
        ((0, 3, 10), 0, 0, 0),
    ],
)
def test_directions(product: tuple[int, int, int], down: int, up: int, toward_zero: int) -> None:
    """Down, up and toward zero part where the division leaves a remainder."""
    assert mul_div_down(*product) == down
    assert mul_div_up(*product) == up
    assert mul_div_toward_zero(*product) == toward_zero


def test_toward_zero_with_a_negative_divisor() -> None:
    """The sign is that of the quotient, whichever side it comes from."""
    assert mul_div_toward_zero(7, 1, -2) == -3
    assert mul_div_toward_zero(-7, 1, -2) == 3
    assert mul_div_toward_zero(7, -1, 2) == -3
    assert mul_div_toward_zero(0, 1, -2) == 0


@pytest.mark.parametrize(
    ("product", "expected"),
    [((1, 4, 10), 0), ((1, 5, 10), 1), ((1, 15, 10), 2), ((1, 3, 7), 0), ((1, 4, 7), 1)],
)
def test_half_up(product: tuple[int, int, int], expected: int) -> None:
    """Halves go up; an odd divisor has no half."""
    assert mul_div_half_up(*product) == expected


@pytest.mark.parametrize(
    ("x", "n", "expected"),
    [(15, 0, 10), (15, 1, 15), (15, 2, 23), (15, 3, 35), (15, 4, 53), (14, 2, 20), (0, 0, 10)],
)
def test_power(x: int, n: int, expected: int) -> None:
    """Each squaring and each multiplication rounds half up, lowest bit of n first."""
    assert rpow_half_up(x, n, 10) == expected


@pytest.mark.parametrize(("x", "n", "unit", "expected"), [(2, 2, 3, 1), (4, 3, 5, 2)])
def test_power_of_an_odd_unit(x: int, n: int, unit: int, expected: int) -> None:
    """Half of an odd unit is rounded down: 4 over 3 is 1, and 12 over 5 is 2."""
    assert rpow_half_up(x, n, unit) == expected


def test_power_of_one() -> None:
    """One stays one."""
    assert rpow_half_up(RAY, 31_536_000, RAY) == RAY


@pytest.mark.parametrize(("value", "bits"), [(0, 8), (255, 8), (MAX_UINT256, 256)])
def test_uint_that_fits(value: int, bits: int) -> None:
    """The ends of the range are in it."""
    assert uint(value, bits) == value


@pytest.mark.parametrize(("value", "bits"), [(-1, 8), (256, 8), (MAX_UINT256 + 1, 256)])
def test_uint_that_does_not(value: int, bits: int) -> None:
    """One beyond either end is not."""
    with pytest.raises(OverflowError, match=f"{value} is outside uint{bits}"):
        uint(value, bits)


@pytest.mark.parametrize("value", [-128, -1, 0, 127])
def test_sint_that_fits(value: int) -> None:
    """The ends of the signed range are in it."""
    assert sint(value, 8) == value


@pytest.mark.parametrize("value", [-129, 128])
def test_sint_that_does_not(value: int) -> None:
    """One beyond either end is not."""
    with pytest.raises(OverflowError, match="is outside int8"):
        sint(value, 8)


@pytest.mark.parametrize(
    ("x", "n"),
    [
        (2**128, 2),
        (2 * RAY, 5_000_000_000),
        (2 * RAY, 2**256 - 1),
        (MAX_UINT256 + 1, 1),
        (RAY, MAX_UINT256 + 1),
        (RAY, -1),
    ],
)
def test_a_power_beyond_a_contract_s_word_overflows(x: int, n: int) -> None:
    """A product, base or exponent past 2^256 fails as the contract does, at once."""
    with pytest.raises(OverflowError):
        rpow_half_up(x, n, RAY)


def test_the_largest_power_that_fits() -> None:
    """2^127 squared and half a ray below 2^256; 2^128 squared is not."""
    assert rpow_half_up(2**127, 2, RAY) == (2**254 + RAY // 2) // RAY
