"""What the service's benchmark asks, and how often it is answered."""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.pipeline import BASELINE, NAMES
from features.simulate import simulate
from serving.application.sample_book import account_body, market_body
from serving.schemas.arrow import STREAM, write_stream

Floats = npt.NDArray[np.float64]
ROWS = 1000
JSON = "application/json"
READY = "/v1/score/features"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One kind of request.

    Parameters
    ----------
    rows
        Accounts in a request.
    """

    name: str
    path: str
    body: bytes
    media_type: str = JSON
    rows: int = ROWS

    def request(self, port: int) -> bytes:
        """Return the request as it goes over the wire."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Content-Type: {self.media_type}\r\nContent-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


def features(rows: int) -> dict[str, Floats]:
    """Return ready features with values missing here and there."""
    draw = np.random.default_rng(7)
    names = (*NAMES, *BASELINE)
    whole = draw.normal(size=(rows, len(names)))
    whole[:, : len(NAMES)][draw.random((rows, len(NAMES))) < 0.1] = np.nan
    return {name: np.ascontiguousarray(whole[:, i]) for i, name in enumerate(names)}


def ready(kept: Collection[str]) -> list[Load]:
    """Return requests with the ready features that the model reads, in every form."""
    columns = {n: c for n, c in features(ROWS).items() if n in kept or n in BASELINE}
    plain = {n: [None if np.isnan(v) else v for v in c.tolist()] for n, c in columns.items()}
    coded = {n: base64.b64encode(c.tobytes()).decode() for n, c in columns.items()}
    one = {n: c[:1] for n, c in plain.items()}
    packed = _json(columns=coded, encoding="base64")
    return [
        Load(name="columns", path=READY, body=_json(columns=plain)),
        Load(name="base64", path=READY, body=packed),
        Load(name="Arrow", path=READY, body=write_stream(pa.table(columns)), media_type=STREAM),
        Load(name="one row", path=READY, body=_json(columns=one), rows=1),
    ]


def positions() -> list[Load]:
    """Return requests that bring positions and their market, with reasons and without."""
    book = simulate(seed=9, days=75, accounts=160)
    held = [a for a, art in zip(book.accounts["account"], book.accounts["art"], strict=True) if art]
    bodies = [account_body(book, str(account)) for account in held]
    many = [{**bodies[i % len(bodies)], "id": f"a{i}"} for i in range(ROWS)]
    shared = {"as_of": book.at.isoformat(), "market": market_body(book)}
    kinds = (
        ("positions", many, False),
        ("positions, reasons", many, True),
        ("one position", many[:1], False),
    )
    return [
        Load(
            name=name,
            path="/v1/score",
            body=_json(**shared, accounts=items, reasons=reasons),
            rows=len(items),
        )
        for name, items, reasons in kinds
    ]


def peer_rows() -> list[Load]:
    """Return the same ready features as rows, as the FastAPI peer takes them."""
    columns = {n: [None if np.isnan(v) else v for v in c] for n, c in features(ROWS).items()}
    rows = [
        {"values": [columns[n][i] for n in NAMES], "baseline": [columns[n][i] for n in BASELINE]}
        for i in range(ROWS)
    ]
    return [
        Load(name="FastAPI and pydantic", path="/score", body=_json(rows=rows)),
        Load(name="FastAPI, one row", path="/score", body=_json(rows=rows[:1]), rows=1),
    ]


def peer_frames() -> list[Load]:
    """Return the same ready features as MLflow's scoring server takes them."""
    columns = features(ROWS)
    told = [[None if np.isnan(v) else v for v in row] for row in np.stack([*columns.values()], 1)]
    split = {"columns": list(columns), "data": told}
    one = {**split, "data": told[:1]}
    return [
        Load(name="MLflow", path="/invocations", body=_json(dataframe_split=split)),
        Load(name="MLflow, one row", path="/invocations", body=_json(dataframe_split=one), rows=1),
    ]


def _json(**told: Any) -> bytes:
    """Return a JSON body."""
    return json.dumps(told).encode()


def per_second(once: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Return how often something is done per second of time, and of this thread's processor."""
    once()
    began, spent, count = time.perf_counter(), time.thread_time(), 0
    while time.perf_counter() - began < seconds:
        once()
        count += 1
    return count / (time.perf_counter() - began), count / (time.thread_time() - spent)


def answered(
    port: int, load: Load, *, seconds: float, callers: int, pause: float = 0.0
) -> list[float]:
    """Return how long each request took that was begun within the time, ascending.

    Parameters
    ----------
    pause
        Seconds between the starts of a caller's requests, where the answer leaves as many.

    Notes
    -----
    Callers are plain sockets that stay open: anything more would take the machine from the
    server that is measured.
    """
    took: list[float] = []
    begin = threading.Barrier(callers + 1)
    threads = [
        threading.Thread(target=_ask, args=(port, load.request(port), begin, seconds, pause, took))
        for _ in range(callers)
    ]
    for thread in threads:
        thread.start()
    begin.wait()
    for thread in threads:
        thread.join()
    return sorted(took)


def _ask(
    port: int,
    request: bytes,
    begin: threading.Barrier,
    seconds: float,
    pause: float,
    took: list[float],
) -> None:
    """Ask over one connection until the time is up."""
    with socket.create_connection(("127.0.0.1", port), timeout=120.0) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begin.wait()
        ends = time.perf_counter() + seconds
        while (began := time.perf_counter()) < ends:
            connection.sendall(request)
            status = _response(connection)
            if status != 200:
                raise SystemExit(f"port {port} answered {status}")
            ended = time.perf_counter()
            took.append(ended - began)
            time.sleep(max(began + pause - ended, 0.0))


def _response(connection: socket.socket) -> int:
    """Read one whole response and return its status."""
    found = bytearray()
    while (end := found.find(b"\r\n\r\n")) < 0:
        found += connection.recv(1 << 18)
    head = bytes(found[:end]).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    left = end + 4 + length - len(found)
    while left > 0:
        left -= len(connection.recv(min(left, 1 << 20)))
    return int(head.split(b" ", 2)[1])
