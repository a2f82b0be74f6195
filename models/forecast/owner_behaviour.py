"""What owners do about a line that nears: log-odds that their past adds, as plain numbers.

A touch liquidates only whom nobody rescues. How far an owner is one who rescues shows in few
things: how long ago they acted and how often, how much they owe, how long they have been there
and how near the line they are used to live.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST = 2.0
"""Deviations from the centre within which a habit counts: an owner unlike any is still one."""


@dataclass(frozen=True, slots=True)
class OwnerBehaviour:
    """Log-odds of each hazard, linear in M features of the owner.

    Parameters
    ----------
    columns
        Places of the inputs among the bundle's features, shape (M,).
    lows
        Deviations from the centre below which an input tells no more, shape (M,): -MOST, or 0
        of what counts only above the mean.
    centres, spreads
        Mean and deviation of each input among accounts near their line, shape (M,). What is
        missing counts as the mean: an owner of whom nothing is known is taken for a usual one.
    weights
        Shape (K, M).
    """

    columns: Ints
    lows: Floats
    centres: Floats
    spreads: Floats
    weights: Floats

    def parts(self, features: Floats) -> Floats:
        """Return what each input adds to each hazard, shape (N, K, M).

        Parameters
        ----------
        features
            Shape (N, F), in the bundle's order.
        """
        moved = standardised(features[:, self.columns], self.centres, self.spreads, lows=self.lows)
        return np.asarray(moved[:, np.newaxis, :] * self.weights)

    def added(self, features: Floats) -> Floats:
        """Return what the owner's past adds to each hazard, shape (N, K)."""
        rows = np.ascontiguousarray(features, dtype=np.float64)
        scaling = self.centres, self.spreads, self.lows
        return np.asarray(_added(rows, self.columns, scaling, self.weights))


def standardised(inputs: Floats, centres: Floats, spreads: Floats, *, lows: Floats) -> Floats:
    """Return deviations from the centre, within [low, MOST], 0 where an input is missing."""
    return np.clip(np.nan_to_num((inputs - centres) / spreads), lows, MOST)


@numba.njit(cache=True, nogil=True)
def _added(
    features: Floats, columns: Ints, scaling: tuple[Floats, Floats, Floats], weights: Floats
) -> Floats:
    """Return `parts` summed over the inputs, in one order however many rows there are."""
    centres, spreads, lows = scaling
    out = np.zeros((len(features), len(weights)))
    for row in range(len(features)):
        for place in range(len(columns)):
            moved = (features[row, columns[place]] - centres[place]) / spreads[place]
            if not np.isnan(moved):
                moved = min(max(moved, lows[place]), MOST)
                for k in range(len(weights)):
                    out[row, k] += moved * weights[k, place]
    return out


def written(conduct: OwnerBehaviour, names: Sequence[str]) -> dict[str, Any]:
    """Return a conduct as plain numbers, its inputs by name."""
    return {
        "features": [names[column] for column in conduct.columns],
        "lows": conduct.lows.tolist(),
        "centres": conduct.centres.tolist(),
        "spreads": conduct.spreads.tolist(),
        "weights": conduct.weights.tolist(),
    }


def read(stored: Mapping[str, Any], names: Sequence[str]) -> OwnerBehaviour:
    """Return a conduct from plain numbers."""
    return OwnerBehaviour(
        columns=np.array([names.index(name) for name in stored["features"]], dtype=np.int64),
        lows=np.array(stored["lows"], dtype=np.float64),
        centres=np.array(stored["centres"], dtype=np.float64),
        spreads=np.array(stored["spreads"], dtype=np.float64),
        weights=np.array(stored["weights"], dtype=np.float64).reshape(-1, len(stored["features"])),
    )
