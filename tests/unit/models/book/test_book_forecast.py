"""Scenarios drawn from the past, and what a book loses in them."""

from dataclasses import replace
from fractions import Fraction

import numba
import numpy as np
import pytest

from models.book.cascade import Borrower, Collateral, Debt, Market
from models.book.columns import BookColumns, MarketColumns, book_columns, market_columns, prices_of
from models.book.forecast import Stopped, by_asset, forecast, grouped, losses
from models.book.impact import ImpactCurve
from models.book.kernel import Owners, run_all
from models.book.scenarios import Bars, Method, Moves, moves, volatility
from models.book.tail import quantile
from models.errors import InvalidInput

F = Fraction
NOBODY = Market({"ETH": F(2000), "USD": F(1)})
DEEP = replace(NOBODY, curves={"ETH": ImpactCurve((F(5000), F(50_000)), (F(1, 100), F(1, 10)))})


def walk(hours: int, *, seed: int = 1, calm: int = 0) -> Bars:
    """Return candles of two assets that move together, calm for the last hours."""
    random = np.random.default_rng(seed)
    size = np.where(np.arange(hours) < hours - calm, 0.01, 0.001)[:, np.newaxis]
    shared = random.normal(0.0, 1.0, (hours, 1))
    close = np.exp(np.cumsum(size * (shared + 0.2 * random.normal(0.0, 1.0, (hours, 2))), axis=0))
    spread = size * np.abs(random.normal(0.0, 1.0, (hours, 2)))
    return Bars(("A", "B"), close, close * np.exp(spread), close * np.exp(-spread))


def loans(count: int = 200) -> list[Borrower]:
    """Return accounts whose lines lie from 1 % to 60 % below the price."""
    depth = np.linspace(0.01, 0.6, count)
    return [
        Borrower(
            str(n),
            (Collateral("ETH", F(10), F(8, 10), F(5, 100)),),
            (Debt("USD", F(round(20_000 * 0.8 * (1 - fall)))),),
        )
        for n, fall in enumerate(depth.tolist())
    ]


def columns(
    accounts: list[Borrower], around: Market
) -> tuple[BookColumns, MarketColumns, np.ndarray]:
    """Return a book, its market and prices in columns."""
    return book_columns(accounts, around), market_columns(around), prices_of(around)


def falls(values: np.ndarray, book: BookColumns) -> Moves:
    """Return scenarios in which ether moves so far down and never up."""
    low = np.zeros((values.size, len(book.assets)))
    low[:, book.assets.index("ETH")] = values
    places = np.arange(values.size)
    return Moves(low, np.zeros_like(low), places, np.zeros(values.size, dtype=bool))


def test_volatility_weighs_a_move_of_three_days_ago_by_half() -> None:
    """One move among many of nothing: the ratio of squares 72 hours apart is one half."""
    close = np.ones((400, 1))
    close[200:] = 1.1
    found = volatility(Bars(("A",), close, close, close))[:, 0]
    assert (found[300 + 72] / found[300]) ** 2 == pytest.approx(0.5, rel=0.03)


def test_the_same_seed_draws_the_same_bits_and_assets_fall_together() -> None:
    """Of two assets that move together the lows are of the same hour of the same stretch."""
    bars = walk(2000)
    first, second = (
        moves(bars, np.array([1.0, 1.0]), hours=24, scenarios=500, seed=4) for _ in range(2)
    )
    assert first.lowest.tobytes() == second.lowest.tobytes()
    assert np.corrcoef(first.lowest.T)[0, 1] > 0.9
    assert (first.lowest.sum(axis=1) <= 0).all()
    assert (first.highest.sum(axis=1) >= 0).all()


def test_a_low_is_the_market_s_lowest_hour_of_the_stretch() -> None:
    """By hand for one scenario: the least sum of log lows over the next hours."""
    bars = walk(2000)
    drawn = moves(bars, np.array([3.0, 1.0]), hours=24, scenarios=5, seed=2, method=Method.PLAIN)
    start = int(drawn.starts[3])
    path = np.log(bars.low[start + 1 : start + 25] / bars.close[start])
    assert drawn.lowest[3] == pytest.approx(path[np.argmin(path @ [0.75, 0.25])])


def test_filtered_moves_shrink_in_calm_times_and_a_stressed_share_does_not() -> None:
    """After 500 calm hours a tenth of the volatility is left; a quarter stays as it was."""
    bars = walk(3000, calm=500)
    spread = {
        method: moves(bars, np.ones(2), hours=24, scenarios=2000, seed=1, method=method)
        for method in Method
    }
    plain, filtered, stressed = (
        np.quantile(spread[method].lowest[:, 0], 0.05)
        for method in (Method.PLAIN, Method.FILTERED, Method.STRESSED)
    )
    assert filtered > plain / 3
    assert stressed < 2 * filtered
    assert spread[Method.STRESSED].is_stressed.mean() == 0.25


def test_stretches_over_a_gap_are_not_drawn_and_too_few_are_refused() -> None:
    """No scenario begins within a horizon before a missing candle."""
    bars = walk(2000)
    bars.close[1000] = np.nan
    drawn = moves(bars, np.ones(2), hours=24, scenarios=5000, seed=1)
    assert not ((drawn.starts >= 976) & (drawn.starts <= 1000)).any()
    with pytest.raises(InvalidInput, match="at least 100"):
        moves(walk(150), np.ones(2), hours=24, scenarios=10, seed=1)


def test_one_factor_makes_lar_the_loss_at_the_price_s_quantile() -> None:
    """Without impact what is repaid rises with the fall, so quantiles commute."""
    book, market, prices = columns(loans(), NOBODY)
    drop = -np.abs(np.random.default_rng(5).normal(0.0, 0.08, 2000))
    found = losses(book, market, prices, falls(drop, book))
    ordered = np.sort(drop)[::-1]
    at = falls(ordered[[1900 - 2, 1900 - 1, 1900]], book)
    nearby = losses(book, market, prices, at).repaid
    assert nearby[0] <= quantile(found.repaid, 0.95).value <= nearby[2]


def test_error_falls_as_the_root_of_scenarios() -> None:
    """Four times the scenarios, half the spread of the mean over 40 seeds."""
    book, market, prices = columns(loans(), NOBODY)

    def spread(count: int) -> float:
        means = [
            losses(
                book,
                market,
                prices,
                falls(-np.abs(np.random.default_rng(seed).normal(0.0, 0.08, count)), book),
            ).repaid.mean()
            for seed in range(40)
        ]
        return float(np.std(means))

    assert 0.35 < spread(1000) / spread(250) < 0.65


def test_the_interval_of_a_quantile_covers_it() -> None:
    """Of 100 samples of 1,000 at least 85 hold the true quantile of what is lost."""
    random = np.random.default_rng(9)
    truth = np.quantile(random.exponential(1.0, 1_000_000), 0.95)
    found = [quantile(random.exponential(1.0, 1000), 0.95) for _ in range(100)]
    assert sum(one.low <= truth <= one.high for one in found) >= 85


def test_owners_who_act_are_not_liquidated_and_draws_follow_the_account() -> None:
    """Nobody of chance 0 is; of chance 1 all; at .3 about 30 %, in any part of the book."""
    book, market, prices = columns(loans(), NOBODY)
    drop = falls(np.full(400, -0.35), book)
    number = np.arange(len(book.keys))
    at = prices * np.exp(drop.lowest)
    alone = run_all(book, market, at).liquidated

    def liquidated(chance: float) -> np.ndarray:
        owners = Owners(np.full(number.size, chance), number, common=0.0, seed=3)
        return run_all(book, market, at, owners=owners).liquidated

    assert liquidated(0.0).tolist() == [0] * 400
    assert liquidated(1.0).tolist() == alone.tolist()
    assert liquidated(0.3).mean() / alone.mean() == pytest.approx(0.3, abs=0.01)
    owners = Owners(np.full(number.size, 0.3), number, common=0.3, seed=3)
    whole = run_all(book, market, at, owners=owners)
    parts = [
        run_all(book, market, at[part], owners=owners, first=part.start)
        for part in (slice(0, 150), slice(150, 400))
    ]
    assert whole.repaid.tolist() == [*parts[0].repaid.tolist(), *parts[1].repaid.tolist()]
    assert whole.liquidated.std() > 3 * liquidated(0.3).std()


def test_threads_change_nothing() -> None:
    """One thread and all of them give the same bits."""
    book, market, prices = columns(loans(), DEEP)
    drop = falls(np.linspace(-0.5, 0.0, 64), book)
    whole = losses(book, market, prices, drop)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    alone = losses(book, market, prices, drop)
    numba.set_num_threads(before)
    assert whole.repaid.tobytes() == alone.repaid.tobytes()
    assert whole.bad_debt.tobytes() == alone.bad_debt.tobytes()


def test_shares_add_up_to_the_shortfall_by_account_venue_and_asset() -> None:
    """Each account's mean beyond the 95 % quantile, in any grouping."""
    book, market, prices = columns(loans(), DEEP)
    drop = falls(-np.abs(np.random.default_rng(5).normal(0.0, 0.1, 300)), book)
    found = forecast(book, market, prices, drop)
    whole = found.liquidated[0].shortfall
    assert found.by_account.sum() == pytest.approx(whole, rel=1e-9)
    venues = ["one" if int(key) % 3 else "two" for key in book.keys]
    assert sum(grouped(found.by_account, venues).values()) == pytest.approx(whole, rel=1e-9)
    assets = by_asset(book, prices, found.by_account)
    assert assets["ETH"] == pytest.approx(whole, rel=1e-9)
    assert assets["USD"] == 0.0


def test_a_short_falls_at_the_highest_hour() -> None:
    """Dollars that secure ether owed fall when ether rises, and are counted with the longs."""
    short = Borrower(
        "short",
        (Collateral("USD", F(22_000), F(9, 10), F(0)),),
        (Debt("ETH", F(9)),),
    )
    book, market, prices = columns([short], NOBODY)
    rise = np.zeros((1, 2))
    rise[0, book.assets.index("ETH")] = 0.2
    drawn = Moves(np.zeros((1, 2)), rise, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=bool))
    assert losses(book, market, prices, drawn).repaid[0] > 0
    still = replace(drawn, highest=np.zeros((1, 2)))
    assert losses(book, market, prices, still).repaid[0] == 0


def test_a_forecast_can_be_stopped() -> None:
    """A report that says no ends it."""
    book, market, prices = columns(loans(20), NOBODY)
    drop = falls(np.full(2500, -0.1), book)
    done: list[int] = []

    def report(count: int) -> bool:
        done.append(count)
        return count < 2000

    with pytest.raises(Stopped):
        losses(book, market, prices, drop, report=report)
    assert done == [1000, 2000]
