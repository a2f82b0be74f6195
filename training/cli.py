"""The commands `forewarn train` and `forewarn evaluate`."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from features.pipeline import NAMES, fingerprint
from models import bundle
from models.errors import ForewarnError
from training import alert_cli, card, fit, report
from training import evaluate as evaluation
from training.sources import History, maker_ethb

app = typer.Typer(no_args_is_help=True)
app.add_typer(alert_cli.app, name="alerts")
SOURCES: Mapping[str, Callable[[Path, Path], History]] = {"maker-ethb": maker_ethb.load}
DAY = "%Y-%m-%d"

Source = Annotated[str, typer.Option(help=f"What the files are: {', '.join(SOURCES)}.")]
Data = Annotated[Path, typer.Option(help="Directory of the source's files.")]
Candles = Annotated[Path, typer.Option(help="Parquet file of hourly candles.")]
From = Annotated[
    datetime | None, typer.Option("--from", formats=[DAY], help="First day, UTC, included.")
]
To = Annotated[
    datetime | None, typer.Option("--to", formats=[DAY], help="Last day, UTC, included.")
]


@app.command()
def train(
    source: Source,
    data: Data,
    candles: Candles,
    out: Annotated[Path, typer.Option(help="Directory of the bundle to write.")],
    begin: From = None,
    end: To = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 7,
) -> None:
    """Train a bundle on a history; nothing after --to is seen."""
    console = Console(stderr=True)
    history = _load(source, data, candles, console)
    try:
        found = fit.fit(
            history,
            source=source,
            begin=_start(begin),
            end=_after(end),
            seed=seed,
            progress=_stamped(console),
        )
    except ForewarnError as error:
        _refuse(console, error)
    bundle.save(found, out)
    (out / card.CARD).write_text(card.card(found))
    console.print(f"wrote {out}: {found.provenance['rows']:,} rows")


@app.command()
def evaluate(
    source: Source,
    data: Data,
    candles: Candles,
    bundle_: Annotated[Path, typer.Option("--bundle", help="Bundle to judge.")],
    begin: From = None,
    end: To = None,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Where to write report.json.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 7,
) -> None:
    """Judge a bundle beside every baseline, on the same rows."""
    console = Console(stderr=True)
    try:
        judged = bundle.load(bundle_, fingerprint=fingerprint(), features=NAMES)
    except ForewarnError as error:
        _refuse(console, error)
    history = _load(source, data, candles, console)
    period = evaluation.Period(begin=_start(begin), end=_after(end), seed=seed)
    try:
        found = evaluation.evaluate(history, judged, period, progress=_stamped(console))
    except ForewarnError as error:
        _refuse(console, error)
    if json_ is not None:
        json_.write_text(json.dumps(found, indent=1) + "\n")
    report.show(found, Console(width=200))


def _load(source: str, data: Path, candles: Path, console: Console) -> History:
    """Read a source, or print every fault and leave."""
    if source not in SOURCES:
        raise typer.BadParameter(f"{source!r} is not one of {', '.join(SOURCES)}")
    try:
        with console.status(f"reading and rebuilding {data}"):
            return SOURCES[source](data, candles)
    except ForewarnError as error:
        _refuse(console, error)


def _refuse(console: Console, error: ForewarnError) -> NoReturn:
    """Print an error in full and leave with status 2."""
    console.print(str(error), style="red", markup=False, highlight=False)
    raise typer.Exit(2)


def _stamped(console: Console) -> Callable[[str], None]:
    """Return a printer of progress lines with the seconds gone."""
    begun = datetime.now(UTC)

    def line(text: str) -> None:
        console.print(f"{(datetime.now(UTC) - begun).total_seconds():6.1f} s  {text}")

    return line


def _start(day: datetime | None) -> datetime | None:
    """Return midnight UTC of a day."""
    return None if day is None else day.replace(tzinfo=UTC)


def _after(day: datetime | None) -> datetime | None:
    """Return midnight UTC after a day: the end of the period, excluded."""
    return None if day is None else day.replace(tzinfo=UTC) + timedelta(days=1)
