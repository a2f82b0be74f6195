"""Account moments with features and labels, row by row."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.inputs import Floats, Ints, seconds
from features.pipeline import BASELINE, NAMES, compute
from models.errors import Fault, InvalidInput
from training import labels
from training.sources import History, select_legs

FAR = 8.0
THINNING = 8

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Features and what happened, row by row.

    Parameters
    ----------
    features
        Of `features.pipeline.compute`.
    labels
        Of `training.labels.label`.
    at
        Seconds since 1970.
    account
        Account codes.
    moments
        Rows of `History.moments`.
    legs
        Their legs, by `features.inputs.LEGS`.
    """

    features: pd.DataFrame
    labels: pd.DataFrame
    at: Ints
    account: Ints
    moments: pd.DataFrame
    legs: pd.DataFrame | None = None

    def select(self, rows: Mask) -> "Dataset":
        """Return some rows."""
        return Dataset(
            self.features[rows],
            self.labels[rows],
            self.at[rows],
            self.account[rows],
            self.moments[rows],
            select_legs(self.legs, rows),
        )

    def weights(self) -> Floats:
        """Return 0, 1 or THINNING per row.

        Of an account far from the line one hour in THINNING stands for all, staggered over
        accounts.
        """
        turn = (self.at // 3600 + self.account) % THINNING == 0
        return np.where(self._is_far(), THINNING * turn, 1).astype(np.float64)

    @property
    def asset(self) -> Ints:
        """Return codes of the assets that decide."""
        return np.asarray(pd.factorize(self.moments["asset"].astype(str))[0], dtype=np.int64)

    def matrix(self) -> Floats:
        """Return the features in the bundle's order, shape (N, F), a copy."""
        return self.features[list(NAMES)].to_numpy(dtype=np.float64, copy=True)

    def baseline(self) -> Floats:
        """Return what forecasts start from, shape (N, K + 3)."""
        return self.features[list(BASELINE)].to_numpy(dtype=np.float64)

    def _is_far(self) -> Mask:
        """Return which accounts are more than FAR daily volatilities from the line."""
        return np.asarray(~(self.features["distance_sigmas_72h"].to_numpy() <= FAR))


def dataset(
    history: History, *, begin: datetime | None = None, end: datetime | None = None
) -> Dataset:
    """Return the rows of [begin, end) with features and labels.

    Raises
    ------
    InvalidInput
        When the period holds no account-hour.
    """
    at = seconds(history.moments["at"])
    keep = np.ones(len(at), dtype=bool)
    if begin is not None:
        keep &= at >= int(begin.timestamp())
    if end is not None:
        keep &= at < int(end.timestamp())
    if not keep.any():
        raise InvalidInput([_no_rows(at, begin, end)])
    moments = history.moments[keep].reset_index(drop=True)
    marked = labels.label(history)[keep].reset_index(drop=True)
    codes = moments["account"].astype("category").cat.codes.to_numpy(dtype=np.int64)
    legs = select_legs(history.legs, keep)
    features = compute(history.tables, moments, legs=legs)
    return Dataset(features, marked, at[keep], codes.astype(np.int64), moments, legs)


def _no_rows(at: Ints, begin: datetime | None, end: datetime | None) -> Fault:
    """Return the fault of a period without account-hours."""
    held = "none at all"
    if len(at):
        first, last = (datetime.fromtimestamp(int(t), tz=UTC) for t in (at.min(), at.max()))
        held = f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
    return Fault("--from,--to", f"no account-hours in [{begin}, {end}); the data holds {held}")
