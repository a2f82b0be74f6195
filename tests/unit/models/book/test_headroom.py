"""How far a book may grow, by cases that can be worked out."""

from fractions import Fraction

import numpy as np
import pytest

from models.book.cascade import Borrower, Collateral, Debt, Market
from models.book.columns import book_columns, market_columns, prices_of
from models.book.headroom import concentration, headroom, scaled
from models.book.impact import ImpactCurve

F = Fraction


def borrower(key: str, debt: int) -> Borrower:
    """Return an account of 10 units at a threshold of 85 %, without a bonus."""
    return Borrower(key, (Collateral("X", F(10), F(85, 100), F(0)),), (Debt("USD", F(debt)),))


def test_without_impact_bad_debt_grows_with_the_book() -> None:
    """At 70 an account that owes 800 leaves 100 a unit of size: 250 are borne at 2.5."""
    around = Market({"X": F(70), "USD": F(1)})
    columns, market = book_columns([borrower("a", 800)], around), market_columns(around)
    found = headroom(columns, market, prices_of(around)[np.newaxis], np.array([True]), most=250.0)
    assert found.scale == pytest.approx(2.5, rel=2e-3)
    assert found.loss <= 250.0


def test_what_never_exceeds_the_loss_has_no_ceiling() -> None:
    """Accounts that stand leave nothing at any size."""
    around = Market({"X": F(100), "USD": F(1)})
    columns, market = book_columns([borrower("a", 500)], around), market_columns(around)
    found = headroom(columns, market, prices_of(around)[np.newaxis], np.array([True]), most=0.0)
    assert found.scale is None


def test_others_that_exceed_it_already_leave_nothing() -> None:
    """A second account's bad debt alone is above the loss."""
    around = Market({"X": F(70), "USD": F(1)})
    columns = book_columns([borrower("a", 500), borrower("b", 900)], around)
    only = np.array([True, False])
    found = headroom(
        columns, market_columns(around), prices_of(around)[np.newaxis], only, most=100.0
    )
    assert (found.scale, found.loss) == (0.0, 200.0)


def test_a_shallow_market_bears_less_than_in_proportion() -> None:
    """Selling more of the same lowers the price, so the ceiling is below that without impact."""
    around = Market({"X": F(90), "USD": F(1)}, {"X": ImpactCurve((F(72),), (F(9, 10),))})
    accounts = [borrower(str(n), 760 - 20 * n) for n in range(4)]
    columns = book_columns([borrower("first", 800), *accounts], around)
    market, prices = market_columns(around), prices_of(around)[np.newaxis]
    every = np.ones(5, dtype=bool)
    small = headroom(columns, market, prices, every, most=10.0)
    deep = Market({"X": F(90), "USD": F(1)})
    assert small.scale is not None
    assert small.scale < 5
    assert headroom(columns, market_columns(deep), prices, every, most=10.0).scale is None
    assert scaled(columns, every, 2.0).debt_units.tolist() == (columns.debt_units * 2).tolist()


def test_concentration_of_alike_and_of_a_single_holder() -> None:
    """Twenty alike: 5 %, half, 1/20; one of all: 1."""
    alike = concentration(np.ones(20))
    assert (alike.largest, alike.ten_largest, alike.index) == pytest.approx((0.05, 0.5, 0.05))
    assert concentration(np.array([0.0, 3.0])).index == 1.0
    for none in (np.zeros(3), np.array([1.0, -1.0]), np.array([np.nan, 1.0])):
        with pytest.raises(ValueError, match="not all 0"):
            concentration(none)
