"""Metrics of rare-event forecasts, each with an interval over resampled accounts.

Ranking metrics read the raw score, calibration metrics the probability. Every metric takes
weights, so that one pass serves the rows as they are and every resampling of accounts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from features.inputs import Floats, Ints

BUDGETS = (1_000, 10_000)
INTERVAL = (0.05, 0.95)
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows on which every rung is judged.

    Parameters
    ----------
    outcome
        1 or 0.
    account
        Codes 0 … A-1.
    zone
        Rows near the line.
    resamples
        How often each account stands in each resampling, shape (D + 1, A); the first row
        is the data as it is, all ones.
    """

    outcome: Floats
    account: Ints
    zone: Mask
    resamples: Floats


def resample(accounts: int, *, draws: int, seed: int) -> Floats:
    """Return multiplicities of accounts drawn with replacement, the plain data first."""
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(accounts, np.full(accounts, 1.0 / accounts), size=draws)
    return np.vstack([np.ones(accounts), drawn]).astype(np.float64)


@numba.njit(cache=True, parallel=True)
def _ranking(y: Floats, account: Ints, ties: Ints, weights: Floats) -> Floats:
    """Return average precision and area under the ROC curve per resampling.

    Rows are in falling order of score; `ties` numbers equal scores. Average precision is
    Σ (recall step) · precision at the end of each tie, as in scikit-learn.
    """
    out = np.full((len(weights), 2), np.nan)
    for draw in numba.prange(len(weights)):
        total = found = seen = 0.0
        for row in range(len(y)):
            total += weights[draw, account[row]] * y[row]
        precision = area = group_hits = group_seen = 0.0
        for row in range(len(y)):
            weight = weights[draw, account[row]]
            group_hits += weight * y[row]
            group_seen += weight
            if row + 1 < len(y) and ties[row + 1] == ties[row]:
                continue
            misses = group_seen - group_hits
            area += misses * (found + 0.5 * group_hits)
            found += group_hits
            seen += group_seen
            if seen > 0.0:
                precision += group_hits * (found / seen)
            group_hits = group_seen = 0.0
        if total > 0.0:
            out[draw, 0] = precision / total
            if seen > total:
                out[draw, 1] = area / (total * (seen - total))
    return out


@numba.njit(cache=True, parallel=True)
def _caught(y: Floats, account: Ints, weights: Floats, budget: int) -> Floats:
    """Return distinct accounts with an event among the `budget` highest rows."""
    out = np.zeros(len(weights))
    for draw in numba.prange(len(weights)):
        used = 0.0
        seen = np.zeros(weights.shape[1], dtype=np.bool_)
        for row in range(len(y)):
            weight = weights[draw, account[row]]
            if weight == 0.0:
                continue
            used += weight
            if used > budget:
                break
            if y[row] > 0.0 and not seen[account[row]]:
                seen[account[row]] = True
                out[draw] += weight
    return out


def judge(score: Floats, probability: Floats, rows: Judged) -> dict[str, Floats]:
    """Return every metric of one rung, one value per resampling, the plain one first.

    Parameters
    ----------
    score
        Ranks the rows; higher is riskier.
    probability
        Forecast of the outcome.

    Returns
    -------
    dict[str, numpy.ndarray]
        `average_precision`, `auc`, `auc_zone`, `brier_skill` (against the rows' own rate),
        `log_loss`, `expected_observed`, `accounts_caught_*`. NaN where undefined.
    """
    order = np.argsort(-score, kind="stable")
    y, account, ranked = rows.outcome[order], rows.account[order], score[order]
    ranking = _ranking(y, account, _ties(ranked), rows.resamples)
    inside = rows.zone[order]
    near = _ranking(y[inside], account[inside], _ties(ranked[inside]), rows.resamples)
    found = {
        "average_precision": ranking[:, 0],
        "auc": ranking[:, 1],
        "auc_zone": near[:, 1],
        **calibration(probability, rows),
    }
    for budget in BUDGETS:
        found[f"accounts_caught_{budget}"] = _caught(y, account, rows.resamples, budget)
    return found


def calibration(probability: Floats, rows: Judged) -> dict[str, Floats]:
    """Return Brier skill, log-loss and expected over observed per resampling.

    Brier skill is 1 - Brier / (rate·(1 - rate)), rate being that of the rows themselves: a
    harder reference than the rate of the training years (Murphy, 1973).
    """
    p = np.clip(probability, 1e-9, 1.0 - 1e-9)
    y = rows.outcome
    size = rows.resamples.shape[1]
    per_account = {
        "rows": np.ones_like(y),
        "events": y,
        "expected": p,
        "squared": (p - y) ** 2,
        "loss": -(y * np.log(p) + (1.0 - y) * np.log1p(-p)),
    }
    sums = {
        name: rows.resamples @ np.bincount(rows.account, weights=value, minlength=size)
        for name, value in per_account.items()
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = sums["events"] / sums["rows"]
        return {
            "brier_skill": 1.0 - (sums["squared"] / sums["rows"]) / (rate * (1.0 - rate)),
            "log_loss": sums["loss"] / sums["rows"],
            "expected_observed": sums["expected"] / sums["events"],
        }


def _ties(ranked: Floats) -> Ints:
    """Return the number of each row's run of equal scores."""
    if len(ranked) == 0:
        return np.empty(0, dtype=np.int64)
    return np.cumsum(np.append(0, ranked[1:] != ranked[:-1])).astype(np.int64)


def summary(values: Mapping[str, Floats]) -> dict[str, dict[str, float | None]]:
    """Return value, low and high of each metric; None where it is undefined."""
    found: dict[str, dict[str, float | None]] = {}
    for name, draws in values.items():
        resampled = draws[1:][np.isfinite(draws[1:])]
        low, high = np.quantile(resampled, INTERVAL) if len(resampled) else (np.nan, np.nan)
        found[name] = {
            "value": _finite(draws[0]),
            "low": _finite(low),
            "high": _finite(high),
        }
    return found


def _finite(value: float) -> float | None:
    """Return a finite float, or None."""
    return float(value) if np.isfinite(value) else None
