"""The reproduction number: how much further a price falls for each step it has fallen.

At prices p the accounts below their line sell S(p), and selling S(p) lowers the price by the
share I(S(p)). Along log prices y the number is the slope of log(1 - I(S(y))) against y: what
one step down sells, times what that sale moves the price on. Below 1 a fall comes to rest, at
about 1 / (1 - R) times its size; at 1 or above each step brings one at least as large.

With several assets the slopes form a matrix, and the number is its largest eigenvalue in
modulus: one asset's sales move another through the accounts that hold both and through
markets quoted in it.
"""

from dataclasses import dataclass, replace

import numpy as np

from models.book.cascade import Liquidators
from models.book.columns import BookColumns, Floats, MarketColumns, Places, selected
from models.book.kernel import Flags, run, touchable

SINGLE_ROUND = Liquidators(rounds=1)

STEP = 0.01
"""Log price over which slopes are taken: a book is steps, and its slope is over a width."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A reproduction number at shocks along one direction.

    Parameters
    ----------
    shocks
        Log price moves along the direction, shape (shocks,).
    numbers
        Not negative; without accounts in reach 0, shape (shocks,).
    """

    shocks: Floats
    numbers: Floats

    @property
    def first_at_least_unity(self) -> float | None:
        """Return the mildest shock at which the number is 1 or more; None where none is."""
        above = self.shocks[self.numbers >= 1.0]
        return float(above[np.argmin(np.abs(above))]) if above.size else None


def reproduction(
    book: BookColumns,
    market: MarketColumns,
    prices: Floats,
    direction: Floats,
    shocks: Floats,
    *,
    step: float = STEP,
) -> Reproduction:
    """Return the reproduction number along a direction of shocks.

    Parameters
    ----------
    book, market
        Columns over the same assets.
    prices
        Quote per unit now, shape (assets,).
    direction
        Log move of each asset for a shock of 1, shape (assets,): 1 for those that fall with
        it, 0 for those that stand.
    shocks
        Log moves, -0.3 for a fall of 26 %, shape (shocks,).
    step
        Log price over which a slope is taken, positive.

    Returns
    -------
    Reproduction
        Of the impact that all of the market sees, whatever share the accounts are judged by,
        times that share.
    """
    movable = np.flatnonzero(np.diff(market.curve_offsets) > 0)
    numbers = np.zeros(shocks.size)
    for place, shock in enumerate(shocks.tolist()):
        at = prices * np.exp(direction * shock)
        numbers[place] = _radius(book, market, at, movable, step)
    return Reproduction(shocks, numbers)


def _radius(
    book: BookColumns, market: MarketColumns, prices: Floats, movable: Places, step: float
) -> float:
    if not movable.size:
        return 0.0
    here = _fall(book, market, prices)
    slopes = np.empty((movable.size, movable.size))
    for column, asset in enumerate(movable.tolist()):
        moved = prices * np.where(_moves_with(market, asset), np.exp(-step), 1.0)
        slopes[:, column] = (here - _fall(book, market, moved))[movable] / step
    return float(np.abs(np.linalg.eigvals(np.maximum(slopes, 0.0))).max())


def _fall(book: BookColumns, market: MarketColumns, prices: Floats) -> Floats:
    """Return the log move of every asset against what it is priced in, by one round's sales."""
    unmoved = replace(market, oracle_share=0.0)  # who is liquidated first sees no impact yet
    reached = selected(book, touchable(book, unmoved, prices[np.newaxis, :]))
    course = run(reached, market, prices, SINGLE_ROUND)
    if not course.prices.size:
        return np.zeros(prices.size)
    moved = np.log(course.prices[0] / prices)
    base = market.priced_in
    return np.asarray(moved - np.where(base >= 0, moved[base], 0.0))


def _moves_with(market: MarketColumns, asset: int) -> Flags:
    """Return which assets' prices move with one: itself and all that are priced in it."""
    with_it = np.arange(market.priced_in.size) == asset
    for place, base in enumerate(market.priced_in.tolist()):  # a base comes before what it prices
        if base >= 0 and with_it[base]:
            with_it[place] = True
    return with_it
