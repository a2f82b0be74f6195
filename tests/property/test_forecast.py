"""A head is nested in the horizon, falls in the distance and lies in its interval."""

from dataclasses import replace

import lightgbm
import numpy as np
import pytest
from probes import rows, violations

from features.pipeline import NAMES
from models.forecast.bundle import Bundle, FirstPassageStart, Head, StackedStart
from models.forecast.calibration import Calibrator, VennAbersBand
from models.forecast.owner_behaviour import OwnerBehaviour
from models.forecast.volatility import VolatilityForecast
from models.horizons import HORIZONS
from training.fitting.heads import PARAMETERS

PROBES = 5_000
LINES = ((0.3, 0.7), (-0.2, 1.1), (0.1, 0.9), (0.4, 1.3))
CALIBRATORS = tuple(Calibrator(shift, slope) for shift, slope in LINES[::-1])
EVIDENCE = VennAbersBand(
    np.array([0.01, 0.2]), np.array([0.0, 0.005, 0.1]), np.array([0.03, 0.3, 1.0])
)
HABITS = OwnerBehaviour(
    columns=np.array([NAMES.index("hours_since_action"), NAMES.index("debt_size")]),
    lows=np.array([0.0, -2.0]),
    centres=np.array([4.0, 5.0]),
    spreads=np.array([1.5, 1.0]),
    weights=np.array([[0.0, -1.0], [0.1, -0.8], [0.2, -0.5], [0.3, -0.2]]),
)


def boosters(seed: int) -> tuple[lightgbm.Booster, ...]:
    """Return trees that learned noise and the distance, under the constraints of training."""
    generator = np.random.default_rng(seed)
    features, baseline = rows(generator, 4_000)
    noise = generator.normal(0.0, 1.0, len(features))
    y = (baseline[:, 4] + 0.3 * noise < 0.4).astype(np.float64)
    parameters = {**PARAMETERS, "min_data_in_leaf": 20, "feature_fraction": 1.0, "seed": seed}
    data = lightgbm.Dataset(features, label=y, feature_name=list(NAMES), free_raw_data=False)
    return (lightgbm.train(parameters, data, num_boost_round=20),) * len(HORIZONS)


@pytest.fixture(scope="module")
def market() -> Head:
    """Return a head that starts from first passage at a volatility of its own."""
    columns = np.array([NAMES.index("return_sigmas_24h")])
    weights = np.array([[0.1, 0.2]] * len(HORIZONS))
    scale = VolatilityForecast(
        columns, np.zeros(1), np.ones(1), weights, np.array([-0.1, 0.0, 0.1, 0.2])
    )
    return Head(
        FirstPassageStart(scale, LINES), boosters(1), CALIBRATORS, (EVIDENCE,) * len(HORIZONS)
    )


def test_the_market_part_never_breaks_order(market: Head) -> None:
    """No probe is out of order, further away but likelier, or outside its interval."""
    assert violations(market, np.random.default_rng(2), PROBES) == (0, 0, 0)


def test_the_owner_part_never_breaks_order(market: Head) -> None:
    """What starts from another head keeps what that head keeps."""
    start = StackedStart(market, LINES, HABITS)
    owner = Head(start, boosters(3), CALIBRATORS, (EVIDENCE,) * len(HORIZONS))
    assert violations(owner, np.random.default_rng(4), PROBES) == (0, 0, 0)


def test_the_owner_part_is_never_above_the_market_part(market: Head) -> None:
    """Far from the line too, where the owner part takes the least it may: at every horizon."""
    owner = Head(
        StackedStart(market, LINES, HABITS), boosters(3), CALIBRATORS, (EVIDENCE,) * len(HORIZONS)
    )
    bundle = Bundle(
        heads={"expected": owner, "unattended": market},
        features=NAMES,
        fingerprint="",
        rungs={},
        provenance={},
    )
    features, baseline = rows(np.random.default_rng(6), PROBES)
    baseline[:, 4] *= np.geomspace(0.1, 100.0, PROBES)  # distance to the line
    scores = bundle.scores(features, baseline)
    points, spans = bundle.probabilities(scores), bundle.intervals(scores)
    raw = owner.probabilities(scores["expected"])
    assert (raw > points["unattended"]).any()
    assert (points["expected"] <= points["unattended"]).all()
    assert (np.diff(points["expected"], axis=1) >= 0.0).all()
    low, high = spans["expected"]
    assert ((low <= points["expected"]) & (points["expected"] <= high)).all()
    lower = raw < points["unattended"]
    assert lower.any()
    assert (points["expected"][lower] == raw[lower]).all()


def test_the_owner_part_is_a_touch_times_one_that_nobody_answers(market: Head) -> None:
    """Recomputed as probabilities: rescue as frequent below exp(-6) as there."""
    features, baseline = rows(np.random.default_rng(8), PROBES)
    scores = market.scores(features, baseline)
    touch = np.maximum(market.probabilities(scores), np.exp(-12.0))
    shifts, slopes = np.array(LINES).T
    near = np.log(np.maximum(touch, np.exp(-6.0)))
    unanswered = 1.0 / (1.0 + np.exp(-(shifts + slopes * near + HABITS.added(features))))
    begun = StackedStart(market, LINES, HABITS).over(scores, features)
    np.testing.assert_allclose(
        1.0 / (1.0 + np.exp(-begun)), touch * unanswered, rtol=1e-6, atol=1e-9
    )


def test_owners_count_by_the_touches_seen_and_not_at_all_where_none_was(market: Head) -> None:
    """Between what owners did and nobody's acting, point and interval; in order throughout."""
    whole = StackedStart(market, LINES, HABITS)
    features, baseline = rows(np.random.default_rng(7), PROBES)
    told = {}
    for trust in (0.0, 0.6, 1.0):
        owner = Head(
            replace(whole, trust=trust), boosters(3), CALIBRATORS, (EVIDENCE,) * len(HORIZONS)
        )
        bundle = Bundle(
            heads={"unattended": market, "expected": owner},
            features=NAMES,
            fingerprint="",
            rungs={},
            provenance={"markets": ["a/1"]},
        )
        scores = bundle.scores(features, baseline)
        observed = bundle.knows(["a/1", "b/1"] * (PROBES // 2))
        points = bundle.probabilities(scores, observed=observed)
        ends = bundle.intervals(scores, observed=observed)
        for part in (points["expected"], *ends["expected"]):
            assert (np.diff(part, axis=1) >= 0.0).all()
        low, high = ends["expected"]
        assert ((low <= points["expected"]) & (points["expected"] <= high)).all()
        assert (points["expected"] <= points["unattended"]).all()
        assert (points["expected"][~observed] == points["unattended"][~observed]).all()
        assert (high[~observed] == ends["unattended"][1][~observed]).all()
        told[trust] = points["expected"][observed]
        alone = points["unattended"][observed]
    assert (told[0.0] == alone).all()
    np.testing.assert_allclose(told[0.6], 0.6 * told[1.0] + 0.4 * alone, rtol=1e-12)


def test_contributions_sum_to_the_score(market: Head) -> None:
    """TreeSHAP of both heads, and the start, make up the score."""
    owner = Head(
        StackedStart(market, LINES, HABITS), boosters(3), CALIBRATORS, (EVIDENCE,) * len(HORIZONS)
    )
    features, baseline = rows(np.random.default_rng(5), 20)
    parts = owner.contributions(features, baseline).sum(axis=2)
    assert parts == pytest.approx(owner.scores(features, baseline), abs=1e-9)
