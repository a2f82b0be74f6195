"""The commands that fill and empty a store: `forewarn import`, `export`, `fetch`."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from models.errors import ForewarnError, InvalidInput


class OffGrid(StrEnum):
    """What becomes of candles that do not start on a multiple of their length."""

    REFUSE = "refuse"
    DROP = "drop"


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
    off_grid: Annotated[
        OffGrid,
        typer.Option(help="Refuse a file, or drop and list its candles, for an odd opening time."),
    ] = OffGrid.REFUSE,
) -> None:
    """Write SOURCE into a table of the store, whole or not at all; exit code 2 where it has faults.

    Rows that the store holds already are counted, rows that contradict it are faults.
    """
    from serving.ingest.tables import import_table as bring

    try:
        imported = bring(
            source,
            store=store,
            table=table,
            now=datetime.now(tz=UTC),
            named=named,
            given=given or (),
            off_grid=off_grid.value,
        )
    except ForewarnError as error:
        raise _ended(error) from None
    for fault in imported.left_out:
        typer.echo(f"left out {fault}", err=True)
    left_out = f", {len(imported.left_out)} left out" if imported.left_out else ""
    added = imported.added
    typer.echo(f"{table}: {added.written} written, {added.repeated} held already{left_out}")


@app.command("import-pool")
def import_pool(
    ticks: Annotated[Path, typer.Argument(help="CSV or Parquet of a pool's ticks: at, tick.")],
    *,
    store: Url,
    asset: Annotated[str, typer.Option(help="Whose price it is.")],
    venue: Annotated[str, typer.Option(help="Venue whose market judges by it.")],
    market: Annotated[str, typer.Option(help="That market.")],
    base_decimals: Annotated[int, typer.Option(min=0, max=38, help="Of the asset's token.")],
    quote_decimals: Annotated[int, typer.Option(min=0, max=38, help="Of the token it is told in.")],
    chain: Annotated[str, typer.Option(help="Where the market lives, if its name is silent.")] = "",
    pool: Annotated[str, typer.Option(help="Source that the prices name.")] = "uniswap v3",
    token: Annotated[
        int, typer.Option(min=0, max=1, help="Which token of the pool the asset is.")
    ] = 0,
    window: Annotated[int, typer.Option(min=1, help="Seconds of the oracle's mean.")] = 1800,
    every: Annotated[int, typer.Option(min=1, help="Seconds between two prices.")] = 300,
) -> None:
    """Write the mean price of a Uniswap v3 pool, exact, as that of a market's oracle.

    The file is taken whole or not at all; exit code 2 where it has faults.
    """
    from models.domain import MarketId
    from models.margin.uniswap_v3 import Pair
    from serving.ingest import pool_prices

    pair = Pair(
        name=pool,
        base_is_token0=token == 0,
        base_decimals=base_decimals,
        quote_decimals=quote_decimals,
    )
    try:
        added = pool_prices.import_pool(
            ticks,
            store=store,
            asset=asset,
            of=MarketId(venue, market, chain),
            pair=pair,
            window=window,
            every=every,
            now=datetime.now(tz=UTC),
        )
    except ForewarnError as error:
        raise _ended(error) from None
    typer.echo(f"prices: {added.written} written, {added.repeated} held already")


@app.command("import-tiers")
def import_tiers(
    file: Annotated[
        Path,
        typer.Argument(help="Parquet of dated tiers of Binance USD-M, or CSV of Bybit of one day."),
    ],
    *,
    store: Url,
    venue: Annotated[str, typer.Option(help="binance-usdm or bybit-linear.")] = "binance-usdm",
    symbol: Annotated[
        list[str], typer.Option(help="Contract, such as BTC/USDT; may be given several times.")
    ],
) -> None:
    """Write past maintenance brackets as terms, so that past questions are judged by them.

    The file is taken whole or not at all; exit code 2 where it has faults.
    """
    from serving.ingest import tier_history

    try:
        added = tier_history.import_tiers(file, symbol, store=store, venue=venue)
    except ForewarnError as error:
        raise _ended(error) from None
    typer.echo(f"terms: {added.written} written, {added.repeated} held already")


@app.command("import-terms")
def import_terms(
    file: Annotated[
        Path,
        typer.Argument(
            help="Dated CSV: Aave's reserve snapshots, Comet's configurations, Maker's changes."
        ),
    ],
    *,
    store: Url,
    venue: Annotated[str, typer.Option(help="aave-v2, aave-v3, compound-v3 or maker.")],
    market: Annotated[str, typer.Option(help="Market whose terms they are.")],
    of: Annotated[
        str | None,
        typer.Option(help="The market by the file's name, such as aave-v3@137; as --market else."),
    ] = None,
    chain: Annotated[str, typer.Option(help="Where the market lives, if its name is silent.")] = "",
    version: Annotated[str | None, typer.Option(help="Of the venue's rules.")] = None,
    rest: Annotated[
        Path | None, typer.Option(help="JSON of terms that states what the file does not.")
    ] = None,
) -> None:
    """Write past risk parameters as terms, so that past questions are judged by them.

    The file is taken whole or not at all; exit code 2 where it has faults.
    """
    from models.domain import MarketId
    from serving.ingest import past_terms

    try:
        changes = past_terms.past_terms(
            file, venue=venue, of=of or market, stated=past_terms.stated_terms(rest)
        )
        whose = MarketId(venue, market, chain)
        added = past_terms.write(changes, whose, version=version, url=store)
    except ForewarnError as error:
        raise _ended(error) from None
    typer.echo(f"terms: {added.written} written, {added.repeated} held already")


@app.command("export")
def export_table(
    target: Annotated[Path, typer.Argument(help="File to write: .parquet, or CSV.")],
    *,
    store: Url,
    table: Name,
) -> None:
    """Write a table of the store to TARGET, as `forewarn import` reads it."""
    from serving.ingest.tables import export_table as take

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
    symbols: Annotated[str, typer.Option(help="Base assets, such as ETH,BTC.")] = "",
    connected: Annotated[
        bool,
        typer.Option("--connected", help="What connected accounts hold, by the symbols on record."),
    ] = False,
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
    from serving.cli.fetch import on_and_on, once, wish
    from serving.ingest.exchange import find

    since = datetime.now(tz=UTC) - timedelta(days=days)
    act = on_and_on if following else once
    try:
        wished = wish(
            symbols, quote=quote, kinds=kinds, since=since, step=step, is_connected=connected
        )
        faults = act(wished, store=store, exchange=find(exchange, api=api))
    except ForewarnError as error:
        raise _ended(error) from None
    raise typer.Exit(1 if faults else 0)


def _ended(error: ForewarnError) -> typer.Exit:
    """Tell every fault and return the exit."""
    typer.echo(str(error), err=True)
    return typer.Exit(2 if isinstance(error, InvalidInput) else 1)
