"""Score ready rows by flattened forests and by the boosters themselves, one thread each.

    python tests/bench/forest.py [--rows 1000000] [--runs 3]

Runs alternate, so that what else the machine does falls on both. CPU time of the one thread is
compared, not wall time, and every bit of every score.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import lightgbm
import numpy as np
import numpy.typing as npt

import models
from models.forecast import forest

Floats = npt.NDArray[np.float64]
CHAMPION = Path(models.__file__).parent / "champion"
CHUNK = 50_000


def large() -> list[lightgbm.Booster]:
    """Return one booster of 400 trees of 63 leaves over 60 features, some values missing."""
    rows = drawn(40_000, 60, seed=1)
    generator = np.random.default_rng(2)
    signal = np.nan_to_num(rows[:, :12]) @ generator.normal(size=12)
    labels = (signal + generator.normal(size=len(rows)) > 0).astype(float)
    parameters = {"objective": "binary", "num_leaves": 63, "verbosity": -1, "seed": 3}
    return [lightgbm.train(parameters, lightgbm.Dataset(rows, labels), num_boost_round=400)]


def drawn(rows: int, width: int, *, seed: int) -> Floats:
    """Return normal values, one in twenty missing."""
    generator = np.random.default_rng(seed)
    found = generator.normal(size=(rows, width))
    found[generator.random(found.shape) < 0.05] = np.nan
    return found


def seconds(work: Callable[[], Floats]) -> tuple[float, Floats]:
    """Return the CPU time of this thread, and the answer."""
    begun = time.thread_time()
    answer = work()
    return time.thread_time() - begun, answer


def compare(name: str, boosters: Sequence[lightgbm.Booster], *, rows: int, runs: int) -> None:
    """Print how many times as fast the forest is, chunk by chunk."""

    def by_booster(matrix: Floats) -> Floats:
        told = [b.predict(matrix, raw_score=True, num_threads=1) for b in boosters]
        return np.stack([np.asarray(one) for one in told], axis=1)

    walked = forest.verified([b.model_to_string() for b in boosters], by_booster)
    if walked is None:
        raise SystemExit(f"{name}: the forest differs from its boosters on the probe rows")
    walked.raw(drawn(8, walked.width, seed=0))
    ratios, spent = [], np.zeros(2)
    for run in range(runs):
        spent[:] = 0.0
        for begin in range(0, rows, CHUNK):
            matrix = drawn(min(CHUNK, rows - begin), walked.width, seed=run * rows + begin)
            slow, wanted = seconds(partial(by_booster, matrix))
            fast, found = seconds(partial(walked.raw, matrix))
            spent += (slow, fast)
            if found.tobytes() != wanted.tobytes():
                raise SystemExit(f"{name}: a score differs from its booster's")
        ratios.append(spent[0] / spent[1])
    print(
        f"{name}: {rows:,} rows, booster {spent[0] / rows * 1e6:.2f} µs, forest "
        f"{spent[1] / rows * 1e6:.2f} µs a row; {statistics.median(ratios):.2f} times as fast "
        f"[{min(ratios):.2f}, {max(ratios):.2f}], every bit equal"
    )


def main() -> None:
    """Compare both models."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    told = parser.parse_args()
    champion = [lightgbm.Booster(model_file=path) for path in sorted(CHAMPION.glob("*.txt"))]
    compare("400 trees × 63 leaves × 60 features", large(), rows=told.rows, runs=told.runs)
    name = f"champion, {len(champion)} boosters"
    compare(name, champion, rows=told.rows, runs=told.runs)


if __name__ == "__main__":
    main()
