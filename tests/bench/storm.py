"""Print what a storm over 10^5 accounts costs and leaves: python tests/bench/storm.py [N]."""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from alert_storm import lay, strike

from serving.store import open_store

ACCOUNTS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        store = open_store(f"sqlite:///{directory}/book.db")
        lay(store, ACCOUNTS, ACCOUNTS // 4)
        wall, cpu = time.perf_counter(), time.process_time()
        storm = strike(store, ACCOUNTS)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        lost = ACCOUNTS - storm.notified - storm.waiting
        print(f"accounts raised           {storm.transitions:>9,}")
        print(f"told at once or waiting   {storm.notified:>9,} + {storm.waiting:,}")
        print(f"lost                      {lost:>9,}")
        print(f"critical claimed first    {storm.order == sorted(storm.order)!s:>9}")
        print(f"most messages to an owner {storm.per_owner:>9,}")
        print(f"messages to the desk      {len(storm.desk):>9,}: {storm.desk[0]['counts']}")
        print(f"one pass, one transaction {wall:>9.1f} s ({cpu:.1f} s of CPU)")
        store.close()
