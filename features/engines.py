"""What computes a frame: this process, or Dask workers beside it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from typing import Protocol

import pandas as pd

from features.inputs import Tables
from features.pipeline import compute

PARTS_PER_WORKER = 2


class Engine(StrEnum):
    """What computes a frame; the numbers are the same."""

    PROCESS = "process"
    DASK = "dask"


class Compute(Protocol):
    """`features.pipeline.compute`, wherever it runs."""

    def __call__(
        self,
        tables: Tables,
        moments: pd.DataFrame,
        *,
        legs: pd.DataFrame | None,
        names: Sequence[str],
    ) -> pd.DataFrame:
        """Return one row of features per moment."""


@contextmanager
def computing(engine: Engine, *, workers: int) -> Iterator[Compute]:
    """Hold what computes frames, and stop it at the end.

    Parameters
    ----------
    workers
        Processes of the Dask cluster on this machine.
    """
    if engine is Engine.PROCESS:
        yield compute
        return
    # Dask belongs to the extra of training; without it the other engine still works.
    from distributed import Client, LocalCluster  # noqa: PLC0415

    from features.partitions import compute_partitioned  # noqa: PLC0415

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield partial(
            compute_partitioned, client, partitions=PARTS_PER_WORKER * workers, by="asset"
        )
