"""Durations and ages as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from models.domain import Price
from serving.evaluation.rules import in_words

AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(days=3, microseconds=563967), "3 d"),
        (timedelta(days=1, hours=4, minutes=59), "1 d 4 h"),
        (timedelta(hours=3), "3 h"),
        (timedelta(days=2, seconds=5), "2 d"),
        (timedelta(minutes=61, seconds=7), "1 h 1 min"),
        (timedelta(seconds=45), "45 s"),
        (timedelta(0), "0 s"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(span: timedelta, text: str) -> None:
    """Nothing finer than its two largest units, nothing that is none."""
    assert in_words(span) == text


@pytest.mark.parametrize(
    ("limit", "age", "is_stale"),
    [
        (None, timedelta(hours=3), False),
        (None, timedelta(hours=3, seconds=1), True),
        (timedelta(minutes=5), timedelta(minutes=6), True),
        (timedelta(days=1), timedelta(hours=23), False),
    ],
)
def test_a_price_is_stale_by_its_own_limit_or_the_usual_one(
    limit: timedelta | None, age: timedelta, *, is_stale: bool
) -> None:
    """Three hours where nothing else is said."""
    price = Price(value=1, decimals=0, observed_at=AT - age, stale_after=limit)
    assert price.is_stale(AT) is is_stale
