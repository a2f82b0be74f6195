"""Intervals while a breaker widens them."""

from serving.evaluation.assess import widened
from serving.schemas.assessment import ForecastAnswer


def test_intervals_reach_up_to_those_of_the_next_longer_horizon() -> None:
    """Points and lower ends stay; beyond the longest horizon everything may come."""
    rows = (
        ("24h", (0.1, 0.3), (0.05, 0.2)),
        ("7d", (0.2, 0.6), (0.1, 0.4)),
    )
    before = tuple(
        ForecastAnswer(
            horizon=horizon,
            unattended=0.25,
            expected=0.15,
            unattended_interval=alone,
            expected_interval=acting,
        )
        for horizon, alone, acting in rows
    )
    day, week = widened(before)
    assert (day.unattended_interval, day.expected_interval) == ((0.1, 0.6), (0.05, 0.4))
    assert (week.unattended_interval, week.expected_interval) == ((0.2, 1.0), (0.1, 1.0))
    assert [(each.unattended, each.expected) for each in (day, week)] == [(0.25, 0.15)] * 2
