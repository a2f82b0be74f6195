"""The volatility ahead: a log-linear correction of the recent one, stored as plain numbers.

Corsi (J. Financial Econometrics 7, 2009) regresses realised variance on its own past at
several scales. Here everything is a ratio to the recent volatility of the same path, so that
one set of weights serves every asset, and one never seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST = 6.0
"""Inputs are kept within ±MOST of their centre."""

LANES = 8
"""Rows whose sums are added to at once."""

MOST_CORRECTION = 1.5
"""Log ratio within which a forecast stays of the recent volatility."""


@dataclass(frozen=True, slots=True)
class VolatilityForecast:
    """log(σ ahead / σ recent) of each horizon, linear in M market features.

    Parameters
    ----------
    columns
        Places of the inputs among the bundle's features, shape (M,).
    centres, spreads
        Median of each input, and its mean distance from there, shape (M,). They stand for an
        input that is missing: had it no distance at all, it would pass for a calm one.
    weights
        Of the inputs and of their distances from the centre, shape (K, 2M).
    shifts
        Shape (K,).
    """

    columns: Ints
    centres: Floats
    spreads: Floats
    weights: Floats
    shifts: Floats

    def corrections(self, features: Floats) -> Floats:
        """Return log(σ ahead / σ recent), shape (N, K).

        Parameters
        ----------
        features
            Shape (N, F), in the bundle's order; what is missing counts as usual.
        """
        rows = np.ascontiguousarray(features, dtype=np.float64)
        moved = self.shifts + _products(
            rows, self.columns, self.centres, self.spreads, self.weights
        )
        return np.clip(moved, -MOST_CORRECTION, MOST_CORRECTION)


@numba.njit(cache=True, nogil=True)
def _products(
    features: Floats, columns: Ints, centres: Floats, spreads: Floats, weights: Floats
) -> Floats:
    """Return `design` times weights of shape (K, 2M), summed in one order for any rows.

    Eight sums depend on nothing of one another, so a processor adds to them at once.
    """
    wide = len(columns)
    out = np.zeros((len(features), len(weights)))
    values, sums = np.zeros((2 * wide, LANES)), np.zeros(LANES)
    for begin in range(0, len(features), LANES):
        size = min(LANES, len(features) - begin)
        for place in range(wide):
            for lane in range(size):
                moved = features[begin + lane, columns[place]] - centres[place]
                is_missing = np.isnan(moved)
                moved = min(max(moved, -MOST), MOST)
                values[place, lane] = 0.0 if is_missing else moved
                values[wide + place, lane] = 0.0 if is_missing else abs(moved) - spreads[place]
        for k in range(len(weights)):
            sums[:] = 0.0
            for column in range(2 * wide):
                weight = weights[k, column]
                for lane in range(LANES):
                    sums[lane] += values[column, lane] * weight
            for lane in range(size):
                out[begin + lane, k] = sums[lane]
    return out


def design(inputs: Floats, centres: Floats, spreads: Floats) -> Floats:
    """Return inputs from their centres, and how far beyond usual; 0 where missing.

    Returns
    -------
    numpy.ndarray
        Shape (N, 2M).
    """
    moved = np.clip(inputs - centres, -MOST, MOST)
    return np.nan_to_num(np.concatenate([moved, np.abs(moved) - spreads], axis=1))


def written(scale: VolatilityForecast, names: Sequence[str]) -> dict[str, Any]:
    """Return a scale as plain numbers, its inputs by name."""
    return {
        "features": [names[column] for column in scale.columns],
        "centres": scale.centres.tolist(),
        "spreads": scale.spreads.tolist(),
        "weights": scale.weights.tolist(),
        "shifts": scale.shifts.tolist(),
    }


def read(stored: Mapping[str, Any], names: Sequence[str]) -> VolatilityForecast:
    """Return a scale from plain numbers."""
    return VolatilityForecast(
        columns=np.array([names.index(name) for name in stored["features"]], dtype=np.int64),
        centres=np.array(stored["centres"], dtype=np.float64),
        spreads=np.array(stored["spreads"], dtype=np.float64),
        weights=np.array(stored["weights"], dtype=np.float64),
        shifts=np.array(stored["shifts"], dtype=np.float64),
    )
