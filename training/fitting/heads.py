"""Fit one head of a bundle: trees on the earlier slice, calibrators on the later one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import lightgbm
import numpy as np
from scipy.optimize import isotonic_regression

from features.inputs import Floats
from features.pipeline import FEATURES, NAMES
from models.forecast import calibration
from models.forecast.bundle import FirstPassageStart, Head, StackedStart, flattened
from models.forecast.calibration import TIGHT, Calibrator, VennAbersBand
from models.forecast.hazard import Line
from models.horizons import HORIZONS, LABELS
from training.dataset import splits
from training.dataset.dataset import Dataset
from training.dataset.sample_weights import Mask, Outcomes, WeightedOutcomes
from training.fitting import init_scores
from training.fitting.boosting import SHIPPED, Recipe, TrainingSample, locally

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
class HeadData:
    """What a head is fitted to, and from what.

    Parameters
    ----------
    event
        Prefix of the labels.
    reads
        Features its trees may ask.
    rounds
        Trees of each hazard.
    forgotten
        Share of rows whose owner's past is hidden, so that its absence is learned.
    seed
        Of everything random.
    overrides
        Parameters of LightGBM of this head, over the shipped ones.
    recipe
        How its boosters are trained.
    """

    event: str
    reads: Sequence[str]
    rounds: Sequence[int]
    forgotten: float
    seed: int
    overrides: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = SHIPPED

    @property
    def parameters(self) -> dict[str, Any]:
        """Of LightGBM: the recipe's over this head's over the shipped ones."""
        return {**PARAMETERS, **self.overrides, **self.recipe.changes, "seed": self.seed}


@dataclass(frozen=True, slots=True)
class TimeSlice:
    """Rows of one slice of time, ready for fitting.

    Parameters
    ----------
    matrix
        Features in the bundle's order, those that the head's trees do not read missing.
    begun
        Log-odds that the trees add to, shape (N, K).
    outcomes
        What the rows witnessed.
    """

    matrix: Floats
    begun: Floats
    outcomes: WeightedOutcomes

    def among(self, rows: Mask, *, end: datetime) -> "TimeSlice":
        """Return some rows, of which nothing after `end` is known."""
        return TimeSlice(self.matrix[rows], self.begun[rows], self.outcomes.among(rows, end=end))


def fit_head(
    rows: Dataset,
    split: splits.Split,
    start: FirstPassageStart | StackedStart,
    part: HeadData,
    outcomes: WeightedOutcomes,
    *,
    end: datetime,
    progress: Progress,
) -> Head:
    """Fit trees on the earlier slice, calibrators and evidence on the later one.

    Parameters
    ----------
    start
        Fitted.
    outcomes
        What the rows witnessed.
    end
        After which nothing is known.
    """
    whole = _whole(rows, start, part, outcomes)
    early = whole.among(split.before, end=split.boundary)
    late = whole.among(split.after, end=end)
    matrix = _forgetful(early.matrix, part)
    boosters: list[lightgbm.Booster] = []
    calibrators: list[Calibrator] = []
    for k, label in enumerate(LABELS):
        begin = HORIZONS[k - 1] if k else 0
        progress(f"fitting the hazard of {part.event} between {begin} h and {HORIZONS[k]} h")
        rounds = part.recipe.rounds or part.rounds[k]
        boosters.append(
            _booster(matrix, early.begun[:, k], early.outcomes.hazard(k), part, rounds=rounds)
        )
        scores = _scores(late, k, boosters[-1])
        calibrators.append(
            Calibrator(*init_scores.line(scores, late.outcomes.hazard(k), prior=TIGHT))
        )
        progress(_stretch_line(label, start.lines[k], calibrators[-1]))
    head = flattened(Head(start, tuple(boosters), tuple(calibrators), evidence=()))
    later = rows.select(split.after)
    point = head.probabilities(head.scores(later.matrix(), later.baseline()))
    return replace(head, evidence=_evidence(point, late.outcomes, part))


def _stretch_line(label: str, line: Line, calibrator: Calibrator) -> str:
    """Return one stretch in words."""
    start = f"start {line[0]:+.2f} {line[1]:.2f}"
    return f"  {label}: {start}, calibrated {calibrator.shift:+.2f} {calibrator.slope:.2f}"


def _whole(
    rows: Dataset,
    start: FirstPassageStart | StackedStart,
    part: HeadData,
    outcomes: WeightedOutcomes,
) -> TimeSlice:
    """Return all rows with what is computed once for all stretches."""
    matrix = rows.matrix()
    begun = start.scores(matrix, rows.baseline())
    hidden = [place for place, name in enumerate(NAMES) if name not in set(part.reads)]
    matrix[:, hidden] = np.nan
    return TimeSlice(matrix, begun, outcomes)


def _forgetful(matrix: Floats, part: HeadData) -> Floats:
    """Return the features with the owner's past hidden from some rows."""
    if not part.forgotten:
        return matrix
    past = np.array(["events" in feature.sources for feature in FEATURES])
    generator = np.random.default_rng(part.seed)
    chosen = generator.random(len(matrix)) < part.forgotten
    hidden = matrix.copy()
    hidden[chosen[:, np.newaxis] & past] = np.nan
    return hidden


def _booster(
    matrix: Floats, begun: Floats, outcomes: Outcomes, part: HeadData, *, rounds: int
) -> lightgbm.Booster:
    """Train the trees of one hazard; without outcomes of both kinds they add nothing."""
    used, parameters = outcomes.used, part.parameters
    if len(np.unique(outcomes.y[used])) < 2:  # noqa: PLR2004 - both outcomes
        return _nothing(matrix.shape[1], parameters)
    sample = _sample(matrix[used], outcomes.y[used], outcomes.weights[used], begun[used])
    return part.recipe.trainer(sample, parameters, rounds)


def _nothing(width: int, parameters: Mapping[str, Any]) -> lightgbm.Booster:
    """Return a booster that adds nothing."""
    none = np.zeros(2)
    sample = _sample(np.zeros((2, width)), np.arange(2.0), none + 1.0, none)
    drawn = max(parameters["bagging_fraction"], 0.5)  # of two rows at least one
    return locally(sample, {**parameters, "bagging_fraction": drawn}, 1)


def _sample(features: Floats, y: Floats, weights: Floats, begun: Floats) -> TrainingSample:
    """Return what a booster is trained on."""
    return TrainingSample(features=features, labels=y, weights=weights, starts=begun, names=NAMES)


def _scores(late: TimeSlice, k: int, booster: lightgbm.Booster) -> Floats:
    """Return uncalibrated log-odds of one hazard."""
    added = np.asarray(booster.predict(late.matrix, raw_score=True, num_threads=2))
    return late.begun[:, k] + added


def _evidence(
    point: Floats, outcomes: WeightedOutcomes, part: HeadData
) -> tuple[VennAbersBand, ...]:
    """Return per horizon what the later slice says of the calibrated probability.

    Rows are drawn by the evidence they hold, so that as many remain as there were
    independent outcomes.
    """
    generator = np.random.default_rng(part.seed)
    bands = []
    for k in range(len(HORIZONS)):
        of_horizon = outcomes.horizon(k)
        drawn = generator.random(len(of_horizon.y)) < of_horizon.weights
        bands.append(_venn_abers(point[drawn, k], of_horizon.y[drawn]))
    return tuple(bands)


def _venn_abers(probability: Floats, y: Floats) -> VennAbersBand:
    """Fit an inductive Venn-Abers predictor; without rows it excludes nothing."""
    places, row = np.unique(calibration.rounded(probability), return_inverse=True)
    count = np.bincount(row, minlength=len(places)).astype(np.float64)
    events = np.bincount(row, weights=y, minlength=len(places)).astype(np.float64)
    low = [_refitted(events, count, place, 0.0) for place in range(len(places))]
    high = [_refitted(events, count, place, 1.0) for place in range(len(places))]
    return VennAbersBand(places, np.array([0.0, *low]), np.array([*high, 1.0]))


def _refitted(events: Floats, count: Floats, place: int, outcome: float) -> float:
    """Return the isotonic fit at one place after one more row there, of a given outcome."""
    more = np.arange(len(count)) == place
    fitted = isotonic_regression((events + outcome * more) / (count + more), weights=count + more)
    return float(fitted.x[place])
