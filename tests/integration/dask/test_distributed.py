"""The same training on two Dask workers."""

import numpy as np
from sklearn.metrics import average_precision_score, log_loss

from training.fitting import boosting, distributed
from training.fitting.boosting import TrainingSample
from training.fitting.heads import PARAMETERS

WIDTH = 5
CLOSE = 0.03
"""Relative: bins and sums of two workers differ from those of one process."""


def drawn(rows: int, *, seed: int) -> TrainingSample:
    """Return rows with one outcome in ten, weights and a start that knows a part of it."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(rows, WIDTH))
    features[generator.random(features.shape) < 0.05] = np.nan
    known = np.nan_to_num(features)
    odds = -2.6 + known[:, 0] + known[:, 1] * known[:, 2]
    labels = (generator.random(rows) < 1.0 / (1.0 + np.exp(-odds))).astype(float)
    weights = generator.uniform(0.5, 1.5, rows)
    names = tuple(f"feature_{place}" for place in range(WIDTH))
    start = -2.6 + 0.5 * known[:, 0]
    return TrainingSample(
        features=features, labels=labels, weights=weights, starts=start, names=names
    )


def test_two_workers_train_as_well_as_one_process() -> None:
    """Average precision and log-loss on other rows agree within 3 %, and beat the start."""
    sample, held = drawn(8_000, seed=1), drawn(8_000, seed=2)
    parameters = {**PARAMETERS, "monotone_constraints": [1, 0, 0, 0, 0], "seed": 3}
    parameters |= {"min_data_in_leaf": 50, "learning_rate": 0.1}
    with distributed.workers(2) as client:
        spread = distributed.recipe(client)
        boosters = [
            boosting.locally(sample, parameters, 40),
            spread.trainer(sample, parameters, 40),
        ]
    assert boosters[1].feature_name() == list(held.names)
    assert boosters[1].num_trees() == 40
    raw = [held.starts + b.predict(held.features, raw_score=True) for b in boosters]
    chances = [1.0 / (1.0 + np.exp(-score)) for score in (held.starts, *raw)]
    precisions = [average_precision_score(held.labels, chance) for chance in chances]
    losses = [log_loss(held.labels, chance) for chance in chances]
    assert abs(precisions[2] / precisions[1] - 1.0) < CLOSE
    assert abs(losses[2] / losses[1] - 1.0) < CLOSE
    assert precisions[2] > precisions[0] + 0.05
    assert losses[2] < 0.95 * losses[0]
