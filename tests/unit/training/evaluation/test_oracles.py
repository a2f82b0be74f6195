"""Oracles know what came: by hand where that is arithmetic, by simulation where it is not."""

import numpy as np
import pytest

from features.inputs import HOUR, Candles
from models.horizons import HORIZONS, LABELS
from training.evaluation import metrics, oracles
from training.evaluation.metrics import ScoredOutcomes
from training.evaluation.oracles import Hindsight

FIRST = 500_000
K = LABELS.index("4h")


def candles(close: np.ndarray) -> Candles:
    """Return candles of these closes."""
    volume = np.ones(len(close))
    return Candles(first_hour=FIRST, open=close, high=close, low=close, close=close, volume=volume)


def test_the_volatility_of_a_window_is_that_of_its_own_hours() -> None:
    """Alternating moves of 1 % up to hour 10, of 2 % from there: windows see their own alone."""
    moves = np.where(np.arange(40) < 10, 0.01, 0.02) * np.where(np.arange(40) % 2, 1.0, -1.0)
    close = 100.0 * np.exp(np.cumsum(moves))
    # At the close of candle 5 (hour 6) the next four hours are candles 6 to 9, then 10 to 13.
    at = np.array([(FIRST + 6) * HOUR])
    asset = np.array(["ETH"], dtype=object)
    known = {"ETH": candles(close)}
    window = oracles.volatilities(known, asset, at, windows=0)
    later = oracles.volatilities(known, asset, at, windows=1)
    assert window[0, K] == pytest.approx(0.01)
    assert later[0, K] == pytest.approx(0.02)
    day = LABELS.index("24h")
    assert window[0, day] == pytest.approx(np.sqrt((4 * 0.01**2 + 20 * 0.02**2) / 24))
    # A week is beyond the last candle, and so is a day after the first.
    assert np.isnan(window[0, LABELS.index("7d")])
    assert np.isnan(later[0, day])


def test_a_gap_or_an_unknown_asset_tells_nothing() -> None:
    """A missing close makes the windows that hold it unknown, and no other."""
    close = 100.0 * np.exp(0.01 * np.sin(np.arange(40.0)))
    close[8] = np.nan
    at = (FIRST + np.array([6, 20])) * HOUR
    asset = np.array(["ETH", "ETH"], dtype=object)
    window = oracles.volatilities({"ETH": candles(close)}, asset, at, windows=0)
    assert np.isnan(window[0, K])
    assert np.isfinite(window[1, K])
    strange = oracles.volatilities({}, asset, at, windows=0)
    assert np.isnan(strange).all()


def test_who_knows_the_volatility_loses_less_than_who_does_not() -> None:
    """Volatility is drawn anew for each window; the past says nothing of it, hindsight all."""
    draw = np.random.default_rng(5)
    count, hours = 6_000, HORIZONS[K]
    sigma = 0.01 * np.exp(draw.normal(0.0, 0.8, count))
    distance = draw.uniform(0.005, 0.08, count)
    steps = sigma[:, None] * draw.normal(size=(count, hours))
    outcome = (np.cumsum(steps, axis=1).min(axis=1) <= -distance).astype(np.float64)
    at = np.arange(count) * HOUR
    window = np.full((count, len(HORIZONS)), np.nan)
    window[:, K] = sigma
    past = np.full(count, 0.01)
    hindsight = Hindsight(window, window, past, distance, np.zeros(count))
    plain = oracles.cross_fitted(-distance, np.zeros(count), outcome, (at // 86_400) % 2 == 1)
    assert plain is not None
    rows = ScoredOutcomes(
        outcome=outcome,
        zone=np.ones(count, dtype=bool),
        resamplings={"day": metrics.resample(at // 86_400, draws=50, seed=1)},
    )
    found = oracles.compare_oracles(
        hindsight, outcome, k=K, model=plain, best=plain, touched=outcome, at=at, rows=rows
    )
    assert list(found) == ["volatility of the window", "volatility after it", "touch"]
    whole, half = (found[name]["change_to_model"] for name in list(found)[:2])
    assert whole["value"] < half["value"] < 0.0
    assert whole["day_high"] < 0.0
    # Knowing the outcome itself leaves nothing but the floor of the calibration.
    assert found["touch"]["log_loss"]["value"] < 0.002
    assert {part["rows"] for part in found.values()} == {count}


def test_too_few_rows_calibrate_nothing() -> None:
    """A stratum that one half hardly has leaves the oracle out rather than guess."""
    score, odd = np.linspace(0.0, 1.0, 60), np.arange(60) % 2 == 1
    stratum = (np.arange(60) < 10).astype(np.float64)
    assert oracles.cross_fitted(score, stratum, score, odd) is None


def test_where_nothing_happened_there_is_no_oracle() -> None:
    """A log-loss of the floor alone would be no measure."""
    count = 100
    none = np.full((count, len(HORIZONS)), 0.01)
    flat = np.full(count, 0.01)
    rows = ScoredOutcomes(np.zeros(count), np.ones(count, dtype=bool), {})
    found = oracles.compare_oracles(
        Hindsight(none, none, flat, flat, np.zeros(count)),
        np.zeros(count),
        k=K,
        model=flat,
        best=flat,
        touched=None,
        at=np.arange(count) * HOUR,
        rows=rows,
    )
    assert found == {}
