"""Cascades whose every round can be worked out by hand, in fractions and in columns."""

from fractions import Fraction

import numpy as np
import pytest

from models.book.cascade import Borrower, Collateral, Debt, Liquidators, Market, Residuals, cascade
from models.book.columns import book_columns, market_columns, ordered_assets, prices_of
from models.book.impact import ImpactCurve
from models.book.kernel import Owners, run, run_all, touchable
from models.errors import InvalidInput

F = Fraction
ONE = F(1)


def borrower(key: str, units: F | int, debt: F | int, *, close_factor: F = ONE) -> Borrower:
    """Return an account that holds one asset, threshold 85 %, bonus 5 %, and owes dollars."""
    collateral = Collateral("X", F(units), F(85, 100), F(5, 100))
    return Borrower(key, (collateral,), (Debt("USD", F(debt)),), close_factor)


def straight(slope: F | int) -> ImpactCurve | None:
    """Return a curve that loses the same share of the price with every unit."""
    return ImpactCurve((F(9, 10) / slope,), (F(9, 10),)) if slope else None


def market(price: int, slope: F | int) -> Market:
    """Return a market of one asset and the dollar."""
    curve = straight(slope)
    return Market({"X": F(price), "USD": F(1)}, {} if curve is None else {"X": curve})


def book(*accounts: tuple[int, int], close_factor: F = ONE) -> list[Borrower]:
    """Return accounts of (units, debt), keyed by their place."""
    return [
        borrower(str(place), units, debt, close_factor=close_factor)
        for place, (units, debt) in enumerate(accounts)
    ]


CASES = {
    "one sells without impact": (
        book((10, 800)),
        market(90, 0),
        [(F(28, 3), F(90))],
        (F(800), F(0)),
    ),
    "the second falls by what the first sold": (
        book((10, 800), (10, 735)),
        market(90, F(1, 200)),
        [(F(28, 3), F(429, 5)), (F(5145, 572), F(935247, 11440))],
        (F(1535), F(0)),
    ),
    "in a deeper market it survives": (
        book((10, 800), (10, 735)),
        market(90, F(1, 400)),
        [(F(28, 3), F(879, 10))],
        (F(800), F(0)),
    ),
    "three fall and the last is short": (
        book((10, 800), (10, 720), (10, 660)),
        market(90, F(1, 80)),
        [(F(28, 3), F(159, 2)), (F(504, 53), F(7293, 106)), (F(10), F(12201, 212))],
        (F(807020, 371), F(1760, 371)),
    ),
    "insolvent at once": (
        book((10, 800)),
        market(70, F(1, 200)),
        [(F(10), F(133, 2))],
        (F(2000, 3), F(400, 3)),
    ),
    "equality stands": (book((10, 765)), market(90, F(1, 100)), [], (F(0), F(0))),
    "half is enough": (
        book((10, 800), close_factor=F(1, 2)),
        market(90, 0),
        [(F(14, 3), F(90))],
        (F(400), F(0)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_rounds_and_totals_are_those_of_the_hand_calculation(name: str) -> None:
    """Every round's sales and price, what is repaid and what is bad, as fractions."""
    accounts, around, rounds, (repaid, bad) = CASES[name]
    outcome = cascade(accounts, around)
    assert [(done.sold["X"], done.prices["X"]) for done in outcome.rounds] == rounds
    assert (outcome.repaid, outcome.bad_debt) == (repaid, bad)
    assert outcome.converged
    assert outcome.residuals == Residuals(F(0), F(0))


@pytest.mark.parametrize("name", CASES)
def test_columns_agree_with_the_hand_calculation(name: str) -> None:
    """The compiled rounds come within 1e-9 of the fractions."""
    accounts, around, rounds, (repaid, bad) = CASES[name]
    course = run(book_columns(accounts, around), market_columns(around), prices_of(around))
    asset = ordered_assets(around).index("X")
    assert course.totals.rounds[0] == len(rounds)
    assert course.sold[:, asset] == pytest.approx([float(sold) for sold, _ in rounds], abs=1e-9)
    assert course.prices[:, asset] == pytest.approx([float(p) for _, p in rounds], abs=1e-9)
    assert course.totals.repaid[0] == pytest.approx(float(repaid), abs=1e-9)
    assert course.totals.bad_debt[0] == pytest.approx(float(bad), abs=1e-9)


@pytest.mark.parametrize(("close_factor", "steps"), [(F(1, 2), 7), (F(1), 1)])
def test_a_toxic_liquidation_ends_in_the_same_bad_debt_in_any_number_of_steps(
    close_factor: F, steps: int
) -> None:
    """Below threshold × (1 + bonus) every step lowers the health; 90/7 stay owed."""
    outcome = cascade(book((10, 870), close_factor=close_factor), market(90, 0))
    assert len(outcome.rounds) == steps
    assert outcome.repaid == F(6000, 7)
    assert outcome.bad_debt == F(90, 7)
    assert outcome.insolvent == ("0",)


@pytest.mark.parametrize(
    ("slope", "liquidated"),
    [(F(0), 100), (F(4, 1000), 166), (F(8, 1000), 498), (F(11, 1000), 1000)],
)
def test_a_cascade_takes_all_once_each_sale_causes_more_than_one(slope: F, liquidated: int) -> None:
    """1,000 accounts a cent apart, each selling 1 unit: .4, .8 and 1.1 sales per sale."""
    accounts = [
        Borrower(
            str(k),
            (Collateral("X", F(1), F(1), F(0)),),
            (Debt("USD", 100 - F(2 * k - 1, 200)),),
        )
        for k in range(1, 1001)
    ]
    curve = {} if not slope else {"X": ImpactCurve((F(99) / slope / 100 * 99,), (F(99, 100),))}
    around = Market({"X": F(99), "USD": F(1)}, curve)
    outcome = cascade(accounts, around)
    assert sum(len(done.accounts) for done in outcome.rounds) >= liquidated
    touched = {key for done in outcome.rounds for key in done.accounts}
    assert len(touched) == liquidated


def test_an_asset_behind_another_moves_with_it_and_is_pressed_by_what_it_brings() -> None:
    """100 stETH sold for .9 ETH each press 90 ETH on the market of ETH, which costs 9 %."""
    accounts = [
        Borrower(
            "a",
            (Collateral("stETH", F(100), F(8, 10), F(0)),),
            (Debt("USD", F(90000)),),
        )
    ]
    around = Market(
        {"ETH": F(1000), "stETH": F(900), "USD": F(1)},
        {"ETH": ImpactCurve((F(100),), (F(1, 10),)), "stETH": ImpactCurve((F(100),), (F(1, 5),))},
        priced_in={"stETH": "ETH"},
    )
    (done,) = cascade(accounts, around).rounds
    assert done.sold == {"stETH": F(100)}
    assert done.prices["ETH"] == 1000 * (1 - F(9, 100))
    assert done.prices["stETH"] == 900 * (1 - F(1, 5)) * (1 - F(9, 100))


def test_what_repays_the_debt_itself_is_not_sold_on() -> None:
    """A debt in ETH is repaid with the ETH that stETH brings: ETH's market sees nothing."""
    accounts = [
        Borrower("a", (Collateral("stETH", F(100), F(8, 10), F(0)),), (Debt("ETH", F(90)),))
    ]
    around = Market(
        {"ETH": F(1000), "stETH": F(900)},
        {"ETH": ImpactCurve((F(100),), (F(1, 10),))},
        priced_in={"stETH": "ETH"},
    )
    (done,) = cascade(accounts, around).rounds
    assert done.prices["ETH"] == 1000


@pytest.mark.parametrize(("temporary", "left"), [(F(0), F(1)), (F(1), F(1, 2)), (F(1, 2), F(3, 4))])
def test_what_presses_a_market_for_a_time_wears_off_between_rounds(
    temporary: Fraction, left: Fraction
) -> None:
    """Two rounds of 200 at a tenth of a per cent a unit; of 7/3 sold first so much is left."""
    accounts = book((10, 800))
    around = Market(
        {"X": F(90), "USD": F(1)},
        {"X": ImpactCurve((F(100),), (F(1, 10),))},
        temporary=temporary,
        decay=F(1, 2),
    )
    limits = Liquidators(capacity=F(200), rounds=2)
    first, second = cascade(accounts, around, limits).rounds
    sold = F(200) * F(105, 100) / 90
    assert first.prices["X"] == 90 * (1 - sold / 1000)
    later = F(200) * F(105, 100) / first.prices["X"]
    assert second.prices["X"] == 90 * (1 - (sold * left + later) / 1000)
    columns, compiled = book_columns(accounts, around), market_columns(around)
    course = run(columns, compiled, prices_of(around), Liquidators(capacity=200.0, rounds=2))
    place = columns.assets.index("X")
    assert course.prices[1, place] == pytest.approx(float(second.prices["X"]), rel=1e-12)


def test_a_capacity_shares_what_is_due_and_leaves_the_rest_said() -> None:
    """Two owe 800 and 870; 500 a round for one round leave 1,170 below the line."""
    limits = Liquidators(capacity=F(500), rounds=1)
    outcome = cascade(book((10, 800), (10, 800)), market(90, 0), limits)
    assert outcome.repaid == 500
    assert not outcome.converged
    assert outcome.unliquidated == 1100
    assert outcome.left["0"] == outcome.left["1"]


def test_nobody_liquidates_at_a_loss() -> None:
    """5 % of 800 is 40: a gas of 41 leaves the account, one of 40 does not."""
    for gas, repaid in ((F(41), 0), (F(40), 800)):
        assert cascade(book((10, 800)), market(90, 0), Liquidators(gas=gas)).repaid == repaid


def test_without_liquidators_bad_debt_is_what_collateral_does_not_cover() -> None:
    """Nothing is repaid; 10 at 70 against 800 leave 100."""
    outcome = cascade(book((10, 800)), market(70, F(1, 200)), Liquidators(capacity=F(0)))
    assert (outcome.repaid, outcome.bad_debt, outcome.rounds) == (0, 100, ())


def test_faults_of_a_book_are_all_named() -> None:
    """A key twice, an asset without a price and a negative amount are three faults."""
    accounts = [
        borrower("a", 10, 800),
        Borrower("a", (Collateral("Y", F(-1), F(1, 2), F(0)),), ()),
    ]
    with pytest.raises(InvalidInput) as refused:
        cascade(accounts, market(90, 0))
    assert [fault.where for fault in refused.value.faults] == ["/a", "/a/Y", "/a/Y"]


def test_a_circle_of_prices_is_refused() -> None:
    """Two assets priced in each other have no price."""
    around = Market({"A": F(1), "B": F(1)}, priced_in={"A": "B", "B": "A"})
    with pytest.raises(InvalidInput, match="A in B in A is a circle"):
        ordered_assets(around)


def test_many_scenarios_are_the_single_ones_and_leave_out_only_who_stands_everywhere() -> None:
    """Of three accounts one is out of reach; totals of each scenario are those of its run."""
    accounts = book((10, 800), (10, 720), (10, 100))
    around = market(90, F(1, 80))
    columns, curves = book_columns(accounts, around), market_columns(around)
    scenarios = np.outer([1.2, 1.0, 0.9], prices_of(around))
    scenarios[:, ordered_assets(around).index("USD")] = 1.0
    together = run_all(columns, curves, scenarios)
    alone = [run(columns, curves, scenario).totals for scenario in scenarios]
    assert touchable(columns, curves, scenarios).tolist() == [0, 1]
    assert together.repaid.tolist() == [totals.repaid[0] for totals in alone]
    assert together.liquidated.tolist() == [0, 2, 2]


def test_looking_only_at_accounts_within_reach_changes_no_total() -> None:
    """Thresholds above 1, two collaterals, owners who act, rounds that reach ever more."""
    draw = np.random.default_rng(4)
    accounts = [
        Borrower(
            str(place),
            (
                Collateral("X", float(held), float(draw.uniform(0.5, 1.3)), 0.05),
                Collateral("Y", float(held / 2), 0.7, 0.1),
            ),
            (Debt("USD", float(held * draw.uniform(0.3, 1.1))), Debt("Y", float(held * 0.1))),
            0.5,
            0.95,
        )
        for place, held in enumerate(draw.lognormal(3, 1, 300))
    ]
    around = Market(
        {"X": 1.0, "Y": 1.0, "USD": 1.0},
        {"X": ImpactCurve((1e3, 1e4), (0.05, 0.5)), "Y": ImpactCurve((1e3, 1e4), (0.05, 0.5))},
    )
    columns, compiled = book_columns(accounts, around), market_columns(around)
    prices = np.exp(draw.normal(0.0, 0.3, (60, 3)))
    prices[:, columns.assets.index("USD")] = 1.0
    owners = Owners(draw.uniform(0, 1, 300), np.arange(300), seed=3)
    for acting in (None, owners):
        whole = run_all(columns, compiled, prices, owners=acting)
        near = run_all(columns, compiled, prices, owners=acting, reference=np.ones(3))
        for name in ("insolvent", "liquidated", "converged", "rounds", "near"):
            np.testing.assert_array_equal(getattr(near, name), getattr(whole, name))
        for name in ("repaid", "bad_debt", "unliquidated"):
            np.testing.assert_allclose(getattr(near, name), getattr(whole, name), rtol=1e-9)
        assert whole.liquidated.max() > 50
        assert whole.liquidated.min() < 300
