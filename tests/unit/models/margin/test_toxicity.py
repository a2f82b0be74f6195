"""A liquidation is toxic only when it leaves an account worse covered."""

import pytest

from models.margin.result import Side
from models.margin.toxicity import is_toxic


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (Side(90, 100), Side(45, 50), False),
        (Side(90, 100), Side(44, 50), True),
        (Side(90, 100), Side(46, 50), False),
        (Side(90, 100), Side(0, 1), True),
        (Side(90, 100), Side(0, 0), False),
        (Side(0, 100), Side(0, 50), False),
        (None, Side(1, 2), False),
        (Side(1, 2), None, False),
    ],
)
def test_credit_per_requirement_falls(
    before: Side | None, after: Side | None, *, expected: bool
) -> None:
    """The same cover is not worse, nor is no requirement at all."""
    assert is_toxic(before, after) == expected
