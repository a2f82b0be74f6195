"""A window's bits depend on its own values alone: not on the history, the batch or the grid."""

from collections.abc import Callable
from math import fsum

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.windows import ewm_weights, window_highs, window_sums, window_weighted_sums

Kernel = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]

KERNELS: tuple[Kernel, ...] = (
    lambda values, places, index, window: window_sums(values, places, index=index, window=window),
    lambda values, places, index, window: window_weighted_sums(
        values, places, index=index, weights=ewm_weights(window, 7.3)
    ),
    lambda values, places, index, window: window_highs(values, places, index=index, window=window),
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, int, int]:
    """Return values of unlike sizes, candles since 1970 of the first one, and a window."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = generator.lognormal(0.0, 6.0, draw(st.integers(1, 90)))
    return values, draw(st.integers(0, 1000)), draw(st.integers(1, 40))


@settings(deadline=None)
@given(case=cases(), kernel=st.sampled_from(KERNELS), data=st.data())
def test_history_and_batch_change_no_bit(
    case: tuple[np.ndarray, int, int], kernel: Kernel, data: st.DataObject
) -> None:
    """A place alone, over its window alone, gives the bits that it gives among all."""
    values, first, window = case
    places = np.arange(len(values))
    together = kernel(values, places, places + first, window)
    chosen = data.draw(st.lists(st.integers(0, len(values) - 1), unique=True).map(sorted))
    some = np.array(chosen, dtype=np.int64)
    np.testing.assert_array_equal(kernel(values, some, some + first, window), together[some])
    for place in chosen:
        begin = max(place - window + 1, 0)
        own = kernel(
            values[begin : place + 1], np.array([place - begin]), np.array([place + first]), window
        )
        assert own[0] == together[place]


@settings(deadline=None)
@given(case=cases())
def test_a_sum_is_the_exact_sum_but_for_rounding(case: tuple[np.ndarray, int, int]) -> None:
    """Each sum lies within a few units in the last place of the exact one."""
    values, first, window = case
    places = np.arange(len(values))
    found = window_sums(values, places, index=places + first, window=window)
    weighted = window_weighted_sums(
        values, places, index=places + first, weights=ewm_weights(window, 7.3)
    )
    for place in places:
        own = values[max(place - window + 1, 0) : place + 1]
        np.testing.assert_allclose(found[place], fsum(own), rtol=1e-14)
        aged = own * 0.5 ** (np.arange(len(own))[::-1] / 7.3)
        np.testing.assert_allclose(weighted[place], fsum(aged), rtol=1e-13)
