"""A process of a pool that scores parts of a book, and loads no more than that takes."""

import os
import pickle
import threading
from multiprocessing import connection, parent_process
from typing import TYPE_CHECKING

from serving.imports import FITTING, without

if TYPE_CHECKING:
    from serving.bulk.accounts import Part
    from serving.bulk.part import Done, Job


class _Process:
    """What a process of a pool was given when it began."""

    job: "Job"


def begin(job: bytes) -> None:
    """Take what all parts share, pickled; the process ends when its parent does."""
    with without(*FITTING):
        _Process.job = pickle.loads(job)  # noqa: S301 - of our parent
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """End this process once its parent has."""
    connection.wait([sentinel])
    os._exit(1)


def score_here(part: "Part") -> "Done":
    """Score one part."""
    from serving.bulk.part import score  # noqa: PLC0415 - loaded with the job

    return score(_Process.job, part)
