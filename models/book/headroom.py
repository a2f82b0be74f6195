"""How far a book may grow before its bad debt exceeds a loss, and where it is concentrated.

References
----------
Supply caps by bisection on simulated losses, as Chaos Labs describes for Aave; the
Herfindahl-Hirschman index for concentration.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from models.book.columns import BookColumns, Floats, MarketColumns
from models.book.kernel import Flags, run_all
from models.book.tail import quantile

MOST_SCALE = 1_000.0
CLOSE = 1e-3
"""Relative width at which a bisection ends."""


@dataclass(frozen=True, slots=True)
class Headroom:
    """The largest size of some accounts at which the loss is borne.

    Parameters
    ----------
    scale
        Of their collateral and debt, against today's; None where no size exceeds the loss.
    loss
        Bad debt at that size, quote.
    """

    scale: float | None
    loss: float


def headroom(
    book: BookColumns,
    market: MarketColumns,
    prices: Floats,
    accounts: Flags,
    *,
    most: float,
    level: float | None = None,
) -> Headroom:
    """Return how far accounts may grow, markets staying as deep as they are.

    Parameters
    ----------
    prices
        Quote per unit in each scenario, shape (scenarios, assets).
    accounts
        Those that grow together: of an asset, of a venue, shape (accounts,).
    most
        Bad debt that is borne, quote, not negative.
    level
        Quantile of bad debt over scenarios, in (0, 1); None for the mean.

    Returns
    -------
    Headroom
        Within `CLOSE` below the size at which the loss is exceeded; 0 where already the other
        accounts exceed it.
    """

    def loss(scale: float) -> float:
        bad = run_all(scaled(book, accounts, scale), market, prices).bad_debt
        return float(bad.mean()) if level is None else quantile(bad, level).value

    if loss(0.0) > most:
        return Headroom(0.0, loss(0.0))
    if loss(MOST_SCALE) <= most:
        return Headroom(None, loss(MOST_SCALE))
    scale = _bisected(lambda size: loss(size) <= most)
    return Headroom(scale, loss(scale))


def _bisected(is_borne: Callable[[float], bool]) -> float:
    """Return the largest size known to be borne, between 0 and `MOST_SCALE`."""
    low, high = 0.0, 1.0
    while high < MOST_SCALE and is_borne(high):
        low, high = high, high * 2.0
    while high - low > CLOSE * high and high > CLOSE:  # a thousandth of today is nothing
        middle = 0.5 * (low + high)
        low, high = (middle, high) if is_borne(middle) else (low, middle)
    return low


def scaled(book: BookColumns, accounts: Flags, scale: float) -> BookColumns:
    """Return a book in which some accounts hold and owe so many times as much."""
    factor = np.where(accounts, scale, 1.0)
    return replace(
        book,
        collateral_units=book.collateral_units
        * np.repeat(factor, np.diff(book.collateral_offsets)),
        debt_units=book.debt_units * np.repeat(factor, np.diff(book.debt_offsets)),
    )


@dataclass(frozen=True, slots=True)
class Concentration:
    """How few hold how much.

    Parameters
    ----------
    largest
        Share of the largest.
    ten_largest
        Share of the ten largest together.
    index
        Sum of squared shares: 1 for a single holder, 1 / n for n alike.
    """

    largest: float
    ten_largest: float
    index: float


def concentration(amounts: Floats) -> Concentration:
    """Return how concentrated amounts are, not negative and not all 0, shape (holders,).

    Raises
    ------
    ValueError
        Nothing is held, or an amount is negative or no number.
    """
    if not (amounts >= 0.0).all() or not 0.0 < amounts.sum() < np.inf:
        message = "amounts must not be negative and not all 0"
        raise ValueError(message)
    shares = np.sort(amounts / amounts.sum())[::-1]
    return Concentration(float(shares[0]), float(shares[:10].sum()), float((shares**2).sum()))
