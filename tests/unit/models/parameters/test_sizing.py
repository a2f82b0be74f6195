"""Limits that follow from the market: by hand, and how they tighten early and loosen late."""

from fractions import Fraction

import numpy as np
import pytest

from models.book.impact import ImpactCurve, impact
from models.margin.perpetual import Tier
from models.parameters.catalogue import Role
from models.parameters.sizing import (
    Conditions,
    bonus_needed,
    ceiling,
    conditions,
    is_looser,
    loan_to_value,
    supply_cap,
    tier_table,
)

F = Fraction
CURVE = ImpactCurve((100.0, 1000.0), (0.01, 0.1))
NOW = Conditions(volatility=0.1, usual=0.05, depth=CURVE, price=10.0)
YEAR = 365 * 24


@pytest.mark.parametrize(
    ("most", "units"), [(0.0, 0.0), (0.005, 50.0), (0.01, 100.0), (0.055, 550.0), (0.1, 1000.0)]
)
def test_what_can_be_sold_lies_on_the_curve(most: float, units: float) -> None:
    """Linear between the points, by hand."""
    assert CURVE.sellable(most) == pytest.approx(units)


def test_beyond_the_last_point_it_is_the_inverse_of_the_tail() -> None:
    """What is sold at a half costs a half."""
    assert float(impact(CURVE, CURVE.sellable(0.5))) == pytest.approx(0.5)


def test_a_cap_is_what_liquidators_can_sell_within_their_bonus() -> None:
    """A bonus of 6 % less .5 % of fees pays for 550 units; without a curve nothing is said."""
    assert supply_cap(NOW, bonus=0.06, fees=0.005) == pytest.approx(550.0)
    assert supply_cap(bare(), bonus=0.1, fees=0.0) is None


def bare() -> Conditions:
    """Return a market without a curve."""
    return Conditions(volatility=0.1, usual=0.05, depth=None, price=10.0)


def test_loan_to_value_is_smart_ltv() -> None:
    """Published: l 1e6, d 2e5, sigma .1, beta .05, c 3 give .82444657."""
    deep = ImpactCurve((1e6, 2e6), (0.05, 0.5))
    market = Conditions(volatility=0.1, usual=0.1, depth=deep, price=1.0)
    found = loan_to_value(market, bonus=0.05, cap=2e5)
    assert found == pytest.approx(0.82444657, abs=1e-8)
    assert loan_to_value(bare(), bonus=0.05, cap=2e5) is None


def test_a_bonus_pays_for_the_sale() -> None:
    """Selling 1,000 units loses 10 %: 1 / .9 less 1, and more with fees."""
    assert bonus_needed(NOW, units=1000.0, fees=0.0) == pytest.approx(1 / 0.9 - 1)
    assert bonus_needed(NOW, units=1000.0, fees=0.01) == pytest.approx(1.01 / 0.9 - 1)


def test_a_ceiling_falls_at_once_and_rises_after_its_wait() -> None:
    """A tenth above what is owed: 110 of 100, at most 120, not within the wait."""
    assert ceiling(500, F(100), most=1000, wait=60, since_rise=10) == 110
    assert ceiling(100, F(100), most=1000, wait=60, since_rise=10) == 100
    assert ceiling(100, F(100), most=1000, wait=60, since_rise=60) == 110
    assert ceiling(100, F(115), most=120, wait=60, since_rise=None) == 120


def test_rates_cover_a_move_and_the_impact_of_closing_a_bracket() -> None:
    """2 % moves; 1,000 quote units are 100 units and 1 %; 10,000 are 1,000 and 10 %."""
    before = (
        Tier(floor=F(0), rate=F(1, 100), max_leverage=50),
        Tier(floor=F(1000), rate=F(2, 100), deduction=F(10), max_leverage=20),
        Tier(floor=F(5000), rate=F(5, 100), deduction=F(160)),
    )
    made = tier_table(before, NOW, np.full(50, 0.02))
    assert [tier.rate for tier in made] == [F(3, 100), F(7, 100), F(12, 100)]
    assert [tier.deduction for tier in made] == [0, 1000 * F(4, 100), 40 + 5000 * F(5, 100)]
    assert [tier.max_leverage for tier in made] == [16, 7, None]


def test_a_market_counts_as_calm_only_after_seven_days_of_it() -> None:
    """One wild hour counts at once and for a week; a calm below the usual counts as usual."""
    calm = np.full(YEAR, 0.01)
    stirred = calm.copy()
    stirred[-1] = 0.05
    assert conditions(stirred, depth=None, price=1.0).is_stirred
    week = np.roll(stirred, -(7 * 24 - 1))
    week[-(7 * 24) :] = 0.01
    assert not conditions(week, depth=None, price=1.0).is_stirred
    quiet = calm.copy()
    quiet[-(30 * 24) :] = 0.001
    assert conditions(quiet, depth=None, price=1.0).volatility == pytest.approx(0.01 * np.sqrt(24))
    with pytest.raises(ValueError, match="not known"):
        conditions(np.full(10, np.nan), depth=None, price=1.0)


def test_which_way_is_looser() -> None:
    """A higher threshold or cap is, and a lower ratio or rate; a bonus is neither."""
    assert is_looser(Role.THRESHOLD, F(1), F(2))
    assert is_looser(Role.RATIO, F(2), F(1))
    assert not is_looser(Role.DEBT_CEILING, F(2), F(1))
    assert not is_looser(Role.BONUS, F(1), F(2))
