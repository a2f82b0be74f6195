"""The command `forewarn features`."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa
import typer
from pyarrow import parquet
from rich.console import Console
from rich.table import Table as Shown

from features.document import COVERAGE, document, read_coverage, shown
from features.files import read_market, read_moments
from features.frames import Engine, account_frames, market_frames, present
from features.inputs import HOUR, seconds
from features.pipeline import BY_NAME, compute
from models.errors import ForewarnError

app = typer.Typer(no_args_is_help=True)
HERE = Path(__file__).parent


class EngineName(StrEnum):
    """Where a frame is computed."""

    PROCESS = "process"
    DASK = "dask"


@dataclass(frozen=True, slots=True)
class Covered:
    """How many rows a frame has, and in how many each feature is present."""

    rows: int
    present: Counter[str]


@app.command()
def features(
    data: Annotated[
        Path | None, typer.Option(help="Directory of market data as Parquet files.")
    ] = None,
    moments: Annotated[
        Path | None, typer.Option(help="Directory written by `forewarn moments`.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Parquet file to write.")] = None,
    coverage: Annotated[
        str | None,
        typer.Option(help="Name under which the coverage is kept for the document."),
    ] = None,
    about: Annotated[str, typer.Option(help="What the rows are, for the document.")] = "",
    table: Annotated[
        Path | None, typer.Option("--document", help="File to write the table of features to.")
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="This process, or workers; the numbers are the same.")
    ] = EngineName.PROCESS,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler; without it, workers here.")
    ] = None,
    step: Annotated[
        int, typer.Option(help="Seconds of a candle: 60, 300, 900, 1800, 3600.")
    ] = HOUR,
) -> None:
    """Compute the features of a market, or of account moments, and say how often each is there."""
    console = Console(width=180)
    if data is not None:
        by = "asset" if moments is None else "account"
        with _engine(engine, scheduler, by=by) as chosen:
            covered = _computed(data, moments, out, console, engine=chosen, step=step)
        _show(covered, console)
        if coverage is not None:
            _keep(coverage, about, covered)
    if table is not None:
        table.write_text(document(read_coverage()))
        console.print(f"wrote {table}")


@contextmanager
def _engine(name: EngineName, scheduler: str | None, *, by: str) -> Iterator[Engine]:
    """Yield what computes the frames."""
    if name is EngineName.PROCESS:
        yield compute
        return
    # Imported when asked for: the service is installed without Dask.
    partitions = import_module("features.partitions")
    with partitions.dask_engine(scheduler, by=by) as chosen:
        yield chosen


def _computed(
    data: Path,
    moments: Path | None,
    out: Path | None,
    console: Console,
    *,
    engine: Engine,
    step: int,
) -> Covered:
    """Compute and write the frame, or print every fault and leave."""
    try:
        tables, dropped = read_market(data, step=step)
        account_moments = None if moments is None else read_moments(moments)
        frames = (
            market_frames(tables, engine=engine)
            if account_moments is None
            else account_frames(tables, account_moments, engine=engine)
        )
        covered = _written(frames, out)
    except ForewarnError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None
    for rule, count in dropped.items():
        console.print(f"dropped {count:,}: {rule}")
    return covered


def _written(frames: Iterator[pd.DataFrame], out: Path | None) -> Covered:
    """Write frames one behind the other and count what is there."""
    rows, counts = 0, Counter[str]()
    writer = None
    try:
        for frame in frames:
            rows += len(frame)
            counts.update(present(frame))
            if out is not None:
                table = _arrow(frame)
                writer = writer or parquet.ParquetWriter(out, table.schema)
                writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    return Covered(rows, counts)


def _arrow(frame: pd.DataFrame) -> pa.Table:
    """Return a frame of names, times and features for Parquet."""
    columns: dict[str, pa.Array] = {}
    for name in frame.columns:
        if name == "at":
            columns[name] = pa.array(seconds(frame[name]), type=pa.timestamp("s", tz="UTC"))
        elif name in BY_NAME:
            columns[name] = pa.array(frame[name].to_numpy(dtype=np.float64))
        else:
            columns[name] = pa.array(frame[name].astype(str).to_numpy(dtype=object))
    return pa.table(columns)


def _show(covered: Covered, console: Console) -> None:
    """Print the table of features with their coverage."""
    table = Shown("feature", "unit", "lookback", "coverage", "meaning")
    for name, count in covered.present.items():
        feature = BY_NAME[name]
        share = f"{count / max(covered.rows, 1):.1%}"
        table.add_row(name, feature.unit, shown(feature.lookback), share, feature.meaning)
    console.print(table)
    console.print(f"{covered.rows:,} rows, {len(covered.present)} features")


def _keep(name: str, about: str, covered: Covered) -> None:
    """Keep the coverage of a frame for the document."""
    file = HERE / COVERAGE
    coverage = json.loads(file.read_text()) if file.is_file() else {}
    coverage[name] = {"about": about, "rows": covered.rows, "present": dict(covered.present)}
    file.write_text(json.dumps(coverage, indent=1, sort_keys=True) + "\n")
