"""Flat margin rates against an engine's own tests."""

from fractions import Fraction
from typing import Any

import pytest
from vectors import cases

from models.margin.venues.flat_margin import notional_value, required_margin

FILE = "nautilus_margin.json"


@pytest.mark.parametrize("case", cases(FILE, "vectors"))
def test_required_margin(case: dict[str, Any]) -> None:
    """Initial and maintenance margin equal the engine's, to its currency's digits."""
    inputs, expected = case["inputs"], case["expected"]
    rate = Fraction(inputs["marginInit"] if "marginInit" in inputs else inputs["marginMaint"])
    quantity, price = Fraction(inputs["qty"]), Fraction(inputs["price"])
    contract = "inverse" if inputs.get("inverse") else "linear"
    notional = notional_value(quantity, price, contract=contract)
    if inputs.get("useQuote"):
        notional = notional * price
    found = required_margin(notional, rate, leverage=int(inputs["leverage"]), model=inputs["model"])
    digits = len(expected.partition(".")[2])
    assert round(found, digits) == Fraction(expected)
