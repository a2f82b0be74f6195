"""What a row of history takes in a store, and its end: `python tests/bench/bulk.py [URL]`.

URL is an empty store, such as that of an empty PostgreSQL database; left out, one on SQLite that
goes again. Prints the bytes of an assessment with the signal kept beside it, indices included, the
size of a year of 100,000 accounts by how often each is kept, what it costs by the clock to end
history as `forewarn watch --keep-days` does each day, and on PostgreSQL the writer's processor
time with COPY beside that without, in interleaved rounds.
"""

import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from models.alerting.signals import Signal
from models.margin.result import Verdict
from serving.schemas.stored import Assessed
from serving.store import Store, accounts, alerts, assessments, open_store, rows
from serving.watch import retention

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BOOK, ROUNDS, YEAR, ACCOUNTS = 20_000, 4, 365, 100_000
PROBABILITIES = {
    f"{who}_{h}": 0.0123456 for who in ("unattended", "expected") for h in ("1h", "4h", "24h", "7d")
}


def vault(place: int) -> dict[str, object]:
    """Return an account."""
    leg = {"kind": "collateral", "asset": "ETH", "quantity": "1000000000000000000"}
    name = f"0x{place:040x}"
    return {"id": name, "venue": "maker", "market": "ETH-B", "legs": [leg]}


def keep(store: Store, hour: int) -> float:
    """Write a moment of every account's history; return the processor time of this process."""
    at = NOW + timedelta(hours=hour)
    names = [str(vault(place)["id"]) for place in range(BOOK)]
    said = [
        Assessed(
            account=name,
            at=at,
            verdict="safe",
            ratio=1.234567,
            credit=12345.6789,
            requirement=10000.125,
            collateral_value=15000.25,
            distance=0.123456,
            trigger_asset="ETH",
            trigger_side="below",
            trigger_price=1234.5678,
            model_version="champion-2030",
            **PROBABILITIES,
        )
        for name in names
    ]
    signals = [Signal(account=name, at=at, verdict=Verdict.SAFE, buffer=0.123456) for name in names]
    began = time.process_time()
    with store.begin() as transaction:
        assessments.write(transaction, said, now=at)
        alerts.keep_signals(transaction, signals)
    return time.process_time() - began


def size(store: Store) -> int:
    """Return the bytes of a store, or of its history alone."""
    with store.begin() as transaction:
        if store.dialect == "sqlite":
            asked = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        else:
            # Not what stood before each newest assessment: PostgreSQL clears that away by itself.
            tables = ("assessments", "alert_signals")
            asked = "SELECT " + " + ".join(f"pg_total_relation_size('{each}')" for each in tables)
        return int(transaction.execute(sa.text(asked)).scalar_one())


def main(url: str) -> None:
    """Measure and print, in the store that is named or one that goes again."""
    with tempfile.TemporaryDirectory() as directory:
        _measure(open_store(url or f"sqlite:///{directory}/new.sqlite3"))


def _measure(store: Store) -> None:
    """Measure and print."""
    with store.begin() as transaction:
        bodies = [vault(place) for place in range(BOOK)]
        accounts.upsert(transaction, bodies, at=NOW - timedelta(days=1), now=NOW)
    keep(store, 0)  # the newest of each account is there from now on
    before, spent = size(store), {rows.BULK: [], 10**9: []}
    for turn in range(ROUNDS):
        for place, bulk in enumerate(spent):
            rows.BULK = bulk
            spent[bulk].append(keep(store, 1 + 2 * turn + place))
    row = (size(store) - before) / (BOOK * ROUNDS * 2)
    print(f"{store.dialect}: {row:.0f} bytes an assessment with its signal, indices included")
    for hours in (1, 12):
        whole = row * ACCOUNTS * YEAR * 24 / hours / 1e9
        print(f"a year of {ACCOUNTS:,} accounts kept every {hours} h: {whole:.0f} GB")
    for number in range(2):  # of all that stands, a part at a time
        began = time.perf_counter()
        gone = retention.prune(store, before=NOW + timedelta(hours=ROUNDS * (number + 1)))
        clock = time.perf_counter() - began
        count = gone.assessments + gone.signals
        told = f"{1e6 * clock / count:.0f} µs a row by the clock"
        day = 2 * 2 * ACCOUNTS * clock / count
        print(f"{count:,} rows ended: {told}; a day of {ACCOUNTS:,} accounts, {day:.0f} s")
    if store.dialect == "postgresql":
        copied, plain = (statistics.median(times) for times in spent.values())
        print(f"COPY / statements, processor time of the writer: {copied / plain:.2f}")
    store.close()


if __name__ == "__main__":
    main("".join(sys.argv[1:]))
