"""The same training on several Dask workers, by LightGBM's own trainer."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import dask.array as da
import lightgbm
from distributed import Client, LocalCluster

from training.fitting.boosting import Recipe, TrainingSample

IGNORED = ("deterministic", "force_row_wise", "num_threads", "boost_from_average")
"""Of one process: what they hold to the bit, sums over several workers do not."""


@contextmanager
def workers(number: int, *, threads: int = 1) -> Iterator[Client]:
    """Yield a client of so many worker processes on this machine."""
    options = {
        "n_workers": number,
        "threads_per_worker": threads,
        "dashboard_address": "127.0.0.1:0",
    }
    with (
        LocalCluster(**options) as local,
        Client(local) as client,
    ):
        yield client


def recipe(client: Client, **changes: Any) -> Recipe:
    """Return the recipe that trains every booster on a cluster's workers."""
    return Recipe(changes=changes, trainer=partial(train, client=client))


def train(
    sample: TrainingSample, parameters: Mapping[str, Any], rounds: int, *, client: Client
) -> lightgbm.Booster:
    """Train one booster on every worker of a cluster.

    Each worker holds an equal share of the rows and the histograms are summed, so that the
    trees are those of one process but for rounding and for the borders of the bins, which
    every worker finds on its own share of the features.
    """
    shares = len(client.scheduler_info()["workers"])
    options = {name: value for name, value in parameters.items() if name not in IGNORED}
    model = lightgbm.DaskLGBMClassifier(
        client=client,
        n_estimators=rounds,
        boost_from_average=False,
        tree_learner="data",
        **options,
    )
    size = -(-len(sample.labels) // shares)
    rows, labels, weights, starts = (
        da.from_array(column, chunks=(size, *column.shape[1:]))  # type: ignore[no-untyped-call]
        for column in (sample.features, sample.labels, sample.weights, sample.starts)
    )
    with warnings.catch_warnings():
        # The wrapper's own default, of which it then says that it does not count.
        warnings.filterwarnings("ignore", "Parameter n_jobs will be ignored", UserWarning)
        model.fit(rows, labels, sample_weight=weights, init_score=starts)
    return _renamed(model.booster_, sample)


def _renamed(booster: lightgbm.Booster, sample: TrainingSample) -> lightgbm.Booster:
    """Return a booster that names its features, which arrays do not."""
    text = booster.model_to_string()
    blank = " ".join(f"Column_{place}" for place in range(len(sample.names)))
    return lightgbm.Booster(model_str=text.replace(blank, " ".join(sample.names), 1))
