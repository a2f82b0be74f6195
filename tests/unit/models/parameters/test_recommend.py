"""A search that finds what is better, respects its limits, and keeps where nothing is gained."""

import numpy as np
import pytest

from models.parameters.recommend import STEP_BOUND, Axis, Values, paired, search
from models.parameters.remarks import Remark

SCENARIOS = 400
AXIS = Axis(current=8000, step=50, least=7800, most=8200)


def noise(seed: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return what chance adds to every scenario, whatever the values."""
    return np.random.default_rng(seed).normal(size=SCENARIOS)


FALLS = Remark(code="too_many_fall", text="somebody falls")


def free(values: Values) -> tuple[Remark, ...]:  # noqa: ARG001 - everything may be set
    """Refuse nothing."""
    return ()


def test_it_finds_the_least_cost_of_two_parameters() -> None:
    """A bowl with its bottom on the grid; the shared noise cancels."""
    common = noise(1)

    def cost(values: Values) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        first, second = values
        return common + (first - 7900) ** 2 / 1e4 + (second - 8150) ** 2 / 1e4

    result = search([AXIS, AXIS], cost, free)
    assert (result.values, result.keep) == ((7900, 8150), False)
    assert result.gain.low == pytest.approx(result.gain.mean) == pytest.approx(3.25)
    assert result.next_best is not None


def test_it_stays_within_what_is_refused_and_says_what_binds() -> None:
    """Lower is better, but below 7,950 somebody falls."""
    common = noise(2)
    result = search(
        [AXIS],
        lambda values: common + values[0] / 100,
        lambda values: (FALLS,) if values[0] < 7950 else (),
    )
    assert result.values == (7950,)
    assert result.binding == {0: (FALLS,)}


def test_the_end_of_a_step_binds() -> None:
    """Lower is better without end: the bound of one step is what stops it."""
    result = search([AXIS], lambda values: noise(3) + values[0] / 100, free)
    assert (result.values, result.binding) == ((7800,), {0: (STEP_BOUND,)})


def test_nothing_is_recommended_where_there_is_nothing_to_gain() -> None:
    """In 400 searches without any true gain at most 5 % end in a recommendation."""
    false = 0
    for seed in range(400):
        draws = {v: noise(1000 * seed + v) for v in range(7800, 8201, 50)}
        result = search([AXIS], lambda values, draws=draws: draws[values[0]], free)
        assert result.keep is (result.values == (8000,))
        false += not result.keep
    assert false <= 20


def test_the_interval_grows_with_the_comparisons() -> None:
    """One of many has to be better by more."""
    before, after = noise(4) + 0.2, noise(5)
    assert paired(before, after).low > paired(before, after, comparisons=50).low
    same = paired(before, before)
    assert (same.mean, same.low, same.high) == (0.0, 0.0, 0.0)


def test_the_same_question_has_the_same_answer() -> None:
    """Of equals the nearest to what stands is taken."""
    flat = noise(6)
    result = search([AXIS, AXIS], lambda _: flat, free)
    assert (result.best, result.keep) == ((8000, 8000), True)
