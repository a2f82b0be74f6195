"""Hourly sums of one Aave reserve, with what is wrong in the record treated as stated.

A row is written at the end of an hour and belongs to the hour it ends in. Rows that carry an
earlier moment on (the same timestamp again) are dropped, or their liquidations would count
twice. An hour without a row had no activity: nothing was liquidated. A stretch of more than
`LONGEST_CALM` hours without one is missing, not calm: its hours are unknown.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from features.tables import read_candles
from models.book.reserve import Hours
from models.errors import Fault, InvalidInput, InvalidTable

ASSET = "ETH"
COLUMNS = ("timestamp", "supplied_USD", "borrowed_USD", "liquidations")
LONGEST_CALM = 100
"""Hours without a row; the longest true calm of the record is far shorter."""


@dataclass(frozen=True, slots=True)
class Record:
    """A reserve's hours beside its market's, and how the file was treated.

    Parameters
    ----------
    hours
        From the first candle to the last hour of the reserve.
    begins
        Start of the reserve's first hour.
    repeated
        Rows dropped that repeat a timestamp, of those read.
    calm
        Hours without a row, taken as hours in which nothing was liquidated.
    gaps
        Start of the first and of the last hour of each unknown stretch.
    quarters
        USD liquidated by quarter, `2021Q2` and so on.
    """

    hours: Hours
    begins: pd.Timestamp
    repeated: int
    calm: int
    gaps: tuple[tuple[pd.Timestamp, pd.Timestamp], ...]
    quarters: dict[str, float]


def read(data: Path, candles: Path, *, until: pd.Timestamp | None = None) -> Record:
    """Read a reserve's file and its market's candles.

    Parameters
    ----------
    data
        Parquet file with `timestamp` in seconds and USD columns.
    candles
        Parquet file of hourly candles that holds the asset.
    until
        Hours that start here or later are not read.

    Raises
    ------
    InvalidTable
        A file that is absent, unreadable or breaks its schema.
    InvalidInput
        Columns that are missing, amounts that are negative or no number, two rows that
        differ at one timestamp: all of them. No row or no candle in the time that is read.
    """
    raw = _raw(data)
    if until is not None:
        raw = raw[raw["timestamp"] < until.timestamp()]
    if raw.empty:
        raise InvalidInput([Fault(data.name, f"has no row before {until}")])
    rows = raw.drop_duplicates("timestamp")
    start = pd.to_datetime(rows["timestamp"], unit="s", utc=True).dt.floor("h")
    by_hour = rows.assign(hour=start).groupby("hour")
    sums = by_hour["liquidations"].sum()
    supplied = by_hour["supplied_USD"].last()
    frame, _ = read_candles(candles, symbols=[ASSET])
    bars = frame.set_index("open_time").sort_index()
    if bars.index[0] > sums.index[-1]:
        raise InvalidInput([Fault(candles.name, f"begins after the last row, {sums.index[-1]}")])
    hour = pd.date_range(bars.index[0].floor("h"), sums.index[-1], freq="h", tz="UTC")
    bars, gaps = bars.reindex(hour), _gaps(pd.DatetimeIndex(sums.index))
    liquidated = sums.reindex(hour)
    is_calm = liquidated.isna() & (hour >= sums.index[0])
    for first, last in gaps:
        is_calm[first:last] = False
    liquidated[is_calm] = 0.0
    return Record(
        Hours(
            hour,
            bars["close"].to_numpy(dtype=np.float64),
            bars["high"].to_numpy(dtype=np.float64),
            bars["low"].to_numpy(dtype=np.float64),
            liquidated.to_numpy(dtype=np.float64),
            supplied.reindex(hour).to_numpy(dtype=np.float64),
        ),
        sums.index[0],
        len(raw) - len(rows),
        int(is_calm.sum()),
        gaps,
        _quarters(sums),
    )


def _raw(data: Path) -> pd.DataFrame:
    try:
        raw = pd.read_parquet(data)
    except (OSError, ValueError) as error:
        raise InvalidTable([Fault(str(data), f"cannot be read: {error}")]) from None
    missing = [Fault(f"{data.name}:{name}", "is missing") for name in COLUMNS if name not in raw]
    if missing:
        raise InvalidInput(missing)
    faults = []
    for name in COLUMNS:
        bad = ~(raw[name] >= 0.0) | ~np.isfinite(raw[name])
        faults += [
            Fault(f"{data.name}:{name}:{row}", f"{raw[name].iloc[row]} is no amount from 0 on")
            for row in np.flatnonzero(bad)
        ]
    differing = raw.groupby("timestamp")["liquidations"].nunique()
    faults += [
        Fault(f"{data.name}:timestamp", f"{at:.0f} stands with different liquidations")
        for at in differing[differing > 1].index
    ]
    if raw.empty:
        faults.append(Fault(data.name, "has no rows"))
    if faults:
        raise InvalidInput(faults)
    return raw.sort_values("timestamp", ignore_index=True)


def _gaps(hours: pd.DatetimeIndex) -> tuple[tuple[pd.Timestamp, pd.Timestamp], ...]:
    hour = pd.Timedelta(hours=1)
    steps = np.flatnonzero(np.diff(hours) > pd.Timedelta(hours=LONGEST_CALM))
    return tuple((hours[place] + hour, hours[place + 1] - hour) for place in steps.tolist())


def _quarters(sums: pd.Series) -> dict[str, float]:
    quarter = pd.DatetimeIndex(sums.index).tz_localize(None).to_period("Q")
    return {str(name): float(total) for name, total in sums.groupby(quarter).sum().items()}
