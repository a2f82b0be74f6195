"""A book that one price moves, as a curve: what falls at each price, and the fixed point of all.

Where every account falls with one price, it has a trigger, and what is liquidated at a price is
a running sum over the triggers above it. A scenario's cascade is then a search: the price falls
until what is sold at it explains it. Many scenarios cost one sorted table.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from models.book.columns import Floats

STILL = 1e-12
MOST_STEPS = 1_000


@dataclass(frozen=True, slots=True)
class PriceCurve:
    """Accounts by trigger, highest first.

    Parameters
    ----------
    triggers
        Price below which each is liquidated, falling, shape (accounts,).
    repaid
        Quote repaid of the accounts up to each place, shape (accounts + 1,), from 0.
    """

    triggers: Floats
    repaid: Floats


def price_curve(triggers: Floats, repaid: Floats) -> PriceCurve:
    """Return the curve of accounts.

    Parameters
    ----------
    triggers
        Price strictly below which an account is liquidated, above 0, shape (accounts,).
    repaid
        Quote that its liquidation repays, not negative, shape (accounts,).
    """
    order = np.argsort(-triggers, kind="stable")
    return PriceCurve(triggers[order], np.concatenate([[0.0], np.cumsum(repaid[order])]))


def liquidated(curve: PriceCurve, prices: Floats) -> Floats:
    """Return the quote repaid at prices without impact, shape (scenarios,)."""
    return np.asarray(curve.repaid[np.searchsorted(-curve.triggers, -prices, side="left")])


def cascaded(curve: PriceCurve, prices: Floats, *, per_quote: float) -> Floats:
    """Return the quote repaid once selling has moved the price to rest, shape (scenarios,).

    Parameters
    ----------
    prices
        After the shock, above 0, shape (scenarios,).
    per_quote
        Share of the price that is lost for each quote sold, not negative.
    """
    return np.asarray(_cascaded(curve.triggers, curve.repaid, prices, per_quote))


@njit(cache=True, nogil=True)
def _cascaded(triggers: Floats, repaid: Floats, prices: Floats, per_quote: float) -> Floats:
    result = np.empty(prices.size)
    for scenario in range(prices.size):
        place, total = 0, 0.0
        for _ in range(MOST_STEPS):
            price = prices[scenario] * max(1.0 - per_quote * total, STILL)
            low, high = place, triggers.size  # who fell stays fallen: the search only goes on
            while low < high:
                middle = (low + high) // 2
                if triggers[middle] > price:
                    low = middle + 1
                else:
                    high = middle
            if low == place:
                break
            place, total = low, repaid[low]
        result[scenario] = total
    return result
