"""The book within a horizon: what will be liquidated and what will be left as bad debt.

Every scenario is run to its end by the cascade, at the market's lowest and at its highest
hour, and what both bring is added: long and short accounts fall at different ends. LaR is a
quantile of what is repaid, VaR of bad debt; each is told if nobody acts and as owners are
expected to act.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from models.book.cascade import UNLIMITED, Liquidators
from models.book.columns import BookColumns, Floats, MarketColumns, Places
from models.book.kernel import Owners, run, run_all
from models.book.scenarios import Moves
from models.book.tail import Quantile, quantile

LEVELS = (0.95, 0.99)
CHUNK = 1_000
"""Scenarios run between two reports of progress."""

SHARES_LEVEL = 0.95


class Stopped(Exception):  # noqa: N818 - not an error: somebody asked
    """A forecast was stopped before it ended."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What scenarios brought, in quote, shape (scenarios,) each.

    Parameters
    ----------
    repaid, bad_debt
        Repaid by liquidations, and left uncovered at their end.
    converged
        Whether every cascade came to rest.
    """

    repaid: Floats
    bad_debt: Floats
    converged: bool


@dataclass(frozen=True, slots=True)
class BookForecast:
    """Quantiles of a book's losses, if its owners act in one way.

    Parameters
    ----------
    liquidated, bad_debt
        LaR and VaR at `LEVELS`.
    mean_liquidated, mean_bad_debt
        Means over all scenarios, quote.
    by_account
        Mean repaid of each account over the scenarios beyond `SHARES_LEVEL`, quote, adding
        up to the shortfall of that quantile, shape (accounts,).
    """

    liquidated: tuple[Quantile, ...]
    bad_debt: tuple[Quantile, ...]
    mean_liquidated: float
    mean_bad_debt: float
    by_account: Floats


@dataclass(frozen=True, slots=True)
class Part:
    """What runs some of the scenarios of a book, wherever it is taken to.

    Parameters
    ----------
    prices
        Quote per unit now, shape (assets,).
    moved
        Over the same assets.
    owners
        Who may act first; None where nobody does.
    """

    book: BookColumns
    market: MarketColumns
    prices: Floats
    moved: Moves
    owners: Owners | None = None
    liquidators: Liquidators = UNLIMITED

    def __call__(self, part: slice) -> Losses:
        """Return what scenarios from one to another bring; their numbers are those of the whole."""
        sums = []
        for side in (self.moved.lowest, self.moved.highest):
            at = self.prices * np.exp(side[part])
            sums.append(
                run_all(
                    self.book,
                    self.market,
                    at,
                    self.liquidators,
                    owners=self.owners,
                    first=part.start,
                    reference=self.prices,
                )
            )
        low, high = sums
        return Losses(
            low.repaid + high.repaid,
            low.bad_debt + high.bad_debt,
            bool(low.converged.all() and high.converged.all()),
        )


Spread = Callable[[Part, Sequence[slice]], Iterable[Losses]]
"""Runs parts anywhere and yields what they bring in the order of the parts."""


def losses(
    book: BookColumns,
    market: MarketColumns,
    prices: Floats,
    moved: Moves,
    *,
    owners: Owners | None = None,
    liquidators: Liquidators = UNLIMITED,
    report: Callable[[int], bool] = lambda _: True,
    spread: Spread = map,
) -> Losses:
    """Run every scenario.

    Parameters
    ----------
    prices
        Quote per unit now, shape (assets,).
    moved
        Over the same assets.
    report
        Takes the scenarios that are done and says whether to go on.
    spread
        Where they are run; here, unless told otherwise.

    Raises
    ------
    Stopped
        When `report` said no.
    """
    count = moved.starts.size
    parts = [slice(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]
    done = []
    for part, loss in zip(
        parts, spread(Part(book, market, prices, moved, owners, liquidators), parts), strict=True
    ):
        done.append(loss)
        if not report(part.stop):
            raise Stopped
    return Losses(
        np.concatenate([loss.repaid for loss in done]),
        np.concatenate([loss.bad_debt for loss in done]),
        all(loss.converged for loss in done),
    )


def forecast(
    book: BookColumns,
    market: MarketColumns,
    prices: Floats,
    moved: Moves,
    *,
    owners: Owners | None = None,
    liquidators: Liquidators = UNLIMITED,
    report: Callable[[int], bool] = lambda _: True,
    spread: Spread = map,
) -> BookForecast:
    """Return the quantiles of a book's losses, and whose they are.

    Parameters
    ----------
    owners
        Who may act first; None for the forecast if nobody does.
    """
    result = losses(
        book,
        market,
        prices,
        moved,
        owners=owners,
        liquidators=liquidators,
        report=report,
        spread=spread,
    )
    return BookForecast(
        tuple(quantile(result.repaid, level) for level in LEVELS),
        tuple(quantile(result.bad_debt, level) for level in LEVELS),
        float(result.repaid.mean()),
        float(result.bad_debt.mean()),
        _by_account(book, market, prices, moved, result, owners, liquidators),
    )


def _by_account(
    book: BookColumns,
    market: MarketColumns,
    prices: Floats,
    moved: Moves,
    result: Losses,
    owners: Owners | None,
    liquidators: Liquidators,
) -> Floats:
    """Return each account's mean over the scenarios that the shortfall is the mean of."""
    beyond = _beyond(result.repaid, SHARES_LEVEL)
    total = np.zeros(len(book.keys))
    for scenario in beyond.tolist():
        for side in (moved.lowest, moved.highest):
            at = prices * np.exp(side[scenario])
            total += run(book, market, at, liquidators, owners=owners, scenario=scenario).repaid_by
    return np.asarray(total / max(beyond.size, 1))


def _beyond(values: Floats, level: float) -> Places:
    """Return the scenarios from a quantile's rank on."""
    place = min(int(np.ceil(level * values.size)), values.size) - 1
    return np.asarray(np.argsort(values, kind="stable")[place:], dtype=np.int64)


def grouped(shares: Floats, groups: Sequence[str]) -> dict[str, float]:
    """Return shares of accounts added up by group, in the order of the groups' names."""
    result: dict[str, float] = dict.fromkeys(sorted(set(groups)), 0.0)
    for share, group in zip(shares.tolist(), groups, strict=True):
        result[group] += share
    return result


def by_asset(book: BookColumns, prices: Floats, shares: Floats) -> dict[str, float]:
    """Return shares of accounts by the collateral they are taken from, adding up to the same.

    Of an account the same share of every asset is seized: its part goes by value.
    """
    values = book.collateral_units * prices[book.collateral_asset]
    owner = np.repeat(np.arange(len(book.keys)), np.diff(book.collateral_offsets))
    worth = np.bincount(owner, weights=values, minlength=len(book.keys))
    part = np.divide(values, worth[owner], out=np.zeros_like(values), where=worth[owner] > 0.0)
    total = np.bincount(
        book.collateral_asset, weights=part * shares[owner], minlength=len(book.assets)
    )
    return dict(zip(book.assets, total.tolist(), strict=True))
