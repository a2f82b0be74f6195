"""What holds of every cascade: amounts are conserved, order and splitting change nothing."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.book.cascade import Borrower, Collateral, Debt, Market, Residuals, cascade
from models.book.columns import book_columns, market_columns, prices_of
from models.book.impact import ImpactCurve
from models.book.kernel import Course, run

F = Fraction
ONE = F(1)
PRICES = {"ETH": F(2000), "stETH": F(1980), "BTC": F(40000), "USD": F(1)}
LINKS = {"stETH": "ETH"}


def shares(low: int, high: int) -> st.SearchStrategy[F]:
    """Return hundredths as fractions."""
    return st.integers(low, high).map(lambda hundredths: F(hundredths, 100))


@st.composite
def borrowers(draw: st.DrawFn, owed_in: Sequence[str]) -> Borrower:
    """Return the legs of an account near its line: value, weights and what is owed."""
    assets = draw(st.lists(st.sampled_from(["ETH", "stETH", "BTC"]), min_size=1, unique=True))
    collateral = tuple(
        Collateral(
            asset, draw(st.integers(1, 400)) * 250 / PRICES[asset], draw(shares(60, 95)), bonus
        )
        for asset in assets
        for bonus in [draw(shares(0, 15))]
    )
    line = sum(leg.units * PRICES[leg.asset] * leg.threshold for leg in collateral)
    asset = draw(st.sampled_from(owed_in))
    owed = line * draw(shares(70, 130)) / PRICES[asset]
    full_below = draw(st.sampled_from([F(0), F(95, 100)]))
    close_factor = draw(st.sampled_from([F(1), F(1, 2)]))
    return Borrower("", collateral, (Debt(asset, owed),), close_factor, full_below)


@st.composite
def books(
    draw: st.DrawFn, most: int = 3, owed_in: Sequence[str] = ("USD", "ETH")
) -> list[Borrower]:
    """Return a small book of accounts with keys."""
    found = draw(st.lists(borrowers(owed_in), min_size=1, max_size=most))
    return [replace(account, key=str(place)) for place, account in enumerate(found)]


def market(oracle_share: F, *, depth: F = ONE, fall: F = ONE) -> Market:
    """Return a market in which 100 ETH cost 10 %, all volatile prices times a fall."""
    curve = ImpactCurve((10 * depth, 100 * depth), (F(1, 200), F(1, 10)))
    curves = {"ETH": curve, "stETH": curve, "BTC": ImpactCurve((5 * depth,), (F(1, 10),))}
    prices = {asset: price * (1 if asset == "USD" else fall) for asset, price in PRICES.items()}
    return Market(prices, curves, oracle_share, LINKS)


def in_columns(accounts: list[Borrower], around: Market) -> Course:
    """Return the compiled cascade."""
    return run(book_columns(accounts, around), market_columns(around), prices_of(around))


@settings(max_examples=60, deadline=None)
@given(books(most=2), shares(0, 100))
def test_amounts_are_conserved_to_the_last_fraction(
    accounts: list[Borrower], oracle_share: F
) -> None:
    """What was sold and is left was there; what was repaid and is left was owed."""
    whole = [replace(account, close_factor=F(1)) for account in accounts]
    assert cascade(whole, market(oracle_share)).residuals == Residuals(F(0), F(0))


@settings(max_examples=60, deadline=None)
@given(books(most=6), shares(0, 100))
def test_columns_conserve_too_and_agree_with_floats_of_the_exact_engine(
    accounts: list[Borrower], oracle_share: F
) -> None:
    """Sold units equal what accounts no longer hold, to rounding."""
    around = market(oracle_share)
    course = in_columns(accounts, around)
    columns = book_columns(accounts, around)
    lengths = np.diff(columns.collateral_offsets)
    gone = columns.collateral_units * np.repeat(1.0 - course.collateral_left, lengths)
    by_asset = np.bincount(columns.collateral_asset, weights=gone, minlength=len(columns.assets))
    assert course.sold.sum(axis=0) == pytest.approx(by_asset, rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(books(most=6), shares(0, 100), st.randoms())
def test_the_order_of_accounts_changes_nothing(
    accounts: list[Borrower], oracle_share: F, random: Random
) -> None:
    """Rows in another order end in the same totals."""
    mixed = list(accounts)
    random.shuffle(mixed)
    straight, shuffled = (in_columns(rows, market(oracle_share)) for rows in (accounts, mixed))
    assert straight.totals.repaid == pytest.approx(shuffled.totals.repaid, rel=1e-9)
    assert straight.totals.bad_debt == pytest.approx(shuffled.totals.bad_debt, rel=1e-9, abs=1e-6)


def halved(account: Borrower, key: str) -> Borrower:
    """Return half of an account."""
    return replace(
        account,
        key=key,
        collateral=tuple(replace(leg, units=leg.units / 2) for leg in account.collateral),
        debt=tuple(replace(leg, units=leg.units / 2) for leg in account.debt),
    )


@settings(max_examples=60, deadline=None)
@given(books(most=4), shares(0, 100))
def test_two_halves_are_one_account(accounts: list[Borrower], oracle_share: F) -> None:
    """Splitting every account in two changes no total."""
    halves = [halved(account, f"{account.key}{side}") for account in accounts for side in "ab"]
    whole, split = (in_columns(rows, market(oracle_share)) for rows in (accounts, halves))
    assert whole.totals.repaid == pytest.approx(split.totals.repaid, rel=1e-9)
    assert whole.totals.bad_debt == pytest.approx(split.totals.bad_debt, rel=1e-9, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(books(most=4), shares(0, 100), st.integers(2, 50))
def test_a_larger_book_in_a_deeper_market_is_the_same_book(
    accounts: list[Borrower], oracle_share: F, times: int
) -> None:
    """Amounts and depth times a, quote times a; floats do not decide who stands on the line."""
    larger = [
        replace(
            account,
            collateral=tuple(replace(c, units=c.units * times) for c in account.collateral),
            debt=tuple(replace(d, units=d.units * times) for d in account.debt),
        )
        for account in accounts
    ]
    small = in_columns(accounts, market(oracle_share))
    large = in_columns(larger, market(oracle_share, depth=F(times)))
    assume(not small.totals.near[0] and not large.totals.near[0])
    assert large.totals.repaid == pytest.approx(small.totals.repaid * times, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(books(most=5, owed_in=("USD",)), shares(0, 50), shares(51, 100))
def test_more_of_the_impact_in_the_oracle_liquidates_no_fewer(
    accounts: list[Borrower], less: F, more: F
) -> None:
    """With all debts in dollars, accounts and bad debt rise with the oracle's share."""
    accounts = [replace(account, close_factor=F(1)) for account in accounts]
    low, high = (in_columns(accounts, market(share)).totals for share in (less, more))
    assert high.liquidated[0] >= low.liquidated[0]
    assert high.bad_debt[0] >= low.bad_debt[0] - 1e-6


@settings(max_examples=60, deadline=None)
@given(books(most=5, owed_in=("USD",)), shares(0, 100), shares(60, 79), shares(80, 100))
def test_a_deeper_shock_liquidates_no_fewer(
    accounts: list[Borrower], oracle_share: F, deep: F, mild: F
) -> None:
    """With all debts in dollars; what is repaid in dollars may well fall."""
    accounts = [replace(account, close_factor=F(1)) for account in accounts]
    low, high = (
        in_columns(accounts, market(oracle_share, fall=fall)).totals for fall in (mild, deep)
    )
    assert high.liquidated[0] >= low.liquidated[0]
    assert high.bad_debt[0] >= low.bad_debt[0] - 1e-6


def published_sales(accounts: list[tuple[F, F]]) -> list[F]:
    """Return units sold as published: due in the round, less the sales of the last round only."""
    sold, last, pressure = [], F(0), F(0)
    for _ in range(4):
        price = 90 * (1 - pressure / 80)
        due = sum(
            min(debt, units * price * F(20, 21)) * F(21, 20) / price
            for units, debt in accounts
            if F(85, 100) * units * price < debt
        )
        last = max(due - last, F(0))
        sold.append(last)
        pressure += last
    return sold


def test_the_published_way_sells_more_than_there_is() -> None:
    """Taking off the last round's sales instead of all: 4 rounds sell 30 units twice over."""
    accounts = [(F(10), F(800)), (F(10), F(720)), (F(10), F(660))]
    collateral = Collateral("X", F(10), F(85, 100), F(5, 100))
    book = [
        Borrower(str(n), (replace(collateral, units=units),), (Debt("USD", debt),))
        for n, (units, debt) in enumerate(accounts)
    ]
    around = Market({"X": F(90), "USD": F(1)}, {"X": ImpactCurve((F(72),), (F(9, 10),))})
    held = sum(units for units, _ in accounts)
    assert sum(published_sales(accounts)) > held
    assert sum(done.sold["X"] for done in cascade(book, around).rounds) <= held
