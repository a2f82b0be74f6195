"""The parts of fitting: splits, calibration, baselines, evidence."""

from datetime import UTC, datetime

import numpy as np
import pytest

from features.pipeline import NAMES
from models.forecast import calibration
from models.horizons import HORIZONS
from training.dataset import splits
from training.dataset.dataset import FAR, THINNING, thinning
from training.dataset.sample_weights import WeightedOutcomes
from training.evaluation import slices
from training.fitting import volatility
from training.fitting.heads import _venn_abers

HOUR = 3600


@pytest.mark.parametrize(
    ("year", "month", "wanted"),
    [(2022, 12, (2023, 1)), (2024, 2, (2024, 3)), (2021, 1, (2021, 2)), (2023, 6, (2023, 7))],
)
def test_a_named_month_ends_where_the_next_begins(
    year: int, month: int, wanted: tuple[int, int]
) -> None:
    """December ends with the year."""
    begin, end = slices.month(year, month)
    assert begin == datetime(year, month, 1, tzinfo=UTC)
    assert end == datetime(*wanted, 1, tzinfo=UTC)


def test_slices_share_nothing_and_leave_an_embargo() -> None:
    """No row lies in both slices, and a week lies between them."""
    at = np.arange(0, 2_000 * HOUR, HOUR)
    for split in splits.walk_forward(at, 3):
        assert not (split.before & split.after).any()
        gap = at[split.after].min() - at[split.before].max()
        assert gap >= splits.EMBARGO


def test_the_calibration_slice_is_later_and_holds_a_quarter_of_the_events() -> None:
    """Its start moves back until enough events follow, but never before the middle."""
    at = np.arange(0, 10_000 * HOUR, HOUR)
    split = splits.calibration(at, np.array([100, 200, 6_000, 6_100]) * HOUR)
    assert split.boundary.timestamp() == pytest.approx(6_025 * HOUR - splits.EMBARGO, abs=HOUR)
    early = splits.calibration(at, np.array([100, 200, 300, 400]) * HOUR)
    assert early.boundary.timestamp() == pytest.approx(5_000 * HOUR, abs=HOUR)


def test_a_calibrator_finds_the_line() -> None:
    """With much evidence the fitted line is the true one."""
    generator = np.random.default_rng(0)
    score = generator.normal(-2, 2, 200_000)
    outcome = (generator.random(len(score)) < 1 / (1 + np.exp(-(0.7 * score - 0.5)))).astype(float)
    shift, slope = calibration.fit_line(score, outcome, weights=np.ones(len(score)))
    assert slope == pytest.approx(0.7, abs=0.02)
    assert shift == pytest.approx(-0.5, abs=0.03)


def test_without_evidence_the_score_is_believed() -> None:
    """A slice with next to no evidence leaves the line where the prior puts it."""
    shift, slope = calibration.fit_line(
        np.array([-3.0]), np.array([0.0]), weights=np.array([1 / 24])
    )
    assert slope == pytest.approx(1.0, abs=0.05)
    assert shift == pytest.approx(0.0, abs=0.05)


def test_order_survives_calibration_even_of_a_useless_score() -> None:
    """The slope stays positive where outcomes run against the score."""
    score = np.linspace(-5, 5, 1_000)
    _, slope = calibration.fit_line(score, (score < 0).astype(float), weights=np.ones(1_000))
    assert slope > 0


def test_an_interval_is_as_wide_as_its_evidence_is_thin() -> None:
    """Ten rows at one probability leave a wide interval, ten thousand a narrow one."""
    few = _venn_abers(np.full(10, 0.1), np.arange(10) == 0)
    many = _venn_abers(np.full(10_000, 0.1), np.arange(10_000) % 10 == 0)
    for found, width in ((few, 1 / 11), (many, 1 / 10_001)):
        low, high = found.interval(np.array([0.1]))
        assert low[0] <= 0.1 <= high[0]
        assert high[0] - low[0] == pytest.approx(width, abs=1e-6)


def test_an_interval_without_evidence_excludes_nothing() -> None:
    """No row at all: anything between 0 and 1."""
    low, high = _venn_abers(np.empty(0), np.empty(0)).interval(np.array([0.3]))
    assert (low[0], high[0]) == (0.0, 1.0)


def test_far_rows_are_thinned_without_changing_their_weight() -> None:
    """One hour in THINNING stands for all; accounts near the line keep every hour."""
    size = 8_000
    weights = thinning(
        np.where(np.arange(size) % 2 == 0, FAR + 1, FAR - 1),
        at=np.repeat(np.arange(size // 2), 2) * HOUR,
        account=np.zeros(size, dtype=np.int64),
    )
    assert weights.sum() == pytest.approx(size, rel=0.01)
    assert (weights[1::2] == 1.0).all()
    assert set(weights[::2]) == {0.0, float(THINNING)}


def test_survivors_of_a_crash_do_not_count_for_those_who_fell() -> None:
    """Of ten rows of a week eight fall within a day: the two left hold two tenths, not all.

    Counted by hand: each row of a week holds a tenth of its outcome, whether at risk or not, so
    that the mean hazard of all rows is that of the rows themselves.
    """
    week = 7 * 24 * HOUR
    happened = np.array([5.0] * 8 + [30.0, np.inf] + [30.0] + [np.inf] * 9)
    rows = WeightedOutcomes(
        at=np.concatenate([np.full(10, 100 * week), np.full(10, 101 * week)]),
        happened=happened,
        censoring=np.full(20, 200.0),
        weights=np.ones(20),
        group=np.zeros(20, dtype=np.int64),
    )
    stretch = rows.hazard(len(HORIZONS) - 1)
    assert stretch.weights.tolist() == [0.0] * 8 + [0.1] * 12
    used = stretch.used
    share = float(stretch.weights[used] @ stretch.y[used] / stretch.weights[used].sum())
    assert share == pytest.approx(2 / 12)
    assert rows.horizon(len(HORIZONS) - 1).weights.tolist() == [0.1] * 20


def test_the_volatility_of_a_week_lies_between_the_regression_and_the_slow_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its logarithm is the mean of both; of shorter horizons it is the regression's alone."""
    draw = np.random.default_rng(9)
    features = 0.3 * draw.normal(size=(600, len(NAMES)))
    features[0, :] = np.nan
    sigma = np.full(600, 0.01)
    variance = np.exp(draw.normal(0.0, 0.3, (600, len(HORIZONS)))) * 1e-4
    found = volatility.fit(features, sigma, variance).corrections(features)
    monkeypatch.setattr(volatility, "SLOW_SHARE", 0.0)
    alone = volatility.fit(features, sigma, variance).corrections(features)
    ratio = features[:, NAMES.index("volatility_ratio_72h_360h")]
    np.testing.assert_allclose(found[:, :3], alone[:, :3], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found[1:, 3], 0.5 * alone[1:, 3] - 0.5 * ratio[1:], atol=1e-12)
    # A missing ratio counts as the usual one.
    usual = float(np.nanmedian(ratio))
    assert found[0, 3] == pytest.approx(0.5 * alone[0, 3] - 0.5 * usual)
