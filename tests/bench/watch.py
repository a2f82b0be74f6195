"""Print how fast the watcher judges a book: python tests/bench/watch.py [ACCOUNTS] [rules].

The book is simulated vaults, judged by the exact rules and the shipped bundle (`rules`: by the
rules alone), stepped and written to a SQLite store. One pass over all of it, then the accounts
nearest to the line alone, then the book in sum as a request reads it, then a price that takes the
nearest hundredth below the line: from its push until a desk's messages lie in the outbox; then a
pass by two processes at once, each of its part of the book.
"""

import sys
import tempfile
import time
from datetime import datetime, timedelta
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import aims
import numpy as np

from features.simulate import simulate
from models.alerting.policy import default
from models.domain import Price
from serving.application import sample_book
from serving.application.deployment import read_deployment
from serving.application.stored_market import stored_snapshot
from serving.routes.book import summed
from serving.schemas.problems import encode
from serving.store import (
    Store,
    accounts,
    alerts,
    book_totals,
    consents,
    leases,
    market,
    open_store,
    outbox,
)
from serving.store.alerts import DESK, Receiver
from serving.store.leases import WATCHING, Part
from serving.watch.selection import ranking
from serving.watch.watcher import Watcher, cycle

ACCOUNTS = int(next((part for part in sys.argv[1:] if part.isdigit()), 100_000))
BUNDLE = None if "rules" in sys.argv else Path("models/champion")
DRAWN = 2_000
MOST_PASS, MOST_TOLD, MOST_HALF = 12, 2, 0.55
"""What was aimed at: seconds of CPU for 100,000 accounts, seconds until a pushed price is told of,
and the longer part of two to the whole."""


def lay(url: str) -> Watcher:
    """Return a watcher of a book of so many accounts, copies of fewer drawn ones."""
    drawn, store = simulate(seed=3, days=40, accounts=DRAWN), open_store(url)
    sample_book.lay(drawn, store)
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
    return watching(store, drawn.at, Part())


def watching(store: Store, at: datetime, part: Part) -> Watcher:
    """Return a watcher of a part of a book, whose clock stands."""
    return Watcher(
        store=store,
        model=read_deployment(BUNDLE).model,
        policy=default(),
        holder=part.of("bench"),
        clock=lambda: at,
        part=part,
    )


def shared(url: str, at: datetime) -> list[tuple[int, float, float]]:
    """Return accounts, seconds by the clock and of CPU of a pass by two processes at once."""
    context = get_context("spawn")
    gate = context.Barrier(2)
    with context.Pool(2, initializer=_take_gate, initargs=(gate,)) as pool:
        return pool.starmap(_pass, [(url, at, Part(index, 2)) for index in range(2)], chunksize=1)


class _Gate:
    """Where both processes wait for each other."""

    barrier: Barrier


def _take_gate(barrier: Barrier) -> None:
    """Keep what both processes wait at."""
    _Gate.barrier = barrier


def _pass(url: str, at: datetime, part: Part) -> tuple[int, float, float]:
    """Read a part, wait for the other one, and judge all of it again."""
    watcher = watching(open_store(url), at, part)
    judged(watcher)
    memory = watcher.memory
    memory.changed, memory.judged_at = dict.fromkeys(memory.bodies), {}
    _Gate.barrier.wait()
    wall, cpu = time.perf_counter(), time.process_time()
    count = judged(watcher)
    return count, time.perf_counter() - wall, time.process_time() - cpu


def judged(watcher: Watcher) -> int:
    """Return how many accounts are judged until nothing is due."""
    return sum(iter(lambda: cycle(watcher), 0))


def pushed(watcher: Watcher) -> tuple[int, float, float]:
    """Push a price that the nearest hundredth of the book does not stand.

    Returns
    -------
    tuple
        How many accounts are on a level then; seconds from before the push until the first
        message lies in the outbox, and until every account below the line was judged.
    """
    store, memory, at = watcher.store, watcher.memory, watcher.clock() + timedelta(seconds=1)
    with store.begin() as transaction:
        alerts.add_receiver(transaction, Receiver(receiver="desk", audience=DESK), (), now=at)
        channel = consents.add(
            transaction,
            receiver="desk",
            kind="file",
            target="desk",
            secrets_=(),
            rank=0,
            actor="bench",
            now=at,
        )
        code = consents.challenge(transaction, channel, actor="bench", now=at)
        consents.confirm(transaction, channel, code, actor="bench", now=at)
        around = stored_snapshot(transaction, at=at, assets={"ETH"})
    prices = {name: float(price.exact) for name, price in around.prices.items()}
    rooms = memory.slopes.rooms(prices)[1]
    share = float(np.sort(rooms[rooms > 0])[len(memory.slopes) // 100])
    before = around.prices["ETH"]
    value = int(before.value * (1 - share))
    fallen = Price(value=value, decimals=before.decimals, observed_at=at)
    watcher.clock = lambda: at
    began, first = time.perf_counter(), 0.0
    with store.begin() as transaction:
        market.push_prices(transaction, [("ETH", fallen)], now=at)
        market.write_notes(transaction, {"clock": at.isoformat()})
    while cycle(watcher):
        with store.read() as transaction:
            waiting = outbox.depth(transaction, now=at)[0]
        first = first or (time.perf_counter() - began if waiting else 0.0)
        if not memory.crossed:
            break
    last = time.perf_counter() - began
    with store.read() as transaction:
        return len(alerts.raised_accounts(transaction)), first, last


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        watcher = lay(f"sqlite:///{directory}/book.db")
        wall, cpu = time.perf_counter(), time.process_time()
        first = judged(watcher)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"read and judged {first:,} accounts: {wall:.1f} s, {cpu:.1f} s of CPU")
        memory = watcher.memory
        memory.changed, memory.judged_at = dict.fromkeys(memory.bodies), {}
        wall, cpu = time.perf_counter(), time.process_time()
        whole = judged(watcher)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        cpu_whole = cpu
        aim = aims.at_most(1e5 * cpu / whole, MOST_PASS, " s of CPU for 100,000")
        print(f"a whole pass over {whole:,}: {wall:.1f} s, {cpu:.1f} s of CPU; {aim}")
        print(f"accounts per second of CPU: {whole / cpu:,.0f}")
        with watcher.store.read() as transaction:
            at = watcher.clock()
            around = stored_snapshot(transaction, at=at, assets={"ETH"})
            levels = alerts.raised_accounts(transaction)
        prices = {name: float(price.exact) for name, price in around.prices.items()}
        wall, cpu = time.perf_counter(), time.process_time()
        memory.near = dict.fromkeys(ranking(*memory.slopes.rooms(prices), {}).near)
        near = judged(watcher)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"the nearest {near:,}: {wall:.2f} s, {cpu:.2f} s of CPU")
        print(f"accounts on a level: {len(levels):,}")
        wall = time.perf_counter()
        with watcher.store.read() as transaction:
            kept = book_totals.read(transaction)
        told = encode(summed(kept[1], None)) if kept else b""
        print(f"the book in sum: {1e3 * (time.perf_counter() - wall):.1f} ms, {len(told):,} bytes")
        raised, first, last = pushed(watcher)
        print(
            f"a price that raises {raised:,}: the first message in the outbox after {first:.2f} s, "
            f"all below the line judged and told after {last:.2f} s; "
            f"{aims.at_most(first, MOST_TOLD, ' s to the first')}"
        )
        with watcher.store.begin() as transaction:
            leases.resign(transaction, WATCHING, holder=watcher.holder)
        halves = shared(f"sqlite:///{directory}/book.db", watcher.clock())
        for count, clock, spent in halves:
            print(
                f"by two processes at once: {count:,} accounts, {clock:.1f} s, {spent:.1f} s of CPU"
            )
        half = max(spent for *_, spent in halves) / cpu_whole
        aim = aims.at_most(half, MOST_HALF)
        print(f"the longer half to a whole pass, CPU: {half:.2f}; {aim}")
        watcher.store.close()
