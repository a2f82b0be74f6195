"""Measure the gate and the log: `.venv/bin/python tests/bench/parameters.py [ACCOUNTS]`.

Prints seconds of a preview over a warm book (three cuts of a threshold, with and without the
cliff), beside one pass of the exact rules over every account; of verifying a log of 100,000
entries; and of adding an entry to such a log, median and 99th percentile, beside a row of SQLite
alone.
"""

import contextlib
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "builders"))

from parameter_books import Loan, aave, reserve

from models.domain import MarketId
from models.margin.venues import aave_v3_terms
from models.parameters.changes import Request, resolve
from models.parameters.judged_book import JudgedBook, judge_book
from models.parameters.preview import cliff, preview
from serving.application import governed_log
from serving.log.entries import START, Entry, chained, leaf_of
from serving.log.verify import exported, verify
from serving.store import open_store

MAIN = MarketId("aave-v3", "main")
AT = datetime(2026, 3, 1, tzinfo=UTC)
ENTRIES = 100_000
APPENDED = 200
TERMS = aave_v3_terms.Terms(
    reserves={
        "A": reserve(0, ltv=7500, threshold=8000),
        "B": reserve(1, ltv=7000, threshold=7500),
        "D": reserve(2, ltv=0, threshold=0, bonus=0),
    }
)


def seconds(act: Callable[[], object]) -> float:
    """Return how long an act takes, the best of five."""
    best = np.inf
    for _ in range(5):
        begin = time.perf_counter()
        act()
        best = min(best, time.perf_counter() - begin)
    return best


def book(count: int) -> JudgedBook:
    """Return a warm book: half of one collateral, half of two, health factors from 1.0 to 4."""
    draw = np.random.default_rng(1)
    loans = []
    for place in range(count):
        worth = int(10 ** draw.uniform(8, 14))
        share = 1.0 if draw.random() < 0.5 else float(draw.random())
        held = {"A": int(worth * share), "B": worth - int(worth * share)}
        credit = held["A"] * 0.8 + held["B"] * 0.75
        owed = int(credit / draw.lognormal(0.4, 0.35))
        backing = {name: amount for name, amount in held.items() if amount}
        loans.append(Loan(key=str(place), collateral=backing, debt={"D": max(owed, 1)}))
    prices = dict.fromkeys("ABD", 10**8)
    return judge_book(aave(loans, TERMS, prices)).warmed()


def measure_preview(count: int) -> None:
    """Print what previews cost."""
    begin = time.perf_counter()
    judged = book(count)
    print(f"{count} accounts, warmed in {time.perf_counter() - begin:.1f} s")
    whole = seconds(lambda: [c.rulebook.margin(c.account, c.market, c.terms) for c in judged.cases])
    print(f"one pass of the exact rules: {whole:.2f} s")
    for to in ("0.79", "0.75", "0.60"):
        request = Request(market=MAIN, asset="A", parameter="threshold", to=to)
        changes = resolve([request], judged.terms)
        found = preview(judged, changes)
        alone = seconds(lambda changes=changes: preview(judged, changes))
        edge = seconds(lambda changes=changes: cliff(judged, changes[0]))
        print(
            f"threshold {to}: {len(found.newly)} fall, {found.judged_exactly} judged exactly, "
            f"preview {alone:.3f} s, cliff {edge:.3f} s"
        )


def entries(count: int) -> Iterator[bytes]:
    """Yield the lines of an export."""
    chain = START
    for number in range(count):
        text = Entry(
            number=number,
            time=AT + timedelta(seconds=number),
            actor="0123456789abcdef",
            action="terms changed",
            subject="aave-v3 main reserves.wstETH.threshold",
            body={"value": "0.81", "to": "0.805", "proposal": "20260301T000000000000-abcdef01"},
            previous=chain,
        ).encoded()
        chain = chained(chain, leaf_of(text))
        yield exported(text, chain)


def measure_log() -> None:
    """Print what the log costs."""
    lines = list(entries(ENTRIES))
    print(f"verify {ENTRIES} entries: {seconds(lambda: verify(lines)):.2f} s")
    with tempfile.TemporaryDirectory() as place:
        store = open_store(f"sqlite:///{place}/log.sqlite3")
        with store.begin() as transaction:
            for number in range(2_000):
                _append(transaction, number)
        times, bare = [], []
        with contextlib.closing(_plain(Path(place) / "plain.sqlite3")) as plain:
            for number in range(2_000, 2_000 + APPENDED):
                begin = time.perf_counter()
                with store.begin() as transaction:
                    _append(transaction, number)
                times.append(time.perf_counter() - begin)
                begin = time.perf_counter()
                plain.execute("INSERT INTO entries (body) VALUES (?)", ("x" * 300,))
                bare.append(time.perf_counter() - begin)
        store.close()
    middle, late = np.percentile(times, [50, 99]) * 1000
    floor = np.median(bare) * 1000
    print(
        f"append, committed: median {middle:.2f} ms, p99 {late:.2f} ms; a row of SQLite alone, as "
        f"safely on the disk: median {floor:.2f} ms, ratio {middle / floor:.1f}"
    )


def _plain(file: Path) -> sqlite3.Connection:
    """Return a database that writes as safely as a store does, and nothing else."""
    plain = sqlite3.connect(file, isolation_level=None)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE entries (number INTEGER PRIMARY KEY, body TEXT)",
    ):
        plain.execute(statement)
    return plain


def _append(transaction: object, number: int) -> None:
    """Add an entry."""
    governed_log.append(
        transaction,  # type: ignore[arg-type]
        at=AT + timedelta(seconds=number),
        actor="bench",
        action="test",
        subject="subject",
        body={"number": str(number)},
    )


if __name__ == "__main__":
    measure_preview(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    measure_log()
