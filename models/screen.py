"""A float64 screen over many lending accounts: which are certainly safe.

An account is called safe only when its float ratio clears 1 by more than everything that
rounding can move, `eps = (sum of unit values + one base unit per leg) / debt + 1e-12`.
Everything else, near the line, beyond it or not a number, goes to the exact rules. The
screen never says liquidatable.

References
----------
margin-rules section 8: rounding of a balance moves its value by what one smallest token
unit is worth, and rounding of a value by one base unit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from models.errors import Fault, InvalidInput
from models.margin.result import Verdict

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FLOAT_SLACK = 1e-12
LEG_SLACK = 2.0**-50
MAX_DECIMALS = 77
WHOLE_PER_UNIT: Floats = np.array([10.0**-digits for digits in range(MAX_DECIMALS + 1)])


@dataclass(frozen=True, slots=True, kw_only=True)
class LendingBook:
    """Legs of many accounts as columns; account i holds legs offsets[i] to offsets[i + 1].

    Parameters
    ----------
    amount
        Smallest token units, shape (legs,).
    price
        Base units per whole token, as the venue's oracle answers, shape (legs,).
    threshold
        Share of a collateral leg's value that counts, 0 when it does not; not read for
        debt, shape (legs,).
    decimals
        Digits of the token, 0 to 77, shape (legs,).
    is_debt
        Whether the leg is owed, shape (legs,).
    offsets
        Non-decreasing from 0 to the number of legs, shape (accounts + 1,).
    """

    amount: Floats
    price: Floats
    threshold: Floats
    decimals: npt.NDArray[np.uint8]
    is_debt: Bools
    offsets: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Screened:
    """Two masks over the accounts; each account is in exactly one.

    Parameters
    ----------
    safe
        The exact rules would say safe.
    needs_exact
        Only the exact rules can tell.
    """

    safe: Bools
    needs_exact: Bools


def book_faults(book: LendingBook) -> list[Fault]:
    """Return what is wrong with the shapes of a book."""
    legs = len(book.amount)
    columns = ("price", "threshold", "decimals", "is_debt")
    faults = [
        Fault(f"/{name}", f"{len(getattr(book, name))} values; must be {legs} as in amount")
        for name in columns
        if len(getattr(book, name)) != legs
    ]
    offsets = book.offsets
    if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != legs:
        faults.append(Fault("/offsets", f"must begin with 0 and end with {legs}"))
    elif np.any(offsets[1:] < offsets[:-1]):
        faults.append(Fault("/offsets", "must not decrease"))
    return faults


def screen(book: LendingBook, *, threshold_step: float = 0.0) -> Screened:
    """Return which accounts are certainly safe.

    Parameters
    ----------
    book
        The accounts.
    threshold_step
        Step to which the venue rounds the mean threshold of an account down before using
        it: 1e-4 for Aave v3 up to 3.4, 0 where thresholds are weighted without rounding.

    Raises
    ------
    InvalidInput
        When columns do not fit together; lists every fault.
    """
    faults = book_faults(book)
    if faults:
        raise InvalidInput(faults)
    safe = np.empty(len(book.offsets) - 1, dtype=np.bool_)
    _mark_safe(
        (book.amount, book.price, book.threshold, book.decimals, book.is_debt, book.offsets),
        WHOLE_PER_UNIT,
        threshold_step,
        safe,
    )
    return Screened(safe, ~safe)


def verdicts(
    book: LendingBook, exact: Callable[[int], Verdict], *, threshold_step: float = 0.0
) -> list[Verdict]:
    """Return every account's verdict, asking the exact rules wherever the screen is unsure.

    Parameters
    ----------
    book
        The accounts.
    exact
        Index of an account to the verdict of its rulebook.
    threshold_step
        As in `screen`.
    """
    results = [Verdict.SAFE] * (len(book.offsets) - 1)
    for account in np.flatnonzero(screen(book, threshold_step=threshold_step).needs_exact):
        results[account] = exact(int(account))
    return results


@njit(nogil=True)
def _mark_safe(columns: Any, whole_per_unit: Floats, threshold_step: float, safe: Bools) -> None:
    """Fill `safe`; written so that a value that is not a number never passes."""
    amount, price, threshold, decimals, is_debt, offsets = columns
    for account in range(len(safe)):
        credit, debt, owed, slack = 0.0, 0.0, 0.0, 0.0
        is_sound = True
        for leg in range(offsets[account], offsets[account + 1]):
            if decimals[leg] > MAX_DECIMALS or not (amount[leg] >= 0.0 and price[leg] > 0.0):
                is_sound = False
                break
            unit_value = price[leg] * whole_per_unit[decimals[leg]]
            value = amount[leg] * unit_value
            slack += unit_value + 1.0
            if is_debt[leg]:
                debt += value
                owed += amount[leg]
            elif threshold[leg] >= 0.0:
                credit += value * threshold[leg]
                slack += value * threshold_step
            else:
                is_sound = False
                break
        legs = offsets[account + 1] - offsets[account]
        slack += debt * (FLOAT_SLACK + legs * LEG_SLACK)
        is_clear = debt + slack < credit < np.inf
        safe[account] = is_sound and (owed == 0.0 or is_clear)
