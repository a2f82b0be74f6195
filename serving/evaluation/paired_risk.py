"""Pure: what changed terms do to a book's tail, on the same scenarios before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np

from models.book.columns import Floats
from models.book.forecast import Losses, losses
from models.book.impact import ImpactCurve
from models.book.scenarios import Method, Moves, moves
from models.errors import Fault, InvalidInput
from serving.evaluation.book_forecast import Forecaster, forecaster
from serving.evaluation.risk_book import RiskBook
from serving.schemas.term_changes import PairedAnswer, RiskChange

HOURS = 24
CONFIDENCE = 0.9
RESAMPLES = 200


@dataclass(frozen=True, slots=True)
class Scenarios:
    """A book's past, drawn once: every choice of terms is judged on the same moves.

    Parameters
    ----------
    keys
        Accounts that are judged under every choice.
    curves
        What selling moves, by asset.
    candles
        As of `serving.evaluation.book_forecast.forecaster`.
    """

    keys: frozenset[str]
    curves: Mapping[str, ImpactCurve]
    candles: Mapping[str, Any]
    assets: tuple[str, ...]
    drawn: Moves

    def losses(self, book: RiskBook) -> Losses:
        """Return what the scenarios bring under a book's terms.

        Raises
        ------
        InvalidInput
            When the book no longer holds the same accounts and assets.
        """
        ready = _ready(book, self.keys, self.curves, self.candles)
        if ready.columns.assets != self.assets:
            raise InvalidInput([Fault("/changes", "the accounts that can be judged are others")])
        return losses(ready.columns, ready.around, ready.prices, self.drawn)


def scenarios(
    books: Sequence[RiskBook],
    curves: Mapping[str, ImpactCurve],
    candles: Mapping[str, Any],
    *,
    count: int,
    seed: int,
) -> Scenarios:
    """Draw scenarios for the accounts that all books hold.

    Raises
    ------
    InvalidInput
        When nobody owes anything that can fall, or there is too little past.
    """
    keys = frozenset.intersection(*(frozenset(b.key for b in book.borrowers) for book in books))
    ready = _ready(books[0], keys, curves, candles)
    if not ready.book.borrowers:
        raise InvalidInput([Fault("/scenarios", "nobody owes anything that can fall")])
    worth = ready.columns.collateral_units * ready.prices[ready.columns.collateral_asset]
    weights: Floats = np.zeros(len(ready.columns.assets))
    np.add.at(weights, ready.columns.collateral_asset, worth)
    drawn = moves(
        ready.bars, weights, hours=HOURS, scenarios=count, seed=seed, method=Method.STRESSED
    )
    return Scenarios(keys, curves, candles, ready.columns.assets, drawn)


def _ready(
    book: RiskBook,
    keys: frozenset[str],
    curves: Mapping[str, ImpactCurve],
    candles: Mapping[str, Any],
) -> Forecaster:
    """Return the accounts of some keys, ready to be run."""
    some = tuple(item for item in book.borrowers if item.key in keys)
    return forecaster(replace(book, borrowers=some), curves, candles)


def compared(
    before: Losses, after: Losses, *, seed: int, left_out: int, has_impact: bool
) -> RiskChange:
    """Return both sides and their difference, each with the interval of the pairs."""
    draw = np.random.default_rng(seed)
    places = draw.integers(0, before.repaid.size, size=(RESAMPLES, before.repaid.size))

    def tail(item: Any, other: Any, level: float) -> PairedAnswer:
        first, second = float(np.quantile(item, level)), float(np.quantile(other, level))
        moved = np.quantile(other[places], level, axis=1) - np.quantile(item[places], level, axis=1)
        low, high = np.quantile(moved, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return PairedAnswer(
            before=first, after=second, difference=second - first, low=float(low), high=float(high)
        )

    def mean(item: Any, other: Any) -> PairedAnswer:
        moved = other - item
        width = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * float(moved.std(ddof=1))
        width /= sqrt(moved.size)
        middle = float(moved.mean())
        return PairedAnswer(
            before=float(item.mean()),
            after=float(other.mean()),
            difference=middle,
            low=middle - width,
            high=middle + width,
        )

    return RiskChange(
        horizon="24h",
        scenarios=before.repaid.size,
        seed=seed,
        left_out=left_out,
        impact="stored" if has_impact else "none",
        lar95=tail(before.repaid, after.repaid, 0.95),
        lar99=tail(before.repaid, after.repaid, 0.99),
        var95=tail(before.bad_debt, after.bad_debt, 0.95),
        var99=tail(before.bad_debt, after.bad_debt, 0.99),
        mean_liquidated=mean(before.repaid, after.repaid),
        mean_bad_debt=mean(before.bad_debt, after.bad_debt),
    )
