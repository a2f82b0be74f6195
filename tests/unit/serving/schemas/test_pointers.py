"""Where a fault of a body stands: by the body's own names, never by those of our types."""

from typing import Any

import pytest
from pydantic import ValidationError

from serving.schemas.book_risk import StressBody
from serving.schemas.fields import Body
from serving.schemas.requests import pointers
from serving.schemas.term_changes import ChangeSet


def shocked(move: Any) -> dict[str, Any]:
    """Return a stress of one move of ETH."""
    return {"shocks": [{"name": "a", "prices": {"ETH": move}}]}


def changed(to: Any) -> dict[str, Any]:
    """Return one change to a value."""
    return {"changes": [{"venue": "maker", "parameter": "mat", "to": to}]}


@pytest.mark.parametrize(
    ("kind", "body", "places"),
    [
        (StressBody, shocked("x"), ["/shocks/0/prices/ETH"]),
        (StressBody, shocked([1]), ["/shocks/0/prices/ETH"]),
        (
            StressBody,
            shocked({"of": "", "by": 1.5}),
            [f"/shocks/0/prices/ETH/{n}" for n in ("of", "by")],
        ),
        (
            StressBody,
            shocked({"off": "BTC", "by": "0"}),
            [f"/shocks/0/prices/ETH/{n}" for n in ("of", "off")],
        ),
        (ChangeSet, changed(5), ["/changes/0/to"]),
        (ChangeSet, changed({}), ["/changes/0/to"]),
        (ChangeSet, changed([3]), ["/changes/0/to/0"]),
    ],
)
def test_one_fault_at_its_place_for_what_was_meant(
    kind: type[Body], body: dict[str, Any], places: list[str]
) -> None:
    """Of two ways to say a thing the faults of the one that was chosen are told, and no others."""
    with pytest.raises(ValidationError) as refused:
        kind.model_validate(body)
    assert [fault.where for fault in pointers(refused.value)] == places


@pytest.mark.parametrize("text", ["0", "-0.2", "0.005", "12345678901234567890.5", "7", "-3.25"])
def test_an_exact_amount_is_written_as_it_is_read(text: str) -> None:
    """A body that is kept can be read again."""
    body = StressBody.model_validate(shocked(text))
    kept = body.model_dump(mode="json")
    assert kept["shocks"][0]["prices"]["ETH"] == text
    assert StressBody.model_validate(kept) == body
