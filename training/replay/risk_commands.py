"""The command `forewarn risk backtest`: forecasts of a book or a reserve against what came."""

import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from models.errors import ForewarnError
from training.evaluation import reserve_backtest
from training.sources import aave_hourly

app = typer.Typer(no_args_is_help=True, help="The book at risk: forecast it, test forecasts.")
DAY = "%Y-%m-%d"


class RiskSource(StrEnum):
    """What the files of a backtest are."""

    AAVE_HOURLY = "aave-hourly"


@app.command()
def backtest(
    source: Annotated[RiskSource, typer.Option(help="What the data are.")],
    data: Annotated[Path, typer.Option(help="File of the reserve's hours.")],
    candles: Annotated[Path, typer.Option(help="Parquet file of hourly candles.")],
    begin: Annotated[
        datetime, typer.Option("--from", formats=[DAY], help="First day, UTC, included.")
    ],
    end: Annotated[datetime, typer.Option("--to", formats=[DAY], help="Last day, UTC, included.")],
    json_: Annotated[
        Path | None, typer.Option("--json", help="Where to write every figure.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 7,
) -> None:
    """Forecast every hour or day of a period from what lay before it, and score."""
    console = Console(stderr=True)
    first, after = _day(begin), _day(end) + timedelta(days=1)
    if not first < after:
        raise typer.BadParameter("--to lies before --from")
    try:
        found = _reserve(data, candles, first, after, seed, console)
    except ForewarnError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None
    if json_ is not None:
        json_.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")


def _day(day: datetime) -> pd.Timestamp:
    return pd.Timestamp(day.replace(tzinfo=UTC))


def _reserve(
    data: Path,
    candles: Path,
    first: pd.Timestamp,
    after: pd.Timestamp,
    seed: int,
    console: Console,
) -> dict[str, Any]:
    until = after + pd.Timedelta(hours=24)  # what the last hour's 24 brought is read too
    record = aave_hourly.read(data, candles, until=until)
    found = reserve_backtest.backtest(record, first, after, seed=seed, progress=console.print)
    _show_reserve(found, Console(width=160))
    return found


def _show_reserve(found: dict[str, Any], console: Console) -> None:
    totals = ", ".join(f"{name} {usd / 1e6:.1f}" for name, usd in found["quarterly_usd"].items())
    console.print(f"liquidated by quarter, million USD: {totals}")
    console.print(
        f"{found['hours']:,} hours judged, {found['hours_left_out']} left out; "
        f"{found['repeated_rows_dropped']:,} repeated rows dropped; intervals 90 % over "
        f"{found['blocks']['count']} {found['blocks']['kind']}s"
    )
    methods = {"structural": found, **found["baselines"]}
    for part, title in (("thresholds", "USD within 24 h above"), ("quantiles", "quantile")):
        for key in found[part]:
            figures = {name: kind[part][key] for name, kind in methods.items() if part in kind}
            names = [name for name in figures["structural"] if name != "intervals"]
            table = Table("", *names, title=f"{title} {key}")
            for name, measured in figures.items():
                cells = [_cell(measured, metric) for metric in names]
                table.add_row(name, *cells)
            console.print(table)


def _cell(measured: dict[str, Any], metric: str) -> str:
    value, (low, high) = measured[metric], measured["intervals"][metric]
    if value is None:
        return "undefined"
    bounds = "" if low is None or high is None else f" [{low:.4f}, {high:.4f}]"
    return f"{value:.4f}{bounds}"
