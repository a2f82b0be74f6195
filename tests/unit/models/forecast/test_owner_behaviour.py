"""What owners add to the market's answer."""

import numpy as np
import pytest

from features.pipeline import BY_NAME, NAMES
from models.forecast.owner_behaviour import OwnerBehaviour, read, written
from models.horizons import HORIZONS
from training.dataset.sample_weights import Outcomes, WeightedOutcomes
from training.fitting import owner_behaviour

IDLE, OWED = (NAMES.index(name) for name in ("hours_since_action", "debt_size"))
KNOWN = OwnerBehaviour(
    columns=np.array([IDLE, OWED]),
    lows=np.array([0.0, -2.0]),
    centres=np.array([4.0, 5.0]),
    spreads=np.array([2.0, 0.5]),
    weights=np.array([[0.1, -0.4], [0.2, -0.3], [0.3, -0.2], [0.4, -0.1]]),
)


def features(*rows: tuple[float, float]) -> np.ndarray:
    """Return feature rows in which only idleness and debt are known."""
    out = np.full((len(rows), len(NAMES)), np.nan)
    out[:, [IDLE, OWED]] = rows
    return out


def test_habits_add_up_in_deviations_of_the_usual() -> None:
    """One deviation idler and one deviation deeper in debt: each weight once."""
    assert KNOWN.added(features((6.0, 5.5)))[0] == pytest.approx([-0.3, -0.1, 0.1, 0.3])


def test_who_did_nothing_that_is_known_is_a_usual_owner() -> None:
    """Missing inputs add nothing."""
    assert KNOWN.added(features((np.nan, np.nan)))[0].tolist() == [0.0, 0.0, 0.0, 0.0]


def test_an_owner_unlike_any_counts_as_two_deviations() -> None:
    """A debt of any size moves the odds no further."""
    added = KNOWN.added(features((4.0, 50.0), (4.0, 6.0)))
    assert added[0].tolist() == added[1].tolist() == [-0.8, -0.6, -0.4, -0.2]


def test_what_is_added_is_the_sum_of_its_parts() -> None:
    """To the bit, one after another, with an input missing or beyond any bound."""
    rows = features((6.1, 5.3), (np.nan, 4.9), (3.3, np.inf), (-np.inf, np.nan), (5.7, -9.0))
    parts = KNOWN.parts(rows)
    assert (KNOWN.added(rows) == parts[:, :, 0] + parts[:, :, 1]).all()


def test_what_counts_only_above_the_mean_says_nothing_below() -> None:
    """An owner who acted less long ago than usual is as good as a usual one."""
    assert KNOWN.added(features((0.0, 5.0)))[0].tolist() == [0.0, 0.0, 0.0, 0.0]


def test_conduct_survives_being_written() -> None:
    """Plain numbers give the very same log-odds."""
    again = read(written(KNOWN, NAMES), NAMES)
    rows = features((1.7, 3.3), (np.nan, 9.1))
    assert (again.added(rows) == KNOWN.added(rows)).all()


def test_no_habit_is_a_measure_of_the_distance() -> None:
    """What conduct reads has no direction, so that the distance alone decides the order."""
    assert {BY_NAME[name].direction for name in owner_behaviour.READS} == {0}


def test_fitting_finds_the_line_and_the_habits() -> None:
    """From many outcomes of a known law, shift, slope and the one weight that matters."""
    generator = np.random.default_rng(3)
    touches = np.tile(-generator.exponential(2.0, (60_000, 1)), len(HORIZONS))
    rows = np.full((len(touches), len(NAMES)), np.nan)
    rows[:, OWED] = generator.normal(5.0, 0.5, len(touches))
    owed = np.clip((rows[:, OWED] - 5.0) / 0.5, -1.0, 2.0)
    chance = 1.0 / (1.0 + np.exp(-(-1.0 + 1.5 * touches[:, 0] - 0.7 * owed)))
    y = (generator.random(len(touches)) < chance).astype(np.float64)
    outcomes = [Outcomes(y, np.ones(len(y)))] * len(HORIZONS)
    found, lines = owner_behaviour.fit(touches, rows, np.ones(len(y)), outcomes)
    for shift, slope in lines:
        assert (shift, slope) == pytest.approx((-1.0, 1.5), abs=0.08)
    place = list(owner_behaviour.READS).index("debt_size")
    assert found.weights[:, place] == pytest.approx([-0.7] * 4, abs=0.06)
    assert np.delete(found.weights, place, axis=1) == pytest.approx(np.zeros((4, 4)), abs=1e-9)


def test_without_outcomes_the_likely_slope_is_kept() -> None:
    """No evidence at all leaves every number where the prior puts it."""
    rows = np.full((3, len(NAMES)), np.nan)
    nothing = [Outcomes(np.zeros(3), np.zeros(3))] * len(HORIZONS)
    found, lines = owner_behaviour.fit(np.full((3, 4), -2.0), rows, np.ones(3), nothing)
    assert lines == (((-1.0, 0.3)),) * 4
    assert not found.weights.any()


def test_a_slope_stays_positive_where_outcomes_run_against_touches() -> None:
    """Order in the distance is kept even by a log in which the nearest were never liquidated."""
    touches = np.tile(np.linspace(-6.0, 0.0, 2_000)[:, np.newaxis], len(HORIZONS))
    y = (touches[:, 0] < -3.0).astype(np.float64)
    rows = np.full((len(y), len(NAMES)), np.nan)
    outcomes = [Outcomes(y, np.ones(len(y)))] * len(HORIZONS)
    _, lines = owner_behaviour.fit(touches, rows, np.ones(len(y)), outcomes)
    assert all(slope == pytest.approx(0.001, abs=1e-5) for _, slope in lines)


def test_hours_of_one_owner_share_their_outcome() -> None:
    """Two hours of one owner's day hold half an outcome each; another owner's holds one."""
    seen = WeightedOutcomes(
        at=np.array([0, 3600, 0]),
        happened=np.array([np.inf, np.inf, 10.0]),
        censoring=np.array([200.0, 200.0, 200.0]),
        weights=np.ones(3),
        group=np.array([0, 0, 1]),
    )
    told = seen.horizon(HORIZONS.index(24))
    assert told.y.tolist() == [0.0, 0.0, 1.0]
    assert told.weights.tolist() == [0.5, 0.5, 1.0]
    assert seen.hazard(HORIZONS.index(168)).weights.tolist() == [0.5, 0.5, 0.0]
