"""Print how a store grows: python tests/bench/growth.py [URL] [ACCOUNTS] [DAYS].

A simulated book is watched hour by hour by the shipped bundle and policy, its market in motion and
its owners acting, in a store of its own (SQLite in a temporary directory, or an empty PostgreSQL
database that URL names). What it takes on disk is read after the first day and after the last: the
growth between them per account-day, and what 10,000 accounts would add in 90 days at that rate. The
days after the first are told one by one: growth is linear where they are alike. On PostgreSQL the
growth is told table by table, too, and every day ends with the vacuum that a server runs by itself
in days of 24 hours.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import sqlalchemy as sa

from features.simulate import simulate_onward
from models.alerting.policy import default
from serving.application import sample_book
from serving.application.deployment import read_deployment
from serving.demo import market
from serving.demo.venues import nowhere
from serving.store import Store, health, open_store
from serving.watch.watcher import Watcher, cycle

WORDS = sys.argv[1:]
URL = next((word for word in WORDS if "://" in word), None)
NUMBERS = [int(word) for word in WORDS if word.isdigit()]
ACCOUNTS, DAYS = (*NUMBERS, *(200, 3)[len(NUMBERS) :])
HISTORY = 40
BOOK, KEPT = 10_000, 90


TABLES = """
SELECT relname, pg_total_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


def sizes(store: Store) -> Iterator[Counter[str]]:
    """Yield what the store takes after each day, bytes by table; on SQLite in one sum."""
    before, after = simulate_onward(
        seed=5, days=HISTORY, accounts=ACCOUNTS, hours=24 * DAYS, falls={}
    )
    sample_book.lay(before, store)
    at = [before.at]
    watcher = Watcher(
        store=store,
        model=read_deployment(Path("models/champion")).model,
        policy=default(),
        holder="bench",
        clock=lambda: at[0],
    )
    due = before.at + timedelta(days=1)
    for step in market.steps(before, after):
        market.play(store, after, nowhere(after), step)
        at[0] = step.at
        if step.hour is not None:
            while cycle(watcher):
                pass
        if step.at >= due:
            due += timedelta(days=1)
            yield taken(store)


def taken(store: Store) -> Counter[str]:
    """Return what a store takes on disk, bytes by table."""
    if URL is not None and URL.startswith("postgresql"):
        engine = sa.create_engine(URL.replace("postgresql:", "postgresql+psycopg:", 1))
        with engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(sa.text("VACUUM"))
        engine.dispose()
    with store.read() as transaction:
        if transaction.dialect.name == "postgresql":
            rows = transaction.execute(sa.text(TABLES))
            return Counter({str(name): int(size) for name, size in rows})
        return Counter({"all": health.size(transaction)})


def main() -> None:
    """Watch, measure and print."""
    with tempfile.TemporaryDirectory() as place:
        store = open_store(URL or f"sqlite:///{place}/book.sqlite3")
        measured = list(sizes(store))
        with store.read() as transaction:
            kind = transaction.dialect.name
        store.close()
    days = [after.total() - before.total() for before, after in pairwise(measured)]
    each = sum(days) / len(days) / ACCOUNTS
    size = measured[-1].total()
    print(f"{kind}: {ACCOUNTS} vaults, {DAYS} days, {size / 1e6:.1f} MB at the end")
    for name, grown in (measured[-1] - measured[0]).most_common(8):
        print(f"  {name}: {grown / len(days) / ACCOUNTS:.0f} bytes an account-day")
    print("bytes an account-day, day by day:", ", ".join(f"{day / ACCOUNTS:.0f}" for day in days))
    whole = each * BOOK * KEPT / 1e9
    print(f"{each:.0f} bytes an account-day: {whole:.2f} GB for {BOOK:,} accounts in {KEPT} days")


if __name__ == "__main__":
    main()
