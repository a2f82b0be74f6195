"""The commands of orders: `forewarn orders list|show|withdraw|mandate|end|key|verify`."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Column, Table

from models.errors import ForewarnError, InvalidInput
from models.orders.order import State
from serving.settings import PREFIX
from serving.words.actions import action_text
from serving.words.tables import english

app = typer.Typer(no_args_is_help=True, help="Orders that keepers carry out, and mandates.")
Url = Annotated[
    str, typer.Option("--store", envvar=f"{PREFIX}STORE", help="Database URL of the store.")
]
Id = Annotated[str, typer.Argument(help="Id of the order.")]
MandateId = Annotated[str, typer.Argument(help="Id of the mandate.")]
BAD, REFUSED = 3, 2


@app.command("list")
def list_orders(
    *,
    store: Url,
    state: Annotated[State | None, typer.Option(help="Only orders in it.")] = None,
    account: Annotated[str | None, typer.Option(help="Only orders of it.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Orders at most.")] = 50,
) -> None:
    """List orders, the newest first."""
    from serving.cli.keys import opened
    from serving.store.orders import OrderFilter, read

    words = english()
    with opened(store) as base, base.read() as transaction:
        rows = read(transaction, OrderFilter(state=state, account=account), limit=limit)
    table = Table(Column("id", no_wrap=True), "state", "account", "what", "value", "until")
    for row in rows:
        acts = (action_text(words, act) for act in row.body["actions"])
        until = words.time(row.expires_at)
        table.add_row(row.id, row.state, row.account, "\n".join(acts), row.value, until)
    Console(highlight=False).print(table)


@app.command()
def show(order: Id, *, store: Url) -> None:
    """Print one order as JSON: as it was signed, who vouches for it, what became of it."""
    from serving.cli.keys import opened
    from serving.orders.keeping import answer, standing
    from serving.schemas.problems import encode

    try:
        with opened(store) as base, base.read() as transaction:
            typer.echo(encode(answer(standing(transaction, order))))
    except ForewarnError as error:
        _refuse(error)


@app.command()
def withdraw(
    order: Id, *, store: Url, reason: Annotated[str, typer.Option(help="Why.")] = ""
) -> None:
    """Withdraw an order that nobody has accepted."""
    from serving.cli.keys import opened
    from serving.orders import keeping

    try:
        with opened(store) as base, base.begin() as transaction:
            row = keeping.withdraw(transaction, order, at=_now(), reason=reason)
    except ForewarnError as error:
        _refuse(error)
    typer.echo(f"{row.id} is {row.state}")


@app.command()
def mandate(
    name: MandateId,
    file: Annotated[Path, typer.Argument(help="JSON as for PUT /v1/mandates/{id}.")],
    *,
    store: Url,
) -> None:
    """Put a mandate in force, over one of the same id."""
    from serving.cli.keys import opened
    from serving.orders import keeping
    from serving.routes.market import parsed
    from serving.schemas.orders import MandateBody
    from serving.schemas.strict_json import NotJson

    try:
        body = parsed(file.read_bytes(), MandateBody)
        with opened(store) as base, base.begin() as transaction:
            stated = keeping.text_of(body)
            row = keeping.put_mandate(transaction, name, body, stated, at=_now())
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from None
    except NotJson as error:
        raise typer.BadParameter(f"{file} is not JSON: {error}", param_hint="FILE") from None
    except ForewarnError as error:
        _refuse(error)
    typer.echo(f"{row.id}, version {row.version}, until {row.expires_at.isoformat()}")


@app.command()
def end(name: MandateId, *, store: Url) -> None:
    """End a mandate: nothing more is made or accepted by it."""
    from serving.cli.keys import opened
    from serving.store import orders

    with opened(store) as base, base.begin() as transaction:
        if orders.mandate(transaction, name) is None:
            typer.echo(f"no mandate {name!r}", err=True)
            raise typer.Exit(REFUSED)
        orders.end_mandate(transaction, name, at=_now())
    typer.echo(f"{name} has ended")


@app.command()
def key(
    file: Annotated[Path, typer.Argument(help="File to write; it must not stand yet.")],
) -> None:
    """Make the key that orders are sealed with, and print its public part.

    It vouches for orders and can move no money: no contract and no exchange knows it.
    """
    from serving.log.heads import new_key

    try:
        typer.echo(new_key(file))
    except InvalidInput as error:
        _refuse(error)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="JSON of one order, as `show` prints it.")],
    *,
    key: Annotated[str, typer.Option(help="Public key that is trusted, hexadecimal.")],
) -> None:
    """Hold an order to its signature and its typed data; exit code 3 where they are not its own.

    Works offline, without the service and without the store.
    """
    from serving.orders.seal import is_sound

    try:
        tree = json.loads(file.read_bytes())
        order, seal = tree["order"], tree["seal"] or {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise typer.BadParameter(f"{file} holds no order: {error}", param_hint="FILE") from None
    if not is_sound(order, seal, trusted=key):
        typer.echo("not signed by the key, or changed since", err=True)
        raise typer.Exit(BAD)
    typer.echo(f"{order['id']} is what the key signed")


def _now() -> datetime:
    """Return the time."""
    return datetime.now(tz=UTC)


def _refuse(error: Exception) -> NoReturn:
    """Say what is wrong, fault by fault, and end."""
    typer.echo(str(error), err=True)
    raise typer.Exit(REFUSED)
