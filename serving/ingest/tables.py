"""Tables between files, other databases and a store."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import pandas as pd

from features.places import counted
from features.table_schemas import ANYWHERE, TABLES, on_grid
from features.tables import Table, read_file
from models.errors import Fault, InvalidInput, InvalidTable
from serving.schemas import requests
from serving.store import frames, open_store
from serving.store.rows import Added

OffGrid = Literal["refuse", "drop"]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Parameters
    ----------
    added
        What was written, and what was held already.
    left_out
        Why each row that the caller did not want was left out.
    """

    added: Added
    left_out: tuple[Fault, ...]


def import_table(
    source: str,
    *,
    store: str,
    table: str,
    now: datetime,
    named: str | None = None,
    given: Sequence[str] = (),
    off_grid: OffGrid = "refuse",
) -> Imported:
    """Write a file, or a table of another database, into a store: all of it or nothing.

    Parameters
    ----------
    source
        CSV or Parquet file, or a database URL.
    named
        Table or view of that database; None for one called like `table`.
    given
        `column=value` for columns that a file does not have.
    off_grid
        What becomes of candles that do not start on a multiple of their length: the whole
        source is refused, or they are left out and told.

    Raises
    ------
    InvalidInput
        Listing every fault of the source, and every row that contradicts the store.
    StoreRefused, StoreFailed
        When the store cannot be opened, or fails.
    """
    schema = _schema(table)
    if off_grid == "drop":
        schema = _anywhere(table)
    if "://" in source:
        file = named or table
        frame = frames.read_database(source, schema, named=file)
    else:
        file = Path(source).name
        frame = read_file(Path(source), schema, given=_pairs(given))
    left_out: tuple[Fault, ...] = ()
    if off_grid == "drop":
        frame, left_out = on_grid(frame, file)
    if table == "positions":
        _refuse_unsound(frame, file)
    opened = open_store(store)
    try:
        with opened.begin() as transaction:
            added = frames.write(transaction, table, frame, file=file, now=now)
            return Imported(added, left_out)
    finally:
        opened.close()


def _refuse_unsound(frame: pd.DataFrame, file: str) -> None:
    """Refuse positions that a request could not hold.

    Raises
    ------
    InvalidTable
        Listing every one.
    """
    faults: list[Fault] = []
    for number, row in enumerate(frames.parsed("positions", frame, file)):
        try:
            requests.account(frames.position(row), f"{file}:{counted(file, number)}")
        except InvalidInput as error:
            faults.extend(error.faults)
    if faults:
        raise InvalidTable(faults)


def export_table(target: Path, *, store: str, table: str) -> int:
    """Write a table of a store to a file and return how many rows it holds.

    Raises
    ------
    InvalidInput
        When there is no such table.
    StoreRefused, StoreFailed
        When the store cannot be opened, or fails.
    """
    _schema(table)
    opened = open_store(store)
    try:
        with opened.read() as transaction:
            frame = frames.read(transaction, table)
    finally:
        opened.close()
    if target.suffix == ".parquet":
        frame.to_parquet(target, index=False)
    else:
        frame.to_csv(target, index=False)
    return len(frame)


def _schema(table: str) -> Table:
    """Return the schema of a table.

    Raises
    ------
    InvalidInput
        When there is none.
    """
    if table not in TABLES:
        raise InvalidInput([Fault("--table", f"{table!r} is not one of {', '.join(TABLES)}")])
    return TABLES[table]


def _anywhere(table: str) -> Table:
    """Return the schema of a table of candles that may start at any time.

    Raises
    ------
    InvalidInput
        When the table holds no candles.
    """
    if table != ANYWHERE.name:
        raise InvalidInput([Fault("--off-grid", f"{table} have no grid; {ANYWHERE.name} have")])
    return ANYWHERE


def _pairs(given: Sequence[str]) -> dict[str, str]:
    """Return columns with their values.

    Raises
    ------
    InvalidInput
        Naming what is not `column=value`.
    """
    faults = [Fault("--set", f"{text!r} is not column=value") for text in given if "=" not in text]
    if faults:
        raise InvalidInput(faults)
    return {name: value for name, _, value in (text.partition("=") for text in given)}
