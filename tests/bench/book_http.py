"""What a large stored book costs over HTTP: python tests/bench/book_http.py [ACCOUNTS] [CALLS].

Lays that many Maker vaults into a SQLite store and asks the whole API, every layer but the
socket: the first stress and the first preview of terms (cold: accounts are read and judged),
then many beside a warm book, by the clock and in processor seconds; and the most memory.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "builders"))
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

import governed_books
import local

from serving.application.deployment import read_deployment
from serving.application.scoring import ScoringService
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import Store, accounts, open_store

PART = 5_000
STRESS = {
    "shocks": [{"name": "crash", "prices": {"*": "-0.2"}}],
}
PREVIEW = {"changes": [{"venue": "maker", "parameter": "mat", "to": "1.34"}]}
CURVE = {
    "measured_at": governed_books.NOON.isoformat(),
    "quotes": [
        {"amount": str(amount), "impact": lost}
        for amount, lost in ((1_000, "0.001"), (100_000, "0.05"), (1_000_000, "0.3"))
    ],
}


def lay(store: Store, count: int) -> None:
    """Write vaults whose ratios run from the line to four times it."""
    governed_books.lay(store)
    ratios = 132 + np.random.default_rng(1).gamma(2.0, 40.0, count).astype(int)
    for first in range(0, count, PART):
        bodies = [
            governed_books.vault(f"vault-{place}", int(ratio))
            for place, ratio in enumerate(ratios[first : first + PART], start=first)
        ]
        with store.begin() as transaction:
            accounts.upsert(transaction, bodies, at=governed_books.NOON, now=governed_books.NOON)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return seconds by the clock and of the processor."""
    begun, spent = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begun, time.process_time() - spent


def asked(caller: local.Caller, path: str, body: object) -> Callable[[], None]:
    """Return a call that must be answered."""

    def ask() -> None:
        answer = caller.post(path, json=body)
        if answer.status_code != 200:
            raise RuntimeError(answer.text)

    return ask


def main() -> None:
    """Measure and print."""
    count, calls = (
        int(sys.argv[n]) if len(sys.argv) > n else usual for n, usual in ((1, 100_000), (2, 40))
    )
    with tempfile.TemporaryDirectory() as place:
        store = open_store(f"sqlite:///{place}/book.sqlite3")
        lay(store, count)
        model = read_deployment(None).model
        desk = ScoringService(model=model, store=store, clock=lambda: governed_books.NOON)
        api = Api(
            routes(OPERATIONS), desk, Admission(Settings(timeout_seconds=600.0), Keyring(desk.keys))
        )
        caller = local.Caller(api)
        if caller.put("/v1/impact/ETH/USD", json=CURVE).status_code != 200:
            raise RuntimeError("the curve was not taken")
        for path, body in (("/v1/book/stress", STRESS), ("/v1/terms/preview", PREVIEW)):
            ask = asked(caller, path, body)
            clock, spent = timed(ask)
            print(f"{path}, {count:,} accounts, cold: {clock:.1f} s, {spent:.1f} of the processor")
            rows = [timed(ask) for _ in range(calls)]
            by_clock, by_processor = (sorted(column) for column in zip(*rows, strict=True))
            last = max(int(0.95 * calls) - 1, 0)
            for name, row in (("clock", by_clock), ("processor", by_processor)):
                middle, late = statistics.median(row) * 1e3, row[last] * 1e3
                print(f"  warm, {calls} calls by {name}: median {middle:.0f} ms, p95 {late:.0f} ms")
        caller.close()
        store.close()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"at most {most:,.0f} MB")


if __name__ == "__main__":
    main()
