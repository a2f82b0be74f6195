"""What breaks around the service: no wrong answer, no accepted write lost, recovery by itself."""

import contextlib
import os
import resource
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import venue_bodies
from psycopg import sql
from services import serving

from serving.store import open_store

CHAMPION = Path(__file__).resolve().parents[2] / "models" / "champion"
PROBLEM = "application/problem+json"
LONGEST = 90.0
OBSERVED = "2026-01-01T00:00:00Z"


def price(name: str) -> dict[str, Any]:
    """Return a push of one price of an asset of its own."""
    return {"prices": [{"asset": name, "value": "17.5", "observed_at": OBSERVED}]}


def push(client: httpx.Client, name: str) -> httpx.Response:
    """Push a price under its own idempotency key."""
    return client.post("/v1/prices", json=price(name), headers={"Idempotency-Key": name})


def accepted(client: httpx.Client, name: str) -> None:
    """Push until the service says that it was written, as a careful caller does."""
    eventually(lambda: push(client, name).status_code == 200)


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until something holds; a connection that breaks is asked again."""
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            if is_so():
                return
        time.sleep(0.05)
    raise AssertionError("it never came to hold")


def workers() -> list[int]:
    """Return the processes of the service's workers that this test started.

    They have the command line of the process that they are forked from.
    """
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (place / "cmdline").read_bytes()
            parent = Path(f"/proc/{_parent(int(place.name))}/cmdline").read_bytes()
            if b"forkserver" in command and command == parent and _is_ours(int(place.name)):
                found.append(int(place.name))
    return found


def _parent(number: int) -> int:
    """Return the parent of a process."""
    stat = Path(f"/proc/{number}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def _is_ours(number: int) -> bool:
    """Return whether a process descends from this one."""
    while number > 1:
        if number == os.getpid():
            return True
        number = _parent(number)
    return False


@contextlib.contextmanager
def loading(url: str) -> Iterator[tuple[set[str], list[str]]]:
    """Yield the names accepted and the wrong answers, while callers push and ask."""
    written: set[str] = set()
    wrong: list[str] = []
    over = threading.Event()
    body = venue_bodies.maker()

    def ask(caller: int) -> None:
        with httpx.Client(base_url=url, timeout=30.0) as client:
            number = 0
            while not over.is_set():
                name = f"load-{caller}-{number}"
                with contextlib.suppress(httpx.TransportError):
                    if push(client, name).status_code == 200:
                        written.add(name)
                        number += 1
                    answer = client.post("/v1/margin", json=body)
                    if answer.status_code == 200 and answer.json()["standing"]["verdict"] != "safe":
                        wrong.append(answer.text)
                over.wait(0.02)

    callers = [threading.Thread(target=ask, args=(i,)) for i in range(3)]
    for caller in callers:
        caller.start()
    try:
        yield written, wrong
    finally:
        over.set()
        for caller in callers:
            caller.join(60)


def held(client: httpx.Client) -> dict[str, str]:
    """Return the price of every asset that the service holds."""
    told = client.get("/v1/prices").json()["prices"]
    return {one["asset"]: one["price"] for one in told}


@contextlib.contextmanager
def locked(url: str) -> Iterator[None]:
    """Hold the store's write lock."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
        connection.close()
        return
    with psycopg.connect(url) as postgres:
        postgres.execute("LOCK TABLE prices IN EXCLUSIVE MODE")
        yield
        postgres.rollback()


@contextlib.contextmanager
def full(url: str) -> Iterator[None]:
    """Let the workers write no file any further: what a full disk looks like."""
    del url
    found = workers()
    for worker in found:
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    yield
    for worker in found:
        most = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, most)


@contextlib.contextmanager
def stopped(url: str) -> Iterator[None]:
    """Let the server of the store serve nobody."""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    admin = psycopg.conninfo.make_conninfo(url, dbname="postgres")
    allow = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(allow.format(sql.Identifier(str(name)), sql.SQL("false")))
        connection.execute(end, [name])
        yield
        connection.execute(allow.format(sql.Identifier(str(name)), sql.SQL("true")))


def test_a_fault_loses_nothing_and_answers_nothing_wrong(store_url: str, tmp_path: Path) -> None:
    """Workers killed, the store locked, full or stopped: writes are kept or refused, never both."""
    bundle = tmp_path / "bundle"
    shutil.copytree(CHAMPION, bundle)
    options = ("--store", store_url, "--workers", "2", "--bundle", bundle)
    with serving(tmp_path / "log", *options) as client:
        version = client.get("/v1/models").json()["in_use"]
        with loading(str(client.base_url)) as (written, wrong):
            _kill_each(client)
            _replace(bundle)
            assert client.get("/v1/models").json()["in_use"] == version
        assert not wrong
        assert written <= held(client).keys()
        ways = [locked, full] if store_url.startswith("sqlite") else [locked, stopped]
        for way in ways:
            _refused_then_accepted(client, way, store_url)
        assert set(held(client).values()) == {"17.5"}
        names = set(held(client))
    _holds_each_once(store_url, names)


def _kill_each(client: httpx.Client) -> None:
    """Kill every worker in turn, as the kernel does when memory runs out, and wait for new ones."""
    for number, worker in enumerate(workers()):
        os.kill(worker, signal.SIGKILL)
        accepted(client, f"after-kill-{number}")
    eventually(lambda: len(workers()) == 2)


def _replace(bundle: Path) -> None:
    """Write over the files of a bundle in use."""
    for file in bundle.iterdir():
        file.write_text("damaged")


def _refused_then_accepted(
    client: httpx.Client, way: Callable[[str], contextlib.AbstractContextManager[None]], url: str
) -> None:
    """During a fault writes are refused and the rules still answer; after it, both work."""
    name = f"during-{way.__name__}"
    with way(url):
        answer = push(client, name)
        assert answer.status_code in {503, 504}, answer.text
        assert answer.headers["Content-Type"] == PROBLEM
        told = client.post("/v1/margin", json=venue_bodies.maker())
        assert told.json()["standing"]["verdict"] == "safe"
        assert client.get("/readyz").status_code == (503 if way is stopped else 200)
    accepted(client, name)
    assert client.get("/readyz").status_code == 200
    again = push(client, name).json()
    assert (again["added"], again["known"]) == (1, 0)


def _holds_each_once(url: str, names: set[str]) -> None:
    """Every accepted push stands in the audit log exactly once."""
    store = open_store(url)
    with store.read() as transaction:
        rows = transaction.exec_driver_sql(
            "SELECT count(*) FROM audit WHERE action = 'push prices'"
        )
        assert rows.scalar() == len(names)
    store.close()


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give answers up after twelve seconds: two more than a store waits for a lock."""
    monkeypatch.setenv("FOREWARN_TIMEOUT_SECONDS", "12")
