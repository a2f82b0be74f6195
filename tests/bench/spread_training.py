"""Train one booster in this process and on two Dask workers, and compare what they are worth.

    python tests/bench/spread_training.py [--rows 200000] [--rounds 150]

Quality is judged on as many other rows; the tolerance of the test is 3 % of either figure.
"""

import argparse
import time

import lightgbm
import numpy as np
from scipy import special
from sklearn.metrics import average_precision_score, log_loss

from training.fitting import boosting, distributed
from training.fitting.boosting import TrainingSample
from training.fitting.heads import PARAMETERS

WIDTH = 60


def drawn(rows: int, *, seed: int) -> TrainingSample:
    """Return rows with about one outcome in twenty."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(rows, WIDTH))
    features[generator.random(features.shape) < 0.05] = np.nan
    known = np.nan_to_num(features)
    odds = -3.5 + known[:, 0] + known[:, 1] * known[:, 2] + 0.5 * known[:, 3:8].sum(axis=1)
    labels = (generator.random(rows) < special.expit(odds)).astype(float)
    return TrainingSample(
        features=features,
        labels=labels,
        weights=np.ones(rows),
        starts=-3.5 + 0.5 * known[:, 0],
        names=tuple(f"feature_{place}" for place in range(WIDTH)),
    )


def judge(name: str, booster: lightgbm.Booster, held: TrainingSample, *, seconds: float) -> None:
    """Print what a booster is worth on rows it has not seen."""
    score = held.starts + np.asarray(booster.predict(held.features, raw_score=True))
    chance = special.expit(score)
    precision = average_precision_score(held.labels, chance)
    loss = log_loss(held.labels, chance)
    print(f"{name}: average precision {precision:.4f}, log-loss {loss:.5f}, {seconds:.1f} s")


def main() -> None:
    """Compare both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=150)
    told = parser.parse_args()
    sample, held = drawn(told.rows, seed=1), drawn(told.rows, seed=2)
    parameters = {**PARAMETERS, "monotone_constraints": [0] * WIDTH, "seed": 3}
    begun = time.perf_counter()
    alone = boosting.locally(sample, parameters, told.rounds)
    judge("one process", alone, held, seconds=time.perf_counter() - begun)
    with distributed.workers(2) as client:
        begun = time.perf_counter()
        spread = distributed.train(sample, parameters, told.rounds, client=client)
        judge("two workers", spread, held, seconds=time.perf_counter() - begun)


if __name__ == "__main__":
    main()
