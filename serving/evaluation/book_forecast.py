"""Pure: forecasts of a book, and how far it may grow."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from models.book.columns import (
    BookColumns,
    Floats,
    MarketColumns,
    Places,
    book_columns,
    by_account,
    market_columns,
)
from models.book.columns import prices_of as price_row
from models.book.curve import cascaded, price_curve
from models.book.forecast import LEVELS, BookForecast, Spread, by_asset, forecast, grouped
from models.book.headroom import headroom
from models.book.impact import USD, ImpactCurve
from models.book.kernel import Flags
from models.book.scenarios import Bars, Method, Moves, moves
from models.book.tail import Quantile
from models.errors import Fault, InvalidInput
from models.pegs import moving
from serving.evaluation.risk_book import CONTRIBUTORS, RiskBook, assets_of, priced_in, without
from serving.schemas.book_risk import (
    ForecastBody,
    HeadroomAnswer,
    LossQuantile,
    OwnersForecast,
    UnwindingAnswer,
)

SUPPLY, BORROW = "supply", "borrow"
HEADROOM_LEVEL = 0.99
"""Quantile of a day's bad debt that a stated loss bounds."""


@dataclass(frozen=True, slots=True)
class Forecaster:
    """A book with its market in columns and the past of its prices.

    Parameters
    ----------
    book
        Without accounts whose assets have no candles.
    columns, around, prices
        The book as the kernel takes it.
    bars
        Candles of every asset in the columns' order.
    """

    book: RiskBook
    columns: BookColumns
    around: MarketColumns
    prices: Any
    bars: Bars

    def draw(self, hours: int, request: ForecastBody, method: Method) -> Moves:
        """Return the scenarios of a horizon."""
        return moves(
            self.bars,
            self.weights,
            hours=hours,
            scenarios=request.scenarios,
            seed=request.seed,
            method=method,
        )

    def run(
        self, drawn: Moves, *, with_owners: bool, seed: int, report: Any, spread: Spread = map
    ) -> BookForecast:
        """Return a forecast over scenarios."""
        owners = self.book.owners(seed) if with_owners else None
        return forecast(
            self.columns,
            self.around,
            self.prices,
            drawn,
            owners=owners,
            report=report,
            spread=spread,
        )

    @property
    def weights(self) -> Floats:
        """Return USD of collateral by asset, shape (assets,)."""
        worth = self.columns.collateral_units * self.prices[self.columns.collateral_asset]
        places, size = self.columns.collateral_asset, len(self.columns.assets)
        return np.asarray(np.bincount(places, weights=worth, minlength=size), dtype=np.float64)


def forecaster(
    book: RiskBook, curves: Mapping[str, ImpactCurve], candles: Mapping[str, Any]
) -> Forecaster:
    """Return a book ready to be forecast.

    Parameters
    ----------
    candles
        Arrays of close, high and low of one grid of hours, by asset; assets that keep their
        price need none.
    """
    missing = {
        asset: "no_candles"
        for asset in book.prices
        if asset not in candles and moving([asset], None)
    }
    bases = priced_in(book.usable(curves))
    missing |= {asset: "no_candles" for asset, base in bases.items() if base in missing}
    remaining = without(book, missing)
    legs = {asset for item in remaining.borrowers for asset in assets_of(item)}
    legs |= {base for asset, base in bases.items() if asset in legs}
    prices = {asset: book.prices[asset] for asset in sorted({*legs, USD} & book.prices.keys())}
    remaining = replace(remaining, prices=prices, unpriced=remaining.unpriced & prices.keys())
    market = remaining.market(curves, Fraction(1))
    columns = book_columns(remaining.borrowers, market)
    size = max((len(item["close"]) for item in candles.values()), default=0)
    still = np.ones(size)
    bars = Bars(
        columns.assets,
        *(
            np.array([candles[a][side] if a in candles else still for a in columns.assets])
            .reshape(len(columns.assets), size)
            .T
            for side in ("close", "high", "low")
        ),
    )
    return Forecaster(remaining, columns, market_columns(market), price_row(market), bars)


def forecast_answer(result: BookForecast, ready: Forecaster) -> OwnersForecast:
    """Return a forecast as it is answered."""
    venues = [ready.book.venue(item.key) for item in ready.book.borrowers]
    order = np.argsort(-result.by_account, kind="stable")[:CONTRIBUTORS]
    return OwnersForecast(
        liquidated=tuple(_quantile(item) for item in result.liquidated),
        bad_debt=tuple(_quantile(item) for item in result.bad_debt),
        mean_liquidated=result.mean_liquidated,
        mean_bad_debt=result.mean_bad_debt,
        by_asset=by_asset(ready.columns, ready.prices, result.by_account),
        by_venue=grouped(result.by_account, venues),
        by_account={
            ready.book.borrowers[row].key: float(result.by_account[row])
            for row in order.tolist()
            if result.by_account[row] > 0
        },
    )


def _quantile(result: Quantile) -> LossQuantile:
    return LossQuantile(
        level=result.level,
        value=result.value,
        low=result.low,
        high=result.high,
        shortfall=result.shortfall,
    )


def headrooms(
    ready: Forecaster, drawn: Moves, *, bearable: float, report: Callable[[], object] = lambda: None
) -> tuple[HeadroomAnswer, ...]:
    """Return the largest caps and ceilings of each venue, each asset, and each asset of a venue.

    Parameters
    ----------
    drawn
        Scenarios of a day; of each the market's lowest hour counts.
    bearable
        USD of bad debt at its 99 % quantile.
    report
        Called before each is searched for; what it raises ends the search.
    """
    at = ready.prices * np.exp(drawn.lowest)
    answer = []
    for group in _groups(ready):
        report()
        largest = headroom(
            ready.columns, ready.around, at, group.accounts, most=bearable, level=HEADROOM_LEVEL
        )
        most = None if largest.scale is None else group.amount * largest.scale
        answer.append(
            HeadroomAnswer(
                venue=group.venue,
                asset=group.asset,
                side=group.side,
                unit=group.asset or USD,
                amount=group.amount,
                most=most,
                scale=largest.scale,
                loss=largest.loss,
            )
        )
    return tuple(answer)


@dataclass(frozen=True, slots=True)
class _Group:
    """Accounts that grow together, and what of theirs a cap or ceiling would count."""

    venue: str | None
    asset: str | None
    side: str
    accounts: Flags
    amount: float


def _groups(ready: Forecaster) -> Iterator[_Group]:
    """Yield what can have a cap or a ceiling: debt of a venue, then assets of all and of each.

    Of an asset without a price in USD units are not known, and so no cap of it.
    """
    columns, count = ready.columns, len(ready.columns.keys)
    named = np.array([ready.book.venue(key) for key in columns.keys])
    venues = sorted(set(named.tolist()))
    owed = by_account(columns.debt_offsets, columns.debt_units * ready.prices[columns.debt_asset])
    for venue in venues:
        yield _Group(venue, None, BORROW, named == venue, float(owed[named == venue].sum()))
    sides = (
        (SUPPLY, columns.collateral_offsets, columns.collateral_asset, columns.collateral_units),
        (BORROW, columns.debt_offsets, columns.debt_asset, columns.debt_units),
    )
    for number, asset in enumerate(columns.assets):
        if asset in ready.book.unpriced:
            continue
        for side, offsets, assets, units in sides:
            holder = np.repeat(np.arange(count), np.diff(offsets))
            mine = np.where(assets == number, units, 0.0)
            amounts = np.bincount(holder, weights=mine, minlength=count)
            whose = [None, *(venue for venue in venues if amounts[named == venue].any())]
            for venue in whose if len(whose) > 2 else whose[1:]:  # noqa: PLR2004 - all and the only
                chosen = (amounts > 0.0) & ((named == venue) | (venue is None))
                yield _Group(venue, asset, side, chosen, float(amounts[chosen].sum()))


def single_factor(ready: Forecaster, drawn: Moves) -> dict[str, float]:
    """Return LaR by level if every asset moved as the market does.

    Each account has one fall of the market at which it is liquidated, and the sales of those
    above it move the market by the curves' first slopes: a check of the scenarios that needs no
    cascade.
    """
    columns, prices = ready.columns, ready.prices
    moves_along = np.array([bool(moving([asset], None)) for asset in columns.assets])
    worth = columns.collateral_units * prices[columns.collateral_asset]
    owed = columns.debt_units * prices[columns.debt_asset]

    def split(offsets: Places, values: Floats, assets: Places) -> tuple[Floats, Floats]:
        along = moves_along[assets]
        return by_account(offsets, values * along), by_account(offsets, values * ~along)

    counted = worth * columns.threshold
    backing = split(columns.collateral_offsets, counted, columns.collateral_asset)
    debt = split(columns.debt_offsets, owed, columns.debt_asset)
    # Below the line where backing x factor + fixed backing < debt x factor + fixed debt.
    slope, gap = backing[0] - debt[0], debt[1] - backing[1]
    falls = (slope > 0.0) & (gap > 0.0)
    triggers = gap[falls] / slope[falls]
    repaid = columns.close_factor[falls] * (debt[0][falls] * triggers + debt[1][falls])
    market = np.exp(drawn.lowest @ ready.weights / max(float(ready.weights.sum()), 1e-300))
    losses = cascaded(price_curve(triggers, repaid), market, per_quote=_first_slope(ready))
    return {f"{level:g}": float(np.quantile(losses, level)) for level in LEVELS}


def _first_slope(ready: Forecaster) -> float:
    """Return the share of the market's price that a first dollar sold takes, by what is held."""
    around, whole = ready.around, max(float(ready.weights.sum()), 1e-300)
    total = 0.0
    for number, price in enumerate(ready.prices.tolist()):
        first = around.curve_offsets[number]
        if first < around.curve_offsets[number + 1]:
            share = float(ready.weights[number]) / whole
            slope = around.curve_impacts[first] / around.curve_amounts[first]
            total += share * share * float(slope) / price
    return around.oracle_share * total


def unwinding(
    ready: Forecaster, request: ForecastBody, curves: Mapping[str, ImpactCurve]
) -> tuple[UnwindingAnswer, ...]:
    """Return how long selling all collateral takes, by stated volumes and by curves of impact.

    By a curve a day takes what costs the stated share of the price, and the market is as deep
    again the next day.

    Raises
    ------
    InvalidInput
        Assets with a stated volume that nobody holds.
    """
    units = np.bincount(
        ready.columns.collateral_asset,
        weights=ready.columns.collateral_units,
        minlength=len(ready.columns.assets),
    )
    by_name = dict(zip(ready.columns.assets, units.tolist(), strict=True))
    faults = [
        Fault(f"/daily_volume/{asset}", f"no account of the book holds {asset}")
        for asset in request.daily_volume
        if not by_name.get(asset) or asset in ready.book.unpriced
    ]
    if faults:
        raise InvalidInput(faults)
    share, cost = float(request.volume_share), float(request.daily_impact)
    daily = {(asset, "volume"): float(v) * share for asset, v in request.daily_volume.items()}
    for asset, curve in ready.book.usable(curves).items():
        if by_name.get(asset):
            daily[asset, "curve"] = curve.sellable(cost)
    return tuple(
        UnwindingAnswer(
            asset=asset,
            depth=depth,
            units=by_name[asset],
            daily=sold,
            days=by_name[asset] / sold,
        )
        for (asset, depth), sold in sorted(daily.items())
    )
