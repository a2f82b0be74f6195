"""How fast the service answers, against bare predict and against its peers.

Every server runs in turn on this machine with the same model and the same load; each figure is
the median of interleaved repeats, as a ratio to what one thread of `Booster.predict` does on a
ready NumPy matrix. Run it on an idle machine:

    python tests/bench/service.py [--repeats 5] [--seconds 3] [--soak 600]
"""

import argparse
import base64
import json
import multiprocessing as mp
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from features.pipeline import BASELINE, NAMES, fingerprint  # noqa: E402
from features.simulate import simulate  # noqa: E402
from models import bundle as bundles  # noqa: E402
from serving.arrow import STREAM, write_stream  # noqa: E402
from serving.book import account_body, market_body  # noqa: E402
from serving.process import Server, free_port, running  # noqa: E402
from serving.settings import Settings  # noqa: E402

ROWS = 1000
CALLERS = 16
JSON = {"Content-Type": "application/json"}
PEER = """
import os, sys
from pathlib import Path
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel
from features.pipeline import BASELINE, NAMES, fingerprint
from models import bundle as bundles

found = bundles.load(Path(os.environ["BENCH_BUNDLE"]), fingerprint=fingerprint(), features=NAMES)
app = FastAPI()


class Row(BaseModel):
    values: list[float | None]
    baseline: list[float]


class Body(BaseModel):
    rows: list[Row]


@app.post("/score")
def score(body: Body) -> dict[str, list[list[float]]]:
    features = np.array([row.values for row in body.rows], dtype=np.float64)
    baseline = np.array([row.baseline for row in body.rows])
    told = {}
    for name, head in found.heads.items():
        told[name] = head.probabilities(head.scores(features, baseline)).tolist()
    return told
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One kind of request to one kind of server.

    Parameters
    ----------
    rows
        Accounts in a request.
    """

    name: str
    path: str
    body: bytes
    headers: dict[str, str]
    rows: int


def features(rows: int) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Return ready features with values missing here and there."""
    draw = np.random.default_rng(7)
    names = (*NAMES, *BASELINE)
    whole = draw.normal(size=(rows, len(names)))
    whole[:, : len(NAMES)][draw.random((rows, len(NAMES))) < 0.1] = np.nan
    return {name: np.ascontiguousarray(whole[:, i]) for i, name in enumerate(names)}


def loads(kept: Collection[str]) -> list[Load]:
    """Return the requests: ready features in three forms, positions, and one account.

    Parameters
    ----------
    kept
        Features that the model reads.
    """
    columns = {n: c for n, c in features(ROWS).items() if n in kept or n in BASELINE}
    plain = {n: [None if np.isnan(v) else v for v in c.tolist()] for n, c in columns.items()}
    coded = {n: base64.b64encode(c.tobytes()).decode() for n, c in columns.items()}
    one = {n: c[:1] for n, c in plain.items()}
    arrow = write_stream(pa.table(columns))
    path = "/v1/score/features"
    return [
        Load(name="columns", path=path, body=_json(columns=plain), headers=JSON, rows=ROWS),
        Load(
            name="base64",
            path=path,
            body=_json(columns=coded, encoding="base64"),
            headers=JSON,
            rows=ROWS,
        ),
        Load(name="arrow", path=path, body=arrow, headers={"Content-Type": STREAM}, rows=ROWS),
        Load(name="one row", path=path, body=_json(columns=one), headers=JSON, rows=1),
        *_positions(),
    ]


def _json(**told: Any) -> bytes:
    """Return a JSON body."""
    return json.dumps(told).encode()


def _positions() -> Iterator[Load]:
    """Yield requests that bring positions and their market, with reasons and without."""
    book = simulate(seed=9, days=75, accounts=160)
    held = [a for a, art in zip(book.accounts["account"], book.accounts["art"], strict=True) if art]
    bodies = [account_body(book, str(account)) for account in held]
    many = [{**bodies[i % len(bodies)], "id": f"a{i}"} for i in range(ROWS)]
    shared = {"as_of": book.at.isoformat(), "market": market_body(book)}
    for name, items, reasons in (
        ("positions", many, False),
        ("positions, reasons", many, True),
        ("one position", many[:1], False),
    ):
        body = _json(**shared, accounts=items, reasons=reasons)
        yield Load(name=name, path="/v1/score", body=body, headers=JSON, rows=len(items))


def bare(bundle: Path, rows: int, seconds: float) -> float:
    """Return accounts per second of every booster of a bundle on a ready matrix, one thread."""
    found = bundles.load(bundle, fingerprint=fingerprint(), features=NAMES)
    matrix = np.ascontiguousarray(
        np.stack([features(rows)[name] for name in found.features], axis=1)
    )
    boosters = [one for head in found.heads.values() for one in head.boosters]

    def once() -> None:
        for booster in boosters:
            booster.predict(matrix, raw_score=True, num_threads=1)

    return rows * _per_second(once, seconds)


def _per_second(once: Callable[[], object], seconds: float) -> float:
    """Return how often something is done per second."""
    once()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        once()
        count += 1
    return count / (time.perf_counter() - began)


def answered(url: str, load: Load, *, seconds: float, callers: int) -> tuple[float, list[float]]:
    """Return accounts per second, and how long each request took."""
    queue: mp.Queue[list[float]] = mp.get_context("fork").Queue()
    ends = time.perf_counter() + seconds
    asking = [
        mp.get_context("fork").Process(target=_ask, args=(url, load, ends, callers // 2, queue))
        for _ in range(2)
    ]
    for one in asking:
        one.start()
    took = [seconds_ for _ in asking for seconds_ in queue.get()]
    for one in asking:
        one.join()
    return len(took) * load.rows / seconds, took


def _ask(url: str, load: Load, ends: float, callers: int, queue: "mp.Queue[list[float]]") -> None:
    """Ask from several connections until the time is up."""
    took: list[float] = []

    def caller() -> None:
        with httpx.Client(base_url=url, timeout=60.0) as client:
            while time.perf_counter() < ends:
                began = time.perf_counter()
                answer = client.post(load.path, content=load.body, headers=load.headers)
                if answer.status_code != 200:
                    raise SystemExit(f"{load.name}: {answer.status_code} {answer.text[:300]}")
                took.append(time.perf_counter() - began)

    threads = [threading.Thread(target=caller) for _ in range(max(callers, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    queue.put(took)


@contextmanager
def ours(bundle: Path, workers: int) -> Iterator[Server]:
    """Yield the service with some workers."""
    settings = Settings(bundle=bundle, workers=workers, log_level="warning")
    port = free_port("127.0.0.1")
    with (
        tempfile.TemporaryFile() as log,
        running(settings, host="127.0.0.1", port=port, log=log) as server,
    ):
        server.wait_ready()
        yield server


@contextmanager
def peer(bundle: Path) -> Iterator[str]:
    """Yield the URL of FastAPI and pydantic rows in front of the same model."""
    port = free_port("127.0.0.1")
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "peer.py").write_text(PEER)
        environment = {
            **os.environ,
            "BENCH_BUNDLE": str(bundle),
            "PYTHONPATH": os.pathsep.join([place, str(ROOT)]),
        }
        command = [sys.executable, "-m", "uvicorn", "peer:app", "--port", str(port)]
        process = subprocess.Popen([*command, "--log-level", "warning"], env=environment)
        try:
            url = f"http://127.0.0.1:{port}"
            _await(url, "/openapi.json")
            yield url
        finally:
            process.terminate()
            process.wait()


def _await(url: str, path: str) -> None:
    """Wait until a server answers."""
    for _ in range(600):
        try:
            httpx.get(f"{url}{path}", timeout=2.0)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"{url} does not answer")


def peer_loads(kept: tuple[str, ...]) -> list[Load]:
    """Return the same rows as the peer takes them."""
    columns = features(ROWS)
    rows = [
        {
            "values": [None if np.isnan(columns[n][i]) else columns[n][i] for n in kept],
            "baseline": [columns[n][i] for n in BASELINE],
        }
        for i in range(ROWS)
    ]
    return [
        Load(name="peer", path="/score", body=_json(rows=rows), headers=JSON, rows=ROWS),
        Load(name="peer, one row", path="/score", body=_json(rows=rows[:1]), headers=JSON, rows=1),
    ]


def memory(server: Server) -> float:
    """Return the resident megabytes of the largest worker."""
    largest = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            command = (status.parent / "cmdline").read_bytes()
            text = status.read_text()
            session = os.getsid(int(status.parent.name))
        except OSError:
            continue
        if b"_bentoml_impl.worker" in command and session == server.process.pid:
            size = next(line for line in text.splitlines() if line.startswith("VmRSS"))
            largest = max(largest, int(size.split()[1]))
    return largest / 1024


def measured(bundle: Path, *, repeats: int, seconds: float) -> dict[str, list[float]]:
    """Return accounts per second of every load on every server, repeat by repeat."""
    kept = bundles.load(bundle, fingerprint=fingerprint(), features=NAMES).features
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    with ours(bundle, 1) as single, ours(bundle, 2) as double, peer(bundle) as other:
        for _ in range(repeats):
            note("bare predict", bare(bundle, ROWS, seconds))
            for load in loads(kept):
                note(load.name, answered(single.url, load, seconds=seconds, callers=CALLERS)[0])
            for load in loads(kept)[:3]:
                told, _ = answered(double.url, load, seconds=seconds, callers=CALLERS)
                note(f"{load.name}, two workers", told)
            for load in peer_loads(kept):
                note(load.name, answered(other, load, seconds=seconds, callers=CALLERS)[0])
        note("memory per worker, MB", memory(single))
        _, took = answered(single.url, loads(kept)[3], seconds=seconds, callers=2)
        took.sort()
        note(
            "p99 over p50, one row, two callers", took[int(len(took) * 0.99)] / took[len(took) // 2]
        )
    return found


def soaked(bundle: Path, seconds: float) -> tuple[float, float]:
    """Return the resident megabytes of a worker before and after a long load."""
    kept = bundles.load(bundle, fingerprint=fingerprint(), features=NAMES).features
    with ours(bundle, 1) as server:
        load = loads(kept)[0]
        answered(server.url, load, seconds=10.0, callers=2)
        before = memory(server)
        answered(server.url, load, seconds=seconds, callers=2)
        return before, memory(server)


def main() -> None:
    """Print the table."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--bundle", type=Path, default=ROOT / "models" / "champion")
    reader.add_argument("--repeats", type=int, default=5)
    reader.add_argument("--seconds", type=float, default=3.0)
    reader.add_argument("--soak", type=float, default=0.0)
    asked = reader.parse_args()
    found = measured(asked.bundle, repeats=asked.repeats, seconds=asked.seconds)
    base = statistics.median(found["bare predict"])
    print("| load | accounts per second | ratio to bare predict |\n|---|---|---|")
    for name, values in found.items():
        middle = statistics.median(values)
        is_rate = len(values) == asked.repeats
        ratio = f"{middle / base:.2f}" if is_rate else ""
        print(f"| {name} | {middle:,.{0 if is_rate else 1}f} | {ratio} |")
    if asked.soak:
        before, after = soaked(asked.bundle, asked.soak)
        print(f"soak of {asked.soak:.0f} s: {before:.0f} MB before, {after:.0f} MB after")


if __name__ == "__main__":
    main()
