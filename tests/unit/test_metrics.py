"""Metrics against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from training import metrics


def rows(size: int = 4_000) -> tuple[metrics.Judged, np.ndarray]:
    """Return judged rows and scores with many ties."""
    generator = np.random.default_rng(3)
    score = np.round(generator.normal(size=size), 1)
    outcome = (generator.random(size) < 1 / (1 + np.exp(4 - score))).astype(float)
    account = generator.integers(0, 50, size)
    judged = metrics.Judged(outcome, account, score > 0, metrics.resample(50, draws=100, seed=1))
    return judged, score


def test_ranking_equals_scikit_learn() -> None:
    """Average precision and both areas agree, ties included."""
    judged, score = rows()
    found = metrics.judge(score, 1 / (1 + np.exp(-score)), judged)
    y, zone = judged.outcome, judged.zone
    assert found["average_precision"][0] == pytest.approx(average_precision_score(y, score))
    assert found["auc"][0] == pytest.approx(roc_auc_score(y, score))
    assert found["auc_zone"][0] == pytest.approx(roc_auc_score(y[zone], score[zone]))


def test_a_resampling_equals_repeating_the_rows() -> None:
    """Weights stand for repeated accounts."""
    judged, score = rows(800)
    draw = 5
    times = judged.resamples[draw][judged.account].astype(int)
    found = metrics.judge(score, np.full(800, 0.1), judged)["average_precision"][draw]
    expected = average_precision_score(np.repeat(judged.outcome, times), np.repeat(score, times))
    assert found == pytest.approx(expected)


def test_calibration_metrics_by_hand() -> None:
    """Brier skill against the rows' own rate, log-loss, and expected over observed."""
    judged = metrics.Judged(
        np.array([1.0, 0.0, 0.0, 0.0]), np.arange(4), np.ones(4, bool), np.ones((2, 4))
    )
    p = np.array([0.7, 0.1, 0.1, 0.1])
    found = metrics.calibration(p, judged)
    assert found["brier_skill"][0] == pytest.approx(1 - (0.09 + 0.03) / 4 / (0.25 * 0.75))
    assert found["log_loss"][0] == pytest.approx(log_loss(judged.outcome, p))
    assert found["expected_observed"][0] == pytest.approx(1.0)


def test_accounts_are_caught_once_and_within_the_budget() -> None:
    """Only the highest rows count, and an account counts once."""
    judged = metrics.Judged(
        np.array([1.0, 1.0, 0.0, 1.0]), np.array([0, 0, 1, 2]), np.ones(4, bool), np.ones((2, 3))
    )
    score = np.array([4.0, 3.0, 2.0, 1.0])
    assert metrics.judge(score, score / 10, judged)["accounts_caught_1000"][0] == 2.0


def test_a_period_without_events_is_undefined_not_zero() -> None:
    """No positives: ranking metrics say nothing."""
    judged = metrics.Judged(np.zeros(9), np.arange(9), np.ones(9, bool), np.ones((3, 9)))
    found = metrics.summary(metrics.judge(np.arange(9.0), np.full(9, 0.1), judged))
    assert found["average_precision"] == {"value": None, "low": None, "high": None}
