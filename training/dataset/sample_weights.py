"""What became of the rows, and how much of an independent outcome each of them holds."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from features.inputs import Floats, Ints
from models.horizons import HORIZONS
from training.dataset import labels
from training.dataset.dataset import Dataset

Mask = npt.NDArray[np.bool_]

START = ("start_distance", "start_sigma")
"""Without these there is no forecast, and a row is no use."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Outcome of each row, NaN where unknown, and its evidence, 0 where it is no use."""

    y: Floats
    weights: Floats

    @property
    def used(self) -> Mask:
        """Rows that hold evidence."""
        return np.asarray(self.weights > 0.0)


@dataclass(frozen=True, slots=True)
class WeightedOutcomes:
    """Rows that may tell of an event.

    Parameters
    ----------
    at
        Seconds since 1970, shape (N,).
    happened, censoring
        Hours to the event, and how far its absence is known.
    weights
        Account-hours that each row stands for; 0 where it cannot be forecast.
    group
        Code of what decides an outcome: the path of an asset, the owner of an account, or
        one code for all where they move together.
    """

    at: Ints
    happened: Floats
    censoring: Floats
    weights: Floats
    group: Ints

    def among(self, rows: Mask, *, end: datetime) -> "WeightedOutcomes":
        """Return some of the witnesses, who know nothing after `end`."""
        at = self.at[rows]
        happened, censoring = labels.censor(
            self.happened[rows], self.censoring[rows], at=at, end=end
        )
        return WeightedOutcomes(at, happened, censoring, self.weights[rows], self.group[rows])

    def hazard(self, k: int) -> Outcomes:
        """Return what they tell of the stretch between horizon k-1 and horizon k."""
        begin = HORIZONS[k - 1] if k else 0
        y = labels.in_stretch(self.happened, self.censoring, begin=begin, end=HORIZONS[k])
        return Outcomes(y, self._evidence(y, HORIZONS[k] - begin))

    def horizon(self, k: int) -> Outcomes:
        """Return what they tell of everything up to horizon k."""
        y = labels.by_horizon(self.happened, self.censoring, HORIZONS[k])
        return Outcomes(y, self._evidence(y, HORIZONS[k]))

    def _evidence(self, y: Floats, hours: int) -> Floats:
        """Return how much of an independent outcome each row holds; 0 where it is no use.

        A group has one outcome per `hours`, shared by the rows that lie within, those included
        that are no longer at risk: where a crash left few of them, these few would else count for
        all, and the hazard come out too high.
        """
        block = self.at // (hours * 3600)
        key = self.group * (int(block.max(initial=0)) + 1) + block
        _, places = np.unique(key, return_inverse=True)
        shared = np.bincount(places, weights=self.weights)[places]
        return np.asarray(self.weights * np.isfinite(y) / np.maximum(shared, 1.0))


def weighted_outcomes(rows: Dataset, event: str, *, group: Ints, end: datetime) -> WeightedOutcomes:
    """Return the rows as witnesses of an event, who know nothing after `end`.

    Parameters
    ----------
    event
        Prefix of the labels.
    """
    usable = np.isfinite(rows.features[list(START)].to_numpy()).all(axis=1)
    everything = WeightedOutcomes(
        at=rows.at,
        happened=rows.labels[f"{event}_in"].to_numpy(),
        censoring=rows.labels[f"{event}_known"].to_numpy(),
        weights=rows.weights() * usable,
        group=group,
    )
    return everything.among(np.ones(len(rows.at), dtype=bool), end=end)
