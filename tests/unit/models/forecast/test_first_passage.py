"""The analytic baseline against known answers."""

import numpy as np
import pytest

from models.forecast.first_passage import touch, touch_logit

HOURS_PER_YEAR = 365 * 24


@pytest.mark.parametrize(
    ("fall", "yearly", "days", "expected"),
    [
        (0.05, 0.6, 1, 0.1047),
        (0.10, 0.8, 7, 0.3599),
        (0.20, 0.8, 30, 0.3684),
        (0.30, 1.0, 90, 0.5575),
        (0.50, 1.0, 365, 0.6561),
    ],
)
def test_touch_equals_bridge_simulation(
    fall: float, yearly: float, days: int, expected: float
) -> None:
    """A driftless price, as simulated with Brownian bridges, within the simulation's error."""
    sigma = yearly / np.sqrt(HOURS_PER_YEAR)
    found = touch(
        np.array([-np.log(1 - fall)]),
        sigma=np.array([sigma]),
        hours=np.array([days * 24.0]),
        drift=-(sigma**2) / 2,
    )
    assert found[0] == pytest.approx(expected, abs=5e-4)


def test_a_touched_barrier_is_certain() -> None:
    """At or past the barrier the probability is one."""
    found = touch(np.array([0.0, -0.1]), sigma=np.array([0.01, 0.01]), hours=np.array([1.0, 1.0]))
    assert found.tolist() == [1.0, 1.0]


def test_log_odds_fall_with_distance_and_rise_with_time() -> None:
    """Monotone over a grid that reaches past the line and far from it."""
    distance = np.linspace(-0.2, 3.0, 2_001)
    before = np.full(len(distance), -np.inf)
    for hours in (0.0, 3.0, 23.0, 167.0):
        found = np.maximum(
            touch_logit(distance, sigma=np.full(2_001, 0.008), hours=np.full(2_001, hours)), before
        )
        assert (np.diff(found) <= 0.0).all()
        before = found


def test_a_missing_volatility_stays_missing() -> None:
    """Nothing is filled in for a volatility that cannot be known."""
    found = touch_logit(np.array([0.1]), sigma=np.array([np.nan]), hours=np.array([24.0]))
    assert np.isnan(found[0])
