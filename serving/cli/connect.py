"""The commands `forewarn connect` and `forewarn connections …`: accounts read where they live."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from models.errors import ForewarnError, InvalidInput
from serving.process import SIGNALS
from serving.settings import PREFIX

if TYPE_CHECKING:
    from serving.connect.body import ConnectionBody, Target
    from serving.connect.follow import Follower, Step
    from serving.store import Store

app = typer.Typer(no_args_is_help=True)
group = typer.Typer(no_args_is_help=True, help="Connections that a store holds.")

ACTOR = "command line"
Url = Annotated[
    str, typer.Option("--store", envvar=f"{PREFIX}STORE", help="Database URL of the store.")
]
Poll = Annotated[
    float, typer.Option(min=0.1, max=600.0, help="Seconds between two looks at the chain.")
]


@app.command()
def connect(
    venue: Annotated[str, typer.Argument(help="aave-v2, aave-v3, liquity-v1 or morpho-blue.")],
    *,
    store: Url,
    rpc: Annotated[
        list[str],
        typer.Option(help="JSON-RPC endpoint; of several, two must give every answer alike."),
    ],
    chain: Annotated[str, typer.Option(help="Chain by its name, such as ethereum.")],
    ws: Annotated[
        list[str] | None,
        typer.Option(help="WebSocket endpoint that tells of new heads; polled where it is silent."),
    ] = None,
    address: Annotated[
        list[str] | None, typer.Option(help="Owner's address; may be given several times.")
    ] = None,
    all_borrowers: Annotated[
        bool, typer.Option("--all-borrowers", help="Whoever borrows, and who borrowed before.")
    ] = False,
    market: Annotated[
        str, typer.Option(help="Market of the venue; of Morpho Blue its id.")
    ] = "core",
    contract: Annotated[
        str | None, typer.Option(help="The venue's contract, where the market is not known.")
    ] = None,
    chain_id: Annotated[
        int | None, typer.Option(min=1, help="EIP-155, where the chain's name is not known.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the connection; made up if left out.")
    ] = None,
    since: Annotated[
        int, typer.Option(min=0, help="Block from which on borrowers are looked for.")
    ] = 0,
    days: Annotated[
        int, typer.Option(min=0, help="How far back to read what happened; 0 for nothing.")
    ] = 30,
    once: Annotated[bool, typer.Option("--once", help="Read the newest block and end.")] = False,
    poll: Poll = 2.0,
) -> None:
    """Read accounts of a venue on a chain into the store, and follow them until interrupted.

    An address is enough: nothing is signed and no key is asked for. Each account is compared with
    what the venue itself says of it. Exit code 2 where something asked for is wrong, 1 where the
    chain cannot be read.
    """
    from serving.connect.body import target

    wish = {
        "venue": venue,
        "chain": chain,
        "chain_id": chain_id,
        "market": market,
        "contract": contract,
        "rpc": rpc,
        "ws": ws or [],
        "addresses": address or [],
        "all_borrowers": all_borrowers,
    }
    with _refusing():
        body = _body(wish)
        aim = target(body)
        title = name or f"{venue}-{chain}-{market}"
        with _opened(store) as opened:
            _register(opened, title, body)
            asyncio.run(
                _follow(opened, title, aim, body, since=since, days=days, once=once, poll=poll)
            )


def _body(wish: dict[str, Any]) -> "ConnectionBody":
    """Return what is to be followed; raises `InvalidInput` listing every fault."""
    from serving.connect.body import ConnectionBody
    from serving.schemas.requests import pointers

    try:
        return ConnectionBody.model_validate(wish)
    except ValidationError as error:
        raise InvalidInput(list(pointers(error))) from None


def _register(store: "Store", name: str, body: "ConnectionBody") -> None:
    """Write a connection; its endpoints only where there is a key to seal them with."""
    from serving.connect.body import public, secret
    from serving.connect.secrets import keys_of, seal
    from serving.store import audit, connections
    from serving.store.audit import AuditEntry

    keys = keys_of()
    sealed = seal(secret(body), name=name, keys=keys) if keys else None
    now = datetime.now(tz=UTC)
    with store.begin() as transaction:
        connections.write(transaction, name, public(body), sealed=sealed, now=now)
        entry = AuditEntry(
            at=now, actor=ACTOR, action="connect", subject=name, request_id="", detail=public(body)
        )
        audit.note(transaction, entry)


async def _follow(
    store: "Store",
    name: str,
    aim: "Target",
    body: "ConnectionBody",
    *,
    since: int,
    days: int,
    once: bool,
    poll: float,
) -> None:
    """Read once, tell what came of it, and go on unless that is all."""
    from serving.connect import rpc, run
    from serving.connect.body import secret

    follower = run.follower_of(name, aim, secret(body), store)
    try:
        step = await run.once(
            follower,
            borrowers_from=since if aim.takes_borrowers else None,
            since=_since(follower, days),
        )
        _tell(step, follower)
        if not once:
            logging.basicConfig(level=logging.INFO, format="%(message)s")
            await follower.run(_stop(), poll=poll)
    finally:
        await rpc.close(follower.chain)


def _since(follower: "Follower", days: int) -> datetime | None:
    """Return from when on the past is read: of accounts that were named, not of all borrowers."""
    if not days or follower.takes_borrowers:
        return None
    return follower.clock() - timedelta(days=days)


def _tell(step: "Step", follower: "Follower") -> None:
    """Print what was read, what differs, and who holds nothing."""
    block = step.head
    typer.echo(f"block {block.number} of {block.at.isoformat(timespec='seconds')}")
    empty = follower.empty()
    equal = sum(check.is_equal for check in step.checks)
    typer.echo(
        f"{len(step.checks)} accounts, {equal} judged as their venue judges them, "
        f"{len(empty)} without positions"
    )
    for address in empty if len(empty) <= len(follower.addresses) // 2 + 10 else ():
        typer.echo(f"{address} holds nothing in {follower.reader.market}", err=True)
    for check in step.mismatches:
        for difference in check.differences:
            typer.echo(f"rule_mismatch {check.account}: {difference}", err=True)


@group.command("list")
def show(*, store: Url) -> None:
    """List every connection, how it stands and what differs."""
    from serving.connect.run import status_line
    from serving.store import connections

    with _refusing(), _opened(store) as opened, opened.read() as transaction:
        for each in connections.every(transaction):
            typer.echo(status_line(each.name, each.status))
            for check in connections.differing(transaction, each.name):
                figures = ", ".join(str(part["figure"]) for part in check.differences)
                typer.echo(f"  rule_mismatch {check.account}: {figures}")


@group.command()
def follow(*, store: Url, poll: Poll = 2.0) -> None:
    """Follow every connection of the store whose endpoints are sealed in it."""
    from serving.connect import run
    from serving.connect.body import target
    from serving.connect.secrets import keys_of, unseal
    from serving.store import connections

    with _refusing(), _opened(store) as opened:
        keys = keys_of()
        with opened.read() as transaction:
            stored = connections.every(transaction)
        followers = []
        for each in stored:
            if each.sealed is None:
                typer.echo(f"{each.name}: its endpoints are not in the store", err=True)
                continue
            endpoints = unseal(each.sealed, name=each.name, keys=keys)
            aim = target(_body({**each.body, **endpoints}))
            followers.append(run.follower_of(each.name, aim, endpoints, opened))
        if not followers:
            typer.echo("no connection to follow", err=True)
            raise typer.Exit(1)
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        asyncio.run(_follow_all(followers, poll=poll))


async def _follow_all(followers: "list[Follower]", *, poll: float) -> None:
    """Follow until interrupted."""
    from serving.connect import run

    await run.follow_all(followers, _stop(), poll=poll)


def _stop() -> asyncio.Event:
    """Return what is set at SIGINT and SIGTERM: a block is written whole before the end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)
    return stop


@group.command()
def remove(name: str, *, store: Url) -> None:
    """End a connection. What it wrote of accounts stays."""
    from serving.store import connections

    with _refusing(), _opened(store) as opened:
        with opened.begin() as transaction:
            is_gone = connections.remove(transaction, name)
        if not is_gone:
            typer.echo(f"there is no connection {name!r}", err=True)
            raise typer.Exit(2)


@group.command("new-key")
def new_key() -> None:
    """Print a fresh key to seal secrets with, for FOREWARN_CONNECT_KEY or a file."""
    from serving.connect.secrets import new_key as make

    typer.echo(make())


@group.command()
def rotate(*, store: Url) -> None:
    """Seal every secret anew with the first of the keys."""
    from serving.connect.secrets import keys_of, resealed
    from serving.store import connections

    with _refusing(), _opened(store) as opened:
        keys = keys_of()
        with opened.begin() as transaction:
            stored = [each for each in connections.every(transaction) if each.sealed is not None]
            for each in stored:
                sealed = resealed(each.sealed or b"", name=each.name, keys=keys)
                now = datetime.now(tz=UTC)
                connections.write(transaction, each.name, each.body, sealed=sealed, now=now)
        typer.echo(f"{len(stored)} sealed anew")


@contextlib.contextmanager
def _opened(url: str) -> "Iterator[Store]":
    """Yield a store that is closed at the end."""
    from serving.store import open_store

    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Tell every fault and end with the exit code of its kind."""
    try:
        yield
    except InvalidInput as error:
        for fault in error.faults:
            typer.echo(_option(str(fault)), err=True)
        raise typer.Exit(2) from None
    except ForewarnError as error:
        code = getattr(error, "code", None)
        typer.echo(f"{code}: {error}" if code else str(error), err=True)
        raise typer.Exit(1) from None


OPTIONS = {
    "/rpc": "--rpc",
    "/ws": "--ws",
    "/chain_id": "--chain-id",
    "/chain": "--chain",
    "/addresses": "--address",
    "/contract": "--contract",
    "/market": "--market",
    "/venue": "VENUE",
}


def _option(fault: str) -> str:
    """Return a fault with its place as the command line names it."""
    for pointer, option in OPTIONS.items():
        if fault.startswith(pointer):
            return f"{option}{fault[len(pointer) :]}"
    return fault
