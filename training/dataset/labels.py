"""What happened after each moment: the rule's line touched, the account liquidated."""

from datetime import datetime

import numba
import numpy as np
import pandas as pd

from features.inputs import HOUR, Floats, Ints, seconds
from models.horizons import HORIZONS
from training.sources import History

FURTHEST = max(HORIZONS)


def label(history: History) -> pd.DataFrame:
    """Return when each event came, and for how long its absence is known.

    Returns
    -------
    pandas.DataFrame
        In the order of `history.moments`, in hours after the moment: `liquidated_in` and
        `touched_in` (infinite where no event is known), `liquidated_known` and
        `touched_known` (how far the data tells).
    """
    touched, censoring = _touches(history)
    return pd.DataFrame(
        {
            "liquidated_in": _liquidations(history),
            "liquidated_known": _covered(history),
            "touched_in": touched,
            "touched_known": censoring,
        },
        index=history.moments.index,
    )


def _liquidations(history: History) -> Floats:
    """Return hours to the start of the account's next episode, strictly later."""
    at = seconds(history.moments["at"])
    out = np.full(len(at), np.inf)
    rows_by_account = history.moments.groupby("account", observed=True).indices
    for account, episodes in history.episodes.groupby("account"):
        rows = rows_by_account.get(account)
        if rows is None:
            continue
        starts = np.sort(seconds(episodes["at"]))
        place = np.searchsorted(starts, at[rows], side="right")
        later = place < len(starts)
        out[rows[later]] = (starts[place[later]] - at[rows[later]]) / HOUR
    return out


def _covered(history: History) -> Floats:
    """Return hours to the end of the account's trustworthy log."""
    accounts = history.moments["account"].astype("category")
    ends = [
        min(history.covered_until, history.censored_at.get(str(name), history.covered_until))
        for name in accounts.cat.categories
    ]
    end = np.array([int(time.timestamp()) for time in ends], dtype=np.int64)
    return (end[accounts.cat.codes.to_numpy()] - seconds(history.moments["at"])) / HOUR


@numba.njit(cache=True)
def _first_touch(
    price: Floats, accumulator: Floats, place: Ints, trigger: Floats, furthest: int
) -> tuple[Floats, Floats]:
    """Return hours to the first judged price at or below the growing trigger."""
    touched = np.full(len(place), np.inf)
    censoring = np.full(len(place), float(furthest))
    for row in range(len(place)):
        for ahead in range(1, furthest + 1):
            k = place[row] + ahead
            if k >= len(price) or np.isnan(price[k]):
                censoring[row] = ahead - 1.0
                break
            if price[k] / accumulator[k] <= trigger[row] / accumulator[place[row]]:
                touched[row] = censoring[row] = float(ahead)
                break
    return touched, censoring


def _touches(history: History) -> tuple[Floats, Floats]:
    """Return hours to the touch if nobody acts, and how far the path is known."""
    if history.touches is not None:
        touches = history.touches
        return touches["touched_in"].to_numpy(), touches["touched_known"].to_numpy()
    first = int(history.path.index[0].timestamp()) // HOUR
    place = seconds(history.moments["at"]) // HOUR - first
    touched, censoring = _first_touch(
        history.path["price"].to_numpy(dtype=np.float64),
        history.path["accumulator"].to_numpy(dtype=np.float64),
        place,
        history.moments["trigger"].to_numpy(dtype=np.float64),
        FURTHEST,
    )
    return touched, censoring


def censor(
    happened: Floats, censoring: Floats, *, at: Ints, end: datetime
) -> tuple[Floats, Floats]:
    """Forget everything after `end`: what training may know of its own last windows.

    Parameters
    ----------
    happened, censoring
        Hours after each moment.
    at
        Seconds since 1970 of each moment.
    end
        Aware UTC time.
    """
    left = (int(end.timestamp()) - at) / HOUR
    return np.where(happened <= left, happened, np.inf), np.minimum(censoring, left)


def by_horizon(happened: Floats, censoring: Floats, hours: int) -> Floats:
    """Return 1 where the event came within `hours`, 0 where it is known not to have, else NaN.

    A window that the data does not cover to its end is censored, never 0.
    """
    return np.where(happened <= hours, 1.0, np.where(censoring >= hours, 0.0, np.nan))


def in_stretch(happened: Floats, censoring: Floats, *, begin: int, end: int) -> Floats:
    """Return the hazard label of (begin, end]: NaN for accounts no longer at risk or censored."""
    return np.where(happened <= begin, np.nan, by_horizon(happened, censoring, end))
