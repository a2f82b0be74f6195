"""The volatility ahead: a log-linear correction of the recent one."""

import numpy as np
import pytest

from features.pipeline import NAMES
from models.forecast.volatility import VolatilityForecast, design, read, written
from models.horizons import HORIZONS
from training.fitting import volatility

PLACE = NAMES.index("return_sigmas_24h")
KNOWN = VolatilityForecast(
    columns=np.array([PLACE]),
    centres=np.array([0.5]),
    spreads=np.array([2.0]),
    weights=np.array([[0.1, 0.3]] * len(HORIZONS)),
    shifts=np.array([0.0, 0.1, 0.2, 0.3]),
)


def features(*values: float) -> np.ndarray:
    """Return feature rows in which only one input is known."""
    out = np.full((len(values), len(NAMES)), np.nan)
    out[:, PLACE] = values
    return out


def test_an_input_counts_by_side_and_by_how_far_beyond_usual() -> None:
    """3.5 lies 3 above the centre, 1 farther than usual: .1·3 + .3·1 beside the shift."""
    assert KNOWN.corrections(features(3.5))[0] == pytest.approx([0.6, 0.7, 0.8, 0.9])
    assert KNOWN.corrections(features(-2.5))[0] == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_a_missing_input_says_neither_calm_nor_storm() -> None:
    """What is not known leaves the shift alone; a calm market, at the centre, lowers it."""
    missing, calm = KNOWN.corrections(features(np.nan, 0.5))
    assert missing.tolist() == [0.0, 0.1, 0.2, 0.3]
    assert calm == pytest.approx([-0.6, -0.5, -0.4, -0.3])


def test_hiding_inputs_at_random_moves_no_average() -> None:
    """Fitted to swings that scale with a move's size, the mean correction stays what it was."""
    generator = np.random.default_rng(5)
    move = generator.normal(0.0, 1.0, 20_000)
    rows = features(*move)
    variance = np.exp(2.0 * (0.4 * np.abs(move) + generator.normal(0.0, 0.1, len(move))))
    ahead = np.tile(variance[:, np.newaxis], len(HORIZONS))
    found = volatility.fit(rows, np.ones(len(move)), ahead)
    seen, hidden = found.corrections(rows), found.corrections(np.full_like(rows, np.nan))
    # Beyond a day half of the weight is the slow volatility's, which is hidden here.
    assert seen.std(axis=0) == pytest.approx([0.24, 0.24, 0.24, 0.12], abs=0.02)
    assert hidden.mean(axis=0) == pytest.approx(seen.mean(axis=0), abs=0.01)


def test_inputs_are_summed_in_one_order_for_any_number_of_rows() -> None:
    """19 rows at once, each alone, and `design` summed one after another: the same bits."""
    generator = np.random.default_rng(3)
    count = 7
    scale = VolatilityForecast(
        columns=np.arange(count),
        centres=generator.normal(size=count),
        spreads=generator.random(count),
        weights=generator.normal(size=(len(HORIZONS), 2 * count)) / 10,
        shifts=np.zeros(len(HORIZONS)),
    )
    rows = generator.normal(0.0, 5.0, (19, len(NAMES)))
    rows[generator.random(rows.shape) < 0.2] = np.nan
    at_once = scale.corrections(rows)
    for row, corrected in zip(rows, at_once, strict=True):
        assert scale.corrections(row[np.newaxis]).tobytes() == corrected.tobytes()
        inputs = design(row[np.newaxis, :count], scale.centres, scale.spreads)[0]
        total = np.zeros(len(HORIZONS))
        for value, weights in zip(inputs, scale.weights.T, strict=True):
            total += value * weights
        assert np.clip(total, -1.5, 1.5).tobytes() == corrected.tobytes()


def test_a_scale_survives_being_written() -> None:
    """Plain numbers give the very same corrections."""
    rows = features(1.3, np.nan)
    again = read(written(KNOWN, NAMES), NAMES)
    assert (again.corrections(rows) == KNOWN.corrections(rows)).all()
