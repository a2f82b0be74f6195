"""The commands of breakers: `forewarn breakers replay`."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.errors import InvalidInput
from models.parameters.breakers import Breaker, Signal, faults_of, moves, replay

app = typer.Typer(no_args_is_help=True, help="Breakers over a history.")
SPANS = {Signal.PRICE_MOVE_5M: timedelta(minutes=5), Signal.PRICE_MOVE_1H: timedelta(hours=1)}
UNREAD = 2


@app.callback()
def _stay() -> None:
    """Keep a lone command a command."""


@app.command("replay")
def show(
    candles: Annotated[Path, typer.Argument(help="CSV or Parquet: symbol, open_time, close.")],
    *,
    symbol: Annotated[str, typer.Option(help="Whose price.")],
    signal: Annotated[
        Signal, typer.Option(help="price_move_5m or price_move_1h.")
    ] = Signal.PRICE_MOVE_5M,
    trip: Annotated[float, typer.Option(min=0, help="Level that opens it, a share.")] = 0.05,
    clear: Annotated[float, typer.Option(min=0, help="Level that closes it, a share.")] = 0.02,
    hold: Annotated[int, typer.Option(min=1, help="Observations in a row.")] = 1,
    shortest: Annotated[int, typer.Option(min=0, help="Minutes open at least.")] = 15,
    longest: Annotated[int, typer.Option(min=1, help="Minutes open until it escalates.")] = 240,
    cooldown: Annotated[int, typer.Option(min=0, help="Minutes closed at least.")] = 15,
) -> None:
    """Say when a breaker would have been open over a history of candles."""
    breaker = Breaker(
        name=f"{symbol} {signal}",
        signal=signal,
        trip=trip,
        clear=clear,
        hold=hold,
        shortest=timedelta(minutes=shortest),
        longest=timedelta(minutes=longest),
        cooldown=timedelta(minutes=cooldown),
        scope=symbol,
        trips_unknown=False,
    )
    if signal not in SPANS:
        raise typer.BadParameter(f"{signal} has no history in candles", param_hint="--signal")
    faults = list(faults_of(breaker))
    try:
        closes = _closes(candles, symbol)
    except InvalidInput as error:
        faults += error.faults
    if faults:
        for fault in faults:
            typer.echo(str(fault), err=True)
        raise typer.Exit(UNREAD)
    openings = replay(breaker, moves(closes, span=SPANS[signal]))
    table = Table("open", "closed", "minutes", "peak", "escalated")
    for opening in openings:
        end = opening.end
        minutes = "" if end is None else f"{(end - opening.begin).total_seconds() / 60:.0f}"
        table.add_row(
            opening.begin.isoformat(),
            "still open" if end is None else end.isoformat(),
            minutes,
            "missing" if opening.peak is None else f"{opening.peak:.4f}",
            "yes" if opening.is_escalated else "no",
        )
    Console(highlight=False).print(table)
    typer.echo(f"{len(openings)} openings over {len(closes)} candles of {symbol}")


def _closes(path: Path, symbol: str) -> list[tuple[datetime, float]]:
    """Return a symbol's closes by the time at which each was known.

    Raises
    ------
    InvalidInput
        When the file cannot be read, holds nothing of the symbol, or rows are no closes: all
        of them, counted from 1 below the header.
    """
    import pandas as pd

    from models.errors import Fault

    try:
        read = pd.read_parquet if path.suffix == ".parquet" else pd.read_csv
        frame = read(path)
        rows = frame.loc[frame["symbol"] == symbol, ["open_time", "close"]].copy()
    except (OSError, KeyError, ValueError) as error:
        raise InvalidInput([Fault(str(path), f"cannot be read: {error}")]) from None
    if rows.empty:
        raise InvalidInput([Fault(str(path), f"holds nothing of {symbol}")])
    times = pd.to_datetime(rows["open_time"], utc=True, errors="coerce")
    closes = pd.to_numeric(rows["close"], errors="coerce")
    wrong = {
        "open_time is no time": times.isna(),
        "close is no price above 0": ~((closes > 0) & (closes < float("inf"))),
        "open_time stands twice": times.notna() & times.duplicated(),
    }
    faults = [
        Fault(f"{path} row {place + 1}", message)
        for message, rows_at in wrong.items()
        for place in rows.index[rows_at].tolist()
    ]
    if faults:
        raise InvalidInput(faults)
    rows = rows.assign(open_time=times, close=closes).sort_values("open_time")
    step = rows["open_time"].diff().min() if len(rows) > 1 else timedelta(minutes=5)
    return [
        (at.to_pydatetime() + step, float(close))
        for at, close in zip(rows["open_time"], rows["close"], strict=True)
    ]
