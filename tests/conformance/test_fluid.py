"""Fluid's tick arithmetic against answers of the executed library."""

from typing import Any

import pytest
from vectors import cases

from models.margin.venues import fluid

FILE = "fluid_tickmath.json"


@pytest.mark.parametrize("case", cases(FILE, "vectors"))
def test_ticks_and_ratios(case: dict[str, Any]) -> None:
    """The ratio at a tick and the tick at a ratio equal the library's."""
    assert fluid.ratio_at_tick(case["tick"]) == int(case["ratioX96"])
    found = fluid.tick_at_ratio(int(case["queryRatio"]))
    assert (found.tick, found.ratio) == (case["tickAtRatio"], int(case["perfectRatio"]))
