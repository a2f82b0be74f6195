"""How long another server asks to be left alone, in every form the header has."""

from datetime import UTC, datetime, timedelta

import pytest

from serving.waits import retry_after

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("300", 300.0),
        ("0.5", 0.5),
        ("-1", 0.0),
        ("Sun, 01 Nov 2026 12:05:00 GMT", 300.0),
        ("Sun, 01 Nov 2026 11:00:00 GMT", 0.0),
        ("Sun, 01 Nov 2026 12:05:00 -0000", 300.0),
        ("999999999", 86_400.0),
        ("1e400", None),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_wait_is_read_as_seconds_or_as_a_date(value: str | None, seconds: float | None) -> None:
    """What is neither asks for nothing; a day is the most."""
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert retry_after(value, now=NOW) == expected
