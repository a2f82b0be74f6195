"""Intervals do not stop when a clock is set back."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from serving.watch.steady_clock import SteadyClock

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def test_what_a_clock_is_set_back_by_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """Ten seconds, an hour back, five more seconds, a day ahead, one second more."""
    steady = SteadyClock()
    moves = (0, 10, -3600, 5, 86_400, 1)
    at, found = NOON, []
    with caplog.at_level(logging.WARNING):
        for seconds in moves:
            at += timedelta(seconds=seconds)
            found.append(steady.look(at))
    assert found == [0.0, 10.0, 10.0, 15.0, 86_415.0, 86_416.0]
    assert [record.getMessage() for record in caplog.records] == [
        "the clock went back seconds=3600.000",
        "the clock went ahead seconds=86400.000",
    ]
