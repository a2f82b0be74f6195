"""The commands that fill and empty a store: `forewarn import`, `export`, `fetch`."""

from datetime import UTC, datetime, timedelta
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
    given: Annotated[
        list[str] | None,
        typer.Option("--set", help="column=value for a column that a file does not have."),
    ] = None,
) -> None:
    """Write SOURCE into a table of the store, whole or not at all; exit code 2 where it has faults.

    Rows that the store holds already are counted, rows that contradict it are faults.
    """
    # pandas and the databases take their time to load; `serve --help` must not wait for them.
    from serving.transfer import bring  # noqa: PLC0415

    try:
        now = datetime.now(tz=UTC)
        told = bring(source, store=store, table=table, now=now, named=named, given=given or ())
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


@app.command()
def fetch(
    *,
    store: Url,
    exchange: Annotated[str, typer.Option(help="An exchange by ccxt's name.")] = "binance",
    symbols: Annotated[str, typer.Option(help="Base assets, such as ETH,BTC.")],
    quote: Annotated[str, typer.Option(help="What they are priced in.")] = "USDT",
    kinds: Annotated[
        str, typer.Option(help="Any of spot, perp, mark, index and funding.")
    ] = "spot",
    step: Annotated[int, typer.Option(min=60, max=86_400, help="Length of a candle, s.")] = 3600,
    days: Annotated[int, typer.Option(min=1, max=4000, help="How far back to fill gaps.")] = 35,
    api: Annotated[
        str | None, typer.Option(help="Proxy that speaks for the exchange's hosts.")
    ] = None,
    following: Annotated[
        bool, typer.Option("--follow", help="Go on at every close until interrupted.")
    ] = False,
) -> None:
    """Fetch the closed candles and funding rates that the store lacks; exit code 1 at a fault."""
    # ccxt loads a hundred exchanges; no other command must wait for them.
    from serving.exchange import find  # noqa: PLC0415
    from serving.fetch_command import on_and_on, once, wish  # noqa: PLC0415

    since = datetime.now(tz=UTC) - timedelta(days=days)
    act = on_and_on if following else once
    try:
        wished = wish(symbols, quote=quote, kinds=kinds, since=since, step=step)
        faults = act(wished, store=store, exchange=find(exchange, api=api))
    except ForewarnError as error:
        raise _ended(error) from None
    raise typer.Exit(1 if faults else 0)


def _ended(error: ForewarnError) -> typer.Exit:
    """Tell every fault and return the exit."""
    for fault in error.faults if isinstance(error, InvalidInput) else (error,):
        typer.echo(str(fault), err=True)
    return typer.Exit(2 if isinstance(error, InvalidInput) else 1)
