"""Training leaves out what reads across a change of unit, as serving forecasts nothing there."""

from pathlib import Path

import pandas as pd
import pytest

from features.inputs import Candles
from models.errors import InvalidInput
from training.sources import History, continuity, registry

BEGIN = pd.Timestamp("2030-01-01", tz="UTC")
HOURS = 3_000


def read(directory: Path, *, leap: int, factor: float = 1000.0) -> History:
    """Return the history of two assets, the second in another unit from one candle on."""
    frames = []
    for symbol, first in (("ETH", HOURS), ("odd/1", leap)):
        close = [100.0 + hour % 2 for hour in range(HOURS)]
        close = [price if hour < first else price * factor for hour, price in enumerate(close)]
        times = pd.date_range(BEGIN, periods=HOURS, freq="h")
        prices = dict.fromkeys(("open", "high", "low", "close"), close)
        frames.append(pd.DataFrame({"symbol": symbol, "open_time": times, **prices, "volume": 1.0}))
    path = directory / "candles.parquet"
    pd.concat(frames).to_parquet(path)
    return registry.history("touch", directory, path)


def hours(history: History, asset: str) -> list[int]:
    """Return the hours since the first candle at which an asset decides alone."""
    legs = set() if history.legs is None else set(history.legs["row"])
    own = history.moments[history.moments["asset"] == asset]
    at = own.loc[[row not in legs for row in own.index], "at"]
    return [int(value) for value in (at - BEGIN) / pd.Timedelta(hours=1)]


@pytest.mark.parametrize("factor", [1000.0, 0.4])
def test_no_row_looks_across_a_change_of_unit(tmp_path: Path, factor: float) -> None:
    """The candle of hour 400 closes at 401: no row in [401 - 168, 401 + lookback), others stay."""
    found = read(tmp_path, leap=400, factor=factor)
    behind = continuity.BEHIND // 3600
    own, other = hours(found, "odd/1"), hours(found, "ETH")
    assert own
    assert not [hour for hour in own if 401 - 168 <= hour < 401 + behind]
    assert min(own) < 233
    assert max(own) >= 401 + behind
    assert [hour for hour in other if 401 - 168 <= hour < 401 + behind]
    count = found.dropped["account-hours within reach of a change of unit of odd/1"]
    whole = read(tmp_path, leap=HOURS)
    assert len(whole.moments) == len(found.moments) + count
    assert "account-hours within reach of a change of unit of odd/1" not in whole.dropped


def test_what_is_left_keeps_its_legs_and_touches(tmp_path: Path) -> None:
    """A basket of the asset is left out with it."""
    found = read(tmp_path, leap=400)
    assert found.touches is not None
    assert len(found.touches) == len(found.moments)
    assert found.legs is not None
    at = (found.moments["at"] - BEGIN) / pd.Timedelta(hours=1)
    of_odd = at.iloc[found.legs["row"][found.legs["asset"] == "odd/1"]]
    assert len(of_odd)
    assert not of_odd.between(401 - 168, 400 + continuity.BEHIND // 3600).any()


def test_a_history_within_reach_of_a_change_is_refused(tmp_path: Path) -> None:
    """Every change is named with its asset and time."""
    path = tmp_path / "candles.parquet"
    close = [100.0] * 300 + [50.0] * 100
    times = pd.date_range(BEGIN, periods=400, freq="h")
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    frame = pd.DataFrame({"symbol": "ETH", "open_time": times, **prices, "volume": 1.0})
    frame.to_parquet(path)
    with pytest.raises(InvalidInput, match=r"candles:ETH: the candle that closed at 2030-01-13 13"):
        registry.history("touch", tmp_path, path)


def test_a_leap_over_a_gap_is_one(candles: Candles) -> None:
    """A series that comes back after a pause in another unit changed it where it came back."""
    assert continuity.leaps_at(candles).tolist() == [4 * 3600]


@pytest.fixture
def candles() -> Candles:
    """Return candles with a missing one before a new unit, and with a doubling within one."""
    frame = pd.Series([1.0, 1.0, None, 3.0, 3.0], dtype="float64").to_numpy()
    close = pd.Series([1.0, 1.0, None, 3.0, 9.0], dtype="float64").to_numpy()
    return Candles(first_hour=0, open=frame, high=close, low=frame, close=close, volume=frame)
