"""What a request may state of a market's past, and the place of what it may not."""

from typing import Any

import pytest

from models.errors import InvalidInput
from serving.schemas import requests

MOST = "Dictionary should have at most 10 items after validation"
FIRST, SECOND = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"
PRICES: dict[str, list[float]] = {n: [1.0, 2.0] for n in ("open", "high", "low", "close")}


def faults(market: dict[str, Any]) -> list[tuple[str, str]]:
    """Return places and messages of what is wrong with a market."""
    asked = {"account": "a", "market": market}
    with pytest.raises(InvalidInput) as refused:
        requests.of_tree(asked, requests.ScoreBody, [])
    return [(fault.where, fault.message) for fault in refused.value.faults]


@pytest.mark.parametrize(
    ("market", "where", "message"),
    [
        (
            {"funding": {"E": {"at": [FIRST], "rate": [0.1, 0.2]}}},
            "/market/funding/E",
            "columns differ in length: {'at': 1, 'rate': 2}",
        ),
        (
            {"funding": {"E": {"at": [FIRST, SECOND, FIRST], "rate": [0.1, 0.2, 0.3]}}},
            "/market/funding/E",
            "at holds 2026-01-01T00:00:00+00:00 twice",
        ),
        (
            {"funding": {"E": {"at": [FIRST], "rate": [1.5]}}},
            "/market/funding/E/rate/0",
            "Input should be less than or equal to 1, not 1.5",
        ),
        (
            {"funding": {"E": {"at": [1767225600], "rate": [0.1]}}},
            "/market/funding/E/at/0",
            "a time is ISO 8601 text, not int",
        ),
        (
            {"open_interest": {"E": {"at": [FIRST], "amount": [-1.0]}}},
            "/market/open_interest/E/amount/0",
            "Input should be greater than or equal to 0, not -1.0",
        ),
        (
            {"open_interest": {"E": {"at": [FIRST], "amount": [None]}}},
            "/market/open_interest/E/amount/0",
            "Input should be a valid number, not None",
        ),
        (
            {"oracle_rounds": {"E": {"updated_at": [FIRST], "answer": ["0"], "decimals": 8}}},
            "/market/oracle_rounds/E/answer/0",
            "0 is not above 0",
        ),
        (
            {"oracle_rounds": {"E": {"updated_at": [FIRST], "answer": [1.5], "decimals": 8}}},
            "/market/oracle_rounds/E/answer/0",
            "an exact integer is a string of digits or an integer, not float",
        ),
        (
            {"oracle_rounds": {"E": {"updated_at": [FIRST], "answer": ["5"]}}},
            "/market/oracle_rounds/E/decimals",
            "Field required",
        ),
        (
            {"reserves": {"aave-v2": {"E": {"at": [FIRST], "supplied": [1.0]}}}},
            "/market/reserves/aave-v2/E/borrowed",
            "Field required",
        ),
        (
            {"perpetuals": {"E": {"start": FIRST, **PRICES}}},
            "/market/perpetuals/E/volume",
            "Field required",
        ),
        (
            {"marks": {"E": {"open_time": [FIRST, FIRST], **PRICES}}},
            "/market/marks/E",
            "open_time holds 2026-01-01T00:00:00+00:00 twice",
        ),
        (
            {"reserves": {str(i): {} for i in range(11)}},
            "/market/reserves",
            f"{MOST}, not more, not an object of 11",
        ),
    ],
)
def test_a_faulty_table_is_told_with_its_place(
    market: dict[str, Any], where: str, message: str
) -> None:
    """Unlike lengths, repeated times, numbers out of range and columns left out."""
    assert faults(market) == [(where, message)]


def test_the_faults_of_every_table_are_told_at_once() -> None:
    """Nothing stops at the first fault."""
    broken = {"E": {"at": ["soon"], "rate": ["high"], "rates": []}}
    marks = {"E": {"start": "2026-01-01T00:30:00Z", **PRICES}}
    assert [where for where, _ in faults({"funding": broken, "marks": marks})] == [
        "/market/marks/E/start",
        "/market/funding/E/at/0",
        "/market/funding/E/rate/0",
        "/market/funding/E/rates",
    ]


def test_marks_may_have_no_volume() -> None:
    """Exchanges tell none; of a perpetual's own candles it is required."""
    asked = {"account": "a", "market": {"marks": {"E": {"start": FIRST, **PRICES}}}}
    told, _ = requests.of_tree(asked, requests.ScoreBody, [])
    assert told.market.marks["E"].volume is None
