"""The ladder a model must climb: B0 to B5, fitted on the training years only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import average_precision_score

from features.inputs import Floats
from models.hazard import HORIZONS, LABELS

RUNGS: Mapping[str, str] = {
    "B0": "base rate of the training years",
    "B1": "buffer: distance to the trigger at the venue's next price",
    "B2": "buffer over recent volatility (15-day half-life)",
    "B3_raw": "first passage, blend of 24 h and 72 h volatility, as computed",
    "B3": "first passage, calibrated (isotonic)",
    "B5": "B2 + a·ln(1 + hours since the owner's last action)",
}
GRID = tuple(float(a) for a in np.round(np.arange(0.0, 3.01, 0.1), 1))
LEAST = 1e-7


@dataclass(frozen=True, slots=True)
class Scored:
    """One rung on one horizon: `score` ranks, `probability` is judged for calibration."""

    score: Floats
    probability: Floats


def scores(features: pd.DataFrame, *, weight: float) -> dict[str, Floats]:
    """Return the ranking scores that do not depend on the horizon.

    Parameters
    ----------
    features
        Frame of `features.pipeline.compute`.
    weight
        The `a` of B5.
    """
    sigmas = features["distance_sigmas_360h"].to_numpy()
    idle = features["hours_since_action"].to_numpy()
    return {
        "B1": -features["distance_next"].to_numpy(),
        "B2": -sigmas,
        "B5": -sigmas + weight * idle,
    }


def fit(features: pd.DataFrame, outcomes: Mapping[str, Floats]) -> dict[str, Any]:
    """Fit every rung.

    Parameters
    ----------
    features
        Of the training rows.
    outcomes
        By horizon label: 1, 0 or NaN (censored) per row.

    Returns
    -------
    dict
        Plain numbers: `a`, and by horizon the base rate and each rung's isotonic steps.
    """
    weight = _fit_weight(features, outcomes["24h"])
    ranked = scores(features, weight=weight)
    fitted: dict[str, Any] = {"a": weight, "horizons": {}}
    for hours, name in zip(HORIZONS, LABELS, strict=True):
        known = np.isfinite(outcomes[name])
        y = outcomes[name][known]
        by_rung = {**ranked, "B3": features[f"baseline_{hours}h"].to_numpy()}
        fitted["horizons"][name] = {
            "rate": max(float(y.mean()), LEAST),
            "isotonic": {rung: _isotonic(s[known], y) for rung, s in by_rung.items()},
        }
    return fitted


def apply(fitted: Mapping[str, Any], features: pd.DataFrame, *, horizon: str) -> dict[str, Scored]:
    """Return every rung on one horizon."""
    hours = HORIZONS[LABELS.index(horizon)]
    parts = fitted["horizons"][horizon]
    logits = features[f"baseline_{hours}h"].to_numpy()
    ranked = {**scores(features, weight=fitted["a"]), "B3": logits}
    rate = np.full(len(features), parts["rate"])
    raw = 1.0 / (1.0 + np.exp(-np.nan_to_num(logits, nan=0.0)))
    found = {"B0": Scored(rate, rate), "B3_raw": Scored(logits, raw)}
    for rung, score in ranked.items():
        steps = parts["isotonic"][rung]
        found[rung] = Scored(score, np.interp(score, steps["x"], steps["y"]))
    return {rung: found[rung] for rung in RUNGS}


def _fit_weight(features: pd.DataFrame, y: Floats) -> float:
    """Return the B5 weight with the best average precision in training."""
    known = np.isfinite(y) & np.isfinite(scores(features, weight=1.0)["B5"])
    rows = features[known]
    if not y[known].any():
        return 0.0
    found = {
        weight: average_precision_score(y[known], scores(rows, weight=weight)["B5"])
        for weight in GRID
    }
    return max(GRID, key=lambda weight: (found[weight], -weight))


def _isotonic(score: Floats, y: Floats) -> dict[str, list[float]]:
    """Return the steps of an isotonic fit, never surer than one event in its rows."""
    usable = np.isfinite(score)
    low = 0.5 / max(int(usable.sum()), 1)
    model = IsotonicRegression(  # type: ignore[no-untyped-call]
        y_min=low, y_max=1.0 - low, out_of_bounds="clip"
    )
    model.fit(score[usable], y[usable])
    return {"x": model.X_thresholds_.tolist(), "y": model.y_thresholds_.tolist()}
