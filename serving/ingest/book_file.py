"""A book as a Parquet file of legs, for those whose accounts stand in no store.

One row per leg: `account`, `side` (`collateral` or `debt`), `asset`, `units`, `price` in USD,
and of collateral `threshold` and `bonus` (0 where left out), of an account `close_factor` (on
any of its rows, else 1). An account has one leg of an asset on each side.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.book.cascade import Borrower, Collateral, Debt
from models.errors import Fault, InvalidInput, InvalidTable
from serving.evaluation.risk_book import RiskBook

COLUMNS = ("account", "side", "asset", "units", "price", "threshold")
SIDES = ("collateral", "debt")
OPTIONAL = {"bonus": 0.0, "close_factor": 1.0}


def read(path: Path) -> RiskBook:
    """Return the book of a file.

    Raises
    ------
    InvalidTable
        A file that is absent or unreadable.
    InvalidInput
        Columns that are missing, and every row that is out of range or stands twice.
    """
    try:
        rows = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InvalidTable([Fault(str(path), f"cannot be read: {error}")]) from None
    absent = [Fault(f"{path.name}:{name}", "is missing") for name in COLUMNS if name not in rows]
    if absent:
        raise InvalidInput(absent)
    rows = rows.assign(**{name: usual for name, usual in OPTIONAL.items() if name not in rows})
    rows = rows.fillna(OPTIONAL)
    faults = [*_faults(rows, path.name), *_unnamed(rows, path.name)]
    if faults:
        raise InvalidInput(faults)
    prices = {str(asset): _exact(part.iloc[0]) for asset, part in rows.groupby("asset")["price"]}
    grouped = rows.groupby("account", sort=False)
    borrowers = tuple(_borrower(str(key), part) for key, part in grouped)
    owing = tuple(item for item in borrowers if item.debt)
    return RiskBook(owing, {}, {}, (), prices)


def _faults(rows: pd.DataFrame, name: str) -> Iterator[Fault]:
    """Yield what is wrong with rows."""
    ranges = {"units": (0.0, np.inf), "price": (0.0, np.inf), "threshold": (0.0, 1.0)}
    ranges |= {"bonus": (0.0, 1.0), "close_factor": (0.0, 1.0)}
    for column, (low, high) in ranges.items():
        values = rows[column].to_numpy(dtype=np.float64)
        bad = ~((values >= low) & (values <= high)) | ~np.isfinite(values)
        if column == "threshold":
            bad &= (rows["side"] == "collateral").to_numpy()
        if column in {"price", "close_factor"}:
            bad |= values == 0.0
        for place in np.flatnonzero(bad).tolist():
            yield Fault(f"{name}:{column}:{place}", f"{values[place]} is not in [{low}, {high}]")
    for place in np.flatnonzero(~rows["side"].isin(SIDES)).tolist():
        yield Fault(f"{name}:side:{place}", f"{rows['side'].iloc[place]!r} is not one of {SIDES}")
    for asset, count in rows.groupby("asset")["price"].nunique().items():
        if count > 1:
            yield Fault(f"{name}:price", f"{asset} has {count} prices")


def _unnamed(rows: pd.DataFrame, name: str) -> Iterator[Fault]:
    """Yield the legs that are nobody's, of nothing, or stand twice."""
    for column in ("account", "asset"):
        for place in np.flatnonzero(rows[column].isna()).tolist():
            yield Fault(f"{name}:{column}:{place}", "is missing")
    for place in np.flatnonzero(rows.duplicated(["account", "side", "asset"])).tolist():
        key, side, asset = rows[["account", "side", "asset"]].iloc[place]
        yield Fault(f"{name}:account:{place}", f"{key} has two legs of {side} in {asset}")


def _borrower(key: str, rows: pd.DataFrame) -> Borrower:
    pledged, owed = (rows[rows["side"] == side] for side in SIDES)
    collateral = tuple(
        Collateral(str(leg.asset), _exact(leg.units), _exact(leg.threshold), _exact(leg.bonus))
        for leg in pledged.itertuples()
    )
    debt = tuple(Debt(str(leg.asset), _exact(leg.units)) for leg in owed.itertuples())
    return Borrower(key, collateral, debt, _exact(rows["close_factor"].min()))


def _exact(value: Any) -> Fraction:
    """Return the fraction of a number's shortest decimal."""
    return Fraction(repr(float(value)))
