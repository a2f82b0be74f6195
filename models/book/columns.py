"""A book and its market as columns, for many accounts and many scenarios.

Accounts are rows of two ragged tables, collateral and debt: account i owns the legs from
`offsets[i]` to `offsets[i + 1]`. Assets are numbered so that an asset priced in another
comes after it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.book.cascade import Borrower, Market, faults_of
from models.book.impact import Number
from models.errors import Fault, InvalidInput

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BookColumns:
    """Accounts as columns.

    Parameters
    ----------
    keys
        One per account.
    assets
        Names by number.
    collateral_offsets, debt_offsets
        From 0 to the number of legs, shape (accounts + 1,).
    collateral_asset, debt_asset
        Number of the asset, shape (legs,).
    collateral_units, debt_units
        Units, not negative, shape (legs,).
    threshold, bonus
        As of `models.book.cascade.Collateral`, shape (collateral legs,).
    close_factor, full_below
        As of `models.book.cascade.Borrower`, shape (accounts,).
    """

    keys: tuple[str, ...]
    assets: tuple[str, ...]
    collateral_offsets: Places
    collateral_asset: Places
    collateral_units: Floats
    threshold: Floats
    bonus: Floats
    debt_offsets: Places
    debt_asset: Places
    debt_units: Floats
    close_factor: Floats
    full_below: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketColumns:
    """Curves and links of a market, by number of asset.

    Parameters
    ----------
    curve_offsets
        Asset k has the points from `curve_offsets[k]` to `curve_offsets[k + 1]`; none where
        it sells without moving its price, shape (assets + 1,).
    curve_amounts, curve_impacts
        Points of all curves, shape (points,).
    priced_in
        Number of the asset that an asset's market is quoted in, or -1, shape (assets,).
    oracle_share, temporary, decay
        As of `models.book.cascade.Market`.
    """

    curve_offsets: Places
    curve_amounts: Floats
    curve_impacts: Floats
    priced_in: Places
    oracle_share: float
    temporary: float = 0.0
    decay: float = 1.0


def ordered_assets(market: Market) -> tuple[str, ...]:
    """Return the assets of a market, what an asset is priced in before it.

    Raises
    ------
    InvalidInput
        An asset that is priced in itself, over others or not, or in one without a price.
    """
    faults = [
        Fault(f"/priced_in/{asset}", f"{base} has no price")
        for asset, base in market.priced_in.items()
        if base not in market.prices
    ]
    if faults:
        raise InvalidInput(faults)
    depth = {asset: _depth(market, asset) for asset in market.prices}
    return tuple(sorted(market.prices, key=lambda asset: (depth[asset], asset)))


def _depth(market: Market, asset: str) -> int:
    chain = [asset]
    while (base := market.priced_in.get(chain[-1])) is not None:
        if base in chain:
            message = f"{' in '.join([*chain, base])} is a circle"
            raise InvalidInput([Fault(f"/priced_in/{asset}", message)])
        chain.append(base)
    return len(chain)


def book_columns(accounts: Sequence[Borrower], market: Market) -> BookColumns:
    """Lay accounts out as columns, numbered by the assets of a market.

    Raises
    ------
    InvalidInput
        As `models.book.cascade.faults_of` finds, all of it.
    """
    if faults := faults_of(accounts, market):
        raise InvalidInput(faults)
    assets = ordered_assets(market)
    number = {asset: place for place, asset in enumerate(assets)}
    collateral = [leg for account in accounts for leg in account.collateral]
    debt = [leg for account in accounts for leg in account.debt]
    return BookColumns(
        keys=tuple(account.key for account in accounts),
        assets=assets,
        collateral_offsets=_offsets([len(account.collateral) for account in accounts]),
        collateral_asset=np.array([number[leg.asset] for leg in collateral], dtype=np.int64),
        collateral_units=_floats(leg.units for leg in collateral),
        threshold=_floats(leg.threshold for leg in collateral),
        bonus=_floats(leg.bonus for leg in collateral),
        debt_offsets=_offsets([len(account.debt) for account in accounts]),
        debt_asset=np.array([number[leg.asset] for leg in debt], dtype=np.int64),
        debt_units=_floats(leg.units for leg in debt),
        close_factor=_floats(account.close_factor for account in accounts),
        full_below=_floats(account.full_below for account in accounts),
    )


def market_columns(market: Market) -> MarketColumns:
    """Lay a market's curves out as columns, in the order of `ordered_assets`."""
    assets = ordered_assets(market)
    number = {asset: place for place, asset in enumerate(assets)}
    curves = [market.curves.get(asset) for asset in assets]
    bases = [market.priced_in.get(asset) for asset in assets]
    return MarketColumns(
        curve_offsets=_offsets([0 if curve is None else len(curve.amounts) for curve in curves]),
        curve_amounts=_floats(x for curve in curves if curve is not None for x in curve.amounts),
        curve_impacts=_floats(y for curve in curves if curve is not None for y in curve.impacts),
        priced_in=np.array(
            [-1 if base is None else number[base] for base in bases], dtype=np.int64
        ),
        oracle_share=float(market.oracle_share),
        temporary=float(market.temporary),
        decay=float(market.decay),
    )


def prices_of(market: Market) -> Floats:
    """Return a market's prices in the order of `ordered_assets`, shape (assets,)."""
    return _floats(market.prices[asset] for asset in ordered_assets(market))


def _offsets(lengths: Sequence[int]) -> Places:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def _floats(values: Iterable[Number]) -> Floats:
    return np.array([float(value) for value in values], dtype=np.float64)


def selected(book: BookColumns, rows: Places) -> BookColumns:
    """Return the accounts at rows, in their order."""
    c_legs, c_offsets = _picked(book.collateral_offsets, rows)
    d_legs, d_offsets = _picked(book.debt_offsets, rows)
    return BookColumns(
        keys=tuple(map(book.keys.__getitem__, rows.tolist())),
        assets=book.assets,
        collateral_offsets=c_offsets,
        collateral_asset=book.collateral_asset[c_legs],
        collateral_units=book.collateral_units[c_legs],
        threshold=book.threshold[c_legs],
        bonus=book.bonus[c_legs],
        debt_offsets=d_offsets,
        debt_asset=book.debt_asset[d_legs],
        debt_units=book.debt_units[d_legs],
        close_factor=book.close_factor[rows],
        full_below=book.full_below[rows],
    )


def _picked(offsets: Places, rows: Places) -> tuple[Places, Places]:
    lengths = offsets[rows + 1] - offsets[rows]
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    within = np.arange(ends[-1]) - np.repeat(ends[:-1], lengths)
    return np.repeat(offsets[rows], lengths) + within, ends


def by_account(offsets: Places, values: Floats) -> Floats:
    """Return the sums of values of legs, shape (accounts,)."""
    owner = np.repeat(np.arange(offsets.size - 1), np.diff(offsets))
    return np.asarray(np.bincount(owner, weights=values, minlength=offsets.size - 1))
