"""How fast the service answers, against bare predict and against its peers.

Every server is asked in turn on this machine with the same model and the same load; each figure
is the median of interleaved repeats, as a ratio to what one thread of `Booster.predict` does with
the bundle's boosters on a ready NumPy matrix. A ratio by the clock holds on an idle machine; one
by processor time (accounts per second that the server's processes used) holds on a busy one too.
Their ratio is how many cores the server used: one worker's threads may use more than one, and the
callers use their part of the same cores. A second worker cannot gain what is not there: beside what
it gave stands what it could give here at most.

    python tests/bench/service.py [--bundle DIR | --large] [--repeats 5] [--seconds 3]
    python tests/bench/service.py --inside            # processor time alone, on a busy machine
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

import aims  # noqa: E402
import service_inside as inside  # noqa: E402
import service_loads as loads  # noqa: E402
import service_servers as servers  # noqa: E402
from service_loads import ROWS, Load  # noqa: E402
from service_servers import ROOT, Served  # noqa: E402

from models.forecast.bundle import Bundle  # noqa: E402
from serving.evaluation.assess import read_by  # noqa: E402

CALLERS = 16
BARE = "bare predict"
RATIOS = (
    ("columns to bare predict", "columns", BARE, 1.0),
    ("Arrow to bare predict", "Arrow", BARE, 1.8),
    ("one row to FastAPI and pydantic", "one row", "FastAPI, one row", 1.5),
    ("one row to MLflow", "one row", "MLflow, one row", 15.0),
    ("two workers to one, columns", "columns, two workers", "columns", 1.8),
    ("two workers to one, positions", "positions, two workers", "positions", 1.8),
)
"""What was aimed at: one load to another, in accounts per second, at least."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Accounts per second by load, repeat by repeat: by the clock and by processor time.

    Parameters
    ----------
    callers
        Cores that the callers used; of bare predict, none.
    """

    clock: dict[str, list[float]] = field(default_factory=dict)
    processor: dict[str, list[float]] = field(default_factory=dict)
    callers: dict[str, list[float]] = field(default_factory=dict)

    def note(self, name: str, clock: float, processor: float, callers: float = 0.0) -> None:
        """Note one repeat."""
        self.clock.setdefault(name, []).append(clock)
        self.processor.setdefault(name, []).append(processor)
        self.callers.setdefault(name, []).append(callers)

    def room(self, name: str) -> float:
        """Return how many times as much of a load this machine's cores could carry."""
        used = (
            clock / processor + callers
            for clock, processor, callers in zip(
                self.clock[name], self.processor[name], self.callers[name], strict=True
            )
        )
        return (os.cpu_count() or 1) / statistics.median(used)

    def rows(self) -> Iterator[str]:
        """Yield the lines of the table."""
        clock, processor = (
            {name: statistics.median(values) for name, values in kind.items()}
            for kind in (self.clock, self.processor)
        )
        for name, value in clock.items():
            ratios = f"{value / clock[BARE]:.3g} | {processor[name] / processor[BARE]:.3g}"
            cores = f"{value / processor[name]:.2f} | {statistics.median(self.callers[name]):.2f}"
            yield f"| {name} | {value:,.0f} | {ratios} | {cores} |"


def bare(bundle: Bundle, seconds: float) -> tuple[float, float]:
    """Return accounts per second of every booster on a ready matrix, one thread."""
    columns = loads.features(ROWS)
    matrix = np.ascontiguousarray(np.stack([columns[name] for name in bundle.features], axis=1))
    boosters = [one for head in bundle.heads.values() for one in head.boosters]

    def once() -> None:
        for booster in boosters:
            booster.predict(matrix, raw_score=True, num_threads=1)

    clock, processor = loads.per_second(once, seconds)
    return ROWS * clock, ROWS * processor


def asked(served: Served, load: Load, *, seconds: float) -> tuple[float, float, float]:
    """Return accounts per second by the clock and of the server's processors, and callers' cores.

    The callers are threads of this process.
    """
    loads.answered(served.port, load, seconds=0.2, callers=2)
    before, began, own = served.processor(), time.perf_counter(), time.process_time()
    took = loads.answered(served.port, load, seconds=seconds, callers=CALLERS)
    rows, lasted = len(took) * load.rows, time.perf_counter() - began
    callers = (time.process_time() - own) / lasted
    return rows / lasted, rows / (served.processor() - before), callers


def measured(directory: Path, *, repeats: int, seconds: float) -> Rates:
    """Return what every server does under every load."""
    bundle = servers.loaded(directory)
    rates = Rates()
    ready, whole = loads.ready(read_by(bundle)), loads.positions()
    with ExitStack() as stack:
        single = stack.enter_context(servers.ours(directory, workers=1))
        double = stack.enter_context(servers.ours(directory, workers=2))
        row_peer = stack.enter_context(servers.fastapi(directory))
        frame_peer = stack.enter_context(servers.mlflow(directory))
        turns = [
            *((single, load, load.name) for load in (*ready, *whole)),
            *((double, load, f"{load.name}, two workers") for load in (*ready[:3], whole[0])),
            *((row_peer, load, load.name) for load in loads.peer_rows()),
            *((frame_peer, load, load.name) for load in loads.peer_frames()),
        ]
        for _ in range(repeats):
            rates.note(BARE, *bare(bundle, seconds))
            for served, load, name in turns:
                rates.note(name, *asked(served, load, seconds=seconds))
        sizes = single.memory(), double.memory()
        for load in (ready[3], ready[0]):
            print(_tail(single, load, seconds=seconds))
        print(f"start-up {single.started:.1f} s\n")
        print("\n".join(aimed(rates, *sizes)))
    return rates


def aimed(rates: Rates, single: Sequence[float], double: Sequence[float]) -> Iterator[str]:
    """Yield the lines of the table of what was aimed at.

    Parameters
    ----------
    single, double
        Private megabytes of the service's processes with one worker and with two.

    Notes
    -----
    By processor, two workers do as much per second of it as one where the second costs nothing.
    """
    yield "| aim | by the clock | by processor | wanted by the clock |"
    yield "|---|---|---|---|"
    for name, over, under, wanted in RATIOS:
        clock, processor = (
            statistics.median(
                one / other for one, other in zip(kind[over], kind[under], strict=True)
            )
            for kind in (rates.clock, rates.processor)
        )
        aim = aims.at_least(clock, wanted)
        if over.startswith(under):
            aim += f"; {rates.room(under):.2f} at most on these cores"
        yield f"| {name} | {clock:.2f} | {processor:.2f} | {aim} |"
    for name, size, most in (
        ("largest process, MB private", single[0], 350),
        ("a second worker, MB private", sum(double) - sum(single), 200),
    ):
        yield f"| {name} | {size:.0f} | | {aims.at_most(size, most, ' MB')} |"


def _tail(served: Served, load: Load, *, seconds: float) -> str:
    """Return the latency of a load at about half of what saturates the server."""
    most = asked(served, load, seconds=seconds)[0] / load.rows
    took = _paced(served, load, pause=2.0 / most, seconds=3 * seconds)
    half, last = took[len(took) // 2], took[int(len(took) * 0.99)]
    return (
        f"{load.name} at half load: p50 {1000 * half:.2f} ms, p99 {1000 * last:.2f} ms, "
        f"{last / half:.1f} times"
    )


def _paced(served: Served, load: Load, *, pause: float, seconds: float) -> list[float]:
    """Return how long requests took that were sent one after another at a steady pace."""
    return loads.answered(served.port, load, seconds=seconds, callers=1, pause=pause)


@contextmanager
def _chosen(bundle: Path, *, large: bool) -> Iterator[Path]:
    """Yield the bundle that is measured."""
    if not large:
        yield bundle
        return
    with tempfile.TemporaryDirectory() as place:
        servers.enlarge(bundle, Path(place))
        yield Path(place)


def main(told: Sequence[str] | None = None) -> None:
    """Print the tables."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--bundle", type=Path, default=ROOT / "models" / "champion")
    reader.add_argument("--large", action="store_true", help="400 trees of 63 leaves a booster")
    reader.add_argument("--repeats", type=int, default=5)
    reader.add_argument("--seconds", type=float, default=3.0)
    reader.add_argument("--inside", action="store_true", help="without servers and peers")
    wish = reader.parse_args(told)
    with _chosen(wish.bundle, large=wish.large) as directory:
        print("| inside one process | ms of processor time | to bare predict | wanted |")
        print("|---|---|---|---|")
        print("\n".join(inside.table(directory, repeats=wish.repeats)))
        if wish.inside:
            return
        rates = measured(directory, repeats=wish.repeats, seconds=wish.seconds)
        print("\n| load | accounts/s | to bare predict | by processor | cores | callers' cores |")
        print("|---|---|---|---|---|---|")
        print("\n".join(rates.rows()))


if __name__ == "__main__":
    main()
