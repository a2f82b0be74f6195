"""The screen on accounts whose answer is known."""

import numpy as np
import pytest

from models.errors import InvalidInput
from models.margin.result import Verdict
from models.screen import LendingBook, screen, verdicts

NAN = float("nan")
INF = float("inf")


def account(
    credit: float,
    debt: float,
    *,
    price: float = 1e8,
    threshold: float = 0.5,
    decimals: int = 6,
) -> LendingBook:
    """Return one account of a collateral and a debt leg, both whole tokens at 1 USD."""
    return LendingBook(
        amount=np.array([credit, debt]) * 10.0**decimals,
        price=np.array([price, 1e8]),
        threshold=np.array([threshold, 0.0]),
        decimals=np.array([decimals, decimals], dtype=np.uint8),
        is_debt=np.array([False, True]),
        offsets=np.array([0, 2], dtype=np.int64),
    )


def test_band_is_as_narrow_as_stated() -> None:
    """With 6 decimals and 1 USD each unit is 100 base units: the band is 202 of 10^10."""
    assert screen(account(200.00000406, 100.0)).safe.tolist() == [True]
    assert screen(account(200.00000402, 100.0)).safe.tolist() == [False]
    assert screen(account(200.0, 100.0)).needs_exact.tolist() == [True]
    assert screen(account(100.0, 100.0)).needs_exact.tolist() == [True]


def test_two_decimals_at_a_high_price_widen_the_band() -> None:
    """A cent of a 60,000 USD token is 600 USD: 1,300 against 1,000 is not certain."""
    coarse = account(1_300 / 60_000 * 2, 1_000, price=6e12, decimals=2)
    assert screen(coarse).needs_exact.tolist() == [True]
    fine = account(1_300 / 60_000 * 2, 1_000, price=6e12, decimals=8)
    assert screen(fine).safe.tolist() == [True]


def test_step_of_the_mean_threshold_widens_the_band() -> None:
    """Thresholds averaged to whole basis points may lose a ten-thousandth of the credit."""
    assert screen(account(200.03, 100.0)).safe.tolist() == [True]
    assert screen(account(200.03, 100.0), threshold_step=1e-4).safe.tolist() == [False]
    assert screen(account(200.05, 100.0), threshold_step=1e-4).safe.tolist() == [True]


@pytest.mark.parametrize(
    "book",
    [
        account(NAN, 1.0),
        account(INF, 1.0),
        account(10.0, NAN),
        account(10.0, INF),
        account(10.0, -1.0),
        account(-10.0, 1.0),
        account(10.0, 1.0, price=0.0),
        account(10.0, 1.0, price=NAN),
        account(10.0, 0.0, price=-1.0),
        account(10.0, 1.0, price=INF),
        account(10.0, 1.0, threshold=NAN),
        account(10.0, 1.0, threshold=-0.5),
    ],
)
def test_what_is_not_a_sound_number_goes_to_the_exact_rules(book: LendingBook) -> None:
    """Missing and absurd values are never safe."""
    assert screen(book).needs_exact.tolist() == [True]


def test_no_debt_is_safe() -> None:
    """Nothing owed, and an account without legs."""
    assert screen(account(0.0, 0.0)).safe.tolist() == [True]
    empty = account(1.0, 1.0)
    nobody = LendingBook(
        amount=empty.amount[:0],
        price=empty.price[:0],
        threshold=empty.threshold[:0],
        decimals=empty.decimals[:0],
        is_debt=empty.is_debt[:0],
        offsets=np.array([0, 0], dtype=np.int64),
    )
    assert screen(nobody).safe.tolist() == [True]


def test_decimals_beyond_the_table_go_to_the_exact_rules() -> None:
    """10^78 does not fit the venues' integers."""
    book = account(1e9, 1.0)
    book.decimals[0] = 78
    assert screen(book).needs_exact.tolist() == [True]


def test_columns_that_do_not_fit_are_refused_with_every_fault() -> None:
    """Each misfit column and the offsets are listed."""
    good = account(1.0, 1.0)
    bad = LendingBook(
        amount=good.amount,
        price=good.price[:1],
        threshold=good.threshold,
        decimals=good.decimals,
        is_debt=good.is_debt[:0],
        offsets=np.array([0, 3], dtype=np.int64),
    )
    with pytest.raises(InvalidInput) as raised:
        screen(bad)
    assert [fault.where for fault in raised.value.faults] == ["/price", "/is_debt", "/offsets"]
    falling = np.array([0, 2, 1, 2], dtype=np.int64)
    with pytest.raises(InvalidInput, match="must not decrease"):
        screen(
            LendingBook(
                amount=good.amount,
                price=good.price,
                threshold=good.threshold,
                decimals=good.decimals,
                is_debt=good.is_debt,
                offsets=falling,
            )
        )


def test_only_what_is_unsure_is_asked_of_the_exact_rules() -> None:
    """Of a rich, a poor and a rich account only the second is asked for."""
    rich, poor = account(300.0, 100.0), account(100.0, 100.0)
    legs = (rich, poor, rich)
    book = LendingBook(
        amount=np.concatenate([part.amount for part in legs]),
        price=np.concatenate([part.price for part in legs]),
        threshold=np.concatenate([part.threshold for part in legs]),
        decimals=np.concatenate([part.decimals for part in legs]),
        is_debt=np.concatenate([part.is_debt for part in legs]),
        offsets=np.array([0, 2, 4, 6], dtype=np.int64),
    )
    asked: list[int] = []

    def exact(index: int) -> Verdict:
        asked.append(index)
        return Verdict.LIQUIDATABLE

    found = verdicts(book, exact)
    assert found == [Verdict.SAFE, Verdict.LIQUIDATABLE, Verdict.SAFE]
    assert asked == [1]
