"""The commands that fill and empty a store: `forewarn import`, `forewarn export`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from models.errors import ForewarnError, InvalidInput

app = typer.Typer(no_args_is_help=True, help="Fill a store.")
Url = Annotated[str, typer.Option("--store", help="Database URL, such as sqlite:///book.sqlite3.")]
Name = Annotated[str, typer.Option("--table", help="Such as candles, prices, events, positions.")]


@app.command("import")
def import_table(
    source: Annotated[
        str, typer.Argument(help="CSV or Parquet file, or the URL of another database.")
    ],
    *,
    store: Url,
    table: Name,
    named: Annotated[
        str | None, typer.Option(help="Table or view of that database; as --table if left out.")
    ] = None,
) -> None:
    """Write SOURCE into a table of the store, whole or not at all; exit code 2 where it has faults.

    Rows that the store holds already are counted, rows that contradict it are faults.
    """
    # pandas and the databases take their time to load; `serve --help` must not wait for them.
    from serving.transfer import bring  # noqa: PLC0415

    try:
        told = bring(source, store=store, table=table, named=named, now=datetime.now(tz=UTC))
    except ForewarnError as error:
        raise _ended(error) from None
    typer.echo(f"{table}: {told.written} written, {told.repeated} held already")


@app.command("export")
def export_table(
    target: Annotated[Path, typer.Argument(help="File to write: .parquet, or CSV.")],
    *,
    store: Url,
    table: Name,
) -> None:
    """Write a table of the store to TARGET, as `forewarn import` reads it."""
    from serving.transfer import take  # noqa: PLC0415

    try:
        rows = take(target, store=store, table=table)
    except ForewarnError as error:
        raise _ended(error) from None
    typer.echo(f"{table}: {rows} rows in {target}")


def _ended(error: ForewarnError) -> typer.Exit:
    """Tell every fault and return the exit."""
    for fault in error.faults if isinstance(error, InvalidInput) else (error,):
        typer.echo(str(fault), err=True)
    return typer.Exit(2 if isinstance(error, InvalidInput) else 1)
