"""What goes into an account's past: changes densely, quiet hours thinly."""

from datetime import UTC, datetime, timedelta

import pytest

from serving.schemas.stored import Assessed
from serving.watch.state import WatchState, said_of, worth_keeping

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def said(hours: float = 0.0, **changes: object) -> Assessed:
    """Return what is said of an account far from its line, so many hours after noon."""
    told = {
        "account": "a",
        "at": NOON + timedelta(hours=hours),
        "verdict": "safe",
        "unattended_24h": 1e-6,
        "expected_24h": 1e-6,
        "distance": 0.4,
    }
    return Assessed(**{**told, **changes})  # type: ignore[arg-type]


def is_kept(before: Assessed | None, now: Assessed) -> bool:
    """Return whether an assessment goes into the past after another one that did."""
    memory = WatchState()
    if before is not None:
        memory.said["a"] = said_of(before)
    return list(worth_keeping(memory, [now])) == ["a"]


@pytest.mark.parametrize(
    ("before", "now", "kept"),
    [
        (None, said(), True),
        (said(), said(11.9), False),
        (said(), said(12.0), True),
        (said(), said(0.1, verdict="liquidatable"), True),
        (said(), said(0.1, next_verdict="liquidatable"), True),
        (said(), said(0.1, unattended_24h=0.01), True),
        (said(), said(0.1, distance=0.1), False),
        (said(), said(0.1, distance=0.1, unattended_24h=None, expected_24h=None), True),
        (said(unattended_24h=0.5), said(0.1), True),
        (said(unattended_24h=0.5), said(0.9, unattended_24h=0.2), False),
        (said(unattended_24h=0.5), said(1.0, unattended_24h=0.2), True),
        (said(verdict="unevaluable"), said(1.0, verdict="unevaluable"), True),
        (said(), said(-0.1), True),
    ],
)
def test_changes_are_kept_densely_and_quiet_hours_thinly(
    before: Assessed | None, now: Assessed, *, kept: bool
) -> None:
    """Hourly near the line, half-daily away from it, at once where something changes."""
    assert is_kept(before, now) is kept
