"""Fit one head of a bundle: trees on the earlier slice, calibrators on the later one."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import lightgbm
import numpy as np
from venn_abers.venn_abers import VennAbers

from features.inputs import Floats, Ints
from features.pipeline import FEATURES, NAMES
from models import calibration
from models.bundle import Head, Passage, Upon
from models.calibration import LOOSE, TIGHT, Calibrator, Evidence
from models.hazard import HORIZONS, LABELS, Line
from training import labels, splits
from training.recipe import SHIPPED, Recipe, Sample, locally
from training.rows import Dataset

PARAMETERS: Mapping[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 200,
    # In independent outcomes: rows are weighted by the share of an outcome they hold.
    "min_sum_hessian_in_leaf": 1.0,
    "lambda_l2": 2.0,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.6,
    "bagging_freq": 1,
    "max_bin": 63,
    "monotone_constraints": [feature.direction for feature in FEATURES],
    "monotone_constraints_method": "basic",
    "boost_from_average": False,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 2,
    "verbosity": -1,
}
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a head is fitted to, and from what.

    Parameters
    ----------
    event
        Prefix of the labels.
    reads
        Features its trees may ask.
    rounds
        Trees per hazard.
    forgotten
        Share of rows whose owner's past is hidden, so that its absence is learned.
    seed
        Of everything random.
    recipe
        How its boosters are trained.
    """

    event: str
    reads: Sequence[str]
    rounds: int
    forgotten: float
    seed: int
    recipe: Recipe = SHIPPED


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of one slice of time, ready for fitting.

    Parameters
    ----------
    rows
        With labels.
    matrix
        Features in the bundle's order, those that the head does not read missing.
    begun
        Log-odds that the lines move, shape (N, K).
    group
        Code of what decides an outcome: the path of an asset, or the owner of an account.
    regime
        Code of what moves together: all assets of a market, or again the owner.
    end
        After which nothing is known.
    """

    rows: Dataset
    matrix: Floats
    begun: Floats
    group: Ints
    regime: Ints
    end: datetime

    def known(self, event: str) -> tuple[Floats, Floats]:
        """Return when an event came, and how far that is known."""
        happened = self.rows.labels[f"{event}_in"].to_numpy()
        known = self.rows.labels[f"{event}_known"].to_numpy()
        return labels.censor(happened, known, at=self.rows.at, end=self.end)

    def evidence(self, y: Floats, k: int, hours: int, *, group: Ints) -> Floats:
        """Return how much of an independent outcome each row holds; 0 where it is no use.

        A group has one outcome per `hours`, shared by the rows that lie within.
        """
        usable = np.isfinite(y) & np.isfinite(self.begun[:, k])
        weights = self.rows.weights() * usable
        block = self.rows.at // (hours * 3600)
        key = group * (int(block.max(initial=0)) + 1) + block
        _, places = np.unique(key, return_inverse=True)
        shared = np.bincount(places, weights=weights)[places]
        return weights / np.maximum(shared, 1.0)


def fit_head(
    rows: Dataset,
    split: splits.Split,
    start: Passage | Upon,
    part: Part,
    *,
    end: datetime,
    progress: Progress,
) -> Head:
    """Fit lines, trees, calibrators and evidence of every stretch.

    Parameters
    ----------
    start
        Its lines are replaced by fitted ones.
    end
        After which nothing is known.
    """
    early = _slice(rows.select(split.before), start, part, end=split.boundary)
    late = _slice(rows.select(split.after), start, part, end=end)
    whole = _slice(rows, start, part, end=end)
    matrix = _forgetful(early, part)
    lines: list[Line] = []
    boosters: list[lightgbm.Booster] = []
    calibrators: list[Calibrator] = []
    begin = 0
    for k, (hours, label) in enumerate(zip(HORIZONS, LABELS, strict=True)):
        progress(f"fitting the hazard of {part.event} between {begin} h and {hours} h")
        y = labels.in_stretch(*early.known(part.event), begin=begin, end=hours)
        lines.append(_whole_line(whole, part, k=k, begin=begin))
        begun = lines[-1][0] + lines[-1][1] * early.begun[:, k]
        # One shock moves all assets: trees that took them for witnesses lost out of time.
        weights = early.evidence(y, k, hours - begin, group=early.regime)
        boosters.append(_booster(matrix, y, weights, begun, part))
        scores = _scores(late, k, lines[-1], boosters[-1])
        later = labels.in_stretch(*late.known(part.event), begin=begin, end=hours)
        known = late.evidence(later, k, hours - begin, group=late.regime)
        calibrators.append(Calibrator(*_line(scores, later, known, prior=TIGHT)))
        progress(
            f"  {label}: start {lines[-1][0]:+.2f} {lines[-1][1]:.2f}, "
            f"calibrated {calibrators[-1].shift:+.2f} {calibrators[-1].slope:.2f}"
        )
        begin = hours
    moved = _moved(start, tuple(lines))
    head = Head(moved, tuple(boosters), tuple(calibrators), evidence=())
    return replace(head, evidence=_evidence(head, late, part))


def _whole_line(whole: Slice, part: Part, *, k: int, begin: int) -> Line:
    """Fit the start's line on every regime there was: two numbers do not learn rows by heart."""
    hours = HORIZONS[k]
    y = labels.in_stretch(*whole.known(part.event), begin=begin, end=hours)
    weights = whole.evidence(y, k, hours - begin, group=whole.group)
    return _line(whole.begun[:, k], y, weights)


def _moved(start: Passage | Upon, lines: tuple[Line, ...]) -> Passage | Upon:
    """Return a start with its lines fitted."""
    if isinstance(start, Passage):
        return Passage(start.scale, lines)
    return Upon(start.head, lines)


def _slice(rows: Dataset, start: Passage | Upon, part: Part, *, end: datetime) -> Slice:
    """Return rows with what is computed once for all stretches."""
    matrix, baseline = rows.matrix(), rows.baseline()
    begun = start.scores(matrix, baseline)
    hidden = [place for place, name in enumerate(NAMES) if name not in set(part.reads)]
    matrix[:, hidden] = np.nan
    if part.event == "touched":
        return Slice(rows, matrix, begun, rows.asset, np.zeros_like(rows.asset), end)
    return Slice(rows, matrix, begun, rows.account, rows.account, end)


def _forgetful(early: Slice, part: Part) -> Floats:
    """Return the features with the owner's past hidden from some rows."""
    if not part.forgotten:
        return early.matrix
    past = np.array(["events" in feature.sources for feature in FEATURES])
    generator = np.random.default_rng(part.seed)
    chosen = generator.random(len(early.matrix)) < part.forgotten
    matrix = early.matrix.copy()
    matrix[chosen[:, np.newaxis] & past] = np.nan
    return matrix


def _line(
    scores: Floats, y: Floats, weights: Floats, *, prior: tuple[float, float] = LOOSE
) -> Line:
    """Fit shift and slope on the rows that hold evidence."""
    used = weights > 0.0
    return calibration.fit_line(scores[used], y[used], weights=weights[used], prior=prior)


def _booster(
    matrix: Floats, y: Floats, weights: Floats, begun: Floats, part: Part
) -> lightgbm.Booster:
    """Train the trees of one hazard; without outcomes of both kinds they add nothing."""
    used = weights > 0.0
    parameters = {**PARAMETERS, **part.recipe.changes, "seed": part.seed}
    if len(np.unique(y[used])) < 2:  # noqa: PLR2004 - both outcomes
        none = np.zeros(2)
        nothing = _sample(np.zeros((2, matrix.shape[1])), np.arange(2.0), none + 1.0, none)
        drawn = max(parameters["bagging_fraction"], 0.5)  # of two rows at least one
        return locally(nothing, {**parameters, "bagging_fraction": drawn}, 1)
    sample = _sample(matrix[used], y[used], weights[used], begun[used])
    return part.recipe.trainer(sample, parameters, part.recipe.rounds or part.rounds)


def _sample(features: Floats, y: Floats, weights: Floats, begun: Floats) -> Sample:
    """Return what a booster is trained on."""
    return Sample(features=features, labels=y, weights=weights, starts=begun, names=NAMES)


def _scores(late: Slice, k: int, line: Line, booster: lightgbm.Booster) -> Floats:
    """Return uncalibrated log-odds of one hazard."""
    added = np.asarray(booster.predict(late.matrix, raw_score=True, num_threads=2))
    return line[0] + line[1] * late.begun[:, k] + added


def _evidence(head: Head, late: Slice, part: Part) -> tuple[Evidence, ...]:
    """Return per horizon what the later slice says of the calibrated probability.

    Rows are drawn by the evidence they hold, so that as many remain as there were
    independent outcomes.
    """
    point = head.probabilities(head.scores(late.rows.matrix(), late.rows.baseline(), threads=2))
    generator = np.random.default_rng(part.seed)
    found = []
    for k, hours in enumerate(HORIZONS):
        y = labels.by_horizon(*late.known(part.event), hours)
        kept = generator.random(len(y)) < late.evidence(y, k, hours, group=late.regime)
        found.append(_venn_abers(point[kept, k], y[kept]))
    return tuple(found)


def _venn_abers(probability: Floats, y: Floats) -> Evidence:
    """Fit an inductive Venn-Abers predictor; without rows it excludes nothing."""
    if len(y) == 0:
        return Evidence(np.empty(0), np.zeros(1), np.ones(1))
    place = calibration.rounded(probability)
    with warnings.catch_warnings():
        # The library takes the least of no slopes at the last place, and then ignores it.
        warnings.filterwarnings("ignore", message="All-NaN slice", category=RuntimeWarning)
        fitted = VennAbers().fit(  # type: ignore[no-untyped-call]
            np.column_stack([1.0 - place, place]), y
        )
    return Evidence(fitted.c, fitted.p0[:, 1], fitted.p1[:, 1])
