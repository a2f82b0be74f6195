"""Score books of files of growing size: `python tests/bench/scores.py [ACCOUNTS …] [--dask]`.

The accounts are simulated vaults, copies of fewer drawn ones; each size is scored by
`forewarn score` with the shipped bundle from files laid before. Printed are processor time and
clock, accounts per second of a core, the private resident memory of all its processes at its
highest, what an account more costs, and how long a cluster of such workers would take.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import aims
import pyarrow as pa
from processes import family, private
from pyarrow import parquet as pq

from features.simulate import simulate
from serving.application import sample_book
from serving.store import accounts, open_store

ROOT = Path(__file__).resolve().parents[2]
SIZES = (100_000, 1_000_000)
FILE_ROWS = 250_000
CLUSTERS = (2, 8, 32, 128)
AIMED_AT, MOST_SECONDS, MOST_MB = 1_000_000, 90, 3000
"""What was asked of two cores for so many accounts."""

LOOK_SECONDS = 0.5
MB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What one size took: seconds, and MB at the highest.

    Parameters
    ----------
    largest
        Private resident memory of the largest process.
    """

    rows: int
    clock: float
    processor: float
    total: float
    largest: float
    bytes_out: int


def lay(directory: Path, sizes: Sequence[int]) -> str:
    """Write a market, and a directory of accounts for each size; return the market's URL."""
    drawn = simulate(seed=3, days=40, accounts=2000)
    url = f"sqlite:///{directory}/market.sqlite3"
    store = open_store(url)
    sample_book.lay(drawn, store)
    with store.read() as transaction:
        held = list(accounts.read(transaction, accounts.keys(transaction)).values())
    store.close()
    for size in sizes:
        (directory / str(size)).mkdir()
        for first in range(0, size, FILE_ROWS):
            bodies = [held[n % len(held)] for n in range(first, min(first + FILE_ROWS, size))]
            names = ("venue", "version", "market", "opened_at")
            table = pa.table(
                {
                    "account": [f"{body['id']}-{first + n}" for n, body in enumerate(bodies)],
                    **{name: [body[name] for body in bodies] for name in names},
                    "legs": [json.dumps(body["legs"]) for body in bodies],
                    "events": ["[]"] * len(bodies),
                }
            )
            pq.write_table(table, directory / str(size) / f"{first:09d}.parquet")
    return url


def measured(directory: Path, size: int, url: str, options: Sequence[str]) -> Scored:
    """Score one size."""
    out = directory / f"out-{size}"
    command = [str(Path(sys.executable).with_name("forewarn")), "score", "--market", url]
    command += ["--accounts", str(directory / str(size)), "--out", str(out), *options]
    command += ["--bundle", str(ROOT / "models" / "champion")]
    before, began = _spent(), time.perf_counter()
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    total = largest = 0.0
    while running.poll() is None:
        sizes = [private(pid) for pid in family(running.pid)]
        total, largest = max(total, sum(sizes)), max(largest, *sizes, 0.0)
        time.sleep(LOOK_SECONDS)
    if running.returncode:
        raise SystemExit(f"forewarn score ended with {running.returncode}")
    clock = time.perf_counter() - began
    rows = json.loads((out / "manifest.json").read_text())["rows"]
    written = sum(path.stat().st_size for path in out.glob("part-*"))
    shutil.rmtree(out)
    return Scored(
        rows=rows,
        clock=clock,
        processor=_spent() - before,
        total=total,
        largest=largest,
        bytes_out=written,
    )


def _spent() -> float:
    """Return the processor time of the processes that ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _more(one: Scored, other: Scored) -> float:
    """Return the processor time of an account more, seconds, between two sizes."""
    return (other.processor - one.processor) / (other.rows - one.rows)


def _aimed(each: Scored, workers: int) -> str:
    """Return what a million accounts were aimed at, and how far that is met.

    A busy machine's clock tells nothing: what two idle cores would take is reckoned from processor
    time, as if nothing of it were spread.
    """
    seconds = each.processor / workers
    return (
        f"{each.rows:,} accounts, processor time a worker: {seconds:.0f} s; "
        f"{aims.at_most(seconds, MOST_SECONDS, ' s')}\n"
        f"{each.rows:,} accounts, private memory in all: {each.total:,.0f} MB; "
        f"{aims.at_most(each.total, MOST_MB, ' MB')}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("accounts", nargs="*", type=int, default=SIZES)
    reader.add_argument("--dask", action="store_true", help="on a local cluster of Dask workers")
    reader.add_argument("--workers", type=int, default=2)
    wish = reader.parse_args(arguments)
    options = ["--workers", str(wish.workers), *(["--engine", "dask"] if wish.dask else [])]
    sizes = sorted(wish.accounts)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        url = lay(directory, sizes)
        print(f"{wish.workers} {'Dask workers' if wish.dask else 'processes'}")
        found = []
        for size in sizes:
            each = measured(directory, size, url, options)
            found.append(each)
            print(
                f"{each.rows:,} accounts: {each.processor:.1f} s of processor time, "
                f"{each.clock:.1f} s by the clock; {each.rows / each.processor:,.0f} accounts per "
                f"second of a core; private memory {each.total:,.0f} MB in all, "
                f"{each.largest:,.0f} MB the largest process; "
                f"{each.bytes_out / MB:,.1f} MB written",
                flush=True,
            )
            if each.rows == AIMED_AT:
                print(_aimed(each, wish.workers), flush=True)
    if len(found) < 2:
        return
    for one, next_one in pairwise(found):
        print(
            f"an account more between {one.rows:,} and {next_one.rows:,}: "
            f"{1e6 * _more(one, next_one):.0f} µs of processor time"
        )
    first, last = found[0], found[-1]
    more = _more(first, last)
    start = max(first.processor - more * first.rows, 0.0)
    growth = (last.processor / last.rows) / (first.processor / first.rows)
    print(
        f"an account more costs {1e6 * more:.0f} µs, the start {start:.1f} s; an account of "
        f"{last.rows:,} costs {growth:.2f} of one of {first.rows:,}"
    )
    for workers in CLUSTERS:
        seconds = start + 10_000_000 * more / workers
        print(f"10,000,000 accounts by {workers} such workers, reckoned: {seconds:,.0f} s")


if __name__ == "__main__":
    main()
