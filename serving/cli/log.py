"""The commands of the governance log: `forewarn log verify | export | head | key`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from models.errors import InvalidInput
from serving.settings import PREFIX

app = typer.Typer(no_args_is_help=True, help="The log that nobody can change unseen.")
Url = Annotated[
    str, typer.Option("--store", envvar=f"{PREFIX}STORE", help="Database URL of the store.")
]
BAD, UNREAD = 3, 2


@app.command()
def verify(
    export: Annotated[Path, typer.Argument(help="Export of the log, one entry a line.")],
    *,
    heads: Annotated[
        Path | None, typer.Option(help="Signed heads that were kept outside the store.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Public key that heads must be signed by, hexadecimal.")
    ] = None,
) -> None:
    """Hold an export against itself and against heads; exit code 3 where it was changed.

    Works offline, without the service and without the store.
    """
    from serving.log.heads import public_key, read_heads
    from serving.log.verify import lines_of
    from serving.log.verify import verify as verified

    try:
        trusted = None if key is None else public_key(key)
        lines = [] if heads is None else heads.read_text(encoding="utf-8").splitlines()
        signed = read_heads(lines, name=str(heads))
        finding = verified(lines_of(export.read_bytes()), signed, trusted=trusted)
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{error}") from None
    except InvalidInput as error:
        _refuse(error)
    typer.echo(f"{finding.entries} entries, root {finding.root.hex()}")
    if finding.unsound:
        sizes = ", ".join(map(str, finding.unsound))
        typer.echo(f"heads that the trusted key did not sign: of {sizes} entries", err=True)
    if finding.first_bad is not None:
        typer.echo(f"CHANGED: first bad entry {finding.first_bad}: {finding.reason}", err=True)
    if finding.caution is not None:
        typer.echo(f"cannot tell: {finding.caution}", err=True)
    if heads is not None and finding.is_whole:
        typer.echo(f"{finding.heads} heads vouch for {finding.covered} entries")
    raise typer.Exit(0 if finding.is_whole else BAD)


@app.command("export")
def export_log(
    target: Annotated[Path, typer.Argument(help="File to write, one entry a line.")],
    *,
    store: Url,
) -> None:
    """Write the whole log to TARGET."""
    from serving.application.governed_log import export_lines
    from serving.cli.keys import opened

    count = 0
    with opened(store) as base, target.open("wb") as file:
        for line in export_lines(base):
            file.write(line + b"\n")
            count += 1
    typer.echo(f"{count} entries in {target}")


@app.command()
def head(
    *,
    store: Url,
    key: Annotated[
        Path, typer.Option(envvar=f"{PREFIX}LOG_KEY", help="File of the key that signs.")
    ],
    heads: Annotated[
        Path | None,
        typer.Option(envvar=f"{PREFIX}LOG_HEADS", help="File outside the store to add it to."),
    ] = None,
) -> None:
    """Sign the head of the log as it stands, print it and add it to a file."""
    from serving.application.governed_log import LogKeys, export_head
    from serving.cli.keys import opened
    from serving.schemas.problems import encode

    try:
        with opened(store) as base:
            made = export_head(base, LogKeys(key=key, heads=heads), now=datetime.now(tz=UTC))
    except InvalidInput as error:
        _refuse(error)
    typer.echo(encode(None if made is None else made.tree()))


@app.command("key")
def make_key(
    target: Annotated[Path, typer.Argument(help="File to write; must not exist.")],
) -> None:
    """Make a key that signs heads, and print its public part; keep the file off the store."""
    from serving.log.heads import new_key

    try:
        typer.echo(new_key(target))
    except InvalidInput as error:
        _refuse(error)


def _refuse(error: InvalidInput) -> NoReturn:
    """List every fault and end.

    Raises
    ------
    Exit
        Always.
    """
    typer.echo(str(error), err=True)
    raise typer.Exit(UNREAD) from None
