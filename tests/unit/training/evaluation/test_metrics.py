"""Metrics against scikit-learn and by hand, intervals against repeated rows."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from training.evaluation import metrics
from training.evaluation.metrics import Resampling, ScoredOutcomes


def judged(size: int = 4_000, *, decimals: int = 1) -> tuple[ScoredOutcomes, np.ndarray]:
    """Return judged rows of 50 accounts and scores with ties."""
    generator = np.random.default_rng(3)
    score = np.round(generator.normal(size=size), decimals)
    outcome = (generator.random(size) < 1 / (1 + np.exp(4 - score))).astype(float)
    account = metrics.resample(generator.integers(0, 50, size), draws=100, seed=1)
    return ScoredOutcomes(outcome, score > 0, {"account": account}), score


def few(outcome: list[float]) -> ScoredOutcomes:
    """Return rows of one account each, drawn once as they are."""
    block = np.arange(len(outcome))
    drawn = Resampling(block, np.ones((1, len(outcome))))
    return ScoredOutcomes(np.array(outcome), np.ones(len(outcome), bool), {"account": drawn})


def test_ranking_equals_scikit_learn() -> None:
    """Average precision and both areas agree, ties included."""
    rows, score = judged()
    found = metrics.judge(score, 1 / (1 + np.exp(-score)), rows)
    y, zone = rows.outcome, rows.zone
    assert found["average_precision"].value == pytest.approx(average_precision_score(y, score))
    assert found["auc"].value == pytest.approx(roc_auc_score(y, score))
    assert found["auc_zone"].value == pytest.approx(roc_auc_score(y[zone], score[zone]))


@pytest.mark.parametrize("decimals", [1, 9])
def test_a_resampling_equals_repeating_the_rows(decimals: int) -> None:
    """Draws stand for repeated accounts, with tied scores and with distinct ones."""
    rows, score = judged(800, decimals=decimals)
    drawn = rows.resamplings["account"]
    times = drawn.times[5][drawn.block].astype(int)
    y, repeated = np.repeat(rows.outcome, times), np.repeat(score, times)
    found = metrics.rank(score, rows)
    assert found["average_precision"].draws["account"][5] == pytest.approx(
        average_precision_score(y, repeated)
    )
    assert found["auc"].draws["account"][5] == pytest.approx(roc_auc_score(y, repeated))
    loss = metrics.calibration(1 / (1 + np.exp(4 - score)), rows)["log_loss"]
    assert loss.draws["account"][5] == pytest.approx(log_loss(y, 1 / (1 + np.exp(4 - repeated))))


def test_calibration_metrics_by_hand() -> None:
    """Brier skill against the rows' own rate, log-loss, and expected over observed."""
    rows = few([1.0, 0.0, 0.0, 0.0])
    found = metrics.calibration(np.array([0.7, 0.1, 0.1, 0.1]), rows)
    assert found["brier_skill"].value == pytest.approx(1 - (0.09 + 0.03) / 4 / (0.25 * 0.75))
    assert found["log_loss"].value == pytest.approx(0.1681892, abs=1e-6)
    assert found["expected_observed"].value == pytest.approx(1.0)


def test_a_forecaster_twice_too_sure_has_half_the_slope() -> None:
    """Log-odds stretched by two need a slope of one half; the truth needs one."""
    generator = np.random.default_rng(8)
    logit = generator.normal(-2, 1.5, 60_000)
    y = (generator.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(float)
    drawn = metrics.resample(np.arange(len(y)) // 100, draws=3, seed=1)
    rows = ScoredOutcomes(y, np.ones(len(y), bool), {"account": drawn})
    assert metrics.slope(1 / (1 + np.exp(-logit)), rows).value == pytest.approx(1.0, abs=0.04)
    assert metrics.slope(1 / (1 + np.exp(-2 * logit)), rows).value == pytest.approx(0.5, abs=0.02)


def test_a_difference_is_paired() -> None:
    """A rung that always loses a tenth more has an interval without width."""
    rows, score = judged()
    p = 1 / (1 + np.exp(4 - score))
    own = metrics.calibration(p, rows)["log_loss"]
    worse = metrics.Estimate(1.1 * own.value, {"account": 1.1 * own.draws["account"]})
    found = metrics.interval(worse.relative_to(own))
    assert found["value"] == pytest.approx(0.1)
    assert found["low"] == pytest.approx(0.1)
    assert found["high"] == pytest.approx(0.1)


def test_days_hold_more_uncertainty_than_rows_of_one_day() -> None:
    """Events that all fall on few days give a wider interval by day than by account."""
    generator = np.random.default_rng(2)
    day = np.repeat(np.arange(40), 100)
    y = np.where(day % 20 == 0, 1.0, 0.0) * (generator.random(4_000) < 0.8)
    drawn = {
        "account": metrics.resample(np.tile(np.arange(100), 40), draws=200, seed=1),
        "day": metrics.resample(day, draws=200, seed=1),
    }
    rows = ScoredOutcomes(y, np.ones(4_000, bool), drawn)
    found = metrics.interval(metrics.calibration(np.full(4_000, 0.04), rows)["expected_observed"])
    assert found["day_high"] - found["day_low"] > 5 * (found["high"] - found["low"])


def test_reliability_holds_every_row_once() -> None:
    """Steps add up to all rows and all events; forecasts rise from step to step."""
    rows, score = judged()
    steps = metrics.reliability(1 / (1 + np.exp(4 - score)), rows)
    assert sum(step["rows"] for step in steps) == 4_000
    assert sum(step["events"] for step in steps) == rows.outcome.sum()
    expected = [step["expected"] for step in steps]
    assert expected == sorted(expected)


def test_precision_and_recall_by_hand() -> None:
    """Two of three rows above hold the events."""
    points = metrics.precision_recall(np.array([4.0, 3.0, 2.0, 1.0]), np.array([1.0, 0, 1.0, 0]))
    assert points == [[0.5, 1.0], [1.0, 2 / 3]]


def test_a_period_without_events_is_undefined_not_zero() -> None:
    """No positives: ranking metrics say nothing."""
    found = metrics.summary(metrics.judge(np.arange(9.0), np.full(9, 0.1), few([0.0] * 9)))
    assert found["average_precision"] == {"value": None, "low": None, "high": None}
    assert found["calibration_slope"]["value"] is None
    assert found["brier_skill"]["value"] is None
