"""The commands `forewarn risk backtest` and `risk market`: test forecasts, forecast a reserve."""

import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from models.errors import ForewarnError
from training.options import DAY, Candles, refuse

if TYPE_CHECKING:
    import pandas as pd

MOMENTS = [DAY, "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]

app = typer.Typer(no_args_is_help=True, help="The book at risk: forecast it, test forecasts.")


class RiskSource(StrEnum):
    """What the files of a backtest are."""

    AAVE_HOURLY = "aave-hourly"
    MAKER = "maker"


class MarketSource(StrEnum):
    """What the file of a market known by its sums is."""

    AAVE_HOURLY = "aave-hourly"


@app.command()
def backtest(
    source: Annotated[RiskSource, typer.Option(help="What the data are.")],
    data: Annotated[Path, typer.Option(help="File of a reserve's hours, or directory of a log.")],
    candles: Candles,
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
    run = {RiskSource.AAVE_HOURLY: _reserve, RiskSource.MAKER: _vaults}[source]
    try:
        result = run(data, candles, first, after, seed, console)
    except ForewarnError as error:
        refuse(console, error)
    if json_ is not None:
        json_.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")


@app.command()
def market(
    source: Annotated[MarketSource, typer.Option(help="What the data are.")],
    data: Annotated[Path, typer.Option(help="File of a reserve's hours.")],
    candles: Candles,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=MOMENTS, help="Moment, UTC; left out, the end of the last hour."),
    ] = None,
    train_to: Annotated[
        datetime | None,
        typer.Option(formats=MOMENTS, help="Learn from hours whose 24 had passed then, UTC."),
    ] = None,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Where to write every figure.")
    ] = None,
) -> None:
    """Forecast what a market liquidates in the next 24 hours, from what lay before a moment."""
    from training.evaluation import reserve_forecast

    console = Console(stderr=True)
    run = {MarketSource.AAVE_HOURLY: reserve_forecast.read_and_forecast}[source]
    at, trained = (None if moment is None else _day(moment) for moment in (as_of, train_to))
    try:
        result = run(data, candles, as_of=at, train_to=trained)
    except ForewarnError as error:
        refuse(console, error)
    _show_market(result, Console(width=160))
    if json_ is not None:
        json_.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")


def _day(day: datetime) -> "pd.Timestamp":
    import pandas as pd

    return pd.Timestamp(day.replace(tzinfo=UTC))


def _reserve(
    data: Path,
    candles: Path,
    first: "pd.Timestamp",
    after: "pd.Timestamp",
    seed: int,
    console: Console,
) -> dict[str, Any]:
    import pandas as pd

    from training.evaluation import reserve_backtest
    from training.sources import aave_hourly

    until = after + pd.Timedelta(hours=24)  # what the last hour's 24 brought is read too
    record = aave_hourly.read(data, candles, until=until)
    result = reserve_backtest.backtest(record, first, after, seed=seed, progress=console.print)
    _show_reserve(result, Console(width=160))
    return result


def _vaults(
    data: Path,
    candles: Path,
    first: "pd.Timestamp",
    after: "pd.Timestamp",
    seed: int,
    console: Console,
) -> dict[str, Any]:
    from training.evaluation import vault_backtest
    from training.sources import maker_ethb

    history = maker_ethb.load(data, candles)
    result = vault_backtest.backtest(history, first, after, seed=seed, progress=console.print)
    _show_vaults(result, Console(width=160))
    return result


def _show_vaults(result: dict[str, Any], console: Console) -> None:
    exposed, fell = result["exposed"], result["liquidated"]
    console.print(
        f"{result['days']} days. Exposed vault-days: expected {exposed['expected']:.1f}, realised "
        f"{exposed['realised']:.0f}, ratio {exposed['expected_over_realised']:.2f} "
        f"(debt {exposed['debt_expected_over_realised']:.2f})"
    )
    console.print(
        f"Liquidated vault-days: expected {fell['expected']:.1f}, realised {fell['realised']:.0f}, "
        f"realised over expected {fell['realised_over_expected']:.2f}; of those exposed "
        f"{fell['share_of_exposed']:.1%} by count, {fell['share_of_exposed_debt']:.1%} by debt"
    )
    table = Table("LaR", "exceeded", "Kupiec p", "Christoffersen p", "zone", "mean DAI")
    for owners in ("unattended", "expected"):
        for level, answer in result[owners].items():
            table.add_row(
                f"{owners} {level}",
                str(answer["exceedances"]),
                f"{answer['kupiec_p']:.3f}",
                f"{answer['christoffersen_p']:.3f}",
                answer["zone"],
                f"{answer['mean_usd']:,.0f}",
            )
    console.print(table)
    for name, auc in result["day_auc"].items():
        console.print(
            f"days with a liquidation ranked by {name}: AUC {auc['value']:.3f} "
            f"[{auc['week_low']:.3f}, {auc['week_high']:.3f}]"
        )


def _show_reserve(result: dict[str, Any], console: Console) -> None:
    totals = ", ".join(f"{name} {usd / 1e6:.1f}" for name, usd in result["quarterly_usd"].items())
    console.print(f"liquidated by quarter, million USD: {totals}")
    console.print(
        f"{result['hours']:,} hours judged, {result['hours_left_out']} left out; "
        f"{result['repeated_rows_dropped']:,} repeated rows dropped; intervals 90 % over "
        f"{result['blocks']['count']} {result['blocks']['kind']}s"
    )
    methods = {"structural": result, **result["baselines"]}
    for part, title in (("thresholds", "USD within 24 h above"), ("quantiles", "quantile")):
        for key in result[part]:
            figures = {name: kind[part][key] for name, kind in methods.items() if part in kind}
            names = [name for name in figures["structural"] if name != "intervals"]
            table = Table("", *names, title=f"{title} {key}")
            for name, measured in figures.items():
                cells = [_cell(measured, metric) for metric in names]
                table.add_row(name, *cells)
            console.print(table)


def _show_market(result: dict[str, Any], console: Console) -> None:
    defects = result["defects"]
    console.print(
        f"From {result['from']} to {result['to']} ({result['horizon_hours']} hours), told at "
        f"{result['as_of']}; the last hour read ended {result['age_hours']:.2f} hours before."
    )
    console.print(
        f"Learned from {result['trained_hours']:,} hours that had passed by {result['trained_to']}."
    )
    console.print(
        f"{defects['repeated_rows_dropped']:,} repeated rows dropped, "
        f"{defects['hours_without_row_taken_as_calm']:,} hours without a row taken as calm, "
        f"{defects['hours_unknown']:,} hours unknown, "
        f"{defects['hours_without_candle']:,} without a candle."
    )
    for name, answer in result["thresholds"].items():
        chance, share = answer["probability"], answer["share_of_past"]
        words = "no probability" if chance is None else f"probability {chance:.4f}"
        console.print(f"more than {name} USD liquidated: {words}; {share:.2%} of the past")
    for name, answer in result["quantiles"].items():
        console.print(
            f"quantile {name}: {answer['usd']:,.0f} USD, {answer['basis_points']:.2f} bp of supply"
        )


def _cell(measured: dict[str, Any], metric: str) -> str:
    value, (low, high) = measured[metric], measured["intervals"][metric]
    if value is None:
        return "undefined"
    bounds = "" if low is None or high is None else f" [{low:.4f}, {high:.4f}]"
    return f"{value:.4f}{bounds}"
