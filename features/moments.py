"""Account moments and the legs of baskets as columns, and what is wrong with frames of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.inputs import LEGS, MOMENTS, Floats, Ints, Names, seconds
from models.errors import Fault, InvalidTable

if TYPE_CHECKING:
    import pandas as pd

MOST_FAULTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentColumns:
    """Moments of accounts, a value per moment; as `features.inputs.MOMENTS` and `OPTIONAL` say.

    Parameters
    ----------
    at
        Seconds since 1970.
    opened_at
        Seconds since 1970; NaN when unknown.
    """

    account: Names
    at: Ints
    asset: Names
    side: Floats
    price: Floats
    price_next: Floats
    delay: Floats
    trigger: Floats
    collateral: Floats
    debt: Floats
    debt_value: Floats
    cash: Floats
    opened_at: Floats
    venue: Names
    collateral_value: Floats
    accrual_hours: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class LegColumns:
    """Legs of baskets, a value per leg; as `features.inputs.LEGS` says."""

    row: Ints
    asset: Names
    units: Floats


def moment_columns(
    moments: "pd.DataFrame", legs: "pd.DataFrame | None"
) -> tuple[MomentColumns, LegColumns | None]:
    """Return the columns of frames.

    Parameters
    ----------
    moments, legs
        Frames with the columns of `features.inputs.MOMENTS` and `LEGS`.

    Raises
    ------
    InvalidTable
        Listing what is wrong with moments and legs.
    """
    faults = [*_moment_faults(moments), *([] if legs is None else _leg_faults(legs, moments))]
    if faults:
        raise InvalidTable(faults[:MOST_FAULTS])
    opened = moments["opened_at"]
    opened_at = seconds(opened.fillna(moments["at"])).astype(np.float64)
    columns = MomentColumns(
        account=moments["account"].to_numpy(dtype=object),
        at=seconds(moments["at"]),
        asset=_names(moments, "asset"),
        side=_numbers(moments, "side"),
        price=_numbers(moments, "price"),
        price_next=_numbers(moments, "price_next"),
        delay=_numbers(moments, "delay"),
        trigger=_numbers(moments, "trigger"),
        collateral=_numbers(moments, "collateral"),
        debt=_numbers(moments, "debt"),
        debt_value=_numbers(moments, "debt_value"),
        cash=_numbers(moments, "cash"),
        opened_at=np.where(opened.isna(), np.nan, opened_at),
        venue=_names(moments, "venue"),
        collateral_value=_numbers(moments, "collateral_value"),
        accrual_hours=_numbers(moments, "accrual_hours"),
    )
    if legs is None:
        return columns, None
    return columns, LegColumns(
        row=legs["row"].to_numpy(dtype=np.int64),
        asset=_names(legs, "asset"),
        units=_numbers(legs, "units"),
    )


def _numbers(frame: "pd.DataFrame", name: str) -> Floats:
    """Return a column, NaN where the frame has none."""
    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    return frame[name].to_numpy(dtype=np.float64)


def _names(frame: "pd.DataFrame", name: str) -> Names:
    """Return a column of names, empty where the frame has none."""
    if name not in frame.columns:
        return np.full(len(frame), "", dtype=object)
    return frame[name].astype(str).to_numpy(dtype=object)


def _moment_faults(moments: "pd.DataFrame") -> Iterator[Fault]:
    """Yield missing columns, and sides that are neither."""
    missing = [name for name in MOMENTS if name not in moments.columns]
    yield from (Fault(f"moments:{name}", f"column missing ({MOMENTS[name]})") for name in missing)
    if "side" in moments.columns:
        side = moments["side"].to_numpy(dtype=np.float64)
        for row in np.flatnonzero(np.abs(side) != 1.0):
            yield Fault(f"moments:side:{row + 1}", f"{side[row]} is not +1 or -1")


def _leg_faults(legs: "pd.DataFrame", moments: "pd.DataFrame") -> Iterator[Fault]:
    """Yield missing columns, and legs that belong to no row or hold nothing."""
    missing = [name for name in LEGS if name not in legs.columns]
    yield from (Fault(f"legs:{name}", f"column missing ({LEGS[name]})") for name in missing)
    if missing or "side" not in moments.columns:
        return
    rows = legs["row"].to_numpy(dtype=np.int64)
    units = legs["units"].to_numpy(dtype=np.float64)
    side = moments["side"].to_numpy(dtype=np.float64)
    for place in range(len(legs)):
        if not 0 <= rows[place] < len(moments):
            yield Fault(f"legs:row:{place + 1}", f"{rows[place]} is not in [0, {len(moments)})")
        elif side[rows[place]] != 1.0:
            yield Fault(f"legs:row:{place + 1}", f"row {rows[place]}: a basket has side +1")
        if not np.isfinite(units[place]):
            yield Fault(f"legs:units:{place + 1}", f"{units[place]} is not finite")
