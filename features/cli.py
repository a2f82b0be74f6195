"""The command `forewarn features`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


class EngineName(StrEnum):
    """Where a frame is computed."""

    PROCESS = "process"
    DASK = "dask"


@app.command()
def features(
    data: Annotated[
        Path | None, typer.Option(help="Directory of market data as Parquet files.")
    ] = None,
    moments: Annotated[
        Path | None, typer.Option(help="Directory written by `forewarn moments`.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Parquet file to write.")] = None,
    coverage: Annotated[
        str | None,
        typer.Option(help="Name under which the coverage is kept for the document."),
    ] = None,
    about: Annotated[str, typer.Option(help="What the rows are, for the document.")] = "",
    table: Annotated[
        Path | None, typer.Option("--document", help="File to write the table of features to.")
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="This process, or workers; the numbers are the same.")
    ] = EngineName.PROCESS,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler; without it, workers here.")
    ] = None,
    step: Annotated[
        int, typer.Option(help="Seconds of a candle: 60, 300, 900, 1800, 3600.")
    ] = 3600,
) -> None:
    """Compute the features of a market, or of account moments, and say how often each is there."""
    # pandas and the compiler take their time to load; other commands must not wait for them.
    from features.frame_command import Wish, run  # noqa: PLC0415

    run(
        Wish(
            data=data,
            moments=moments,
            out=out,
            coverage=coverage,
            about=about,
            table=table,
            is_spread=engine is EngineName.DASK,
            scheduler=scheduler,
            step=step,
        )
    )
