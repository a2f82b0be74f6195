"""The commands `forewarn connect` and `forewarn connections …`: accounts read where they live."""

import asyncio
import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from models.errors import Fault, ForewarnError, InvalidInput
from serving.cli.starting import LogLevel, starting
from serving.process import SIGNALS
from serving.settings import PREFIX

if TYPE_CHECKING:
    from serving.connect.body import ConnectionBody, Target
    from serving.connect.exchanges.body import ExchangeBody
    from serving.connect.exchanges.follow import ExchangeFollower, ExchangeStep
    from serving.connect.follow import Follower, Step
    from serving.store import Store
    from serving.store.connections import Connection

app = typer.Typer(no_args_is_help=True)
group = typer.Typer(no_args_is_help=True, help="Connections that a store holds.")

ACTOR = "command line"
Url = Annotated[
    str, typer.Option("--store", envvar=f"{PREFIX}STORE", help="Database URL of the store.")
]
Poll = Annotated[
    float, typer.Option(min=0.1, max=600.0, help="Seconds between two looks at the chain.")
]
CANDLES_FROM = "binance"
Candles = Annotated[
    bool,
    typer.Option(
        "--candles/--no-candles",
        help="Fetch the candles that forecasts need for whatever connected accounts hold, for as "
        "long as they are followed.",
    ),
]
CandlesFrom = Annotated[str, typer.Option(help="Exchange of the candles, by ccxt's name.")]
CandlesApi = Annotated[
    str | None, typer.Option(help="Proxy that speaks for the hosts of that exchange.")
]


@dataclass(frozen=True, slots=True)
class _Candles:
    """From where candles are fetched: an exchange by ccxt's name, and its proxy if any."""

    exchange: str
    api: str | None


def _candles(exchange: str, api: str | None) -> _Candles:
    """Return from where candles are fetched.

    Raises
    ------
    InvalidInput
        When ccxt knows no such exchange.
    """
    if exchange != CANDLES_FROM:
        from serving.ingest.exchange import ExchangeFailed, find

        try:
            find(exchange)
        except ExchangeFailed as error:
            raise InvalidInput([Fault("/candles_from", str(error))]) from None
    return _Candles(exchange, api)


@app.command()
def connect(
    venue: Annotated[
        str,
        typer.Argument(
            help="aave-v2, aave-v3, compound-v3, euler-v2, liquity-v1, maker, morpho-blue, "
            "venus, venus-isolated; binance-usdm, bybit, okx, hyperliquid, dydx or deribit."
        ),
    ],
    *,
    store: Url,
    rpc: Annotated[
        list[str] | None,
        typer.Option(help="JSON-RPC endpoint; of several, two must give every answer alike."),
    ] = None,
    chain: Annotated[str | None, typer.Option(help="Chain by its name, such as ethereum.")] = None,
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
        str | None,
        typer.Option(
            help="Market of the venue, core if left out; of Morpho Blue its id, of Maker a "
            "collateral type."
        ),
    ] = None,
    contract: Annotated[
        str | None, typer.Option(help="The venue's contract, where the market is not known.")
    ] = None,
    chain_id: Annotated[
        int | None, typer.Option(min=1, help="EIP-155, where the chain's name is not known.")
    ] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with key, secret and, of OKX, passphrase of an exchange; - for "
            "standard input. Left out: FOREWARN_EXCHANGE_KEY, _SECRET and _PASSPHRASE."
        ),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Speaks for every host of the exchange, such as a sandbox.")
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
    once: Annotated[bool, typer.Option("--once", help="Read once and end.")] = False,
    poll: Poll = 2.0,
    candles: Candles = True,
    candles_from: CandlesFrom = CANDLES_FROM,
    candles_api: CandlesApi = None,
    log_level: LogLevel = "info",
) -> None:
    """Read accounts of a venue into the store, and follow them until interrupted.

    On chains, Hyperliquid and dYdX an address is enough; of other exchanges a key that can only
    read is needed, and one that can do more is refused. Each account is compared with what the
    venue itself says of it. Exit code 2 where something asked for is wrong, 1 where the venue
    cannot be read.
    """
    from serving.connect.body import refuse_named
    from serving.connect.exchanges.body import VENUES

    _log(log_level)
    on_chain = {
        "chain": chain,
        "chain_id": chain_id,
        "market": market,
        "contract": contract,
        "rpc": rpc or [],
        "ws": ws or [],
        "all_borrowers": all_borrowers,
    }
    with _refusing():
        refuse_named(venue)
        beside = _candles(candles_from, candles_api) if candles else None
        if venue in VENUES:
            _not_both([option for option, value in on_chain.items() if value], venue)
            wish = {"venue": venue, "addresses": address or [], "base_url": base_url}
            _connect_exchange(wish, credentials, store, name or venue, once=once, candles=beside)
            return
        off_chain = {"credentials": credentials, "base_url": base_url}
        _not_both([option for option, value in off_chain.items() if value is not None], venue)
        stated = {field: value for field, value in on_chain.items() if value is not None}
        _connect_chain(
            {"venue": venue, "addresses": address or [], **stated},
            store,
            name,
            since=since,
            days=days,
            once=once,
            poll=poll,
            candles=beside,
        )


def _not_both(options: list[str], venue: str) -> None:
    """Refuse options that a venue has no use for.

    Raises
    ------
    InvalidInput
        Listing them.
    """
    if options:
        faults = [Fault(f"/{option}", f"says nothing about {venue}") for option in options]
        raise InvalidInput(faults)


def _connect_chain(
    wish: dict[str, Any],
    store: str,
    name: str | None,
    *,
    since: int,
    days: int,
    once: bool,
    poll: float,
    candles: _Candles | None,
) -> None:
    """Register and follow accounts on a chain."""
    from serving.connect.body import public, secret, target
    from serving.connect.secrets import keys_of

    with starting(_option) as start:
        start.settings()
        start.attempt("", keys_of)
        body = start.attempt("", partial(_body, wish))
        aim = None if body is None else start.attempt("", partial(target, body))
        opened = start.store(store)
    assert body and aim and opened  # noqa: PT018, S101 - it began without a fault
    title = name or f"{body.venue}-{body.chain}-{body.market}"
    with contextlib.closing(opened):
        _register(opened, title, public(body), secret(body))
        asyncio.run(
            _follow(
                opened,
                title,
                aim,
                body,
                since=since,
                days=days,
                once=once,
                poll=poll,
                candles=candles,
            )
        )


def _connect_exchange(
    wish: dict[str, Any],
    file: Path | None,
    store: str,
    name: str,
    *,
    once: bool,
    candles: _Candles | None,
) -> None:
    """Register and follow accounts of an exchange."""
    from serving.connect.exchanges.body import (
        credentials_in,
        credentials_of,
        exchange_target,
        secrets_of,
        stated,
        text_of,
    )
    from serving.connect.secrets import keys_of

    def stated_body() -> "ExchangeBody":
        secrets = credentials_in(text_of(file, sys.stdin), os.environ, where="--credentials")
        return _exchange_body({**wish, **secrets})

    with starting(_option) as start:
        start.settings()
        start.attempt("", keys_of)
        body = start.attempt("--credentials", stated_body)
        aim = None if body is None else start.attempt("", partial(exchange_target, body))
        opened = start.store(store)
    assert body and aim and opened  # noqa: PT018, S101 - it began without a fault
    with contextlib.closing(opened):
        from serving.connect.exchanges.follow import exchange_follower

        follower = exchange_follower(name, aim, credentials_of(body), opened)

        def register() -> None:
            _register(opened, name, stated(body), secrets_of(body))

        asyncio.run(_follow_exchange(follower, register, once=once, candles=candles))


async def _follow_exchange(
    follower: "ExchangeFollower",
    register: Callable[[], None],
    *,
    once: bool,
    candles: _Candles | None,
) -> None:
    """Refuse a key that can do too much before anything is kept, read once, and go on."""
    try:
        await follower.verify()
        register()
        _tell_exchange(await follower.step())
        if not once:
            stop = _stop()
            await _beside(candles, follower.store, stop, follower.run(stop))
    finally:
        await follower.session.close()


def _tell_exchange(step: "ExchangeStep") -> None:
    """Print what was read, what the rules refuse, and what differs."""
    refused = [each for each in step.accounts if each.refused is not None]
    count = len(step.accounts)
    agree = count - len(refused) - len(step.mismatches)
    typer.echo(f"read at {step.snapshot.at.isoformat(timespec='seconds')}")
    typer.echo(
        f"{count} accounts, {agree} judged as their venue judges them, {len(refused)} shown with "
        "the venue's own figures alone"
    )
    for each in step.accounts:
        for figure in each.figures:
            if figure.figure == "liquidation_price":
                ours = figure.ours or "none"
                typer.echo(
                    f"{each.account.id} {figure.instrument} {figure.side}: liquidation price "
                    f"{ours} by the rules, {figure.theirs or 'none'} by the venue"
                )
    for each in refused:
        typer.echo(f"{each.account.id}: {each.refused}", err=True)
    for each in step.mismatches:
        for part in each.differences:
            text = f"{part['figure']}: {part['ours']} by the rules, {part['theirs']} by the venue"
            typer.echo(f"rule_mismatch {each.account.id}: {text}", err=True)


def _exchange_body(wish: dict[str, Any]) -> "ExchangeBody":
    """Return what is to be followed; raises `InvalidInput` listing every fault, and no secret."""
    from serving.connect.exchanges.body import CREDENTIALS, ExchangeBody
    from serving.schemas.requests import pointers

    try:
        return ExchangeBody.model_validate(wish)
    except ValidationError as error:
        hidden = {f"/{name}" for name in CREDENTIALS}
        faults = [
            Fault(f.where, f.message.partition(", not ")[0]) if f.where in hidden else f
            for f in pointers(error)
        ]
        raise InvalidInput(faults) from None


def _body(wish: dict[str, Any]) -> "ConnectionBody":
    """Return what is to be followed; raises `InvalidInput` listing every fault."""
    from serving.connect.body import ConnectionBody
    from serving.schemas.requests import pointers

    try:
        return ConnectionBody.model_validate(wish)
    except ValidationError as error:
        raise InvalidInput(list(pointers(error))) from None


def _register(store: "Store", name: str, clear: dict[str, Any], secret: dict[str, Any]) -> None:
    """Write a connection; what is secret only where there is a key to seal it with."""
    from serving.connect.secrets import keys_of, seal
    from serving.store import audit, connections
    from serving.store.audit import AuditEntry

    keys = keys_of()
    sealed = seal(secret, name=name, keys=keys) if keys else None
    now = datetime.now(tz=UTC)
    with store.begin() as transaction:
        connections.write(transaction, name, clear, sealed=sealed, now=now)
        entry = AuditEntry(
            at=now, actor=ACTOR, action="connect", subject=name, request_id="", detail=clear
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
    candles: _Candles | None,
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
            stop = _stop()
            await _beside(candles, store, stop, follower.run(stop, poll=poll))
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
def follow(
    *,
    store: Url,
    poll: Poll = 2.0,
    candles: Candles = True,
    candles_from: CandlesFrom = CANDLES_FROM,
    candles_api: CandlesApi = None,
    log_level: LogLevel = "info",
) -> None:
    """Follow every connection of the store whose endpoints or keys are sealed in it."""
    from serving.connect.secrets import keys_of
    from serving.store import connections

    _log(log_level)
    with starting(_option) as start:
        start.settings()
        start.attempt("", keys_of)
        opened = start.store(store)
    assert opened  # noqa: S101 - it began without a fault
    with _refusing(), contextlib.closing(opened):
        beside = _candles(candles_from, candles_api) if candles else None
        with opened.read() as transaction:
            stored = connections.every(transaction)
        chains, exchanges = _followers(stored, opened)
        if not chains and not exchanges:
            typer.echo("no connection to follow", err=True)
            raise typer.Exit(1)
        asyncio.run(_follow_all(opened, chains, exchanges, poll=poll, candles=beside))


def _followers(
    stored: "list[Connection]", opened: "Store"
) -> "tuple[list[Follower], list[ExchangeFollower]]":
    """Return who follows the connections whose secrets can be opened."""
    from serving.connect import run
    from serving.connect.body import target
    from serving.connect.exchanges.body import (
        VENUES,
        credentials_of,
        exchange_target,
    )
    from serving.connect.secrets import keys_of, unseal

    keys = keys_of()
    chains, exchanges = [], []
    for each in stored:
        if each.sealed is None:
            typer.echo(f"{each.name}: its endpoints or keys are not in the store", err=True)
            continue
        secret = unseal(each.sealed, name=each.name, keys=keys)
        if each.body["venue"] in VENUES:
            from serving.connect.exchanges.follow import exchange_follower

            body = _exchange_body({**each.body, **secret})
            aim = exchange_target(body)
            exchanges.append(exchange_follower(each.name, aim, credentials_of(body), opened))
        else:
            chain = target(_body({**each.body, **secret}))
            chains.append(run.follower_of(each.name, chain, secret, opened))
    return chains, exchanges


async def _follow_all(
    store: "Store",
    chains: "list[Follower]",
    exchanges: "list[ExchangeFollower]",
    *,
    poll: float,
    candles: _Candles | None,
) -> None:
    """Follow until interrupted."""
    from serving.connect import run

    stop = _stop()
    try:
        await _beside(
            candles,
            store,
            stop,
            run.follow_all(chains, stop, poll=poll),
            *(each.run(stop) for each in exchanges),
        )
    finally:
        await asyncio.gather(*(each.session.close() for each in exchanges))


async def _beside(
    candles: _Candles | None,
    store: "Store",
    stop: asyncio.Event,
    *following: Coroutine[Any, Any, None],
) -> None:
    """Follow until told to stop, and keep the candles up meanwhile where they are wished for."""
    keeping = [_keep(candles, store, stop)] if candles is not None else []
    await asyncio.gather(*following, *keeping)


async def _keep(candles: _Candles, store: "Store", stop: asyncio.Event) -> None:
    """Keep candles up until told to stop."""
    # ccxt loads a hundred exchanges: whoever follows does not wait for them.
    keeping = await asyncio.to_thread(importlib.import_module, "serving.ingest.keeping")
    keeper = keeping.CandleKeeper(store=store, exchange=candles.exchange, api=candles.api)
    await keeper.run(stop)


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


def _log(level: str) -> None:
    """Write JSON lines to standard error."""
    from serving.telemetry import log_to_stderr

    log_to_stderr(level)


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
    "/all_borrowers": "--all-borrowers",
    "/base_url": "--base-url",
    "/candles_from": "--candles-from",
    "/credentials": "--credentials",
    "/key": "key",
    "/secret": "secret",
    "/passphrase": "passphrase",
}


def _option(fault: str) -> str:
    """Return a fault with its place as the command line names it."""
    for pointer, option in OPTIONS.items():
        if fault.startswith(pointer):
            return f"{option}{fault[len(pointer) :]}"
    return fault
