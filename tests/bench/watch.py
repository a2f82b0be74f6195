"""Print how fast the watcher judges a book: python tests/bench/watch.py [ACCOUNTS].

The book is simulated vaults, judged by the exact rules and the shipped bundle, stepped and
written to a SQLite store. One pass over all of it, then the accounts nearest to the line alone.
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from features.simulate import simulate
from models.alerting.policy import default
from serving import book
from serving.alerting.watch import Watcher, nearest, step_over, turn
from serving.registry import deployed
from serving.store import accounts, alerts, market, open_store

ACCOUNTS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
DRAWN = 2_000


def lay(url: str) -> Watcher:
    """Return a watcher of a book of so many accounts, copies of fewer drawn ones."""
    drawn, store = simulate(seed=3, days=40, accounts=DRAWN), open_store(url)
    book.lay(drawn, store)
    with store.read() as transaction:
        held = accounts.read(transaction, accounts.keys(transaction))
    copies = [
        {**body, "id": f"{key}-{n}", "events": None}
        for n in range(ACCOUNTS // len(held))
        for key, body in held.items()
    ]
    bodies = [{**one, "opened_at": None} for one in copies]
    with store.begin() as transaction:
        accounts.upsert(transaction, bodies, at=drawn.at, now=drawn.at)
    return Watcher(
        store=store,
        model=deployed(Path("models/champion")).model,
        policy=default(),
        holder="bench",
        clock=lambda: drawn.at,
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        watcher = lay(f"sqlite:///{directory}/book.db")
        wall, cpu = time.perf_counter(), time.process_time()
        first = turn(watcher)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"read and judged {first:,} accounts: {wall:.1f} s, {cpu:.1f} s of CPU")
        watcher.memory = replace(watcher.memory, judged_at={})
        wall, cpu = time.perf_counter(), time.process_time()
        whole = turn(watcher)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"a whole pass over {whole:,}: {wall:.1f} s, {cpu:.1f} s of CPU")
        with watcher.store.read() as transaction:
            at = watcher.clock()
            around = market.surroundings(transaction, at=at, assets={"ETH"})
            count = len(alerts.raised_accounts(transaction))
        wall, cpu = time.perf_counter(), time.process_time()
        near = nearest(watcher.memory, around)
        step_over(watcher, around, near, now=at)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"the nearest {len(near):,}: {wall:.2f} s, {cpu:.2f} s of CPU")
        print(f"accounts with a state: {count:,}")
        watcher.store.close()
