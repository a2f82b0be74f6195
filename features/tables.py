"""Schemas of the tables that enter Forewarn, and their validation."""

import contextlib
import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from features.places import place
from models.errors import Fault, InvalidTable

Dtype = Literal["time", "text", "number", "exact", "whole"]
Bad = npt.NDArray[np.bool_]
HOUR = 3600
TIMES = "a time such as 2025-04-09T05:00:00Z, 2025-04-09 05:00+02:00 or 2025-04-09"
"""The forms of ISO 8601 that text may have: without an offset UTC, without a time midnight.

A single digit may stand for an hour before ten.

Numbers are no times: they do not say whether they count seconds, milliseconds or days.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name
        As written in the file.
    dtype
        `time` (UTC, as `TIMES` says), `text` (not empty), `number` (finite float64), `exact`
        (decimal text, kept as `decimal.Decimal`) or `whole` (integer of any size, kept as `int`).
    unit
        What one unit means.
    low, high
        Permitted range, inclusive; None for no limit.
    allowed
        The only permitted texts; empty for any.
    is_optional
        Whether the column or a cell may be absent; it is then missing, never filled.
    """

    name: str
    dtype: Dtype
    unit: str
    low: float | None = None
    high: float | None = None
    allowed: tuple[str, ...] = ()
    is_optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table's schema.

    Parameters
    ----------
    name
        What the table is called in messages.
    columns
        Required columns; others are left unread.
    key
        Columns that no two rows may share; empty where repeats are real.
    rules
        What rows must hold beyond their cells; each yields faults of a parsed table.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    rules: tuple[Callable[[pd.DataFrame, str], Iterator[Fault]], ...] = ()


CANDLES = Table(
    name="candles",
    columns=(
        Column(name="symbol", dtype="text", unit="asset"),
        Column(name="open_time", dtype="time", unit="start of the hour, UTC"),
        Column(name="open", dtype="number", unit="quote per base unit", low=5e-324),
        Column(name="high", dtype="number", unit="quote per base unit", low=5e-324),
        Column(name="low", dtype="number", unit="quote per base unit", low=5e-324),
        Column(name="close", dtype="number", unit="quote per base unit", low=5e-324),
        Column(name="volume", dtype="number", unit="base units", low=0.0),
    ),
    key=("symbol", "open_time"),
)


def validate(raw: pd.DataFrame, table: Table, *, file: str) -> pd.DataFrame:
    """Return the table with its columns parsed, or raise with every fault.

    Parameters
    ----------
    raw
        Frame as read; text columns may still be text.
    file
        Name shown in messages, as `place` does. The index of `raw` counts its rows.

    Raises
    ------
    InvalidTable
        Listing every missing column, unreadable or out-of-range cell and repeated key, and
        every row that breaks one of the table's rules. Keys are compared between rows whose
        keys are sound, rules looked at in rows that are.
    """
    faults: list[Fault] = []
    unsound: dict[str, Bad] = {}
    parsed: dict[str, pd.Series] = {}
    for column in table.columns:
        if column.name not in raw.columns and not column.is_optional:
            faults.append(Fault(f"{file}:{column.name}", f"column missing ({column.unit})"))
            continue
        cells = raw.get(column.name, pd.Series(None, index=raw.index, dtype=object))
        values, bad = _PARSERS[column.dtype](cells, column)
        parsed[column.name] = values
        unsound[column.name] = bad & ~_left_out(cells, column)
        faults.extend(_cell_faults(cells, unsound[column.name], column, file))
    whole = pd.DataFrame(parsed)
    if all(name in parsed for name in table.key):
        faults.extend(_repeats(_sound(whole, unsound, table.key), table, file))
    if len(parsed) == len(table.columns):
        sound = _sound(whole, unsound, tuple(parsed))
        faults.extend(fault for rule in table.rules for fault in rule(sound, file))
    if faults:
        raise InvalidTable(faults)
    return whole.reset_index(drop=True)


def _sound(whole: pd.DataFrame, unsound: Mapping[str, Bad], names: Sequence[str]) -> pd.DataFrame:
    """Return the rows that have no unusable cell in some columns."""
    bad = np.zeros(len(whole), dtype=bool)
    for name in names:
        bad |= unsound[name]
    return whole[~bad] if bad.any() else whole


def _left_out(cells: pd.Series, column: Column) -> Bad:
    """Return which cells are absent and may be."""
    if not column.is_optional:
        return np.zeros(len(cells), dtype=bool)
    return np.asarray(cells.isna() | (cells.astype(str) == ""), dtype=bool)


def read_file(path: Path, table: Table, *, given: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Read and validate one file: Parquet by its suffix, CSV otherwise.

    Parameters
    ----------
    given
        Columns that the file does not have, each with the one value that all of its rows share.

    Raises
    ------
    InvalidTable
        When the file is absent, unreadable or breaks the schema, or has a column given.
    """
    raw = read_parquet(path) if path.suffix == ".parquet" else _csv(path)
    shared = given or {}
    faults = [
        Fault(f"{path.name}:{name}", "stands in the file and is given as well")
        for name in shared
        if name in raw.columns
    ]
    if faults:
        raise InvalidTable(faults)
    return validate(raw.assign(**shared), table, file=path.name)


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return some columns of a Parquet file, or all.

    Raises
    ------
    InvalidTable
        When the file is absent or unreadable.
    """
    try:
        read = pd.read_parquet(path, columns=None if columns is None else list(columns))
        # Rows are counted as they stand in the file, whatever index was saved with them.
        return read.reset_index(drop=read.index.name is None)
    except FileNotFoundError:
        raise InvalidTable([Fault(str(path), "file not found")]) from None
    except (OSError, ValueError) as error:
        raise InvalidTable([_unreadable(path, error)]) from None


def _unreadable(path: Path, error: Exception) -> Fault:
    """Return that a file is no Parquet, on one line."""
    hint = "it is named as CSV: " if path.suffix == ".csv" else ""
    detail = " ".join(str(error).split())
    return Fault(str(path), f"not readable as Parquet: {hint}{detail[:200]}")


def read_csv(path: Path, table: Table) -> pd.DataFrame:
    """Read and validate one CSV file.

    Raises
    ------
    InvalidTable
        When the file is absent, unreadable or breaks the schema.
    """
    return validate(_csv(path), table, file=path.name)


def _csv(path: Path) -> pd.DataFrame:
    """Return the frame of a CSV file, every cell as text; its index plus 2 is each row's line.

    Raises
    ------
    InvalidTable
        When the file is absent or unreadable.
    """
    try:
        raw = pd.read_csv(path, dtype=str, keep_default_na=False)
        return raw.set_axis(_rows(path, len(raw)))
    except FileNotFoundError:
        raise InvalidTable([Fault(str(path), "file not found")]) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InvalidTable([Fault(str(path), f"not readable as CSV: {error}")]) from None


def _rows(path: Path, count: int) -> pd.Index:
    """Return by which number each row of a CSV file is told: blank lines and long cells count.

    Parameters
    ----------
    count
        Rows that were read.
    """
    with path.open("rb") as file:
        lines = sum(1 for _ in file)
    if lines == count + 1:
        return pd.RangeIndex(count)
    begin, begins = 1, []
    # A cell may be longer than this reader takes.
    with path.open(encoding="utf-8-sig", newline="") as file, contextlib.suppress(csv.Error):
        reader = csv.reader(file)
        for cells in reader:
            if len(cells) > 1 or any(cell.strip() for cell in cells):
                begins.append(begin - 2)
            begin = reader.line_num + 1
    # The first is the header.
    return pd.Index(begins[1:]) if len(begins) == count + 1 else pd.RangeIndex(count)


def symbols(path: Path) -> list[str]:
    """Return the assets of a file of candles, sorted; none where there is no file.

    Raises
    ------
    InvalidTable
        When the file is unreadable.
    """
    try:
        names = pq.read_table(path, columns=["symbol"])["symbol"].unique().to_pylist()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise InvalidTable([_unreadable(path, error)]) from None
    return sorted(str(name) for name in names)


def read_candles(
    path: Path, *, symbols: Sequence[str], step: int = HOUR
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read and validate candles from Parquet, hourly ones unless told otherwise.

    Parameters
    ----------
    symbols
        Assets to keep.
    step
        Seconds of one candle.

    Returns
    -------
    tuple[pandas.DataFrame, dict[str, int]]
        The candles, and how many rows each stated rule dropped: a candle that does not
        start on the hour overlaps two hours and belongs to neither.

    Raises
    ------
    InvalidTable
        When the file is absent, unreadable or breaks the schema, or a symbol is missing.
    """
    return on_grid(read_parquet(path), symbols=symbols, file=path.name, step=step)


def on_grid(
    raw: pd.DataFrame,
    *,
    symbols: Sequence[str],
    file: str,
    step: int = HOUR,
    table: Table = CANDLES,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Validate candles and return those on the grid, as `read_candles` does of a file.

    Parameters
    ----------
    file
        What to call them in messages.
    table
        Their schema.
    """
    if "symbol" in raw.columns:
        raw = raw[raw["symbol"].isin(list(symbols))]
    there = set(raw["symbol"].astype(str)) if "symbol" in raw.columns else set(symbols)
    faults = [
        Fault(f"{file}:symbol", f"no candles of {symbol}")
        for symbol in symbols
        if symbol not in there
    ]
    try:
        candles = validate(raw, replace(table, rules=(*table.rules, range_faults)), file=file)
    except InvalidTable as error:
        raise InvalidTable([*error.faults, *faults]) from None
    if faults:
        raise InvalidTable(faults)
    off = is_off_grid(candles["open_time"], pd.Series(step, index=candles.index))
    on_grid_rows = candles[~off].reset_index(drop=True)
    place = "the hour" if step == HOUR else f"a multiple of {step} s"
    return on_grid_rows, {f"candles that do not start on {place}": int(off.sum())}


def is_off_grid(open_time: pd.Series, step: pd.Series) -> Bad:
    """Return which candles do not start on a multiple of their length, in seconds.

    Such a candle overlaps two places of the grid and belongs to neither.
    """
    second = open_time.dt.floor("s")
    off = second.astype("datetime64[s, UTC]").astype("int64") % step.astype("int64") != 0
    return np.asarray(off | (second != open_time), dtype=np.bool_)


def range_faults(candles: pd.DataFrame, file: str) -> Iterator[Fault]:
    """Yield candles whose range does not hold their ends."""
    body = candles[["open", "close"]]
    holds = (candles["low"] <= body.min(axis=1)) & (candles["high"] >= body.max(axis=1))
    for row in candles.index[~holds]:
        yield Fault(place(file, "low,high", int(row)), "range does not hold open and close")


def _cell_faults(raw: pd.Series, bad: Bad, column: Column, file: str) -> Iterator[Fault]:
    """Yield one fault per unusable cell."""
    permitted: str = TIMES if column.dtype == "time" else column.dtype
    if column.allowed:
        permitted = f"one of {', '.join(column.allowed)}"
    if column.low is not None or column.high is not None:
        permitted = f"{column.dtype} in [{column.low}, {column.high}]"
    for row in np.flatnonzero(bad).tolist():
        yield Fault(
            place(file, column.name, int(raw.index[row])),
            f"{str(raw.iloc[row])[:80]!r} is not {permitted} ({column.unit})",
        )


def _repeats(parsed: pd.DataFrame, table: Table, file: str) -> Iterator[Fault]:
    """Yield one fault per row whose key stood before."""
    if not table.key:
        return
    keys = parsed[list(table.key)]
    for row in np.flatnonzero(keys.duplicated().to_numpy()).tolist():
        shown = ", ".join(str(value) for value in keys.iloc[row])
        where = place(file, ",".join(table.key), int(keys.index[row]))
        yield Fault(where, f"({shown}) stands twice")


def _out_of_range(values: pd.Series, column: Column) -> pd.Series:
    """Return which values lie outside the column's range."""
    bad = pd.Series(data=False, index=values.index)
    if column.low is not None:
        bad |= values < column.low
    if column.high is not None:
        bad |= values > column.high
    return bad


def _parse_time(raw: pd.Series, _: Column) -> tuple[pd.Series, Bad]:
    """Parse UTC times: timestamps, and text of one of the forms of ISO."""
    if pd.api.types.is_datetime64_any_dtype(raw):
        cells = raw
    else:
        cells = raw.astype(object).map(lambda cell: cell if _is_time(cell) else None)
    values = pd.to_datetime(cells, utc=True, errors="coerce", format="ISO8601")
    inside = (values >= _EARLIEST) & (values <= _LATEST)
    values = values.where(inside).astype("datetime64[ns, UTC]")
    return values, values.isna().to_numpy()


def _is_time(cell: object) -> bool:
    """Return whether a cell tells a time without a guess."""
    if isinstance(cell, str):
        return _ISO.fullmatch(cell) is not None
    return isinstance(cell, date)


def _parse_text(raw: pd.Series, column: Column) -> tuple[pd.Series, Bad]:
    """Parse names; one that is absent is None."""
    values = raw.astype(object)
    if isinstance(raw.dtype, pd.StringDtype):  # a name stands in many rows: each is read once
        blank = [name for name in raw.dropna().unique() if not name.strip()]
        absent, names = raw.isna() | raw.isin(blank), values
    else:
        absent = values.isna() | values.map(lambda value: not str(value).strip())
        names = values.map(str).astype(object)
    named = names.where(~absent, None)
    bad = absent | ~named.isin(column.allowed) if column.allowed else absent
    return named, bad.to_numpy(dtype=bool)


def _parse_number(raw: pd.Series, column: Column) -> tuple[pd.Series, Bad]:
    """Parse finite floats."""
    values = pd.to_numeric(raw, errors="coerce").astype("float64")
    bad = ~np.isfinite(values) | _out_of_range(values, column)
    return values, bad.to_numpy()


def _parse_exact(raw: pd.Series, column: Column) -> tuple[pd.Series, Bad]:
    """Parse finite decimals without rounding."""
    values = raw.map(_decimal).astype(object)
    missing = values.isna().to_numpy()
    bad = missing.copy()
    bad[~missing] |= _out_of_range(values[~missing], column).to_numpy(dtype=bool)
    return values, bad


def _decimal(text: object) -> Decimal | None:
    """Return a finite decimal, or None."""
    try:
        value = Decimal(str(text).strip())
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def _parse_whole(raw: pd.Series, column: Column) -> tuple[pd.Series, Bad]:
    """Parse integers of any size; one that is absent is None."""
    values = raw.map(_integer).astype(object)
    missing = values.isna().to_numpy()
    bad = missing.copy()
    bad[~missing] |= _out_of_range(values[~missing], column).to_numpy(dtype=bool)
    return values.where(~values.isna(), None), bad


def _integer(cell: object) -> int | None:
    """Return an integer that is written as one, or None."""
    text = str(cell).strip()
    return int(text) if _WHOLE.fullmatch(text) else None


_WHOLE = re.compile(r"-?[0-9]{1,100}")
_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?)?", re.ASCII
)
_EARLIEST, _LATEST = (pd.Timestamp(year, 1, 1, tz="UTC") for year in (1700, 2262))
_PARSERS: dict[Dtype, Callable[[pd.Series, Column], tuple[pd.Series, Bad]]] = {
    "time": _parse_time,
    "text": _parse_text,
    "number": _parse_number,
    "exact": _parse_exact,
    "whole": _parse_whole,
}
