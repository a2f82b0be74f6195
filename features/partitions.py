"""The feature frame over Dask workers: the same functions on parts, the same bits."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from distributed import Client

from features.inputs import Events, Ints, Tables, no_events
from features.pipeline import NAMES, compute

PARTS_A_WORKER = 2
"""So that a worker that is done early takes over from one that is not."""


def compute_partitioned(
    client: Client,
    tables: Tables,
    moments: pd.DataFrame,
    *,
    partitions: int,
    by: Literal["account", "asset"] = "account",
    legs: pd.DataFrame | None = None,
    names: Sequence[str] = NAMES,
) -> pd.DataFrame:
    """Return what `features.pipeline.compute` returns, computed by workers.

    Parameters
    ----------
    client
        Of the cluster; each worker receives the candles and readings once, and the events
        of its own accounts alone.
    partitions
        Parts that the moments are cut into; two to four for each worker level its load.
    by
        What is never cut: the moments of an account, or those of an asset.
    """
    shared = client.scatter(replace(tables, events=no_events()), broadcast=True)
    parts = parts_of(moments[by], partitions)
    # Scattered, not written into the graph: a part may be large.
    scattered = [
        client.scatter(_part_of(tables.events, moments, legs, rows), hash=False) for rows in parts
    ]
    futures = [
        client.submit(_computed, shared, part, names=tuple(names), pure=False) for part in scattered
    ]
    frames = client.gather(futures)
    places = np.argsort(np.concatenate(parts), kind="stable")
    return pd.concat(frames).iloc[places]


@contextmanager
def dask_engine(
    scheduler: str | None, *, by: Literal["account", "asset"]
) -> Iterator[Callable[..., pd.DataFrame]]:
    """Yield `compute` over the workers of a scheduler, or of a cluster on this machine.

    Parameters
    ----------
    scheduler
        Address such as `tcp://10.0.0.1:8786`; None starts a cluster and ends it afterwards.
    by
        What is never cut, as in `compute_partitioned`.
    """
    with Client(scheduler) if scheduler else Client(dashboard_address="127.0.0.1:0") as client:
        partitions = max(len(client.nthreads()), 1) * PARTS_A_WORKER
        yield partial(compute_partitioned, client, partitions=partitions, by=by)


def parts_of(keys: pd.Series, partitions: int) -> list[Ints]:
    """Return the rows of each part, about equally many, no key in two of them.

    Parameters
    ----------
    keys
        One per row; the rows of a part keep their order.
    """
    codes, distinct = pd.factorize(keys, sort=True)
    counts = np.bincount(codes, minlength=len(distinct))
    middle = np.cumsum(counts) - counts / 2.0
    part = np.floor(middle / max(len(codes), 1) * partitions).astype(np.int64)[codes]
    rows = [np.flatnonzero(part == number) for number in range(partitions)]
    return [members for members in rows if len(members)] or [np.empty(0, dtype=np.int64)]


@dataclass(frozen=True, slots=True)
class _Part:
    """What one worker is given of the accounts."""

    events: Events
    moments: pd.DataFrame
    legs: pd.DataFrame | None


def _part_of(events: Events, moments: pd.DataFrame, legs: pd.DataFrame | None, rows: Ints) -> _Part:
    """Return some rows with what belongs to them."""
    part_moments = moments.iloc[rows]
    return _Part(
        events=_events_of(events, part_moments["account"]),
        moments=part_moments,
        legs=None if legs is None else _legs_of(legs, rows),
    )


def _computed(tables: Tables, part: _Part, *, names: Sequence[str]) -> pd.DataFrame:
    """Return the frame of one part."""
    part_tables = replace(tables, events=part.events)
    return compute(part_tables, part.moments, legs=part.legs, names=names)


def _events_of(events: Events, accounts: pd.Series) -> Events:
    """Return the events of some accounts, in their order."""
    is_own = pd.Series(events.account).isin(accounts.unique()).to_numpy()
    return Events(*(getattr(events, name)[is_own] for name in Events.__slots__))


def _legs_of(legs: pd.DataFrame, rows: Ints) -> pd.DataFrame:
    """Return the legs of some rows, `row` counting places among them."""
    part_legs = legs[legs["row"].isin(rows)]
    return part_legs.assign(row=np.searchsorted(rows, part_legs["row"].to_numpy(dtype=np.int64)))
