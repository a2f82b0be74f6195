"""The ladder a model must climb: B0 to B6, fitted on the training years only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from features.inputs import Floats, Tables
from models.horizons import HORIZONS, LABELS, REFERENCE
from training.baselines import garch, har

BASELINES: Mapping[str, str] = {
    "B0": "base rate of the training years",
    "B1": "buffer: distance to the trigger at the venue's next price",
    "B2": "buffer over recent volatility (15-day half-life)",
    "B3_raw": "first passage, blend of 24 h and 72 h volatility, as computed",
    "B3": "first passage, calibrated (isotonic)",
    "B4_garch_raw": "GARCH-t, filtered historical simulation, as simulated",
    "B4_garch": "GARCH-t, filtered historical simulation, calibrated (isotonic)",
    "B4_har_raw": "HAR volatility, filtered historical simulation, as computed",
    "B4_har": "HAR volatility, filtered historical simulation, calibrated (isotonic)",
    "B5": "B2 + a·ln(1 + hours since the owner's last action)",
    "B6_raw": "logistic hazard on logit(B4) and a few features, as fitted",
    "B6": "logistic hazard on logit(B4) and a few features, calibrated (isotonic)",
}
CALIBRATED: tuple[str, ...] = ("B1", "B2", "B3", "B4_garch", "B4_har", "B5", "B6")
"""Rungs whose probability is judged; the best of them is what the model must beat."""

GRID = tuple(float(a) for a in np.round(np.arange(0.0, 3.01, 0.1), 1))
LEAST = 1e-7
BEND = 12.0
"""Log-odds enter the logistic bent towards ±BEND: tails are fatter than a formula's."""

LOGISTIC: tuple[str, ...] = (
    "distance_sigmas_72h",
    "volatility_ratio_24h_72h",
    "volatility_ratio_72h_360h",
    "return_sigmas_24h",
    "hours_since_action",
)


@dataclass(frozen=True, slots=True)
class Scored:
    """One rung on one horizon: `score` ranks, `probability` is judged for calibration."""

    score: Floats
    probability: Floats


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the rungs read of N rows.

    Parameters
    ----------
    features
        Frame of `features.pipeline.compute`.
    past
        Realised variances of the path, shape (N, 4).
    simulated
        Log-odds of B4 by GARCH-t and simulation, shape (N, 4).
    delay, side
        Of the moments.
    """

    features: pd.DataFrame
    past: Floats
    simulated: Floats
    delay: Floats
    side: Floats


def inputs(
    tables: Tables, moments: pd.DataFrame, features: pd.DataFrame, *, legs: pd.DataFrame | None
) -> Inputs:
    """Compute what the rungs read, each row from its own past.

    GARCH is fitted per asset: of a basket, which is none, it says nothing.
    """
    distance = features["distance_next"].to_numpy()
    simulated = garch.touch_logits(tables.candles, moments, distance=distance)
    if legs is not None:
        simulated[legs["row"].to_numpy(dtype=np.int64)] = np.nan
    return Inputs(
        features=features,
        past=har.inputs(tables, moments, legs=legs).to_numpy(),
        simulated=simulated,
        delay=moments["delay"].to_numpy(dtype=np.float64),
        side=moments["side"].to_numpy(dtype=np.float64),
    )


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
    idle = np.nan_to_num(features["hours_since_action"].to_numpy(), nan=0.0)
    return {
        "B1": -features["distance_next"].to_numpy(),
        "B2": -sigmas,
        "B5": -sigmas + weight * idle,
    }


def logits(fitted: Mapping[str, Any], rows: Inputs, *, horizon: str) -> dict[str, Floats]:
    """Return the log-odds of the rungs that forecast a probability by themselves.

    Where an asset is too young for a rung's volatility, the rung below answers: HAR falls
    back on first passage, GARCH on HAR.
    """
    k = LABELS.index(horizon)
    passage = rows.features[f"baseline_{HORIZONS[k]}h"].to_numpy()
    by_har = passage
    if fitted["har"]:
        log_odds = har.touch_logits(
            fitted["har"],
            rows.past,
            distance=rows.features["distance_next"].to_numpy(),
            delay=rows.delay,
            side=rows.side,
        )[:, k]
        by_har = np.where(np.isfinite(log_odds), log_odds, passage)
    simulated = rows.simulated[:, k]
    by_garch = np.where(np.isfinite(simulated), simulated, by_har)
    return {"B3": passage, "B4_garch": by_garch, "B4_har": by_har}


def fit(
    rows: Inputs, outcomes: Mapping[str, Floats], *, volatility: Mapping[str, Any]
) -> dict[str, Any]:
    """Fit every rung.

    Parameters
    ----------
    rows
        Of the training rows.
    outcomes
        By horizon label: 1, 0 or NaN (censored) per row.
    volatility
        Of `har.fit` on the training years.

    Returns
    -------
    dict
        Plain numbers: `a`, `har`, and by horizon the base rate, the logistic and each rung's
        isotonic steps.
    """
    fitted: dict[str, Any] = {
        "a": _fit_weight(rows.features, outcomes[REFERENCE]),
        "har": dict(volatility),
        "horizons": {},
    }
    ranked = scores(rows.features, weight=fitted["a"])
    for name in LABELS:
        labelled = np.isfinite(outcomes[name])
        y = outcomes[name][labelled]
        by_rung = {**ranked, **logits(fitted, rows, horizon=name)}
        logistic = _fit_logistic(_design(by_rung["B4_har"], rows.features)[labelled], y)
        by_rung["B6"] = _logistic(logistic, _design(by_rung["B4_har"], rows.features))
        fitted["horizons"][name] = {
            "rate": max(float(y.mean()), LEAST) if len(y) else LEAST,
            "logistic": logistic,
            "isotonic": {rung: _isotonic(s[labelled], y) for rung, s in by_rung.items()},
        }
    return fitted


def apply(fitted: Mapping[str, Any], rows: Inputs, *, horizon: str) -> dict[str, Scored]:
    """Return every rung on one horizon."""
    parts = fitted["horizons"][horizon]
    raw = logits(fitted, rows, horizon=horizon)
    raw["B6"] = _logistic(parts["logistic"], _design(raw["B4_har"], rows.features))
    rate = np.full(len(rows.features), parts["rate"])
    scored = {"B0": Scored(rate, rate)}
    for rung, score in raw.items():
        scored[f"{rung}_raw"] = Scored(score, np.asarray(special.expit(score)))
    for rung, score in {**scores(rows.features, weight=fitted["a"]), **raw}.items():
        steps = parts["isotonic"][rung]
        scored[rung] = Scored(score, np.interp(score, steps["x"], steps["y"]))
    return {rung: scored[rung] for rung in BASELINES}


def _fit_weight(features: pd.DataFrame, y: Floats) -> float:
    """Return the B5 weight with the best average precision in training."""
    usable = np.isfinite(y) & np.isfinite(scores(features, weight=1.0)["B5"])
    rows = features[usable]
    if not y[usable].any():
        return 0.0
    precision = {
        weight: average_precision_score(y[usable], scores(rows, weight=weight)["B5"])
        for weight in GRID
    }
    return max(GRID, key=lambda weight: (precision[weight], -weight))


def _isotonic(score: Floats, y: Floats) -> dict[str, list[float]]:
    """Return the steps of an isotonic fit, never surer than one event in its rows."""
    usable = np.isfinite(score)
    if not usable.any():
        return {"x": [0.0], "y": [0.5]}
    low = 0.5 / int(usable.sum())
    model = IsotonicRegression(  # type: ignore[no-untyped-call]
        y_min=low, y_max=1.0 - low, out_of_bounds="clip"
    )
    model.fit(score[usable], y[usable])
    return {"x": model.X_thresholds_.tolist(), "y": model.y_thresholds_.tolist()}


def _design(logit: Floats, features: pd.DataFrame) -> Floats:
    """Return what the logistic reads, shape (N, 1 + F)."""
    columns = [features[name].to_numpy(dtype=np.float64) for name in LOGISTIC]
    return np.stack([BEND * np.tanh(logit / BEND), *columns], axis=1)


def _fit_logistic(design: Floats, y: Floats) -> dict[str, Any]:
    """Fit a logistic on standardised columns; without both outcomes it passes B4 through."""
    usable = np.isfinite(design[:, 0])
    x, hits = design[usable], y[usable]
    width = design.shape[1]
    if not hits.any() or hits.all():
        return {
            "mean": [0.0] * width,
            "scale": [1.0] * width,
            "weights": [1.0, *[0.0] * (width - 1)],
            "level": 0.0,
        }
    present = np.isfinite(x)
    count = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, x, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(present, (x - mean) ** 2, 0.0).sum(axis=0) / count)
    scale = np.where(spread > 0.0, spread, 1.0)
    model = LogisticRegression(  # type: ignore[no-untyped-call]
        solver="newton-cholesky", max_iter=200
    )
    model.fit(np.where(present, (x - mean) / scale, 0.0), hits)
    return {
        "mean": mean.tolist(),
        "scale": scale.tolist(),
        "weights": model.coef_[0].tolist(),
        "level": float(model.intercept_[0]),
    }


def _logistic(fitted: Mapping[str, Any], design: Floats) -> Floats:
    """Return log-odds; a missing feature counts as its mean, a missing B4 stays missing."""
    x = (design - np.array(fitted["mean"])) / np.array(fitted["scale"])
    x[:, 1:] = np.nan_to_num(x[:, 1:], nan=0.0)
    return np.asarray(x @ np.array(fitted["weights"]) + fitted["level"])
