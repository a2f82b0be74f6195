"""Reads the files from which feature frames are built on the command line.

A directory of market data holds Parquet files, told apart by the ends of their names:
`spot_1h` (or `candles`), `perp_1h` and `mark_1h` are hourly candles (`symbol`, `open_time`,
`open`, `high`, `low`, `close`, and `volume` but for marks). Candles of another length stand for
an hour's where asked for: `spot_5m`, `perp_5m`, `mark_5m`. `funding` holds `symbol`, `time`,
`funding_rate` as exchanges record them. Whatever `forewarn export` writes is read as well:
`candles` with their `kind` and `step`, `funding`, `open_interest`, `oracle_rounds`, `reserves`.
A directory of moments is what `forewarn moments` writes.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from features import point_in_time, table_schemas
from features.inputs import (
    HOUR,
    MOMENTS,
    Candles,
    Events,
    PointInTimeSeries,
    Tables,
    candles_on_grid,
    no_events,
    seconds,
)
from features.tables import CANDLES, Column, Table, on_grid, read_parquet, validate
from models.errors import Fault, InvalidTable
from models.events import EventKind

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
RECORDED: Mapping[str, str] = {"symbol": "asset", "time": "at", "funding_rate": "rate"}
"""What the columns of an exchange's record of funding are called in a store."""

MARKS = Table(
    name="marks",
    columns=tuple(column for column in CANDLES.columns if column.name != "volume"),
    key=CANDLES.key,
)
PERPETUALS = Table(
    name="perpetuals",
    columns=tuple(
        replace(column, is_optional=column.name == "volume") for column in CANDLES.columns
    ),
    key=CANDLES.key,
)
KINDS = Table(
    name="candles",
    columns=tuple(
        column for column in table_schemas.CANDLES.columns if column.name in {"kind", "step"}
    ),
)
"""What tells the candles of a store apart."""

_SCHEMAS: Mapping[str, Table] = {"perp": PERPETUALS, "mark": MARKS}
EVENTS = Table(
    name="events",
    columns=(
        Column(name="account", dtype="text", unit="account"),
        Column(name="at", dtype="time", unit="time of the event, UTC"),
        Column(
            name="kind",
            dtype="number",
            unit="models.events.EventKind",
            low=min(EventKind),
            high=max(EventKind),
        ),
        Column(name="collateral_before", dtype="number", unit="whole units"),
        Column(name="debt_before", dtype="number", unit="whole debt shares"),
    ),
)

TIMES = Table(
    name="moments",
    columns=(
        Column(name="at", dtype="time", unit=MOMENTS["at"]),
        Column(name="opened_at", dtype="time", unit=MOMENTS["opened_at"], is_optional=True),
    ),
)
"""The columns of moments that are read as times."""


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
    spot, dropped = _candles(directory, "spot", step=step)
    if not spot:
        where = f"{directory}/*spot_{LENGTHS[step]}.parquet"
        raise InvalidTable([Fault(where, "file not found")])
    tables, others = read_beside(directory, step=step)
    counts = {rule: count + others.get(rule, 0) for rule, count in dropped.items()}
    return replace(tables, candles=spot, funding=_funding(directory)), counts


def read_beside(directory: Path, *, step: int = HOUR) -> tuple[Tables, dict[str, int]]:
    """Read what stands beside spot candles and funding; what has no file is absent.

    Returns
    -------
    tuple[Tables, dict[str, int]]
        As `read_market` does.

    Raises
    ------
    InvalidTable
        When a file breaks its schema.
    """
    perpetuals, dropped = _candles(directory, "perp", step=step)
    marks, others = _candles(directory, "mark", step=step)
    reserves = _rows(directory, table_schemas.RESERVES, time="at")
    tables = Tables(
        candles={},
        events=no_events(),
        perpetuals=perpetuals,
        marks=marks,
        open_interest=point_in_time.open_interest(
            _rows(directory, table_schemas.OPEN_INTEREST, time="at")
        ),
        rounds=point_in_time.rounds(
            _rows(directory, table_schemas.ORACLE_ROUNDS, time="updated_at")
        ),
        utilisation=point_in_time.utilisation(reserves),
        liquidity=point_in_time.liquidity(reserves),
    )
    return tables, dict(Counter(dropped) + Counter(others))


def _file_ending(directory: Path, end: str) -> Path | None:
    """Return the one file whose name ends so, or None."""
    files = sorted(directory.glob(f"*{end}.parquet"))
    if len(files) > 1:
        shown = ", ".join(file.name for file in files)
        raise InvalidTable([Fault(str(directory), f"more than one file for {end}: {shown}")])
    return files[0] if files else None


def _candles(directory: Path, kind: str, *, step: int) -> tuple[dict[str, Candles], dict[str, int]]:
    """Return candles of a kind by asset, none without a file, and what each rule dropped."""
    raws = dict(_raw_candles(directory, kind, step=step))
    if not raws:
        return {}, {}
    if len(raws) > 1:
        detail = f"more than one file for {kind}_{LENGTHS[step]}: {', '.join(raws)}"
        raise InvalidTable([Fault(str(directory), detail)])
    file, raw = next(iter(raws.items()))
    names = raw["symbol"].astype(str).unique() if "symbol" in raw.columns else ()
    frame, dropped = on_grid(
        raw, symbols=sorted(names), file=file, step=step, table=_SCHEMAS.get(kind, CANDLES)
    )
    return candles_on_grid(frame, step=step), dropped


def _raw_candles(directory: Path, kind: str, *, step: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the names of the files that hold candles of a kind, with those rows."""
    kind_file, shared_file = (
        _file_ending(directory, f"{kind}_{LENGTHS[step]}"),
        _file_ending(directory, "candles"),
    )
    if kind_file is not None:
        yield kind_file.name, read_parquet(kind_file)
    if shared_file is None:
        return
    if "kind" in pq.read_schema(shared_file).names:
        raw = read_parquet(shared_file)
        kinds = validate(raw, KINDS, file=shared_file.name)
        raw = raw[((kinds["kind"] == kind) & (kinds["step"] == step)).to_numpy()]
        if len(raw):
            yield shared_file.name, raw
    elif (kind, step) == ("spot", HOUR):
        yield shared_file.name, read_parquet(shared_file)


def _table(path: Path, table: Table) -> pd.DataFrame:
    """Return a validated table."""
    return validate(read_parquet(path), table, file=path.name)


def _rows(directory: Path, table: Table, *, time: str) -> list[point_in_time.Row]:
    """Return the rows of a table, oldest first; none where the directory has no such file."""
    path = _file_ending(directory, table.name)
    if path is None:
        return []
    return _ordered(_table(path, table), time)


def _ordered(frame: pd.DataFrame, time: str) -> list[point_in_time.Row]:
    """Return rows, oldest first."""
    ordered = frame.sort_values(time, kind="stable").to_dict("records")
    return [{str(name): cell for name, cell in row.items()} for row in ordered]


def _funding(directory: Path) -> dict[str, PointInTimeSeries]:
    """Return funding by asset, in the columns of a store or of an exchange's record."""
    path = _file_ending(directory, table_schemas.FUNDING.name)
    if path is None:
        return {}
    raw = read_parquet(path)
    if "asset" in raw.columns:
        return point_in_time.funding(
            _ordered(validate(raw, table_schemas.FUNDING, file=path.name), "at")
        )
    recorded = validate(raw, FUNDING, file=path.name).rename(columns=RECORDED)
    return point_in_time.funding(_ordered(recorded, "at"))


def read_moments(directory: Path) -> Moments:
    """Read moments, events and legs.

    Raises
    ------
    InvalidTable
        When a file is absent, or times of moments or the events break their schema.
    """
    missing = [
        Fault(str(directory / name), "file not found")
        for name in ("moments.parquet", "events.parquet")
        if not (directory / name).is_file()
    ]
    if missing:
        raise InvalidTable(missing)
    faults: list[Fault] = []
    read = []
    for name, table in (("moments.parquet", TIMES), ("events.parquet", EVENTS)):
        try:
            read.append(_table(directory / name, table))
        except InvalidTable as error:
            faults.extend(error.faults)
    if faults:
        raise InvalidTable(faults)
    times, log = read[0], read[1].sort_values(["account", "at"], kind="stable")
    moments = read_parquet(directory / "moments.parquet")
    legs = directory / "legs.parquet"
    return Moments(
        moments=moments.assign(**{str(name): times[name] for name in times if name in moments}),
        events=Events(
            account=log["account"].to_numpy(dtype=object),
            at=seconds(log["at"]),
            kind=log["kind"].to_numpy(dtype=np.int64),
            collateral_before=log["collateral_before"].to_numpy(dtype=np.float64),
            debt_before=log["debt_before"].to_numpy(dtype=np.float64),
        ),
        legs=read_parquet(legs) if legs.is_file() else None,
    )


def write_moments(account_moments: Moments, directory: Path) -> None:
    """Write moments, events and legs as Parquet."""
    directory.mkdir(parents=True, exist_ok=True)
    account_moments.moments.to_parquet(directory / "moments.parquet", index=False)
    log = account_moments.events
    pd.DataFrame(
        {
            "account": log.account.astype(str),
            "at": pd.to_datetime(log.at, unit="s", utc=True).as_unit("ns"),
            "kind": log.kind,
            "collateral_before": log.collateral_before,
            "debt_before": log.debt_before,
        }
    ).to_parquet(directory / "events.parquet", index=False)
    if account_moments.legs is not None:
        account_moments.legs.to_parquet(directory / "legs.parquet", index=False)
