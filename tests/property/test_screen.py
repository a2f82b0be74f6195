"""The screen never calls safe what exact integer arithmetic does not."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.screen import LendingBook, screen

BPS = 10**4
WAD = 10**18
THRESHOLD_STEP = 1e-4


@dataclass(frozen=True)
class Holding:
    """One leg as the exact rules see it: integers, threshold in basis points."""

    amount: int
    price: int
    threshold: int
    decimals: int


AMOUNTS = st.one_of(st.integers(1, 10**4), st.integers(1, 10**30), st.integers(1, 2**250))
HOLDINGS = st.builds(
    Holding,
    amount=AMOUNTS,
    price=st.one_of(st.integers(1, 10**15), st.sampled_from([10**8, 10**13 - 1, 6 * 10**12])),
    threshold=st.integers(1, BPS),
    decimals=st.sampled_from([0, 2, 6, 8, 18, 27]),
)


def value_down(leg: Holding) -> int:
    """Return base units, rounded down."""
    return leg.amount * leg.price // 10**leg.decimals


def value_up(leg: Holding) -> int:
    """Return base units, rounded up."""
    return -(-leg.amount * leg.price // 10**leg.decimals)


def is_safe_weighted(collateral: list[Holding], debts: list[Holding]) -> bool:
    """Judge with thresholds weighted exactly, debt rounded up."""
    debt = sum(map(value_up, debts))
    weighted = sum(value_down(leg) * leg.threshold for leg in collateral)
    return debt == 0 or weighted * WAD // debt // BPS >= WAD


def is_safe_averaged(collateral: list[Holding], debts: list[Holding]) -> bool:
    """Judge with the mean threshold rounded down to a whole basis point."""
    debt, credit = sum(map(value_down, debts)), sum(map(value_down, collateral))
    if debt == 0:
        return True
    weighted = sum(value_down(leg) * leg.threshold for leg in collateral)
    mean = weighted // credit if credit else 0
    return ((credit * mean + BPS // 2) // BPS * WAD + debt // 2) // debt >= WAD


def book_of(collateral: list[Holding], debts: list[Holding], *, error: int = 0) -> LendingBook:
    """Return one account as columns, each balance `error` units to the owner's good."""
    legs = collateral + debts
    owed = [False] * len(collateral) + [True] * len(debts)
    amounts = [
        float(max(0, leg.amount - error if is_debt else leg.amount + error))
        for leg, is_debt in zip(legs, owed, strict=True)
    ]
    return LendingBook(
        amount=np.array(amounts),
        price=np.array([float(leg.price) for leg in legs]),
        threshold=np.array([leg.threshold / BPS for leg in legs]),
        decimals=np.array([leg.decimals for leg in legs], dtype=np.uint8),
        is_debt=np.array(owed),
        offsets=np.array([0, len(legs)], dtype=np.int64),
    )


def near_one(collateral: list[Holding], debt: Holding, *, units: int) -> Holding:
    """Return the debt that lies `units` smallest units from what the collateral carries."""
    weighted = sum(value_down(leg) * leg.threshold for leg in collateral)
    amount = weighted * 10**debt.decimals // (BPS * debt.price)
    return Holding(max(0, amount + units), debt.price, debt.threshold, debt.decimals)


@settings(max_examples=200, deadline=None)
@given(
    collateral=st.lists(HOLDINGS, min_size=1, max_size=4),
    debt=HOLDINGS,
    units=st.integers(-50, 50),
    error=st.integers(0, 1),
)
def test_accounts_crowded_at_the_line(
    collateral: list[Holding], debt: Holding, units: int, error: int
) -> None:
    """A few smallest units from 1, with balances off by one, safe is never said wrongly."""
    debts = [near_one(collateral, debt, units=units)]
    book = book_of(collateral, debts, error=error if debts[0].amount > 1 else 0)
    if screen(book).safe[0]:
        assert is_safe_weighted(collateral, debts)
    if screen(book, threshold_step=THRESHOLD_STEP).safe[0]:
        assert is_safe_averaged(collateral, debts)


@settings(max_examples=200, deadline=None)
@given(
    collateral=st.lists(HOLDINGS, min_size=1, max_size=3),
    debt=HOLDINGS,
    parts=st.integers(-(10**6), 10**6),
)
def test_accounts_a_hair_from_the_line(
    collateral: list[Holding], debt: Holding, parts: int
) -> None:
    """Distances of parts in 10^9, where mean thresholds rounded to a basis point matter."""
    at = near_one(collateral, debt, units=0)
    moved = Holding(max(0, at.amount + at.amount * parts // 10**9), at.price, 0, at.decimals)
    book = book_of(collateral, [moved])
    if screen(book).safe[0]:
        assert is_safe_weighted(collateral, [moved])
    if screen(book, threshold_step=THRESHOLD_STEP).safe[0]:
        assert is_safe_averaged(collateral, [moved])


@settings(deadline=None)
@given(
    accounts=st.lists(
        st.tuples(st.lists(HOLDINGS, max_size=3), st.lists(HOLDINGS, max_size=2)), max_size=6
    )
)
def test_each_account_is_judged_on_its_own(
    accounts: list[tuple[list[Holding], list[Holding]]],
) -> None:
    """A book of many accounts says of each what a book of one would say."""
    books = [book_of(*legs) for legs in accounts]
    alone = [bool(screen(book).safe[0]) for book in books]
    lengths = [0, *(len(book.amount) for book in books)]
    together = LendingBook(
        amount=np.concatenate([np.empty(0), *(b.amount for b in books)]),
        price=np.concatenate([np.empty(0), *(b.price for b in books)]),
        threshold=np.concatenate([np.empty(0), *(b.threshold for b in books)]),
        decimals=np.concatenate([np.empty(0, np.uint8), *(b.decimals for b in books)]),
        is_debt=np.concatenate([np.empty(0, np.bool_), *(b.is_debt.astype(bool) for b in books)]),
        offsets=np.cumsum(lengths).astype(np.int64),
    )
    found = screen(together)
    assert found.safe.tolist() == alone
    assert (found.needs_exact == ~found.safe).all()
