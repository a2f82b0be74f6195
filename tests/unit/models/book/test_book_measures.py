"""Curves of impact, tails, tests of exceedance and deleveraging, by literals."""

from datetime import UTC, datetime
from fractions import Fraction

import numpy as np
import pytest

from models.book.congestion import BlockSpace, Crowded
from models.book.deleveraging import Position, Rule, by_queue, pro_rata, score, settle
from models.book.exceedance import Zone, christoffersen, independence, kupiec, zone
from models.book.impact import ImpactCurve, curve_faults, fitted, impact
from models.book.tail import quantile, ranks, shares
from models.errors import InvalidInput

F = Fraction
AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_curve_is_straight_between_points_and_a_pool_beyond_them() -> None:
    """Points (10, .1) and (30, .2); beyond 30 the reserve is 30 × .8 / .2 = 120."""
    curve = ImpactCurve((F(10), F(30)), (F(1, 10), F(1, 5)))
    assert [impact(curve, F(x)) for x in (0, 5, 10, 20, 30)] == [
        0,
        F(1, 20),
        F(1, 10),
        F(3, 20),
        F(1, 5),
    ]
    assert impact(curve, F(180)) == 1 - F(4, 5) * F(150, 300)


def test_a_fit_never_falls_and_begins_at_nothing() -> None:
    """A quote below its neighbour is pooled with it: 3 % and 1 % become 2 % each."""
    curve = fitted([30.0, 10.0, 20.0], [0.04, 0.03, 0.01], measured_at=AT)
    assert curve.amounts == (10.0, 20.0, 30.0)
    assert curve.impacts == pytest.approx((0.02, 0.02, 0.04))


def test_what_is_no_quote_is_named_with_the_others() -> None:
    """An impact of 1, an amount of 0 and too few amounts are refused together."""
    with pytest.raises(InvalidInput) as refused:
        fitted([0.0, 5.0], [0.1, 1.0], measured_at=AT)
    assert [fault.where for fault in refused.value.faults] == ["/0", "/1", ""]


def test_points_that_fall_or_repeat_are_faults() -> None:
    """Amounts must rise, impacts may not fall, and something must have an impact."""
    faults = curve_faults(ImpactCurve((1.0, 1.0), (0.2, 0.1)), where="/curve")
    assert [fault.where for fault in faults] == ["/curve/1/amount", "/curve/1/impact"]
    assert curve_faults(ImpactCurve((1.0,), (0.0,)))


def test_ranks_of_an_interval_follow_from_the_binomial() -> None:
    """Published for 10,000 and 1,000 scenarios at 90 %."""
    assert ranks(10_000, 0.95) == (9_464, 9_537)
    assert ranks(10_000, 0.99) == (9_883, 9_917)
    assert ranks(1_000, 0.95) == (938, 962)
    assert ranks(1_000, 0.99) == (985, 996)


def test_a_quantile_tells_its_interval_and_the_mean_from_it_on() -> None:
    """Of 1 to 1,000 the 95 % quantile is 950, the mean from there on 975."""
    found = quantile(np.arange(1.0, 1001.0), 0.95)
    assert (found.value, found.low, found.high, found.shortfall) == (950.0, 938.0, 962.0, 975.0)


@pytest.mark.parametrize("losses", [np.array([]), np.array([1.0, np.nan])])
def test_no_losses_have_no_quantile(losses: np.ndarray) -> None:
    """Nothing, or what is no number, is refused."""
    with pytest.raises(ValueError, match="not finite"):
        quantile(losses, 0.95)


def test_shares_add_up_to_the_shortfall() -> None:
    """Of four scenarios the worst two (sums 30 and 40) lost 15 and 20 on average."""
    losses = np.array([[1.0, 2.0], [5.0, 5.0], [10.0, 20.0], [20.0, 20.0]])
    assert shares(losses, 0.75).tolist() == [15.0, 20.0]


def test_kupiec_gives_the_published_ratios() -> None:
    """Of 250 days at 1 %."""
    ratios = [kupiec(count, 250, 0.01).statistic for count in (0, 2, 5, 7, 10)]
    assert ratios == pytest.approx([5.0252, 0.1084, 1.9568, 5.4970, 12.9555], abs=5e-5)


def test_exceedances_that_cluster_are_found() -> None:
    """Transitions 960, 15, 15, 10 give 45.1635; four days in a row the same counts."""
    assert independence(np.array([[960, 15], [15, 10]])).statistic == pytest.approx(
        45.1635, abs=5e-5
    )
    days = np.array([False, False, True, True, False])
    by_day = christoffersen(days)
    assert by_day == independence(np.array([[1, 1], [1, 1]]))
    assert by_day.statistic == pytest.approx(0.0)


def test_the_traffic_light_changes_at_five_and_ten() -> None:
    """Of 250 days at 1 %."""
    zones = [zone(count, 250, 0.01) for count in (4, 5, 9, 10)]
    assert zones == [Zone.GREEN, Zone.YELLOW, Zone.YELLOW, Zone.RED]


BANKRUPT = Position("long", F(5), F(100), F(75))
WINNERS = [Position("a", F(-6), F(100), F(60)), Position("b", F(-4), F(100), F(200))]


@pytest.mark.parametrize(
    ("rule", "closed"),
    [
        (by_queue, [("a", 5, 25)]),
        (pro_rata, [("a", 3, 15), ("b", 2, 10)]),
    ],
)
def test_winners_close_the_bankrupt_position_at_its_bankruptcy_price(
    rule: Rule, closed: list[tuple[str, int, int]]
) -> None:
    """Equity −25 at 80, bankruptcy price 85: 5 units cost 25 in all, by either rule."""
    settled = settle(BANKRUPT, WINNERS, mark=F(80), fund=F(0), rule=rule)
    assert [(one.key, one.units, one.cost) for one in settled.closed] == closed
    assert settled.unsettled == 0
    assert sum(one.cost for one in settled.closed) == -BANKRUPT.equity(F(80))


def test_the_queue_orders_by_profit_times_leverage() -> None:
    """16/3 before 16/35."""
    assert [score(winner, F(80)) for winner in WINNERS] == [F(16, 3), F(16, 35)]


def test_the_insurance_fund_pays_first() -> None:
    """A fund of 10 covers 2 of 5 units at 5 each; 3 are deleveraged."""
    settled = settle(BANKRUPT, WINNERS, mark=F(80), fund=F(10))
    assert settled.fund_paid == 10
    assert [(one.key, one.units) for one in settled.closed] == [("a", 3)]


def test_a_short_is_settled_by_longs_and_what_nobody_takes_is_said() -> None:
    """A short of 4 from 100 with 40, mark 120: bankruptcy 110; a long of 3 takes 3."""
    short = Position("short", F(-4), F(100), F(40))
    settled = settle(short, [Position("c", F(3), F(90), F(50))], mark=F(120), fund=F(0))
    assert [(one.units, one.cost) for one in settled.closed] == [(3, 30)]
    assert settled.unsettled == 1


def test_a_position_with_equity_is_not_deleveraged() -> None:
    """And a negative fund is named beside it."""
    with pytest.raises(InvalidInput) as refused:
        settle(BANKRUPT, WINNERS, mark=F(90), fund=F(-1))
    assert [fault.where for fault in refused.value.faults] == ["/long", "/fund"]


BLOCKS = BlockSpace(
    gas_price=1e-4, free_gas=1_000_000, gas_each=250_000, block_seconds=12.0, surge=((10.0, 3.0),)
)


@pytest.mark.parametrize(
    ("due", "gas", "hours"),
    [
        (0, 25.0, 0.0),
        (4, 30.0, 12 / 3600),
        (5, 35.0, 24 / 3600),
        (40, 75.0, 120 / 3600),
        (400, 525.0, 1200 / 3600),
    ],
)
def test_gas_and_delay_follow_from_block_space(due: int, gas: float, hours: float) -> None:
    """Four fit into a block; every block wanted adds .2 of 25 quote, the hundredth as the tenth."""
    assert BLOCKS.crowded(due) == Crowded(due, pytest.approx(gas), pytest.approx(hours))
