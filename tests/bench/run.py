"""Measure everything and write the figures down: `python tests/bench/run.py [--quick]`.

Writes `tests/bench/RESULTS.md`, to which documents link in place of quoting figures. Every table
is of one interleaved run on this machine, peers beside the service in the same run; a figure that
matters is a ratio. `--against DIR` measures this tree beside another one, which has a `.venv` of
its own: both services answer the same requests in turn. `--part TITLE` measures one part anew and
leaves the others as they stand; every part says when and how busy it was measured.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE), str(ROOT / "tests" / "e2e")]

import aims  # noqa: E402
import service_loads as loads  # noqa: E402
import venue_loads  # noqa: E402
from service_loads import Load  # noqa: E402
from service_servers import Served  # noqa: E402

from serving.process import free_port  # noqa: E402

RESULTS = HERE / "RESULTS.md"
HEAD = """\
# Results

Written by `python tests/bench/run.py`; not edited by hand. Every part says when it was measured and
how busy the machine was: where others use it too, trust ratios and processor time alone."""
BESIDE = "Beside revision"
AIMS = "What was aimed at"
LEAST_SECONDS = 0.5
"""Processor time that is measured at once: its clock ticks in 10 ms."""

MOST_REQUESTS = 60

FEWER = ("20000",)
"""Accounts of the watch's book in a quick run."""

WANTED = {
    "until the first answer": 4000,
    "positions: 1000": 80,
    "one position: 1": 6,
}
"""Milliseconds that are aimed at, at most."""

FEWER_ROWS = 300
"""Positions on other venues than vaults in a request of a quick run."""

PARTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "The service inside one process",
        ("tests/bench/service.py", "--inside"),
        ("--repeats", "3"),
    ),
    ("The watch", ("tests/bench/watch.py", "100000"), FEWER),
    (
        "Books of files",
        ("tests/bench/scores.py", "100000", "1000000"),
        (*FEWER, "60000"),
    ),
    (
        "Books of files, on Dask workers",
        ("tests/bench/scores.py", "--dask", "100000", "1000000", "10000000"),
        (*FEWER, "60000", "--dask"),
    ),
    ("Ten minutes at 70 % load", ("tests/bench/soak.py",), ("60",)),
    ("The book page", ("tests/bench/pages.py", "100000"), FEWER),
    ("Size of history, and its end", ("tests/bench/bulk.py",), ()),
    ("Exact rules", ("tests/bench/exact.py",), ()),
)
"""Title, command, and what is added to it for a quick run."""

SERVERS = (
    "The service and its peers",
    ("tests/bench/service.py",),
    ("--repeats", "1", "--seconds", "1"),
)


def machine() -> str:
    """Return where and when it was measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "?")
    cores = sum(line.startswith("processor") for line in lines)
    busy = Path("/proc/loadavg").read_text().split()[0]
    at = datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{at}, {cores} cores of {model}, Python {platform.python_version()}, load average {busy} "
        "at the start"
    )


def printed(command: Sequence[str]) -> str:
    """Return what a bench prints: its tables as they are, its lines as a block."""
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**_quiet(), "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    text = ran.stdout.strip()
    return text if text.startswith("|") else f"```\n{text}\n```"


def _quiet() -> dict[str, str]:
    """Return this environment with one thread to a library."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def revision(directory: Path) -> str:
    """Return the revision of a tree, shortened."""
    git = shutil.which("git") or "git"
    command = [git, "-C", str(directory), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def tree(directory: Path) -> Iterator[tuple[Served, float]]:
    """Yield the service of a tree, and the processor time until it was ready, seconds."""
    port, began = free_port("127.0.0.1"), time.perf_counter()
    command = [str(directory / ".venv" / "bin" / "forewarn"), "serve", "--port", str(port)]
    command += ["--bundle", str(directory / "models" / "champion"), "--workers", "1"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=directory, env=_quiet(), stdout=log, stderr=log)
        try:
            _await(f"http://127.0.0.1:{port}/readyz")
            started = time.perf_counter() - began
            served = Served(port=port, leader=process.pid, started=started)
            yield served, served.processor()
        finally:
            process.terminate()
            process.wait()


def _await(url: str) -> None:
    """Wait until a service is ready."""
    for _ in range(2400):
        try:
            if httpx.get(url, timeout=5.0).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"{url} does not answer")


def spent(served: Served, load: Load) -> float:
    """Return the processor time of one request, ms, by as many as take a while."""
    before, count, used = served.processor(), 0, 0.0
    with httpx.Client(timeout=120.0) as client:
        while used < LEAST_SECONDS and count < MOST_REQUESTS:
            answer = client.post(
                f"http://127.0.0.1:{served.port}{load.path}",
                content=load.body,
                headers={"Content-Type": load.media_type},
            )
            answer.raise_for_status()
            count, used = count + 1, served.processor() - before
    return 1000 * used / count


def beside(other: Path, *, rounds: int, rows: int) -> Iterator[str]:
    """Yield the lines of a table: this tree beside another one, requests in turn.

    Parameters
    ----------
    rows
        Positions of a request on other venues than vaults.
    """
    requests = [*loads.positions(), *venue_loads.venues(rows)]
    with tree(other) as (before, cold), tree(ROOT) as (after, warm):
        yield "| processor time | before, ms | after, ms | after / before | wanted |"
        yield "|---|---|---|---|---|"
        starts = f"{1000 * cold:.0f} | {1000 * warm:.0f} | {warm / cold:.2f}"
        aim = aims.at_most(1000 * warm, WANTED["until the first answer"], " ms")
        yield f"| until the first answer | {starts} | {aim} |"
        for load in requests:
            pairs = [(spent(before, load), spent(after, load)) for _ in range(rounds + 1)][1:]
            first, last = (statistics.median(side) for side in zip(*pairs, strict=True))
            ratio = statistics.median(late / early for early, late in pairs)
            name = f"{load.name}: {load.rows}"
            most = WANTED.get(name)
            aim = "" if most is None else aims.at_most(last, most, " ms")
            yield f"| {name} | {first:.1f} | {last:.1f} | {ratio:.2f} | {aim} |"
        yield ""
        sizes = [served.memory()[0] for served in (before, after)]
        yield (
            f"Private memory after it, largest process: {sizes[0]:.0f} MB before, "
            f"{sizes[1]:.0f} MB after. By the clock the service was ready after "
            f"{before.started:.1f} s and "
            f"{after.started:.1f} s, one after the other."
        )


def sections(wish: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield title and text of the parts that are wished for, each once it is measured."""
    rows = FEWER_ROWS if wish.quick else loads.ROWS
    if wish.against is not None:
        begun = machine()
        table = "\n".join(beside(wish.against.resolve(), rounds=wish.rounds, rows=rows))
        yield f"{BESIDE} {revision(wish.against)}", f"{begun}\n\n{table}"
    for title, command, quick in (*PARTS, SERVERS):
        is_wished = title in wish.part if wish.part else wish.peers or title != SERVERS[0]
        if not is_wished:
            continue
        shortened = (*command[:1], *quick) if quick[:1] == FEWER else (*command, *quick)
        chosen = shortened if wish.quick else command
        begun = machine()
        called = f"`python {' '.join(chosen)}`{', a quick run' if wish.quick else ''}"
        yield title, f"{called}; {begun}\n\n{printed(chosen)}"


def standing() -> dict[str, str]:
    """Return the parts of the results as they stand, by title."""
    texts = RESULTS.read_text().split("\n## ")[1:] if RESULTS.is_file() else []
    return {title: text.strip() for title, _, text in (each.partition("\n") for each in texts)}


def whole(parts: Mapping[str, str]) -> str:
    """Return the document: what was aimed at, as every part tells it, and then the parts."""
    aimed = [f"- {name}: {line}" for name, part in parts.items() for line in aims.told(part)]
    first = [HEAD, *([f"## {AIMS}\n\n" + "\n".join(aimed)] if aimed else [])]
    return "\n\n".join([*first, *(f"## {name}\n\n{part}" for name, part in parts.items())]) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the results, as far as they are measured."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--quick", action="store_true", help="fewer accounts and repeats")
    reader.add_argument("--peers", action="store_true", help="the servers and their peers as well")
    reader.add_argument("--against", type=Path, help="another tree with a .venv of its own")
    reader.add_argument("--rounds", type=int, default=7)
    titles = [title for title, *_ in (*PARTS, SERVERS)]
    reader.add_argument("--part", action="append", choices=titles, help="only this one, anew")
    wish = reader.parse_args(arguments)
    parts = standing() if wish.part else {}
    parts.pop(AIMS, None)  # said anew of the parts as they stand
    for title, text in sections(wish):
        if title.startswith(BESIDE):
            parts = {name: part for name, part in parts.items() if not name.startswith(BESIDE)}
        parts[title] = text
        print(f"## {title}\n\n{text}", flush=True)
        RESULTS.write_text(whole(parts))


if __name__ == "__main__":
    main()
