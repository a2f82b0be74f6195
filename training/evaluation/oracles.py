"""Oracles beside the ladder: what a forecast would be worth that knew a part of what was to come.

They are no rungs, since nobody has them; they tell how much is left to win, and where.

- `volatility of the window`: first passage by the volatility that the window itself had.
- `volatility after it`: by the geometric mean of the past volatility and of that of the window
  after the one in question: the regime, without its news.
- `touch`: the model's own probability, calibrated apart where the held line was touched and where
  it was not.

Each is calibrated by isotonic regression on blocks of days of the other parity, so that none is
judged on what it was fitted on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression

from features.inputs import HOUR, Candles, Floats, Ints, Names
from models.forecast.first_passage import touch_logit
from models.horizons import HORIZONS
from training.evaluation import metrics
from training.evaluation.metrics import Mask, ScoredOutcomes

DAY = 24 * HOUR
LEAST_ROWS = 20
"""Fewer than this on either side calibrate nothing."""


@dataclass(frozen=True, slots=True)
class Hindsight:
    """What came after every row, and what it was forecast from.

    Parameters
    ----------
    window, later
        Volatility per root hour of the window of each horizon, and of as long after it; NaN
        where candles are missing. Shape (N, K).
    past, distance, delay
        Volatility per root hour before, log distance, hours until a price is judged by.
    """

    window: Floats
    later: Floats
    past: Floats
    distance: Floats
    delay: Floats

    def select(self, rows: Mask) -> "Hindsight":
        """Return some rows."""
        return Hindsight(
            self.window[rows],
            self.later[rows],
            self.past[rows],
            self.distance[rows],
            self.delay[rows],
        )


def volatilities(candles: Mapping[str, Candles], asset: Names, at: Ints, *, windows: int) -> Floats:
    """Return the volatility per root hour of a window that begins so many windows later.

    Parameters
    ----------
    asset, at
        Of each row: name, and seconds since 1970.
    windows
        0 for the window itself.

    Returns
    -------
    numpy.ndarray
        Root of the mean of squared hourly log returns of closes, shape (N, K); NaN where one is
        missing.
    """
    out = np.full((len(at), len(HORIZONS)), np.nan)
    for name in np.unique(asset):
        grid = candles.get(str(name))
        if grid is None:
            continue
        rows = np.flatnonzero(asset == name)
        squared = np.append(np.nan, np.diff(np.log(grid.close)) ** 2)
        sums = np.append(0.0, np.cumsum(np.nan_to_num(squared)))
        gaps = np.append(0, np.cumsum(np.isnan(squared)))
        place = grid.last_closed(at[rows]) + 1
        for k, hours in enumerate(HORIZONS):
            begin, end = place + windows * hours, place + (windows + 1) * hours
            inside = (begin >= 0) & (end <= len(squared))
            first, last = (np.where(inside, edge, 0) for edge in (begin, end))
            whole = inside & (gaps[last] == gaps[first])
            mean = (sums[last] - sums[first]) / hours
            out[rows, k] = np.where(whole, np.sqrt(mean), np.nan)
    return out


def compare_oracles(
    hindsight: Hindsight,
    outcome: Floats,
    *,
    k: int,
    model: Floats,
    best: Floats,
    touched: Floats | None,
    at: Ints,
    rows: ScoredOutcomes,
) -> dict[str, dict[str, Any]]:
    """Return what each oracle scores on the rows that it can tell of.

    Parameters
    ----------
    k
        Place of the horizon.
    model, best
        Probabilities of the model and of the best rung.
    touched
        Whether the held line was touched, NaN where that is not known; None where that is the
        outcome itself.

    Returns
    -------
    dict
        By oracle: `rows`, `log_loss`, and its relative change to the model's and to the best
        rung's on the same rows, with intervals; empty where nothing happened.
    """
    if not outcome.any():
        return {}
    odd = (at // max(DAY, HORIZONS[k] * HOUR)) % 2 == 1
    out = {}
    for name, score, stratum in _scores(hindsight, k, model, touched):
        usable = np.isfinite(score) & np.isfinite(stratum)
        probability = cross_fitted(score[usable], stratum[usable], outcome[usable], odd[usable])
        if probability is None:
            continue
        part = rows.select(usable)
        loss = metrics.calibration(probability, part)["log_loss"]
        others = {
            label: metrics.calibration(other[usable], part)["log_loss"]
            for label, other in (("model", model), ("rung", best))
        }
        figures = {"log_loss": loss} | {
            f"change_to_{label}": loss.relative_to(other) for label, other in others.items()
        }
        out[name] = {"rows": int(usable.sum()), **metrics.summary(figures)}
    return out


def _scores(
    hindsight: Hindsight, k: int, model: Floats, touched: Floats | None
) -> Iterator[tuple[str, Floats, Floats]]:
    """Yield each oracle's name, score, and the part in which each row is calibrated."""
    whole = np.zeros(len(model))
    left = np.maximum(HORIZONS[k] - hindsight.delay, 0.0)
    sigmas = {
        "volatility of the window": hindsight.window[:, k],
        "volatility after it": np.sqrt(hindsight.past * hindsight.later[:, k]),
    }
    for name, sigma in sigmas.items():
        moving = np.where(sigma > 0.0, sigma, np.nan)
        yield name, touch_logit(hindsight.distance, sigma=moving, hours=left), whole
    if touched is not None:
        yield "touch", model, touched


def cross_fitted(score: Floats, stratum: Floats, y: Floats, odd: Mask) -> Floats | None:
    """Return calibrated probabilities, each half's by the other; None where one cannot be."""
    out = np.full(len(score), np.nan)
    for part in np.unique(stratum):
        for half in (odd, ~odd):
            fitted, applied = (stratum == part) & ~half, (stratum == part) & half
            if not applied.any():
                continue
            if fitted.sum() < LEAST_ROWS:
                return None
            low = 0.5 / int(fitted.sum())
            steps = IsotonicRegression(  # type: ignore[no-untyped-call]
                y_min=low, y_max=1.0 - low, out_of_bounds="clip"
            )
            steps.fit(score[fitted], y[fitted])
            out[applied] = np.interp(score[applied], steps.X_thresholds_, steps.y_thresholds_)
    return out
