"""The commands that manage API keys: `forewarn keys create | list | rotate | revoke`."""

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import InvalidInput
from serving.settings import PREFIX

if TYPE_CHECKING:
    from serving.store import Store, Transaction
    from serving.store.keys import KeyRecord

app = typer.Typer(no_args_is_help=True, help="Keys that callers of the API prove themselves with.")

Url = Annotated[
    str, typer.Option("--store", envvar=f"{PREFIX}STORE", help="Database URL of the store.")
]
ACTOR = "command line"


@app.command()
def create(
    *,
    store: Url,
    label: Annotated[str, typer.Option(help="Whose key it is.")],
    scope: Annotated[
        list[str],
        typer.Option(help="What it may do, such as read; a wrong one is answered with all."),
    ],
    days: Annotated[int | None, typer.Option(min=1, help="Days after which it ends.")] = None,
) -> None:
    """Create a key and print its token, this once."""
    from serving.http.keys import issue
    from serving.store import keys

    now = datetime.now(tz=UTC)
    lifetime = None if days is None else timedelta(days=days)
    try:
        record, token = issue(label, scopes=scope, now=now, lifetime=lifetime)
    except InvalidInput as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    with _writing(store) as transaction:
        keys.insert(transaction, record)
        _note(transaction, "create key", record, now)
    typer.echo(token)


@app.command("list")
def show(*, store: Url) -> None:
    """List every key; tokens are not kept and cannot be shown."""
    from serving.store import keys

    now = datetime.now(tz=UTC)
    with opened(store) as base, base.read() as transaction:
        records = keys.list_all(transaction)
    for record in records:
        state = "live" if record.is_valid(now) else "ended"
        until = "" if record.expires_at is None else f" until {record.expires_at.isoformat()}"
        typer.echo(f"{record.id}  {state:5}  {','.join(record.scopes)}  {record.label}{until}")


@app.command()
def rotate(
    key: Annotated[str, typer.Argument(help="Id of the key to replace.")],
    *,
    store: Url,
    overlap_hours: Annotated[
        int, typer.Option(min=0, help="Hours for which the old key still opens.")
    ] = 24,
) -> None:
    """Replace a key by a new one of the same scopes and print its token, this once."""
    from serving.http.keys import successor
    from serving.store import keys

    now = datetime.now(tz=UTC)
    with _writing(store) as transaction:
        old = _live(transaction, key, now)
        record, token = successor(old, now=now)
        keys.insert(transaction, record)
        keys.revoke(transaction, key, at=now + timedelta(hours=overlap_hours))
        _note(transaction, f"rotate key {key}", record, now)
    typer.echo(token)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Id of the key to end.")], *, store: Url
) -> None:
    """End a key at once; a running service notices within two seconds."""
    from serving.store import keys

    now = datetime.now(tz=UTC)
    with _writing(store) as transaction:
        record = _live(transaction, key, now)
        keys.revoke(transaction, key, at=now)
        _note(transaction, "revoke key", record, now)
    typer.echo(f"{key} revoked")


def _live(transaction: "Transaction", key: str, now: datetime) -> "KeyRecord":
    """Return a key that still opens something, or say that there is none."""
    from serving.store import keys

    record = keys.find(transaction, key)
    if record is None or not record.is_valid(now):
        raise typer.BadParameter(f"no live key {key!r}", param_hint="KEY")
    return record


@contextlib.contextmanager
def opened(url: str) -> "Iterator[Store]":
    """Yield the store, or say why it is refused."""
    from serving.store import StoreFailed, StoreRefused, open_store

    try:
        store = open_store(url)
    except StoreRefused as error:
        raise typer.BadParameter(str(error), param_hint="--store") from None
    try:
        yield store
    except StoreFailed as error:
        typer.echo(f"the store failed, nothing was written: {error}", err=True)
        raise typer.Exit(1) from None
    finally:
        store.close()


@contextlib.contextmanager
def _writing(url: str) -> "Iterator[Transaction]":
    """Yield a writing transaction of the store."""
    with opened(url) as store, store.begin() as transaction:
        yield transaction


def _note(transaction: "Transaction", action: str, record: "KeyRecord", now: datetime) -> None:
    """Write what was done into the audit log."""
    from serving.store import audit

    actor = f"{ACTOR} ({os.environ.get('USER', 'unknown')})"[:200]
    entry = audit.AuditEntry(
        at=now, actor=actor, action=action, subject=record.id, request_id="", detail=record.label
    )
    audit.note(transaction, entry)
