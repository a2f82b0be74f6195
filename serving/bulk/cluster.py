"""The parts of a book over Dask workers: the same functions, the same bits."""

from collections.abc import Iterator
from contextlib import contextmanager

import dask
from distributed import Client, as_completed

from serving.bulk.accounts import Part
from serving.bulk.part import Done, Job, score
from serving.bulk.run import Spread

QUIET = {"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "1s"}
"""Parts take minutes, and nobody looks at a profile: sampling every thread each 10 ms, and watching
event loops each 20 ms, took a seventh as much processor time as scoring on a busy machine."""


@contextmanager
def over_workers(scheduler: str | None, *, workers: int) -> Iterator[Spread]:
    """Yield what scores parts on the workers of a cluster.

    Parameters
    ----------
    scheduler
        Address such as `tcp://10.0.0.1:8786`, whose workers reach the accounts, the bundle and
        the directory of results at the same places; None starts a cluster on this machine.
    workers
        Processes of that cluster.
    """
    with (
        dask.config.set(QUIET),
        Client(scheduler)
        if scheduler
        else Client(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
        ) as client,
    ):

        def spread(job: Job, parts: list[Part]) -> Iterator[Done]:
            shared = client.scatter(job, broadcast=True, hash=False)
            futures = [client.submit(score, shared, part, pure=False) for part in parts]
            for future in as_completed(futures):
                done: Done = future.result()
                yield done

        yield spread
