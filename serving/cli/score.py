"""The command that scores a whole book of files: `forewarn score`."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from models.errors import ForewarnError
from serving.imports import without

if TYPE_CHECKING:
    from serving.bulk.run import Spread

SHOWN = 20
"""Faults that are printed; the file holds all of them."""

app = typer.Typer(no_args_is_help=True)


class Engine(StrEnum):
    """Where parts of a book are scored."""

    LOCAL = "local"
    DASK = "dask"


@app.command()
def score(
    *,
    accounts: Annotated[
        str, typer.Option(help="Directory, file or URI (s3://, gs://, hdfs://) of Parquet.")
    ],
    market: Annotated[
        str, typer.Option(help="Directory of prices, candles, state and so on; or a store's URL.")
    ],
    out: Annotated[Path, typer.Option(help="Directory of the results; gone on with if begun.")],
    bundle: Annotated[
        Path | None, typer.Option(help="Directory of the bundle; left out, the rules alone.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Moment of the question, ISO 8601; the market's if left out.")
    ] = None,
    reasons: Annotated[
        bool, typer.Option("--reasons", help="What drove each score as well; takes longer.")
    ] = False,
    engine: Annotated[
        Engine, typer.Option(help="Processes of this machine, or Dask (the extra `training`).")
    ] = Engine.LOCAL,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes; as many as cores if left out.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler; else one is started here.")
    ] = None,
    rows_a_part: Annotated[
        int, typer.Option(min=1000, max=1_000_000, help="Accounts whose results are one file.")
    ] = 50_000,
    store: Annotated[
        str | None, typer.Option(help="URL of a store that is to keep the assessments as well.")
    ] = None,
) -> None:
    """Score every account of Parquet files, as `POST /v1/score` answers; go on where it stopped.

    Exit code 2 where a row was refused: its place holds its errors, and faults.csv lists them.
    """
    with without("sklearn"):
        from serving.bulk import run as book
    from serving.bulk.storing import keep

    began, count = time.monotonic(), workers or os.cpu_count() or 1
    console = Console(stderr=True)
    try:
        wish = book.Wish(
            accounts=accounts,
            market=market,
            bundle=bundle,
            out=out,
            at=_moment(as_of),
            reasons=reasons,
            rows_a_part=rows_a_part,
        )
        ready = book.prepare(wish, now=datetime.now(tz=UTC))
        with _spread(engine, scheduler, count) as spread, _progress(console) as progress:
            task = progress.add_task("scoring", total=ready.job.source.rows)
            manifest = book.run(
                ready, spread, on_done=lambda done: progress.advance(task, done.part.rows)
            )
        if store is not None:
            keep(ready, store, now=datetime.now(tz=UTC))
    except ForewarnError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    seconds = time.monotonic() - began
    typer.echo(
        f"{manifest['rows']:,} accounts, {manifest['refused']:,} of them refused, in "
        f"{len(ready.parts)} parts ({len(ready.finished)} kept) of {out}: {seconds:.1f} s"
    )
    if manifest["refused"]:
        _show(out / book.FAULTS)
        raise typer.Exit(2)


def _moment(text: str | None) -> datetime | None:
    """Return a moment in UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time such as 2026-01-31T23:59:59Z") from None
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text!r} does not say its zone: 2026-01-31T23:59:59Z")
    return moment.astimezone(UTC)


@contextmanager
def _spread(engine: Engine, scheduler: str | None, workers: int) -> "Iterator[Spread]":
    """Yield what scores the parts."""
    if engine is Engine.DASK or scheduler is not None:
        from serving.bulk.cluster import over_workers

        with over_workers(scheduler, workers=workers) as spread:
            yield spread
        return
    from serving.bulk.run import in_process, over_processes

    yield in_process if workers == 1 else over_processes(workers)


def _progress(console: Console) -> Progress:
    """Return a bar of accounts done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _show(file: Path) -> None:
    """Print the first faults, and where all of them stand."""
    import csv

    with file.open(encoding="utf-8", newline="") as opened:
        rows = csv.reader(opened)
        next(rows)
        for number, (where, message) in enumerate(rows):
            if number == SHOWN:
                typer.echo(f"and more in {file}", err=True)
                return
            typer.echo(f"{where}: {message}", err=True)
