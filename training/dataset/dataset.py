"""Account moments with features and labels, row by row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.inputs import Floats, Ints, seconds
from features.pipeline import BASELINE, NAMES, compute
from models.errors import Fault, InvalidInput
from training.dataset import labels
from training.sources import History, select_legs

FAR = 8.0
THINNING = 8
SIGMAS = "distance_sigmas_72h"

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Features and what happened, row by row.

    Parameters
    ----------
    features
        Of `features.pipeline.compute`.
    labels
        Of `training.dataset.labels.label`.
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
        """Return how many account-hours each row stands for."""
        if "weight" not in self.moments.columns:
            return np.ones(len(self.at))
        return self.moments["weight"].to_numpy(dtype=np.float64)

    @property
    def asset(self) -> Ints:
        """Return codes of the assets that decide."""
        return np.asarray(pd.factorize(self.moments["asset"].astype(str))[0], dtype=np.int64)

    def matrix(self, names: Sequence[str] = NAMES) -> Floats:
        """Return the features in the order of a bundle's names, shape (N, F), a copy."""
        return self.features[list(names)].to_numpy(dtype=np.float64, copy=True)

    def baseline(self) -> Floats:
        """Return what forecasts start from, shape (N, K + 3)."""
        return self.features[list(BASELINE)].to_numpy(dtype=np.float64)


def dataset(
    history: History, *, begin: datetime | None = None, end: datetime | None = None
) -> Dataset:
    """Return the rows of [begin, end) with features and labels.

    Raises
    ------
    InvalidInput
        When the period holds no account-hour.
    """
    keep = _period(history, begin, end)
    return _rows(history, keep, history.moments[keep])


def thinned(
    history: History, *, begin: datetime | None = None, end: datetime | None = None
) -> Dataset:
    """Return the rows of [begin, end) to train on, with the account-hours each stands for.

    Of an account more than FAR daily volatilities from its trigger one hour in THINNING
    stands for all, staggered over accounts: features are computed of no other.

    Raises
    ------
    InvalidInput
        When the period holds no account-hour.
    """
    keep = _period(history, begin, end)
    moments = history.moments[keep]
    legs = select_legs(history.legs, keep)
    weight = np.zeros(len(keep))
    weight[keep] = thinning(
        compute(history.tables, moments, legs=legs, names=(SIGMAS,))[SIGMAS].to_numpy(),
        at=seconds(moments["at"]),
        account=pd.factorize(moments["account"])[0].astype(np.int64),
    )
    weighted = weight > 0.0
    return _rows(history, weighted, history.moments[weighted].assign(weight=weight[weighted]))


def thinning(sigmas: Floats, *, at: Ints, account: Ints) -> Floats:
    """Return 1 for rows near their trigger, and THINNING or 0 for those far from it.

    Parameters
    ----------
    sigmas
        Distance in daily volatilities; NaN counts as far.
    at, account
        Seconds since 1970, and codes of accounts.
    """
    turn = (at // 3600 + account) % THINNING == 0
    return np.where(sigmas <= FAR, 1.0, THINNING * turn.astype(np.float64))


def _period(history: History, begin: datetime | None, end: datetime | None) -> Mask:
    """Return which moments lie in [begin, end)."""
    at = seconds(history.moments["at"])
    keep = np.ones(len(at), dtype=bool)
    if begin is not None:
        keep &= at >= int(begin.timestamp())
    if end is not None:
        keep &= at < int(end.timestamp())
    if not keep.any():
        raise InvalidInput([_no_rows(at, begin, end)])
    return keep


def _rows(history: History, keep: Mask, moments: pd.DataFrame) -> Dataset:
    """Return some moments with features and labels."""
    numbered = moments.reset_index(drop=True)
    legs = select_legs(history.legs, keep)
    return Dataset(
        features=compute(history.tables, numbered, legs=legs),
        labels=labels.label(history)[keep].reset_index(drop=True),
        at=seconds(numbered["at"]),
        account=pd.factorize(numbered["account"])[0].astype(np.int64),
        moments=numbered,
        legs=legs,
    )


def _no_rows(at: Ints, begin: datetime | None, end: datetime | None) -> Fault:
    """Return the fault of a period without account-hours."""
    covered = "none at all"
    if len(at):
        first, last = (datetime.fromtimestamp(int(t), tz=UTC) for t in (at.min(), at.max()))
        covered = f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
    return Fault("--from,--to", f"no account-hours in [{begin}, {end}); the data holds {covered}")
