"""The commands that serve and judge: `forewarn serve`, `forewarn demo`, `forewarn margin`."""

import ipaddress
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from models.command import lacking
from models.errors import Fault, InvalidInput
from serving.cli import alerts as alert_commands
from serving.cli import allocate as allocate_command
from serving.cli import breakers as breaker_commands
from serving.cli import connect as connect_commands
from serving.cli import consume as consume_command
from serving.cli import keys as key_commands
from serving.cli import log as log_commands
from serving.cli import mcp as mcp_command
from serving.cli import operate as operator_commands
from serving.cli import orders as order_commands
from serving.cli import risk as risk_commands
from serving.cli import score as score_command
from serving.cli import store as store_commands
from serving.cli import terms as term_commands
from serving.http.tracing import ENDPOINTS, EXPORTER
from serving.process import ServerFailed, absolute, become_server, is_free
from serving.schemas.problems import encode
from serving.settings import DEMO_SEED, FILE, PREFIX, Settings, from_environment

app = typer.Typer(no_args_is_help=True, help="Serve assessments over HTTP.")
app.add_typer(key_commands.app, name="keys")
app.add_typer(breaker_commands.app, name="breakers")
app.add_typer(log_commands.app, name="log")
app.add_typer(order_commands.app, name="orders")
app.add_typer(term_commands.app, name="terms")
app.add_typer(store_commands.app)
app.add_typer(alert_commands.group, name="alerts")
app.add_typer(connect_commands.group, name="connections")
app.registered_commands += connect_commands.app.registered_commands
app.registered_commands += consume_command.app.registered_commands
app.add_typer(risk_commands.app)
app.add_typer(risk_commands.group, name="risk")
app.registered_commands += alert_commands.app.registered_commands
app.registered_commands += allocate_command.app.registered_commands
app.registered_commands += mcp_command.app.registered_commands
app.registered_commands += operator_commands.app.registered_commands
app.registered_commands += score_command.app.registered_commands

Port = Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")]


@app.command()
def serve(
    *,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Directory of the bundle; left out, the rules alone answer."),
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="Database URL, such as sqlite:///book.sqlite3.")
    ] = None,
    host: Annotated[
        str, typer.Option(envvar=f"{PREFIX}SERVE_HOST", help="IP address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=1, max=65535, envvar=f"{PREFIX}SERVE_PORT", help="Port.")
    ] = 3000,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that answer.")
    ] = None,
    agents: Annotated[
        bool, typer.Option("--mcp", help="Serve agents the tools at /mcp; takes the extra `mcp`.")
    ] = False,
    warm: Annotated[
        bool, typer.Option("--warm", help="Keep the whole book read and judged, at a core's cost.")
    ] = False,
    file: Annotated[Path | None, typer.Option("--settings", help="TOML file of settings.")] = None,
) -> None:
    """Answer requests until interrupted; beyond loopback only where keys exist."""
    wished = {"bundle": bundle, "store": store, "workers": workers}
    wished |= {"mcp": agents or None, "warm": warm or None}
    settings = _settings(file, {name: value for name, value in wished.items() if value is not None})
    _refuse_place(host, port, settings)
    typer.echo(f"desk: http://{host}:{port}/desk")
    sys.stdout.flush()
    become_server(settings, host=host, port=port)


def _settings(file: Path | None, wished: Mapping[str, Any]) -> Settings:
    """Return the settings of file, environment and command line, or list every fault."""
    options = {f"{PREFIX}{name.upper()}": str(value) for name, value in wished.items()}
    environment = {**os.environ, **options, **({} if file is None else {FILE: str(file)})}
    try:
        parsed = from_environment(environment)
    except InvalidInput as error:
        stated = environment.get(f"{PREFIX}BUNDLE")
        _refuse([*error.faults, *_absent(Path(stated) if stated else None)], options)
    faults = [*_absent(parsed.bundle), *_lacking(parsed, environment)]
    if faults:
        _refuse(faults, options)
    return absolute(parsed)


def _absent(bundle: Path | None) -> Iterator[Fault]:
    """Yield a fault for a bundle that is not there; one that is damaged is told by `/readyz`."""
    if bundle is not None and not bundle.is_dir():
        yield Fault(f"${PREFIX}BUNDLE", f"{bundle} is no directory")


def _lacking(settings: Settings, environment: Mapping[str, str]) -> Iterator[Fault]:
    """Yield a fault for what is asked for and comes with an extra that is not installed."""
    needed = [(f"${PREFIX}MCP", "mcp")] if settings.mcp else []
    needed += [(f"${name}", EXPORTER) for name in ENDPOINTS if environment.get(name)]
    for where, module in needed:
        if not _is_there(module):
            yield Fault(where, lacking(module) or f"needs {module}, which is not installed")


def _is_there(module: str) -> bool:
    """Return whether a module can be imported, without loading it."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of what it lies in
        return False


def _refuse(faults: Sequence[Fault], options: Collection[str]) -> NoReturn:
    """List faults, those of options by the options' names, and end."""
    for fault in faults:
        variable = fault.where.removeprefix("$")
        name = f"--{variable.removeprefix(PREFIX).lower()}"
        typer.echo(f"{name if variable in options else fault.where}: {fault.message}", err=True)
    raise typer.Exit(2)


def _has_keys(settings: Settings) -> bool:
    """Return whether the store holds a key that has neither ended nor been revoked."""
    if settings.store is None:
        return False
    from serving.store import StoreRefused, keys, open_store

    try:
        store = open_store(settings.store)
    except StoreRefused as error:
        raise typer.BadParameter(str(error), param_hint="--store") from None
    try:
        with store.read() as transaction:
            return keys.exists(transaction, at=datetime.now(tz=UTC))
    finally:
        store.close()


def _refuse_place(host: str, port: int, settings: Settings) -> None:
    """Refuse an address that is none, is taken, or is open to others while no key exists."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise typer.BadParameter(f"{host!r} is not an IP address", param_hint="--host") from None
    if not address.is_loopback and not _has_keys(settings):
        raise typer.BadParameter(
            f"{host} can be reached by others and no key exists: create one first with "
            "`forewarn keys create --store URL`, and name that store here",
            param_hint="--host",
        )
    if not is_free(host, port):
        raise typer.BadParameter(f"{host}:{port} is taken", param_hint="--port")


@app.command()
def demo(
    *,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", help="Where to keep the store; a temporary place if left out."),
    ] = None,
    port: Port = 3000,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulated market and book.")] = DEMO_SEED,
    pace: Annotated[
        float,
        typer.Option(min=0.0, max=3600.0, help="Seconds a simulated hour takes; 0 stands still."),
    ] = 3.0,
    crash: Annotated[
        bool, typer.Option("--crash", help="Let the crash come at once, not after 30 hours.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete the store that stands in --dir.")
    ] = False,
) -> None:
    """Show it all on a SIMULATED market and book; needs no data and no network."""
    from serving.demo.run import CRASH, run, store_files

    if directory is not None and not replace and (files := store_files(directory)):
        size = sum(file.stat().st_size for file in files) / 1e6
        raise typer.BadParameter(
            f"{directory} holds the store of an earlier demonstration ({size:.0f} MB): "
            "--replace deletes it",
            param_hint="--dir",
        )
    hours = 1 if crash else CRASH
    try:
        run(directory=directory, port=port, seed=seed, pace=pace, crash=hours)
    except ServerFailed as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


@app.command()
def margin(
    file: Annotated[
        str,
        typer.Argument(help="JSON as for POST /v1/margin and /v1/trigger; - for standard input."),
    ],
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="The answers of /v1/margin and /v1/trigger as JSON.")
    ] = False,
) -> None:
    """Judge the accounts of FILE by their venues' rules; exit code 2 where one is at fault."""
    from serving.cli.margin_table import sheet, table, whole
    from serving.schemas.strict_json import NotJson

    try:
        answers = sheet(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from None
    except NotJson as error:
        typer.echo(f"{file} is not JSON: {error}", err=True)
        raise typer.Exit(2) from None
    except InvalidInput as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(encode(answers))
    else:
        Console(highlight=False).print(table(answers.accounts))
        if answers.aggregate is not None:
            typer.echo(whole(answers.aggregate))
    for faulty in answers.faulty:
        for entry in faulty.errors:
            typer.echo(f"{entry.pointer}: {entry.detail}", err=True)
    if answers.faulty:
        raise typer.Exit(2)
