"""Scenarios over Dask workers: the same kernel on parts of them, the same bits."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from distributed import Client

from models.book.forecast import Losses, Part, Spread


@contextmanager
def over_workers(scheduler: str | None) -> Iterator[Spread]:
    """Yield what runs parts of scenarios on the workers of a scheduler.

    Parameters
    ----------
    scheduler
        Address such as `tcp://10.0.0.1:8786`; None starts a cluster on this machine and ends
        it afterwards.
    """
    with Client(scheduler) if scheduler else Client(dashboard_address="127.0.0.1:0") as client:

        def spread(work: Part, parts: Sequence[slice]) -> Iterable[Losses]:
            # The book goes once to every worker, under a name of its own: the same book that was
            # just let go of would be taken for lost.
            shared = client.scatter(work, broadcast=True, hash=False)
            futures = [client.submit(_run, shared, part, pure=False) for part in parts]
            for future in futures:
                yield future.result()

        yield spread


def _run(work: Part, part: slice) -> Losses:
    return work(part)
