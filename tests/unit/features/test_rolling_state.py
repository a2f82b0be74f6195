"""Rolling statistics against sums done by hand, of one asset and of several beside another."""

from dataclasses import replace

import numpy as np
import pytest

from features.inputs import Candles
from features.market import Statistic
from features.rolling_state import RollingState
from features.volatility import close, log_close, log_return

VALUES = np.array([1.0, 2.0, 4.0, np.nan, 16.0, 32.0, 64.0])
SUM = Statistic(close, "present", 3)
HALVING = Statistic(close, "present", 3, 1.0)
HIGH = Statistic(close, "high", 3)
LOW = Statistic(close, "low", 2)
SUMS = [1.0, 3.0, 7.0, 6.0, 20.0, 48.0, 112.0]
HALVED = [1.0, 2.5, 5.25, 2.5, 17.0, 40.0, 84.0]
HIGHS = [1.0, 2.0, 4.0, 4.0, 16.0, 32.0, 64.0]
LOWS = [-1.0, -1.0, -2.0, -4.0, -16.0, -16.0, -32.0]
HOLES = [2.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("assets", [1, 2])
@pytest.mark.parametrize("first", [9, 10])
def test_windows_roll_over_blocks_and_holes(size: int, assets: int, first: int) -> None:
    """However many candles come at once, wherever blocks begin; before the first all is missing."""
    bank = RollingState.begun([SUM, HALVING, HIGH, LOW], assets=assets, index=first)
    scale = np.array([[1.0], [2.0]])[:assets]
    told: dict[Statistic, list[np.ndarray]] = {one: [] for one in (SUM, HALVING, HIGH, LOW)}
    holes = []
    for start in range(0, len(VALUES), size):
        new = scale * VALUES[start : start + size]
        bank.roll(lambda _, new=new: new, index=first + start, size=new.shape[1])
        for one, found in told.items():
            found.append(bank.latest(one)[0].reshape(assets, -1))
        missing = bank.latest(SUM)[1]
        assert missing is not None
        holes.append(missing.reshape(assets, -1))
    for one, expected in ((SUM, SUMS), (HALVING, HALVED), (HIGH, HIGHS), (LOW, LOWS)):
        np.testing.assert_array_equal(np.concatenate(told[one], axis=1), scale * expected)
    np.testing.assert_array_equal(np.concatenate(holes, axis=1), [HOLES] * assets)


def test_after_two_whole_windows_no_holes_are_told_until_there_is_one() -> None:
    """Nothing is missing, which costs nothing; a new hole counts at once."""
    bank = RollingState.begun([SUM], assets=1, index=0)
    told = []
    for place, value in enumerate([1.0] * 7 + [np.nan, 1.0]):
        bank.roll(lambda _, value=value: np.array([[value]]), index=place, size=1)
        missing = bank.latest(SUM)[1]
        told.append(None if missing is None else missing[0])
    assert told == [2.0, 1.0, 0.0, 0.0, 0.0, 0.0, None, 1.0, 1.0]


def test_candles_made_from_others_remember_no_series_of_theirs() -> None:
    """A series is made once of the same candles, anew of other ones."""
    columns = [np.array([1.0, np.e])] * 5
    one = Candles(0, *columns)
    assert log_return(one)[1] == 1.0
    assert log_close(one) is log_close(one)
    other = replace(one, close=np.array([1.0, np.e**2]))
    assert log_return(other)[1] == pytest.approx(2.0)
