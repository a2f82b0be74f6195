"""Reads the files from which feature frames are built on the command line.

A directory of market data holds Parquet files, told apart by the ends of their names:
`spot_1h` (or `candles`), `perp_1h` and `mark_1h` are hourly candles (`symbol`, `open_time`,
`open`, `high`, `low`, `close`, and `volume` but for marks), `funding` holds `symbol`,
`time`, `funding_rate`. Candles of another length stand for an hour's where asked for: `spot_5m`,
`perp_5m`, `mark_5m`. `open_interest`, `oracle_rounds` and `reserves` are tables as a store
exports them. A directory of moments is what `forewarn moments` writes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from features import known, stored
from features.inputs import (
    HOUR,
    Candles,
    Events,
    Readings,
    Tables,
    candles_on_grid,
    no_events,
    seconds,
)
from features.tables import CANDLES, Column, Table, read_candles, validate
from models.errors import Fault, InvalidTable

LENGTHS: Mapping[int, str] = {60: "1m", 300: "5m", 900: "15m", 1800: "30m", HOUR: "1h"}
"""What candles of so many seconds are called in names of files."""

FUNDING = Table(
    name="funding",
    columns=(
        Column(name="symbol", dtype="text", unit="asset"),
        Column(name="time", dtype="time", unit="time of payment, UTC"),
        Column(name="funding_rate", dtype="number", unit="fraction of the notional"),
    ),
    key=("symbol", "time"),
)
MARKS = Table(
    name="marks",
    columns=tuple(column for column in CANDLES.columns if column.name != "volume"),
    key=CANDLES.key,
)
EVENTS = Table(
    name="events",
    columns=(
        Column(name="account", dtype="text", unit="account"),
        Column(name="at", dtype="time", unit="time of the event, UTC"),
        Column(name="kind", dtype="number", unit="features.inputs.EventKind", low=0, high=4),
        Column(name="collateral_before", dtype="number", unit="whole units"),
        Column(name="debt_before", dtype="number", unit="whole debt shares"),
    ),
)


@dataclass(frozen=True, slots=True)
class Moments:
    """Account moments with the events and legs that belong to them."""

    moments: pd.DataFrame
    events: Events
    legs: pd.DataFrame | None


def read_market(directory: Path, *, step: int = HOUR) -> tuple[Tables, dict[str, int]]:
    """Read a directory of market data.

    Parameters
    ----------
    step
        Seconds of the candles that are read; one of `LENGTHS`.

    Returns
    -------
    tuple[Tables, dict[str, int]]
        Tables without events, and how many rows each stated rule dropped.

    Raises
    ------
    InvalidTable
        When there are no spot candles, or a file breaks its schema.
    """
    if step not in LENGTHS:
        raise InvalidTable(
            [Fault("--step", f"{step} is not one of {', '.join(map(str, LENGTHS))}")]
        )
    length = LENGTHS[step]
    ends = (f"spot_{length}", *(["candles"] if step == HOUR else []))
    spot = _found(directory, ends)
    if spot is None:
        where = f"{directory}/*{ends[0]}.parquet"
        raise InvalidTable([Fault(where, "file not found")])
    candles, dropped = _candles(spot, step)
    perpetual, mark, funding = (
        _found(directory, (end,)) for end in (f"perp_{length}", f"mark_{length}", "funding")
    )
    perpetuals, others = ({}, {}) if perpetual is None else _candles(perpetual, step)
    reserves = _rows(directory, stored.RESERVES, time="at")
    tables = Tables(
        candles=candles,
        events=no_events(),
        perpetuals=perpetuals,
        marks={} if mark is None else candles_on_grid(_table(mark, MARKS), step=step),
        funding={} if funding is None else _readings(_table(funding, FUNDING)),
        open_interest=known.open_interest(_rows(directory, stored.OPEN_INTEREST, time="at")),
        rounds=known.rounds(_rows(directory, stored.ORACLE_ROUNDS, time="updated_at")),
        utilisation=known.utilisation(reserves),
        liquidity=known.liquidity(reserves),
    )
    return tables, {rule: dropped[rule] + others.get(rule, 0) for rule in dropped}


def _found(directory: Path, ends: tuple[str, ...]) -> Path | None:
    """Return the one file whose name ends so, or None."""
    files = [file for end in ends for file in sorted(directory.glob(f"*{end}.parquet"))]
    if len(files) > 1:
        shown = ", ".join(file.name for file in files)
        raise InvalidTable([Fault(str(directory), f"more than one file for {ends[0]}: {shown}")])
    return files[0] if files else None


def _candles(path: Path, step: int) -> tuple[dict[str, Candles], dict[str, int]]:
    """Return candles by asset."""
    symbols = pd.read_parquet(path, columns=["symbol"])["symbol"].astype(str).unique()
    frame, dropped = read_candles(path, symbols=sorted(symbols), step=step)
    return candles_on_grid(frame, step=step), dropped


def _table(path: Path, table: Table) -> pd.DataFrame:
    """Return a validated table."""
    return validate(pd.read_parquet(path), table, file=path.name)


def _rows(directory: Path, table: Table, *, time: str) -> list[known.Row]:
    """Return the rows of a table, oldest first; none where the directory has no such file."""
    path = _found(directory, (table.name,))
    if path is None:
        return []
    frame = _table(path, table).sort_values(time, kind="stable")
    return [{str(name): cell for name, cell in row.items()} for row in frame.to_dict("records")]


def _readings(frame: pd.DataFrame) -> Mapping[str, Readings]:
    """Return funding by asset, in the order of payment."""
    found = {}
    for symbol, rows in frame.sort_values("time", kind="stable").groupby("symbol"):
        rate = rows["funding_rate"].to_numpy(dtype=np.float64)
        found[str(symbol)] = Readings(seconds(rows["time"]), rate)
    return found


def read_moments(directory: Path) -> Moments:
    """Read moments, events and legs.

    Raises
    ------
    InvalidTable
        When a file is absent or the events break their schema.
    """
    missing = [
        Fault(str(directory / name), "file not found")
        for name in ("moments.parquet", "events.parquet")
        if not (directory / name).is_file()
    ]
    if missing:
        raise InvalidTable(missing)
    log = _table(directory / "events.parquet", EVENTS).sort_values(["account", "at"], kind="stable")
    legs = directory / "legs.parquet"
    return Moments(
        moments=pd.read_parquet(directory / "moments.parquet"),
        events=Events(
            account=log["account"].to_numpy(dtype=object),
            at=seconds(log["at"]),
            kind=log["kind"].to_numpy(dtype=np.int64),
            collateral_before=log["collateral_before"].to_numpy(dtype=np.float64),
            debt_before=log["debt_before"].to_numpy(dtype=np.float64),
        ),
        legs=pd.read_parquet(legs) if legs.is_file() else None,
    )


def write_moments(told: Moments, directory: Path) -> None:
    """Write moments, events and legs as Parquet."""
    directory.mkdir(parents=True, exist_ok=True)
    told.moments.to_parquet(directory / "moments.parquet", index=False)
    log = told.events
    pd.DataFrame(
        {
            "account": log.account.astype(str),
            "at": pd.to_datetime(log.at, unit="s", utc=True).as_unit("ns"),
            "kind": log.kind,
            "collateral_before": log.collateral_before,
            "debt_before": log.debt_before,
        }
    ).to_parquet(directory / "events.parquet", index=False)
    if told.legs is not None:
        told.legs.to_parquet(directory / "legs.parquet", index=False)
