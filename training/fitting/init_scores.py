"""Fit what the trees start from: first passage, or a power of it with the owner's past."""

from dataclasses import replace

import numpy as np

from features.inputs import Floats, Ints
from models.forecast import calibration
from models.forecast.bundle import FirstPassageStart, Head, StackedStart, second_stage
from models.forecast.calibration import LOOSE
from models.forecast.hazard import Line, first_passage_scores
from models.forecast.volatility import VolatilityForecast
from models.horizons import HORIZONS
from training.dataset.dataset import SIGMAS, Dataset
from training.dataset.sample_weights import Outcomes, WeightedOutcomes
from training.fitting import owner_behaviour

Prior = tuple[float, float]

DOUBT = 2.0
"""Touches, of one account in one week each, that a venue's owners count as having let happen
before any was seen."""


def from_passage(
    rows: Dataset, scale: VolatilityForecast, outcomes: WeightedOutcomes
) -> FirstPassageStart:
    """Fit lines to first passage on every regime there was: two numbers learn no row by heart."""
    scores = first_passage_scores(rows.baseline(), scale.corrections(rows.matrix()))
    lines = [line(scores[:, k], outcomes.hazard(k)) for k in range(len(HORIZONS))]
    return FirstPassageStart(scale, tuple(lines))


def from_head(
    rows: Dataset, head: Head, outcomes: WeightedOutcomes, touches: WeightedOutcomes
) -> StackedStart:
    """Fit how often a touch goes unanswered: on rows that were touched, and on them alone.

    Parameters
    ----------
    outcomes, touches
        What owners let happen, and what would have if nobody acted.
    """
    matrix = rows.matrix()
    behaviour, lines = owner_behaviour.fit(
        second_stage(head.log_chances(head.scores(matrix, rows.baseline()))),
        matrix,
        rows.features[SIGMAS].to_numpy(),
        [_touched(outcomes, touches, k) for k in range(len(HORIZONS))],
    )
    return StackedStart(head, lines, behaviour, trust(touches))


def _touched(outcomes: WeightedOutcomes, touches: WeightedOutcomes, k: int) -> Outcomes:
    """Return what became of the rows whose line was touched by horizon k."""
    is_touched = touches.horizon(k).y == 1.0
    return replace(outcomes, weights=outcomes.weights * is_touched).hazard(k)


def trust(touches: WeightedOutcomes) -> float:
    """Return the weight of what owners did: the share of touches seen among those and DOUBT more.

    The mean of a beta law of the rate of rescue that begins at 0 with a weight of DOUBT.
    """
    longest = touches.horizon(len(HORIZONS) - 1)
    count = float(longest.weights[longest.used] @ longest.y[longest.used])
    return count / (count + DOUBT)


def line(scores: Floats, outcomes: Outcomes, *, prior: Prior = LOOSE) -> Line:
    """Fit shift and slope on the rows that hold evidence."""
    used = outcomes.used
    return calibration.fit_line(
        scores[used], outcomes.y[used], weights=outcomes.weights[used], prior=prior
    )


def together(rows: Dataset) -> Ints:
    """Return one code for all rows: one shock moves all assets."""
    return np.zeros(len(rows.at), dtype=np.int64)
