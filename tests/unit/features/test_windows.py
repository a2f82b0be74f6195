"""Windows against sums done by hand, across a block's edge and before the first value."""

import numpy as np
import pytest

from features.windows import ewm_weights, window_highs, window_sums, window_weighted_sums

VALUES = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
PLACES = np.arange(7)


@pytest.mark.parametrize("first", range(4))
def test_a_window_sums_its_own_values_wherever_the_blocks_lie(first: int) -> None:
    """Three values each; before the first stand zeros."""
    index = PLACES + first
    found = window_sums(VALUES, PLACES, index=index, window=3)
    assert found.tolist() == [1.0, 3.0, 7.0, 14.0, 28.0, 56.0, 112.0]


@pytest.mark.parametrize("first", range(4))
def test_older_values_weigh_less(first: int) -> None:
    """Half as much with every step back, and nothing beyond three values."""
    weights = ewm_weights(3, 1.0)
    assert weights.tolist() == [1.0, 0.5, 0.25]
    index = PLACES + first
    found = window_weighted_sums(VALUES, PLACES, index=index, weights=weights)
    assert found.tolist() == [1.0, 2.5, 5.25, 10.5, 21.0, 42.0, 84.0]


@pytest.mark.parametrize("first", range(4))
def test_the_greatest_of_a_window(first: int) -> None:
    """A missing value is below every other."""
    values = np.array([5.0, 1.0, 2.0, -np.inf, -np.inf, -np.inf, 3.0])
    found = window_highs(values, PLACES, index=PLACES + first, window=3)
    assert found.tolist() == [5.0, 5.0, 5.0, 2.0, 2.0, -np.inf, 3.0]


def test_a_window_of_one_is_the_value() -> None:
    """Nothing else is read."""
    assert window_sums(VALUES, PLACES, index=PLACES, window=1).tolist() == VALUES.tolist()
    weights = ewm_weights(1, 5.0)
    aged = window_weighted_sums(VALUES, PLACES, index=PLACES, weights=weights)
    assert aged.tolist() == VALUES.tolist()


def test_slots_of_one_array_may_lie_at_other_times() -> None:
    """Each place is cut by its own time; the sums stay those of its own values."""
    index = np.array([10, 11, 12, 500, 501, 502, 503])
    found = window_sums(VALUES, np.array([2, 5]), index=index[[2, 5]], window=2)
    assert found.tolist() == [6.0, 48.0]
