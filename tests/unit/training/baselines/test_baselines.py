"""The ladder: fitted in training alone, never seeing the future, with stated fall-backs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.inputs import Candles
from models.forecast.first_passage import touch
from training.baselines import baselines, excursions, garch, har
from training.baselines.baselines import Inputs

HOUR = 3600
FIRST = 400_000
HOURS = 4_000
SIGMA = 0.01
LABELS = ("1h", "4h", "24h", "7d")


def walk(seed: int, *, hours: int = HOURS, sigma: float = SIGMA) -> Candles:
    """Return candles of a driftless random walk of constant volatility."""
    moves = np.random.default_rng(seed).normal(0.0, sigma, hours)
    close = 1_000.0 * np.exp(np.cumsum(moves))
    return Candles(FIRST, close, close, close, close, np.ones(hours))


def moments(hours: np.ndarray, *, side: int = 1, delay: float = 0.0) -> pd.DataFrame:
    """Return moments of one asset."""
    at = pd.to_datetime((FIRST + hours) * HOUR, unit="s", utc=True).as_unit("ns")
    return pd.DataFrame({"asset": "ETH", "at": at, "side": side, "delay": delay})


@pytest.fixture(scope="module")
def volatility() -> dict[str, object]:
    """Return HAR fitted on two assets of constant volatility."""
    grids = {"ETH": walk(1), "BTC": walk(2)}
    return har.fit(grids, end=(FIRST + HOURS) * HOUR)


def features(size: int = 400) -> pd.DataFrame:
    """Return the columns that the ladder reads."""
    generator = np.random.default_rng(5)
    distance = generator.uniform(0, 10, size)
    return pd.DataFrame(
        {
            "distance_next": distance / 50,
            "distance_sigmas_360h": distance,
            "distance_sigmas_72h": distance,
            "volatility_ratio_24h_72h": generator.normal(0, 0.2, size),
            "volatility_ratio_72h_360h": generator.normal(0, 0.2, size),
            "return_sigmas_24h": generator.normal(0, 1, size),
            "hours_since_action": np.log1p(generator.uniform(0, 720, size)),
            **{f"baseline_{h}h": 1.0 - distance for h in (1, 4, 24, 168)},
        }
    )


def inputs(size: int = 400) -> Inputs:
    """Return rows whose volatility is known to B4."""
    found = features(size)
    logits = np.stack([1.1 - found["distance_sigmas_72h"]] * 4, axis=1)
    past = np.full((size, 4), SIGMA**2)
    return Inputs(found, past, logits, np.zeros(size), np.ones(size))


def test_every_rung_is_there_and_calibrated_ones_match_the_rate() -> None:
    """Isotonic rungs expect as many events as the training rows hold."""
    rows = inputs()
    sigmas = rows.features["distance_sigmas_72h"]
    y = (np.random.default_rng(1).random(400) < np.exp(-sigmas)).to_numpy().astype(float)
    fitted = baselines.fit(rows, dict.fromkeys(LABELS, y), volatility={})
    rungs = baselines.apply(fitted, rows, horizon="24h")
    assert set(rungs) == set(baselines.BASELINES)
    assert (rungs["B0"].probability == y.mean()).all()
    for rung in baselines.CALIBRATED:
        assert rungs[rung].probability.sum() == pytest.approx(y.sum(), rel=0.1)


def test_the_hand_rule_learns_its_weight_in_training_only() -> None:
    """Where idle owners are the ones liquidated, the weight of idleness is above zero."""
    rows = inputs()
    sigmas, idle = (rows.features[n] for n in ("distance_sigmas_360h", "hours_since_action"))
    risky = -sigmas + 0.8 * idle
    y = (risky > risky.quantile(0.95)).to_numpy().astype(float)
    fitted = baselines.fit(rows, dict.fromkeys(LABELS, y), volatility={})
    assert 0.5 <= fitted["a"] <= 1.1


def test_the_logistic_uses_what_b4_does_not_know() -> None:
    """Where idle owners are the ones liquidated, B6 ranks above B4."""
    rows = inputs(4_000)
    sigmas, idle = (rows.features[n] for n in ("distance_sigmas_72h", "hours_since_action"))
    chance = 1 / (1 + np.exp(2.0 + sigmas - 1.5 * (idle - 5.5)))
    y = (np.random.default_rng(1).random(4_000) < chance).to_numpy().astype(float)
    fitted = baselines.fit(rows, dict.fromkeys(LABELS, y), volatility={})
    rungs = baselines.apply(fitted, rows, horizon="24h")
    loss = {
        rung: -np.mean(
            y * np.log(rungs[rung].probability) + (1 - y) * np.log1p(-rungs[rung].probability)
        )
        for rung in ("B4_har", "B6")
    }
    assert loss["B6"] < 0.9 * loss["B4_har"]


def test_censored_rows_do_not_count_as_zero() -> None:
    """The base rate is that of the rows whose window is known."""
    y = np.full(400, np.nan)
    y[:10] = 1.0
    y[10:20] = 0.0
    fitted = baselines.fit(inputs(), dict.fromkeys(LABELS, y), volatility={})
    assert fitted["horizons"]["24h"]["rate"] == 0.5


def test_a_young_asset_falls_back_rung_by_rung(volatility: dict[str, object]) -> None:
    """Without a GARCH fit HAR answers, without a month of candles first passage does."""
    rows = inputs(3)
    past = rows.past.copy()
    past[2] = np.nan
    simulated = rows.simulated.copy()
    simulated[1:] = np.nan
    young = replace(rows, past=past, simulated=simulated)
    found = baselines.logits({"har": volatility}, young, horizon="24h")
    assert found["B4_garch"][0] == simulated[0, 2]
    assert found["B4_garch"][1] == found["B4_har"][1] != found["B3"][1]
    assert found["B4_garch"][2] == found["B4_har"][2] == found["B3"][2]


def test_har_agrees_with_first_passage_on_a_random_walk(volatility: dict[str, object]) -> None:
    """Of a walk of constant volatility both tell the same, a hourly look apart.

    2·Φ(-(d + .5826·σ) / (σ·√24)) is .0341 at two daily deviations (Broadie, Glasserman and
    Kou, 1997), against .0455 of a continuous look.
    """
    distance = np.array([2.0 * SIGMA * np.sqrt(24.0)])
    logit = har.touch_logits(
        volatility,
        np.full((1, 4), SIGMA**2),
        distance=distance,
        delay=np.zeros(1),
        side=np.ones(1),
    )
    assert 1 / (1 + np.exp(-logit[0, 2])) == pytest.approx(0.0341, abs=0.006)
    continuous = touch(distance, sigma=np.array([SIGMA]), hours=np.array([24.0]))[0]
    assert continuous == pytest.approx(0.0455, abs=1e-4)


def test_har_does_not_see_past_its_end() -> None:
    """What comes after the end of training changes no number of the fit."""
    end = (FIRST + 3_000) * HOUR
    known = walk(1)
    changed = replace(known, close=np.where(np.arange(HOURS) < 3_000, known.close, 1.0))
    assert har.fit({"ETH": known}, end=end) == har.fit({"ETH": changed}, end=end)


@pytest.fixture(scope="module")
def garch_rows() -> tuple[Candles, pd.DataFrame, np.ndarray]:
    """Return a path, moments along it, and their log-odds."""
    grid = walk(3, hours=2_500)
    rows = moments(np.array([500, 900, 1_500, 2_000, 2_300]))
    distance = np.full(5, 2.0 * SIGMA * np.sqrt(24.0))
    return grid, rows, garch.touch_logits({"ETH": grid}, rows, distance=distance)


def test_garch_agrees_with_first_passage_on_a_random_walk(
    garch_rows: tuple[Candles, pd.DataFrame, np.ndarray],
) -> None:
    """Two daily deviations of a constant volatility are touched in one of 28; none unfitted."""
    logits = garch_rows[2]
    assert np.isnan(logits[0]).all()
    p = 1 / (1 + np.exp(-logits[1:, 2]))
    assert p == pytest.approx(np.full(4, 0.0341), abs=0.008)
    assert (np.diff(logits[1:], axis=1) >= 0).all()


def test_garch_of_a_constant_volatility_is_a_constant_volatility() -> None:
    """A fit on the boundary, without any reaction to returns, is a fit, not a failure."""
    returns = np.random.default_rng(5).normal(0.0, SIGMA, 2_000)
    fitted = garch.fit(returns, at=2_000)
    assert fitted is not None
    assert fitted.alpha == pytest.approx(0.0, abs=0.02)
    assert np.sqrt(fitted.mean_variance) == pytest.approx(SIGMA, rel=0.05)


def test_garch_does_not_see_the_future(
    garch_rows: tuple[Candles, pd.DataFrame, np.ndarray],
) -> None:
    """What closes after a moment changes nothing, the next hour's crash included."""
    grid, rows, logits = garch_rows
    crash = np.where(np.arange(2_500) < 1_500, 1.0, 0.5)
    crashed = replace(grid, close=grid.close * crash)
    distance = np.full(5, 2.0 * SIGMA * np.sqrt(24.0))
    found = garch.touch_logits({"ETH": crashed}, rows, distance=distance)
    np.testing.assert_array_equal(found[:3], logits[:3])
    assert (found[4, 2:] != logits[4, 2:]).all()


def test_a_short_reads_the_rises() -> None:
    """After an asset that leaps upwards, a short is the likelier to be touched."""
    moves = np.random.default_rng(4).normal(0.0, SIGMA, 1_600)
    moves[::50] += 12.0 * SIGMA
    close = 1_000.0 * np.exp(np.cumsum(moves - moves.mean()))
    grid = Candles(FIRST, close, close, close, close, np.ones(1_600))
    distance = np.full(1, 12.0 * SIGMA)
    long, short = (
        garch.touch_logits({"ETH": grid}, moments(np.array([1_550]), side=side), distance=distance)[
            0
        ]
        for side in (1, -1)
    )
    assert short[0] > long[0] + 1.0


def test_excursions_have_a_tail_beyond_the_sample() -> None:
    """Past the largest excursion the probability still falls, and never reaches zero."""
    sample = np.abs(np.random.default_rng(1).standard_t(3, 100_000))
    rungs = excursions.table(sample)
    z = np.array([1.0, 5.0, 20.0, 80.0])
    found = excursions.survive_all(z, rungs, excursions.LOG_LEVELS, excursions.DECADE)
    assert (np.diff(found) < 0).all()
    assert np.exp(found[1]) == pytest.approx(0.0154, rel=0.1)
    # Tails of Student's t with 3 degrees: P falls as z⁻³, 64 times from 20 to 80.
    assert np.exp(found[2] - found[3]) == pytest.approx(64.0, rel=0.5)
