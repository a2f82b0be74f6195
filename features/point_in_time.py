"""From rows of stored tables to the readings that features take, each from when it was known.

Rows are of `FUNDING`, `OPEN_INTEREST`, `ORACLE_ROUNDS` and `RESERVES` in `features.table_schemas`,
oldest first. One treatment for files and for the store.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

from features.inputs import PointInTimeSeries

K = TypeVar("K", bound=Hashable)
QUOTE = "USD"
Row = Mapping[str, Any]
SECOND = timedelta(seconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def funding(rows: Iterable[Row]) -> dict[str, PointInTimeSeries]:
    """Return the rates that longs paid, by asset."""
    return _readings(rows, _asset, "at", lambda row: row["rate"])


def open_interest(rows: Iterable[Row]) -> dict[str, PointInTimeSeries]:
    """Return open interest in base units, by asset."""
    return _readings(rows, _asset, "at", lambda row: row["amount"])


def feed(asset: str) -> str:
    """Return the name of the oracle's feed of an asset."""
    return f"{asset}/{QUOTE}"


def rounds(rows: Iterable[Row]) -> dict[str, PointInTimeSeries]:
    """Return an oracle's answers in quote units, by asset: those of the feeds `ASSET/USD`."""
    usd_rows = (row for row in rows if str(row["feed"]).endswith(feed("")))
    return _readings(usd_rows, _fed, "updated_at", _quoted)


def utilisation(rows: Iterable[Row]) -> dict[tuple[str, str], PointInTimeSeries]:
    """Return the share lent out, by venue and asset; a reserve without deposits has none."""
    used = (row for row in rows if row["supplied"] > 0.0)
    return _readings(used, _reserve, "at", lambda row: row["borrowed"] / row["supplied"])


def liquidity(rows: Iterable[Row]) -> dict[tuple[str, str], PointInTimeSeries]:
    """Return what a reserve can still pay out in quote units, by venue and asset."""
    return _readings(rows, _reserve, "at", lambda row: row["supplied"] - row["borrowed"])


def _readings(
    rows: Iterable[Row], key: Callable[[Row], K], time: str, value: Callable[[Row], float]
) -> dict[K, PointInTimeSeries]:
    """Return values per key, each from the whole second at which it was known."""
    grouped: dict[K, list[Row]] = {}
    for row in rows:
        grouped.setdefault(key(row), []).append(row)
    return {
        group: PointInTimeSeries(
            at=np.array([-(-(row[time] - EPOCH) // SECOND) for row in entries], dtype=np.int64),
            value=np.array([value(row) for row in entries], dtype=np.float64),
        )
        for group, entries in grouped.items()
    }


def _asset(row: Row) -> str:
    """Return the asset of a row."""
    return str(row["asset"])


def _fed(row: Row) -> str:
    """Return the asset whose price a feed tells."""
    return str(row["feed"]).removesuffix(feed(""))


def _quoted(row: Row) -> float:
    """Return an oracle's answer in quote units."""
    return float(Fraction(row["answer"], 10 ** row["decimals"]))


def _reserve(row: Row) -> tuple[str, str]:
    """Return venue and asset of a reserve."""
    return str(row["venue"]), str(row["asset"])
