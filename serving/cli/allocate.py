"""The command `forewarn allocate`: a plan of collateral in, the moves out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.errors import InvalidInput
from serving.schemas.problems import Refused, encode

if TYPE_CHECKING:
    from serving.schemas.allocation import AllocationAnswer

app = typer.Typer()
REQUEST_ID = "command-line"
FAULTY = 2
NOT_DONE = 3


@app.command()
def allocate(
    file: Annotated[
        str, typer.Argument(help="JSON as for POST /v1/allocate; - for standard input.")
    ],
    *,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Directory of the bundle, whose forecasts stand beside the rules."),
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="Database URL, for accounts named by their key.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The answer of /v1/allocate as JSON.")
    ] = False,
) -> None:
    """Say which collateral to post where; exit code 3 where nothing suffices, 2 on bad input."""
    answer = _answered(file, bundle, store)
    if as_json:
        typer.echo(encode(answer))
    else:
        Console(highlight=False).print(moves(answer))
        for line in summary(answer):
            typer.echo(line)
    if not answer.is_accepted:
        raise typer.Exit(NOT_DONE)


def _answered(file: str, bundle: Path | None, store: str | None) -> "AllocationAnswer":
    """Return the answer to a file; bad input is listed and ends the command."""
    from serving.application.allocation import allocated
    from serving.application.deployment import read_deployment
    from serving.application.scoring import ScoringService
    from serving.schemas import requests
    from serving.schemas.allocation import AllocateBody
    from serving.schemas.strict_json import NotJson
    from serving.store import StoreRefused, open_store

    try:
        opened = None if store is None else open_store(store)
    except StoreRefused as error:
        raise typer.BadParameter(str(error), param_hint="--store") from None
    desk = ScoringService(model=read_deployment(bundle).model, store=opened)
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return allocated(desk, *requests.parse(content, AllocateBody), REQUEST_ID)
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from None
    except NotJson as error:
        typer.echo(f"{file} is not JSON: {error}", err=True)
        raise typer.Exit(FAULTY) from None
    except InvalidInput as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FAULTY) from None
    except Refused as error:
        typer.echo(error.detail, err=True)
        raise typer.Exit(1) from None
    finally:
        if opened is not None:
            opened.close()


def moves(answer: "AllocationAnswer") -> Table:
    """Return the moves as a table."""
    table = Table("", "move", "asset", "quantity", "from", "to", "after", "why")
    for place, move in enumerate(answer.moves, 1):
        table.add_row(
            str(place),
            move.kind,
            move.asset,
            move.quantity,
            move.origin,
            move.destination,
            f"{move.begins_seconds} s" if move.begins_seconds else "",
            move.reason,
        )
    return table


def summary(answer: "AllocationAnswer") -> list[str]:
    """Return what the moves come to, or what stands in the way."""
    lines = [f"{answer.status}: cost {answer.cost} {answer.quote}, was {answer.cost_before}"]
    if answer.cost is None:
        lines = [f"{answer.status}: nothing is proposed"]
    lines += [f"{short.id}: {short.missing} {answer.quote} missing" for short in answer.shortage]
    lines += [f"in conflict: {limit.text}" for limit in answer.conflict]
    lines += [notice.text for notice in answer.refusals]
    return lines + [dual.text for dual in answer.duals]
