"""The commands of an operator's day: `forewarn doctor`, `backup`, `restore`."""

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.errors import ForewarnError
from serving.settings import PREFIX

app = typer.Typer(no_args_is_help=True)
Url = Annotated[
    str, typer.Option("--store", envvar=f"{PREFIX}STORE", help="Database URL of the store.")
]
STYLES = {"ok": "green", "warning": "yellow", "fault": "red"}


@app.command()
def doctor(
    store: Annotated[
        str | None, typer.Option(help="Database URL, in place of the one of the settings.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say whether this installation is sound, check by check; exit code 1 where one is at fault."""
    from serving.cli.doctor import Status, examine
    from serving.store import open_store

    now = datetime.now(tz=UTC)
    findings = examine(os.environ, open_store=open_store, now=now, store=store)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        table = Table("check", "", "what was found")
        for finding in findings:
            style = STYLES[finding.status]
            table.add_row(finding.check, f"[{style}]{finding.status}[/{style}]", finding.text)
        Console().print(table)
    if any(finding.status is Status.FAULT for finding in findings):
        raise typer.Exit(1)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
    *,
    store: Url,
) -> None:
    """Copy a SQLite store to TARGET while it is used; PostgreSQL has pg_dump."""
    from serving.store.backup import back_up

    try:
        size = back_up(store, target)
    except ForewarnError as error:
        raise _ended(error) from None
    typer.echo(f"{target}: {size:,} bytes, checked")


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="File that `forewarn backup` wrote.")],
    *,
    store: Url,
    replace: Annotated[
        bool, typer.Option("--replace", help="A store that is there gives way, and is kept beside.")
    ] = False,
) -> None:
    """Put a copy in the place of a SQLite store that nothing has open."""
    from serving.store.backup import restore as put_back

    try:
        aside = put_back(source, store, replaces=replace)
    except ForewarnError as error:
        raise _ended(error) from None
    note = "" if aside is None else f"; what was there is {aside}"
    typer.echo(f"restored from {source}{note}")


def _ended(error: ForewarnError) -> typer.Exit:
    """Say why a command ends, and return how it ends."""
    typer.echo(str(error), err=True)
    return typer.Exit(2)
