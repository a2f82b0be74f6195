"""Training time against bare LightGBM: the same boosters, on the same matrices.

python tests/bench/fitting.py [DATA CANDLES]; of the vaults' log in DATA, or of a simulated
one. Everything between features and a finished bundle's heads counts: starts, evidence, trees,
calibration and intervals. Bare is what `lightgbm.train` takes within, its data sets included.
By processor time, which other programs do not stretch.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightgbm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "builders"))

from maker_files import write_maker_ethb

from features.simulate import simulate
from training.dataset.dataset import thinned
from training.fitting import fit
from training.fitting.boosting import Recipe, TrainingSample, locally
from training.sources import History
from training.sources.registry import history

REPEATS = 3
DAYS, ACCOUNTS = 120, 120


class Clock:
    """What bare training took."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def train(
        self, sample: TrainingSample, parameters: Mapping[str, Any], rounds: int
    ) -> lightgbm.Booster:
        """Train as ever, and note how long it took."""
        begin = time.process_time()
        found = locally(sample, parameters, rounds)
        self.seconds += time.process_time() - begin
        return found


def read() -> History:
    """Return the history that was asked for."""
    if len(sys.argv) > 2:
        return history("maker-ethb", Path(sys.argv[1]), Path(sys.argv[2]))
    with tempfile.TemporaryDirectory() as place:
        book = simulate(seed=1, days=DAYS, accounts=ACCOUNTS)
        candles = write_maker_ethb(book, Path(place))
        return history("maker-ethb", Path(place), candles)


def main() -> None:
    """Print the ratio of every repeat and the median."""
    past = read()
    rows = thinned(past)
    limit = datetime.fromtimestamp(int(rows.at.max()) + 3600, tz=UTC)
    ratios = []
    for _ in range(REPEATS + 1):
        clock = Clock()
        begin = time.process_time()
        fit.heads(past, rows, limit, seed=7, recipe=Recipe(trainer=clock.train))
        ratios.append((time.process_time() - begin) / clock.seconds)
    # The first repeat compiles.
    shown = ", ".join(f"{ratio:.2f}" for ratio in ratios[1:])
    print(
        f"{len(rows.at):,} rows, {rows.matrix().shape[1]} features: all of training takes "
        f"{statistics.median(ratios[1:]):.2f} times bare lightgbm.train ({shown})"
    )


if __name__ == "__main__":
    main()
