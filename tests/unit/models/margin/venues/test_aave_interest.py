"""Aave's growth factors where half a unit decides, and the rounding of its SDK."""

import pytest

from models.margin.venues.aave_interest import (
    YEAR,
    binomial_factor,
    sdk_compounded_factor,
    sdk_health_factor,
    sdk_linear_factor,
    sdk_normalized_income,
    taylor_factor,
)

RAY = 10**27


def test_powers_of_a_binomial_factor_round_half_up() -> None:
    """A hair below 10^18 a second squares to 10^9 and cubes to 1."""
    assert binomial_factor(YEAR * 10**18 - 1, 3) == RAY + 3 * 10**18 - 1 + 3 * 10**9 + 1
    assert binomial_factor(YEAR * 10**14 - 1, 2) == RAY + 2 * 10**14 - 1 + 10


def test_products_of_a_taylor_factor_round_half_up() -> None:
    """The third term ends in .726, the second with it in .63."""
    assert taylor_factor(YEAR * (RAY + 66 * 10**12), 1) == 2_666_666_666_666_831_666_666_666_671


def test_sdk_rounds_the_share_of_a_year_first() -> None:
    """Two seconds are 63,419,583,967,529,173,008.6 of 10^27; half a unit of income is one."""
    assert sdk_linear_factor(RAY, 2) == RAY + 63_419_583_967_529_173_009
    assert sdk_linear_factor(1, YEAR // 2) == RAY + 1


@pytest.mark.parametrize(
    ("rate", "seconds", "growth"),
    [
        (YEAR - 1, 1, 0),
        (YEAR * (10**14 - 1), 2, 2 * (10**14 - 1) + 10),
        (YEAR * (10**18 - 1), 3, 3 * (10**18 - 1) + 3 * 10**9 + 1),
    ],
)
def test_sdk_truncates_the_rate_and_rounds_its_powers(rate: int, seconds: int, growth: int) -> None:
    """Less than one a second is none; squares and cubes round half up."""
    assert sdk_compounded_factor(rate, seconds) == RAY + growth


def test_sdk_rounds_an_index_half_up() -> None:
    """One and a half is two."""
    assert sdk_normalized_income(1, RAY, seconds=YEAR // 2) == 2


def test_sdk_rounds_a_health_factor_half_up() -> None:
    """A sixth of a basis point, to 20 decimals, ends in a seven."""
    assert sdk_health_factor(1, 6, threshold=1) == 1_666_666_666_666_667
