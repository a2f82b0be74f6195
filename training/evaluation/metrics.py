"""Metrics of rare-event forecasts, each with intervals over resampled blocks.

Ranking metrics read the raw score, calibration metrics the probability. Rows of one account,
and rows of one day, are not independent evidence: intervals come from drawing whole accounts,
and whole blocks of days, with replacement (Künsch, Annals of Statistics 17, 1989).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse, special

from features.inputs import Floats, Ints

INTERVAL = (0.05, 0.95)
LEAST = 1e-9
BINS = 1_024
"""Resampled rankings read scores in so many steps at most; the plain value reads them all."""

SLOPE_STEP = 0.1
SLOPE_LIMIT = 20.0
SETTLED = 1e-10
"""A step of Newton's method below which the slope has been found."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Resampling:
    """Blocks drawn with replacement.

    Parameters
    ----------
    block
        Block of each row, 0 … B-1, shape (N,).
    times
        How often each block stands in each draw, shape (D, B).
    """

    block: Ints
    times: Floats

    def sums(self, values: Floats) -> Floats:
        """Return the sum of a value per row in every draw, shape (D,)."""
        per_block = np.bincount(self.block, weights=values, minlength=self.times.shape[1])
        return np.asarray(self.times @ per_block)

    def table(self, place: Ints, values: Floats, *, size: int) -> Floats:
        """Return the sum of a value per place in every draw, shape (size, D)."""
        shape = (size, self.times.shape[1])
        # Duplicates add up: the matrix holds events per place and block.
        counts = sparse.csr_array((values, (place, self.block)), shape=shape)
        return np.asarray(counts @ self.times.T)

    def select(self, rows: Mask) -> "Resampling":
        """Return the same draws over some rows."""
        return Resampling(self.block[rows], self.times)


@dataclass(frozen=True, slots=True)
class ScoredOutcomes:
    """Rows on which every rung is judged.

    Parameters
    ----------
    outcome
        1 or 0.
    zone
        Rows near the line.
    resamplings
        By name of the block.
    """

    outcome: Floats
    zone: Mask
    resamplings: Mapping[str, Resampling]

    def select(self, rows: Mask) -> "ScoredOutcomes":
        """Return some of the rows, under the same draws."""
        resamplings = {name: drawn.select(rows) for name, drawn in self.resamplings.items()}
        return ScoredOutcomes(self.outcome[rows], self.zone[rows], resamplings)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and the same figure in every draw, by name of the block."""

    value: float
    draws: Mapping[str, Floats]

    def __sub__(self, other: "Estimate") -> "Estimate":
        """Return the paired difference: both figures of each draw come from the same rows."""
        paired = {name: values - other.draws[name] for name, values in self.draws.items()}
        return Estimate(self.value - other.value, paired)

    def relative_to(self, other: "Estimate") -> "Estimate":
        """Return the paired relative change, this / other - 1."""
        paired = {
            name: _share(values, other.draws[name]) - 1.0 for name, values in self.draws.items()
        }
        whole = _share(np.array([self.value]), np.array([other.value]))
        return Estimate(float(whole[0]) - 1.0, paired)


def resample(block: Ints, *, draws: int, seed: int) -> Resampling:
    """Return blocks drawn with replacement; blocks are numbered anew.

    Parameters
    ----------
    block
        Any block number per row.
    draws
        How often all blocks are drawn.
    seed
        The same seed gives the same draws.
    """
    _, codes = np.unique(block, return_inverse=True)
    size = int(codes.max()) + 1 if len(codes) else 1
    generator = np.random.default_rng(seed)
    times = generator.multinomial(size, np.full(size, 1.0 / size), size=draws)
    return Resampling(codes.astype(np.int64), times.astype(np.float64))


def judge(score: Floats, probability: Floats, rows: ScoredOutcomes) -> dict[str, Estimate]:
    """Return every metric of one rung.

    Parameters
    ----------
    score
        Ranks the rows; higher is riskier.
    probability
        Forecast of the outcome.

    Returns
    -------
    dict[str, Estimate]
        `average_precision`, `auc`, `auc_zone`, `brier_skill` (against the rows' own rate),
        `log_loss`, `expected_observed`, `calibration_slope`. NaN where undefined.
    """
    near = rows.select(rows.zone)
    ranking = rank(score, rows)
    return {
        "average_precision": ranking["average_precision"],
        "auc": ranking["auc"],
        "auc_zone": rank(score[rows.zone], near)["auc"],
        **calibration(probability, rows),
        "calibration_slope": slope(probability, rows),
    }


def rank(score: Floats, rows: ScoredOutcomes) -> dict[str, Estimate]:
    """Return average precision and the area under the ROC curve.

    Average precision is Σ (step of recall) · precision at the end of each tie (Davis and
    Goadrich, ICML 2006); the area counts a tie half (Hanley and McNeil, Radiology 143, 1982).
    """
    y = rows.outcome
    _, exact = np.unique(-score, return_inverse=True)
    steps = _steps(score, y)
    place = steps.max(initial=0) - steps
    value = _ranking(*_counts(exact, y))
    drawn = {
        name: _ranking(*_counts_drawn(place, y, drawn)) for name, drawn in rows.resamplings.items()
    }
    return {
        name: Estimate(float(value[k][0]), {block: d[k] for block, d in drawn.items()})
        for k, name in enumerate(("average_precision", "auc"))
    }


def _counts(place: Ints, y: Floats) -> tuple[Floats, Floats]:
    """Return events and rows per place, falling in the score, shape (P, 1)."""
    hits = np.bincount(place, weights=y, minlength=1).astype(np.float64)
    return hits[:, None], np.bincount(place, minlength=1).astype(np.float64)[:, None]


def _counts_drawn(place: Ints, y: Floats, drawn: Resampling) -> tuple[Floats, Floats]:
    """Return events and rows per place in every draw, shape (P, D)."""
    size = int(place.max(initial=0)) + 1
    return drawn.table(place, y, size=size), drawn.table(place, np.ones_like(y), size=size)


def _steps(score: Floats, y: Floats) -> Ints:
    """Return each row's step of the score: every event's own where there are few."""
    values = score[y > 0.0] if (y > 0.0).any() else score
    if not len(values):
        return np.zeros(len(score), dtype=np.int64)
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, BINS), method="nearest"))
    # Odd steps hold the scores that equal an edge, even ones those between two edges.
    left, right = (np.searchsorted(edges, score, side=side) for side in ("left", "right"))
    return np.asarray(left + right, dtype=np.int64)


def _ranking(hits: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Return average precision and area per column of counts in falling order of score."""
    total, rows = hits.sum(axis=0), counts.sum(axis=0)
    true_positives, passed = np.cumsum(hits, axis=0), np.cumsum(counts, axis=0)
    precision = np.divide(
        true_positives, passed, out=np.zeros_like(true_positives), where=passed > 0.0
    )
    precise = np.einsum("pd,pd->d", hits, precision)
    ahead = np.einsum("pd,pd->d", counts - hits, true_positives - 0.5 * hits)
    return _share(precise, total), _share(ahead, total * (rows - total))


def calibration(probability: Floats, rows: ScoredOutcomes) -> dict[str, Estimate]:
    """Return Brier skill, log-loss and expected over observed.

    Brier skill is 1 - Brier / (rate·(1 - rate)), rate being that of the rows themselves: a
    harder reference than the rate of the training years (Murphy, J. Applied Meteorology 12,
    1973).
    """
    p, y = np.clip(probability, LEAST, 1.0 - LEAST), rows.outcome
    per_row = {
        "rows": np.ones_like(y),
        "events": y,
        "expected": p,
        "squared": (p - y) ** 2,
        "loss": -(y * np.log(p) + (1.0 - y) * np.log1p(-p)),
    }
    value = _calibration({name: np.array([x.sum()]) for name, x in per_row.items()})
    drawn = {
        block: _calibration({name: resampled.sums(x) for name, x in per_row.items()})
        for block, resampled in rows.resamplings.items()
    }
    return {
        name: Estimate(float(values[0]), {block: d[name] for block, d in drawn.items()})
        for name, values in value.items()
    }


def _calibration(sums: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the metrics of sums over rows."""
    rate = _share(sums["events"], sums["rows"])
    return {
        "brier_skill": 1.0 - _share(_share(sums["squared"], sums["rows"]), rate * (1.0 - rate)),
        "log_loss": _share(sums["loss"], sums["rows"]),
        "expected_observed": _share(sums["expected"], sums["events"]),
    }


def _share(part: Floats, whole: Floats) -> Floats:
    """Return part / whole, NaN where there is nothing to divide by."""
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0.0)


def slope(probability: Floats, rows: ScoredOutcomes) -> Estimate:
    """Return the calibration slope: 1 is right, below 1 the forecasts are too far apart.

    The b of logit(P(y)) = a + b·logit(p), by maximum likelihood (Cox, Biometrika 45, 1958).
    """
    logit = np.clip(special.logit(probability), -SLOPE_LIMIT, SLOPE_LIMIT)
    levels, place = np.unique(np.round(logit / SLOPE_STEP), return_inverse=True)
    x = levels * SLOPE_STEP
    value = _slope(x, *_counts(place, rows.outcome))
    drawn = {
        name: _slope(x, *_counts_drawn(place, rows.outcome, resampled))
        for name, resampled in rows.resamplings.items()
    }
    return Estimate(float(value[0]), drawn)


def _slope(x: Floats, hits: Floats, counts: Floats) -> Floats:
    """Return the slope per column by Newton's method; NaN where there is no line."""
    hits, counts = hits[: len(x)], counts[: len(x)]
    total, rows = hits.sum(axis=0), counts.sum(axis=0)
    a, b = np.zeros(hits.shape[1]), np.ones(hits.shape[1])
    moving = np.flatnonzero((total > 0.0) & (total < rows))
    a[(total <= 0.0) | (total >= rows)] = np.nan
    for _ in range(30):
        hit, count = hits[:, moving], counts[:, moving]
        p = special.expit(a[moving] + b[moving] * x[:, None])
        missed, weight = hit - count * p, count * p * (1.0 - p)
        s0, s1, s2 = weight.sum(axis=0), x @ weight, x**2 @ weight
        g0, g1 = missed.sum(axis=0), x @ missed
        with np.errstate(divide="ignore", invalid="ignore"):
            determinant = s0 * s2 - s1**2
            up = np.clip((s2 * g0 - s1 * g1) / determinant, -2.0, 2.0)
            steeper = np.clip((s0 * g1 - s1 * g0) / determinant, -0.5, 0.5)
        a[moving] += up
        b[moving] += steeper
        moving = moving[np.maximum(np.abs(up), np.abs(steeper)) > SETTLED]
        if not moving.size:
            break
    return np.where(np.isfinite(a), b, np.nan)


def reliability(
    probability: Floats, rows: ScoredOutcomes, *, steps: int = 12
) -> list[dict[str, float]]:
    """Return mean forecast and observed rate over steps that hold equal numbers of events.

    Equal events rather than equal rows: at one event in a thousand rows, equal rows put all
    that matters into the last step (Bröcker and Smith, Weather and Forecasting 22, 2007).

    Returns
    -------
    list of dict
        `expected`, `observed`, `low`, `high` (by blocks of days where they are drawn, else by
        account), `rows`, `events`.
    """
    y = rows.outcome
    if not (y > 0.0).any():
        return []
    edges = np.unique(np.quantile(probability[y > 0.0], np.linspace(0.0, 1.0, steps + 1)[1:-1]))
    place = np.searchsorted(edges, probability, side="right")
    drawn = rows.resamplings.get("day") or next(iter(rows.resamplings.values()))
    hits, counts = _counts_drawn(place, y, drawn)
    rates = _share(hits, counts)
    diagram = []
    for step in np.unique(place):
        inside = place == step
        finite = rates[step][np.isfinite(rates[step])]
        low, high = np.quantile(finite, INTERVAL) if len(finite) else (np.nan, np.nan)
        diagram.append(
            {
                "expected": float(probability[inside].mean()),
                "observed": float(y[inside].mean()),
                "low": float(low),
                "high": float(high),
                "rows": int(inside.sum()),
                "events": int(y[inside].sum()),
            }
        )
    return diagram


def precision_recall(score: Floats, y: Floats, *, points: int = 120) -> list[list[float]]:
    """Return [recall, precision] along the ranking, at most `points` of them."""
    total = float(y.sum())
    if total == 0.0:
        return []
    _, place = np.unique(-score, return_inverse=True)
    hits, counts = _counts(place, y)
    true_positives, passed = np.cumsum(hits), np.cumsum(counts)
    cuts = np.unique(
        np.searchsorted(true_positives, np.linspace(0.0, total, points)[1:], side="left")
    )
    shown = np.minimum(cuts, len(true_positives) - 1)
    return [[float(true_positives[k] / total), float(true_positives[k] / passed[k])] for k in shown]


def summary(values: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    """Return value, low and high of each metric; None where it is undefined.

    `low` and `high` hold 90 % of the draws of accounts, `day_low` and `day_high` of those of
    blocks of days.
    """
    return {name: interval(estimate) for name, estimate in values.items()}


def interval(estimate: Estimate) -> dict[str, float | None]:
    """Return a figure with the interval of each resampling."""
    figures: dict[str, float | None] = {"value": _finite(estimate.value)}
    for block, draws in estimate.draws.items():
        prefix = "" if block == "account" else f"{block}_"
        finite = draws[np.isfinite(draws)]
        low, high = np.quantile(finite, INTERVAL) if len(finite) else (np.nan, np.nan)
        figures |= {f"{prefix}low": _finite(low), f"{prefix}high": _finite(high)}
    return figures


def _finite(value: float) -> float | None:
    """Return a finite float, or None."""
    return float(value) if np.isfinite(value) else None
