"""Where training ends and testing begins: in time, purged by label, once."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from features.inputs import HOUR, Ints
from models.horizons import HORIZONS

Mask = npt.NDArray[np.bool_]

EMBARGO = max(HORIZONS) * HOUR
"""Seconds left empty between a slice and the next: the longest label window."""

LEAST_SHARE = 0.25
"""Share of the time, and of the events, that the calibration slice must hold."""


@dataclass(frozen=True, slots=True)
class Split:
    """Two slices of time with nothing shared.

    Parameters
    ----------
    before, after
        Rows of the earlier and of the later slice. Labels of the earlier one must be
        censored at `boundary`.
    boundary
        UTC time at which the earlier slice ends.
    """

    before: Mask
    after: Mask
    boundary: datetime


def at_boundary(at: Ints, boundary: int, *, end: int | None = None) -> Split:
    """Split at a second; the later slice starts an embargo after it.

    >>> import numpy as np
    >>> split = at_boundary(np.array([0, 10, 10 + EMBARGO]), 10)
    >>> split.before.tolist(), split.after.tolist()
    ([True, False, False], [False, False, True])
    """
    after = at >= boundary + EMBARGO
    if end is not None:
        after &= at < end
    return Split(at < boundary, after, datetime.fromtimestamp(boundary, tz=UTC))


def calibration(at: Ints, events: Ints) -> Split:
    """Split off the latest slice that holds a quarter of the time and of the events.

    Two of the longest label windows always fit into the later slice after its embargo, and
    half of the rows always stay in the earlier one.

    Parameters
    ----------
    at
        Seconds of the rows.
    events
        Seconds of the liquidations that happened within the rows' period.
    """
    by_time = min(int(np.quantile(at, 1.0 - LEAST_SHARE)), int(at.max()) - 3 * EMBARGO)
    inside = np.sort(events[(events >= at.min()) & (events <= at.max())])
    by_event = by_time
    if len(inside):
        by_event = int(np.quantile(inside, 1.0 - LEAST_SHARE)) - EMBARGO
    return at_boundary(at, max(min(by_time, by_event), int(np.quantile(at, 0.5))))


def walk_forward(at: Ints, folds: int) -> Iterator[Split]:
    """Yield growing slices, each tested on the stretch of equal length that follows.

    >>> import numpy as np
    >>> hours = np.arange(0, 100 * EMBARGO, EMBARGO)
    >>> [int(split.before.sum()) for split in walk_forward(hours, 3)]
    [25, 50, 75]
    """
    edges = np.linspace(int(at.min()), int(at.max()) + 1, folds + 2).astype(np.int64)
    for fold in range(1, folds + 1):
        yield at_boundary(at, int(edges[fold]), end=int(edges[fold + 1]))
