"""A book that one price moves: known thresholds, and the same as the whole cascade."""

import numpy as np
import pytest

from models.book.curve import cascaded, liquidated, price_curve

TRIGGERS = np.array([100 - 0.01 * (k - 0.5) for k in range(1, 1001)])


@pytest.mark.parametrize(
    ("fall", "fallen"), [(0.0, 100), (0.004, 166), (0.008, 498), (0.011, 1000)]
)
def test_a_cascade_takes_all_once_each_sale_causes_more_than_one(fall: float, fallen: int) -> None:
    """1,000 accounts a cent apart that sell a unit each, price falling by so much a unit."""
    curve = price_curve(TRIGGERS, np.ones(1000))
    found = cascaded(curve, np.array([99.0]), per_quote=fall / 99.0)
    assert found.tolist() == [fallen]


def test_equality_stands_and_order_changes_nothing() -> None:
    """At its trigger an account stands; a sum over any order is the same."""
    triggers, repaid = np.array([90.0, 80.0, 85.0]), np.array([1.0, 2.0, 4.0])
    curve = price_curve(triggers, repaid)
    prices = np.array([95.0, 90.0, 89.9, 85.0, 84.0, 10.0])
    assert liquidated(curve, prices).tolist() == [0.0, 0.0, 1.0, 1.0, 5.0, 7.0]
    mixed = price_curve(triggers[::-1], repaid[::-1])
    assert liquidated(mixed, prices).tolist() == liquidated(curve, prices).tolist()
    assert cascaded(curve, prices, per_quote=0.0).tolist() == liquidated(curve, prices).tolist()
