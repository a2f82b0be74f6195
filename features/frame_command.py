"""What `forewarn features` does: frames computed, written and counted."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

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
from features.inputs import seconds
from features.pipeline import BY_NAME, compute
from models.errors import ForewarnError

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command was given; see its options.

    Parameters
    ----------
    is_spread
        Whether workers compute, on the scheduler named or here.
    """

    data: Path | None
    moments: Path | None
    out: Path | None
    coverage: str | None
    about: str
    table: Path | None
    is_spread: bool
    scheduler: str | None
    step: int


@dataclass(frozen=True, slots=True)
class Covered:
    """How many rows a frame has, and in how many each feature is present."""

    rows: int
    present: Counter[str]


def run(wish: Wish) -> None:
    """Compute the features of a market, or of account moments, and say how often each is there."""
    console = Console(width=180)
    if wish.data is not None:
        by = "asset" if wish.moments is None else "account"
        with _engine(wish, by=by) as chosen:
            covered = _computed(
                wish.data, wish.moments, wish.out, console, engine=chosen, step=wish.step
            )
        _show(covered, console)
        if wish.coverage is not None:
            _keep(wish.coverage, wish.about, covered)
    if wish.table is not None:
        wish.table.write_text(document(read_coverage()))
        console.print(f"wrote {wish.table}")


@contextmanager
def _engine(wish: Wish, *, by: str) -> Iterator[Engine]:
    """Yield what computes the frames."""
    if not wish.is_spread:
        yield compute
        return
    # Imported when asked for: the service is installed without Dask.
    partitions = import_module("features.partitions")
    with partitions.dask_engine(wish.scheduler, by=by) as chosen:
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
