"""A pool of two assets in whole numbers, and the number that warns of a cascade."""

from fractions import Fraction

import numpy as np
import pytest

from models.book.cascade import Borrower, Collateral, Debt, Market
from models.book.columns import book_columns, market_columns, prices_of
from models.book.impact import ImpactCurve, curve_faults
from models.book.reproduction import reproduction
from models.book.stableswap import SCALE, Pool, impact_curve, invariant, price, sold
from models.errors import InvalidInput

F = Fraction
EVEN = Pool(100 * SCALE, 100 * SCALE, 30, 0)
CURVE_POOL = Pool(235_285 * SCALE, 241_954 * SCALE, 30, 4 * 10**6)


def test_an_even_pool_is_worth_what_it_holds_and_pays_one_for_one() -> None:
    """D is the sum of both balances; the price at the margin is 1."""
    assert invariant(EVEN) == 200 * SCALE
    assert price(EVEN) == 1


def test_selling_keeps_the_invariant_and_a_fee_adds_to_it() -> None:
    """Without a fee D stands to the rounding of whole numbers, with one it grows."""
    after, paid = sold(EVEN, 50 * SCALE)
    assert paid == EVEN.base - after.base
    assert abs(invariant(after) - invariant(EVEN)) <= 10
    dear, less = sold(Pool(100 * SCALE, 100 * SCALE, 30, 4 * 10**6), 50 * SCALE)
    assert less < paid
    assert invariant(dear) > invariant(EVEN)


def test_the_price_at_the_margin_is_what_a_small_sale_brings() -> None:
    """After 92,000 stETH the published rate is .96515, its fee of .0004 taken off."""
    after, _ = sold(CURVE_POOL, 92_000 * SCALE)
    assert float(price(after)) * (1 - 0.0004) == pytest.approx(0.96515, abs=2e-5)
    _, paid = sold(after, SCALE // 1000)
    assert 1000 * paid / SCALE / (1 - 0.0004) == pytest.approx(float(price(after)), rel=1e-8)


def test_a_pool_as_a_curve_is_exact_at_its_points() -> None:
    """The curve has no fault, and each point is the pool after that sale."""
    curve = impact_curve(CURVE_POOL, [10_000, 90_000, 200_000])
    assert curve_faults(curve) == []
    after, _ = sold(CURVE_POOL, 90_000 * SCALE)
    assert curve.impacts[1] == 1 - price(after) / price(CURVE_POOL)


def test_what_is_no_pool_is_refused_with_every_fault() -> None:
    """No balance, no amplification and a fee of all are three faults."""
    with pytest.raises(InvalidInput) as refused:
        Pool(0, 1, 0, 10**10)
    assert [fault.where for fault in refused.value.faults] == ["/base", "/amplification", "/fee"]


@pytest.mark.parametrize(("slope", "number"), [(0.004, 0.4), (0.008, 0.8), (0.011, 1.1)])
def test_the_number_is_sales_per_step_times_impact_per_sale(slope: float, number: float) -> None:
    """1,000 accounts a cent apart sell a unit each: 100 units a dollar, times the slope."""
    accounts = [
        Borrower(
            str(k), (Collateral("X", F(1), F(1), F(0)),), (Debt("USD", 100 - F(2 * k - 1, 200)),)
        )
        for k in range(1, 1001)
    ]
    around = Market(
        {"X": F(100), "USD": F(1)},
        {"X": ImpactCurve((0.9 * 100 / slope,), (0.9,))},
    )
    columns, curves = book_columns(accounts, around), market_columns(around)
    direction = (np.array(columns.assets) == "X").astype(np.float64)
    found = reproduction(columns, curves, prices_of(around), direction, np.array([-0.01, 0.05]))
    assert found.numbers[0] == pytest.approx(number, rel=0.03)
    assert found.numbers[1] == 0.0
    assert found.first_at_least_unity == (-0.01 if number >= 1 else None)


def test_without_curves_nothing_reproduces() -> None:
    """A market that does not move has the number 0."""
    around = Market({"X": F(90), "USD": F(1)})
    accounts = [Borrower("a", (Collateral("X", F(10), F(85, 100), F(0)),), (Debt("USD", F(800)),))]
    columns = book_columns(accounts, around)
    found = reproduction(
        columns, market_columns(around), prices_of(around), np.ones(2), np.array([0.0])
    )
    assert found.numbers.tolist() == [0.0]
