"""The demonstration: a simulated market and book, scored over HTTP by the real service."""

import contextlib
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

from rich import box
from rich.console import Console
from rich.table import Table

import models
from features.simulate import START, SimulatedBook, simulate
from models.horizons import LABELS, REFERENCE
from serving.application.sample_book import lay
from serving.demo import venues
from serving.process import (
    OK,
    STOP_SECONDS,
    Server,
    ServerFailed,
    compiling,
    environment,
    free_port,
    is_free,
    running,
    stoppable,
    undisturbed,
)
from serving.settings import Settings
from serving.store import Store, accounts, open_store

CHAMPION = Path(models.__file__).resolve().parent / "champion"
HOST = "127.0.0.1"
DAYS = 75
ACCOUNTS = 160
HOURS = 24 * 60
"""Simulated hours until the market ends."""

CRASH = 30
"""Hours until the first crash, where nobody asks for it at once."""

SHOWN = 10
WIDTH = 132
CHUNK = 500
TAIL = 2000
STORE = "simulated-book.sqlite3"
LEAST_PERCENT = 0.01
HOUR = timedelta(hours=1)
BREACHED = {"liquidatable": 2, "not_executable": 2, "margin_call": 1}


def falls(crash: int) -> Mapping[int, float]:
    """Return the crashes by hour after the start: the first takes two hours, -0.07 is 7 % down.

    Parameters
    ----------
    crash
        Hour of the first one.
    """
    return {crash: -0.07, crash + 1: -0.06, 300: -0.1, 720: -0.12}


def store_files(directory: Path) -> tuple[Path, ...]:
    """Return the files of a store that an earlier demonstration left in a directory."""
    return tuple(sorted(directory.glob(f"{STORE}*")))


def run(*, directory: Path | None, port: int, seed: int, pace: float, crash: int) -> None:
    """Show everything and stay up until SIGINT or SIGTERM.

    Parameters
    ----------
    directory
        Where the store is kept, in place of one that is there; None for a temporary one that is
        removed at the end.
    port
        Wanted port; another one is chosen where it is taken.
    pace
        Real seconds that a simulated hour takes; 0 where the market stands still.
    crash
        Simulated hours until the first crash.

    Raises
    ------
    ServerFailed
        When the service does not come up or ends by itself.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    bundle = CHAMPION if (CHAMPION / "bundle.json").is_file() else None
    with stoppable(), _place(directory) as place, compiling(Settings(bundle=bundle)):
        console.print(
            "[bold]SIMULATED[/bold] market and book: drawn from a generator, nothing real"
        )
        settings = Settings(bundle=bundle, store=_prepare(place, seed=seed))
        if settings.bundle is None:
            console.print("no shipped bundle: the rules alone answer, marked degraded")
        chosen = port if is_free(HOST, port) else free_port(HOST)
        with (place / "service.log").open("wb") as log:
            try:
                with running(settings, host=HOST, port=chosen, log=log) as server:
                    _present(console, server, settings, seed=seed)
                    speed = f"{pace:g} s an hour" if pace else "stands still"
                    console.print(f"Desk: {server.url}/desk   simulated market: {speed}")
                    if pace:
                        console.print(_announced(crash=crash, pace=pace))
                    console.print("Ctrl-C ends it")
                    with _moving(settings, seed=seed, pace=pace, crash=crash, log=log) as mover:
                        _stay(server, mover)
            except ServerFailed as error:
                said = (place / "service.log").read_text(errors="replace")[-TAIL:]
                raise ServerFailed(f"{error}\n{said}") from None
    console.print("stopped")


@contextlib.contextmanager
def _place(directory: Path | None) -> Iterator[Path]:
    """Yield the named directory, or a temporary one."""
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        yield directory.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="forewarn-demo-") as name:
        yield Path(name)


def _prepare(place: Path, *, seed: int) -> str:
    """Draw the book, lay it into a fresh store and return the store's URL."""
    book = simulate(seed=seed, days=DAYS, accounts=ACCOUNTS)
    file = place / STORE
    for part in store_files(place):
        part.unlink()
    url = f"sqlite:///{file}"
    store = open_store(url)
    try:
        lay_all(book, store, seed=seed)
    finally:
        store.close()
    return url


def lay_all(book: SimulatedBook, store: Store, *, seed: int) -> None:
    """Lay the vaults and every other venue into a store."""
    lay(book, store)
    drawn = venues.draw(book, seed=seed, at=len(book.candles), falls={})
    with store.begin() as transaction:
        venues.lay(transaction, drawn, at=book.at)


def announcement(crash: int) -> str:
    """Return what comes, and when by the simulated clock."""
    fall = 1.0 - (1.0 + falls(crash)[crash]) * (1.0 + falls(crash)[crash + 1])
    at = crash_at(crash)
    return f"A crash by {fall:.0%} within two hours begins at {at:%Y-%m-%d %H:%M} simulated time"


def crash_at(crash: int) -> datetime:
    """Return when the crash begins by the simulated clock."""
    return START + timedelta(days=DAYS) + crash * HOUR


def _announced(*, crash: int, pace: float) -> str:
    """Return when the crash comes."""
    return f"{announcement(crash)}, in about {crash * pace:.0f} s"


def _present(console: Console, server: Server, settings: Settings, *, seed: int) -> None:
    """Wait for the service, score the book over HTTP and print what is riskiest."""
    state = server.wait_ready()
    for reason in state["reasons"]:
        console.print(f"degraded: {reason}", markup=False)
    store = open_store(settings.store or "")
    with store.read() as transaction:
        keys = accounts.keys(transaction)
    store.close()
    scored = _score(server, keys)
    console.print(_table(scored, seed=seed))
    top = max(scored, key=_risk)["account"]
    body = shlex.quote(json.dumps({"account": top}))
    console.print(f"Scored {len(scored)} SIMULATED accounts at {server.url}. Try one:")
    line = f"curl -s {server.url}/v1/score -H 'Content-Type: application/json' -d {body}"
    print(line, flush=True)  # noqa: T201 - a line to paste must not be wrapped or styled
    console.print(f"API: {server.url}/docs   metrics: {server.url}/metrics")


def _score(server: Server, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return the assessments of the whole book.

    Raises
    ------
    ServerFailed
        When the service refuses.
    """
    scored: list[dict[str, Any]] = []
    for begin in range(0, len(keys), CHUNK):
        chunk = list(keys[begin : begin + CHUNK])
        status, answer = server.ask("POST", "/v1/score", body={"accounts": chunk})
        if status != OK:
            raise ServerFailed(f"the service answered {status}: {answer}")
        scored.extend(item for item in answer["assessments"] if "errors" not in item)
    return scored


def _risk(scored: dict[str, Any]) -> tuple[int, int, float, float]:
    """Return what accounts are ordered by: the rule first, then the forecast.

    Ratios are no order: each venue has its own, and some fall where others rise.
    """
    rule = scored["rule"]
    later = rule["next_verdict"] or {"verdict": "safe"}
    day, longest = _at(scored, REFERENCE), _at(scored, LABELS[-1])
    return (
        BREACHED.get(rule["verdict"], 0),
        BREACHED.get(later["verdict"], 0),
        0.0 if day is None else float(day["expected"]),
        0.0 if longest is None else float(longest["unattended"]),
    )


def _at(scored: dict[str, Any], horizon: str) -> dict[str, Any] | None:
    """Return the forecast for one horizon."""
    entries = [entry for entry in scored["forecast"] if entry["horizon"] == horizon]
    return entries[0] if entries else None


def _table(scored: Sequence[dict[str, Any]], *, seed: int) -> Table:
    """Return the riskiest accounts as a table."""
    at = scored[0]["as_of"] if scored else ""
    table = Table(
        title=f"SIMULATED book (seed {seed}): the {SHOWN} riskiest accounts at {at}",
        caption="per horizon: unattended / expected probability of liquidation, %",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for name in ("account", "verdict"):
        table.add_column(name, no_wrap=name == "account")
    for name in ("ratio", "trigger", *LABELS):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("top reason", overflow="fold")
    for assessment in sorted(scored, key=_risk, reverse=True)[:SHOWN]:
        table.add_row(*_row(assessment))
    return table


def _row(assessment: dict[str, Any]) -> Iterator[str]:
    """Yield the cells of one account."""
    rule = assessment["rule"]
    later = rule["next_verdict"]
    verdict = rule["verdict"]
    if later and later["verdict"] != verdict:
        verdict = f"{verdict}, next {later['verdict']}"
    ratio, trigger = rule["ratio"], rule["trigger"]
    yield assessment["account"]
    yield verdict
    yield f"{_number(ratio['value']):.3f}" if ratio and ratio["value"] else "-"
    yield f"{trigger['asset']} {_number(trigger['price']):,.2f}" if trigger else "-"
    for label in LABELS:
        entry = _at(assessment, label)
        yield f"{_percent(entry['unattended'])}/{_percent(entry['expected'])}" if entry else "-"
    yield _top_reason(assessment)


def _number(exact: str) -> float:
    """Return an exact amount, a decimal or a fraction of two, for the eye."""
    return float(Fraction(exact))


def _top_reason(assessment: dict[str, Any]) -> str:
    """Return what raises the risk most: the rule, then the model, then why there is none."""
    raising = [reason for reason in assessment["reasons"] if reason["direction"] == "raises"]
    reasons = [*raising, *assessment["reasons"], *assessment["degraded_reasons"]]
    if not reasons:
        return "-"
    return str(reasons[0]["text"]).removesuffix("; raises the risk")


def _percent(probability: float) -> str:
    """Return a probability in per cent, with three digits that say something."""
    percent = 100.0 * probability
    if percent < LEAST_PERCENT:
        return f"<{LEAST_PERCENT}"
    return f"{percent:.3g}"


@contextlib.contextmanager
def _moving(
    settings: Settings, *, seed: int, pace: float, crash: int, log: IO[bytes]
) -> "Iterator[subprocess.Popen[bytes]]":
    """Let the market move in a process of its own while the context lasts."""
    command = [
        sys.executable,
        "-m",
        "serving.demo.market",
        settings.store or "",
        str(seed),
        str(pace),
        str(crash),
    ]
    process = subprocess.Popen(  # noqa: S603 - our own module, arguments checked by typer
        command,
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with undisturbed():
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()
            process.wait()


def _stay(server: Server, mover: "subprocess.Popen[bytes]") -> None:
    """Stay until a signal comes.

    Raises
    ------
    ServerFailed
        When the service ends by itself, or the market fails.
    """
    while server.process.poll() is None:
        if mover.poll():
            raise ServerFailed(f"the simulated market ended with code {mover.returncode}")
        time.sleep(0.2)
    raise ServerFailed(f"the server ended with code {server.process.returncode}")
