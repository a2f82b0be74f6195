"""The forecast of a reserve's liquidations at one moment, as its backtest makes it.

Nothing that begins at the moment or later is read. The forecast stands on the last hour that
the reserve has a row of; one that is too old, or whose candle is absent, is refused.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.continuity import STILL
from models.book.reserve import BASIS, HORIZON, Hours, has_drivers, states
from models.errors import Fault, InvalidInput
from training.evaluation.reserve_backtest import AMOUNTS, LEVELS, fitted_before, passed
from training.sources import aave_hourly
from training.sources.aave_hourly import Record

LONGEST_AGE = 6
"""Hours from the end of the last hour read to the moment; 12 of 33,410 steps between the rows
of Aave v2's WETH are longer."""

LEAST_HOURS = 90 * 24
"""Hours to learn from, their 24 passed."""

HOUR = pd.Timedelta(hours=1)


def read_and_forecast(
    data: Path,
    candles: Path,
    *,
    as_of: pd.Timestamp | None = None,
    train_to: pd.Timestamp | None = None,
) -> dict[str, Any]:
    """Read what ended by a moment, and forecast the 24 hours after it.

    Parameters
    ----------
    data, candles
        As of `aave_hourly.read`.
    as_of
        Moment, UTC; the end of the reserve's last hour where it is left out.
    train_to
        Moment up to which the model learns, `as_of` where it is left out.

    Returns
    -------
    dict
        As of `forecast`.

    Raises
    ------
    InvalidTable, InvalidInput
        As of `aave_hourly.read` and `forecast`.
    """
    record = aave_hourly.read(data, candles, until=None if as_of is None else as_of.floor("h"))
    at = record.hours.hour[-1] + HOUR if as_of is None else as_of
    return forecast(record, at, at if train_to is None else train_to)


def forecast(record: Record, as_of: pd.Timestamp, train_to: pd.Timestamp) -> dict[str, Any]:
    """Forecast the 24 hours after a record's last hour.

    Parameters
    ----------
    record
        A reserve and its market, read until `as_of`.
    as_of
        Moment at which the forecast is told, UTC.
    train_to
        Moment by which the 24 hours of every hour learned from had passed, UTC.

    Returns
    -------
    dict
        `thresholds` by amount with the probability that more USD are liquidated, None where
        the hours learned from were all above or all below it; `quantiles` by level in USD and
        in 1e-4 of what is supplied; the period forecast, the age and what was treated.

    Raises
    ------
    InvalidInput
        Data that are too old, stopped or too few.
    """
    hours = record.hours
    _refuse_stale(hours, as_of, train_to)
    market = states(hours)
    row = market.iloc[[-1]]
    past = passed(market, train_to)
    whole = past[["ahead", "low_ahead"]].notna().all(axis=1).to_numpy() & has_drivers(past)
    if whole.sum() < LEAST_HOURS or not has_drivers(row)[0]:
        message = f"{whole.sum():,} whole hours to learn from, {LEAST_HOURS:,} are needed"
        raise InvalidInput([Fault("--data", message)])
    fitted = fitted_before(market, train_to)
    ours = fitted.chances(row)
    shares = fitted.quantiles(row, list(LEVELS.values()))[0]
    supplied = float(row["supplied"].iloc[0])
    begins = hours.hour[-1] + HOUR
    return {
        "as_of": as_of.isoformat(),
        "from": begins.isoformat(),
        "to": (begins + HORIZON * HOUR).isoformat(),
        "horizon_hours": HORIZON,
        "age_hours": (as_of - begins) / HOUR,
        "trained_to": train_to.isoformat(),
        "trained_hours": int(whole.sum()),
        "thresholds": {
            name: {
                "probability": float(ours[amount][0]) if fitted.above[amount].is_learned else None,
                "share_of_past": fitted.above[amount].rate,
            }
            for name, amount in AMOUNTS.items()
        },
        "quantiles": {
            name: {"basis_points": float(share), "usd": float(share * BASIS * supplied)}
            for name, share in zip(LEVELS, shares, strict=True)
        },
        "supplied_usd": supplied,
        "defects": {
            "repeated_rows_dropped": record.repeated,
            "hours_without_row_taken_as_calm": record.calm,
            "hours_unknown": int(np.isnan(hours.liquidated[hours.hour >= record.begins]).sum()),
            "unknown_stretches": [[item.isoformat() for item in gap] for gap in record.gaps],
            "hours_without_candle": int(np.isnan(hours.close).sum()),
        },
    }


def _refuse_stale(hours: Hours, as_of: pd.Timestamp, train_to: pd.Timestamp) -> None:
    """Refuse a reserve that is too old, candles that end before it or stand still."""
    faults = []
    ended = hours.hour[-1] + HOUR
    if as_of - ended > LONGEST_AGE * HOUR:
        message = f"the last hour ended {ended}, more than {LONGEST_AGE} hours before {as_of}"
        faults.append(Fault("--data", message))
    last = np.column_stack([hours.close, hours.high, hours.low])[-STILL:]
    if not np.isfinite(last[-1]).all():
        faults.append(Fault("--candles", f"none of {hours.hour[-1]}, the reserve's last hour"))
    elif len(last) == STILL and (last == last[-1, 0]).all():
        faults.append(Fault("--candles", f"the last {STILL} repeat one price"))
    if train_to > as_of:
        faults.append(Fault("--train-to", f"{train_to} lies after {as_of}"))
    if faults:
        raise InvalidInput(faults)
