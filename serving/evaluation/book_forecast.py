"""Pure: forecasts of a book, and how far it may grow."""

from collections.abc import Mapping
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
from models.book.headroom import days_to_unwind, headroom
from models.book.impact import USD, ImpactCurve
from models.book.scenarios import Bars, Method, Moves, moves
from models.book.tail import Quantile
from models.errors import Fault, InvalidInput
from models.pegs import moving
from serving.evaluation.risk_book import CONTRIBUTORS, RiskBook, assets_of, priced_in, without
from serving.schemas.book_risk import ForecastBody, LossQuantile, OwnersForecast


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


def headrooms(ready: Forecaster, drawn: Moves, *, bearable: float) -> dict[str, dict[str, Any]]:
    """Return how many times as large accounts of each asset and venue may grow.

    Parameters
    ----------
    drawn
        Scenarios of a day; of each the market's lowest hour counts.
    bearable
        USD of bad debt at its 99 % quantile.
    """
    at = ready.prices * np.exp(drawn.lowest)
    columns, count = ready.columns, len(ready.columns.keys)
    owner = np.repeat(np.arange(count), np.diff(columns.collateral_offsets))
    groups: dict[str, dict[str, Any]] = {"by_asset": {}, "by_venue": {}}
    for number, asset in enumerate(columns.assets):
        holds = np.bincount(owner[columns.collateral_asset == number], minlength=count) > 0
        if holds.any():
            groups["by_asset"][asset] = holds
    venues = np.array([ready.book.venue(key) for key in columns.keys])
    groups["by_venue"] = {str(venue): venues == venue for venue in np.unique(venues)}
    return {
        side: {
            name: headroom(columns, ready.around, at, mask, most=bearable, level=0.99).scale
            for name, mask in masks.items()
        }
        for side, masks in groups.items()
    }


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


def unwinding(ready: Forecaster, request: ForecastBody) -> dict[str, float]:
    """Return days that selling all collateral takes, by asset with a stated volume.

    Raises
    ------
    InvalidInput
        Assets that nobody holds.
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
    share = float(request.volume_share)
    return {
        asset: days_to_unwind(by_name[asset], volume=float(volume), share=share)
        for asset, volume in request.daily_volume.items()
    }
