"""The market around a book: from a directory of tables, or from a store."""

import dataclasses
import hashlib
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from features.table_schemas import TABLES
from features.tables import read_file
from models.errors import Fault, InvalidInput, InvalidTable
from serving.application.stored_market import stored_snapshot
from serving.evaluation.inputs import MarketSnapshot
from serving.store import Store, frames, market, open_store

ACCOUNTS = frozenset({"positions", "events", "liquidations"})
"""Tables of accounts, of which a market has none."""

READ = tuple(name for name in TABLES if name not in ACCOUNTS)
SUFFIXES = (".parquet", ".csv")


def read(where: str, *, at: datetime | None, now: datetime) -> MarketSnapshot:
    """Return the market of a directory or of a store at a moment.

    Parameters
    ----------
    where
        Directory with `prices.csv`, `candles.parquet` and the like, which `forewarn import` takes
        and `forewarn export` writes; or the URL of a store.
    at
        Moment of the question; None for the time of the store, and of a directory for that of its
        newest price.

    Raises
    ------
    InvalidInput
        Listing every fault of the files.
    StoreRefused, StoreFailed
        When the store cannot be opened, or fails.
    """
    if "://" in where:
        store = open_store(where)
        try:
            return _snapshot(store, at=at, now=now)
        finally:
            store.close()
    with tempfile.TemporaryDirectory() as directory:
        store = open_store(f"sqlite:///{directory}/market.sqlite3")
        try:
            newest = _fill(store, Path(where), now=now)
            return _snapshot(store, at=at or newest, now=now)
        finally:
            store.close()


def _fill(store: Store, directory: Path, *, now: datetime) -> datetime | None:
    """Write the tables of a directory into a store; return the time of the newest price."""
    files = [
        (name, path)
        for name in READ
        for suffix in SUFFIXES
        if (path := directory / f"{name}{suffix}").is_file()
    ]
    if not files:
        names = ", ".join(READ)
        raise InvalidTable([Fault(str(directory), f"holds none of {names}: .parquet or .csv")])
    faults: list[Fault] = []
    newest: datetime | None = None
    with store.begin() as transaction:
        for name, path in files:
            try:
                frame = read_file(path, TABLES[name])
                frames.write(transaction, name, frame, file=path.name, now=now)
            except InvalidInput as error:
                faults.extend(error.faults)
                continue
            if name == "prices" and len(frame):
                newest = frame["observed_at"].max().to_pydatetime()
    if faults:
        raise InvalidTable(faults)
    return newest


def _snapshot(store: Store, *, at: datetime | None, now: datetime) -> MarketSnapshot:
    """Return all that a store knows of markets at a moment."""
    with store.read() as transaction:
        moment = at or market.clock(transaction, now=now)
        assets = market.assets(transaction)
        return stored_snapshot(transaction, at=moment, assets=assets)


def digest(around: MarketSnapshot) -> str:
    """Return a hash of everything that a market says, the same in every process."""
    hasher = hashlib.sha256()
    names = ("at", "prices", "markets", "market_tables", "simulated", "pegged", "mismatches")
    for name in (*names, "unread"):
        _feed(hasher, getattr(around, name))
    return hasher.hexdigest()


def _feed(hasher: Any, value: Any) -> None:
    """Add a value to a hash, with its kind and its length, so that no two values run together."""
    if isinstance(value, np.ndarray):
        hasher.update(f"{value.dtype}{value.shape}".encode())
        hasher.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        hasher.update(f"{{{len(value)}".encode())
        for key in sorted(value, key=repr):
            _feed(hasher, key)
            _feed(hasher, value[key])
    elif isinstance(value, frozenset | tuple | list):
        hasher.update(f"[{len(value)}".encode())
        for part in sorted(value, key=repr) if isinstance(value, frozenset) else value:
            _feed(hasher, part)
    elif dataclasses.is_dataclass(value):
        hasher.update(type(value).__name__.encode())
        for field in dataclasses.fields(value):
            if field.compare:  # what is worked out once and kept says nothing more
                _feed(hasher, getattr(value, field.name))
    else:
        hasher.update(f"{value!r};".encode())
