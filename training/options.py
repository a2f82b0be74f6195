"""What the commands have in common: options, days, and how they refuse."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

DAY = "%Y-%m-%d"

Source = Annotated[
    str, typer.Option(help="What the files are, such as events; a wrong one is answered with all.")
]
Data = Annotated[
    Path | None, typer.Option(help="Directory of the source's files; `touch` needs none.")
]
Candles = Annotated[Path, typer.Option(help="Parquet file of hourly candles.")]
From = Annotated[
    datetime | None, typer.Option("--from", formats=[DAY], help="First day, UTC, included.")
]
To = Annotated[
    datetime | None, typer.Option("--to", formats=[DAY], help="Last day, UTC, included.")
]


def start(day: datetime | None) -> datetime | None:
    """Return midnight UTC of a day."""
    return None if day is None else day.replace(tzinfo=UTC)


def after(day: datetime | None) -> datetime | None:
    """Return midnight UTC after a day: the end of a period, excluded."""
    return None if day is None else day.replace(tzinfo=UTC) + timedelta(days=1)


def refuse(console: Console, why: object) -> NoReturn:
    """Print why, in full, and leave with status 2."""
    console.print(str(why), style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(2)
