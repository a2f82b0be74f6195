"""The forecast of a reserve's liquidations: what is read, what is refused, what is scored."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from reserve_files import candles, reserve

from models.book.reserve import LADDER, Hours, _inverted, states
from models.errors import InvalidInput
from training.evaluation import reserve_backtest
from training.sources import aave_hourly

SHARED = Path(__file__).parents[4] / "shared" / "data"
RESERVE = SHARED / "lending" / "aave_hourly" / "aave_v2_weth_ethereum.parquet"
CANDLES = SHARED / "market" / "binance_spot_1h.parquet"

needs_reserve = pytest.mark.skipif(
    not RESERVE.is_file(), reason="needs ../shared/data/lending/aave_hourly"
)


def test_repeated_rows_count_once_and_a_gap_is_unknown(tmp_path: Path) -> None:
    """Two copies are dropped; a stretch of 200 hours without rows is missing, not calm."""
    file, bars = candles(tmp_path, 40)
    path = reserve(tmp_path, bars.drop(index=range(500, 700)), liquidations=1.0)
    record = aave_hourly.read(path, file)
    assert record.repeated == 2
    assert sum(record.quarters.values()) == 24 * 40 - 200
    ((first, last),) = record.gaps
    assert (last - first) == pd.Timedelta(hours=199)
    assert np.isnan(record.hours.liquidated).sum() == 200
    assert record.calm == 0


def test_single_hours_without_a_row_were_calm(tmp_path: Path) -> None:
    """An hour without activity has no row, and 0 was liquidated in it."""
    file, bars = candles(tmp_path, 10)
    record = aave_hourly.read(reserve(tmp_path, bars.drop(index=[30, 31]), liquidations=1.0), file)
    assert record.hours.liquidated[29:33].tolist() == [1.0, 0.0, 0.0, 1.0]
    assert record.calm == 2


def test_what_is_no_amount_is_refused_with_its_rows(tmp_path: Path) -> None:
    """A negative amount, a missing one and rows that differ at one moment are all named."""
    file, bars = candles(tmp_path, 10)
    path = reserve(tmp_path, bars)
    rows = pd.read_parquet(path).reset_index(drop=True)
    rows.loc[7, "liquidations"], rows.loc[8, "supplied_USD"] = -1.0, np.nan
    rows.loc[240, "liquidations"] += 1.0
    rows.to_parquet(path)
    with pytest.raises(InvalidInput) as refused:
        aave_hourly.read(path, file)
    places = [fault.where for fault in refused.value.faults]
    assert places == [
        "reserve.parquet:supplied_USD:8",
        "reserve.parquet:liquidations:7",
        "reserve.parquet:timestamp",
    ]


def hours(count: int) -> Hours:
    """Return a market whose price falls once, and liquidations in that hour."""
    close = np.full(count, 100.0)
    low = np.full(count, 99.0)
    low[200] = 80.0
    liquidated = np.zeros(count)
    liquidated[200] = 5.0
    hour = pd.date_range("2021-01-01", periods=count, freq="h", tz="UTC")
    return Hours(hour, close, close + 1.0, low, liquidated, np.full(count, 1e9))


def test_what_lies_ahead_begins_after_the_hour_and_ends_a_day_later() -> None:
    """The fall of hour 200 lies ahead of hours 176 to 199 alone, and is known from 200 on."""
    found = states(hours(400))
    assert np.flatnonzero(found["ahead"] == 5.0).tolist() == list(range(176, 200))
    assert np.flatnonzero(found["low_ahead"] < np.log(0.9)).tolist() == list(range(176, 200))
    assert np.flatnonzero(found["liquidated1"] > 0.0).tolist() == [200]
    assert np.flatnonzero(found["low24"] < np.log(0.9)).tolist() == list(range(200, 224))


def test_states_read_nothing_of_the_future() -> None:
    """Cutting what comes after an hour changes no state of it."""
    whole = states(hours(400)).drop(columns=["ahead", "low_ahead"])
    cut = states(hours(250)).drop(columns=["ahead", "low_ahead"])
    pd.testing.assert_frame_equal(whole.iloc[:250], cut, check_freq=False)


def test_a_quantile_lies_where_the_chances_fall_to_the_rest() -> None:
    """Chances of 1/(10 amount) leave 5 % at 2 and 1 % at 10; a flat end falls as a Pareto."""
    chances = np.minimum(0.1 / LADDER, 1.0)
    assert _inverted(chances, 0.95) == pytest.approx(2.0)
    assert _inverted(chances, 0.99) == pytest.approx(10.0)
    assert _inverted(np.full(LADDER.size, 0.1), 0.95) == pytest.approx(400.0)
    assert _inverted(np.full(LADDER.size, 0.01), 0.95) == pytest.approx(0.02)


def test_a_backtest_beats_persistence_and_a_leak_would_show(tmp_path: Path) -> None:
    """On a market whose wild and calm times follow one another; shuffled outcomes have no skill."""
    file, bars = candles(tmp_path, 420)
    record = aave_hourly.read(reserve(tmp_path, bars), file)
    begin, end = (pd.Timestamp(day, tz="UTC") for day in ("2021-10-01", "2022-02-01"))
    found = reserve_backtest.backtest(record, begin, end)
    for amount in ("1e6", "1e5"):
        ours = found["thresholds"][amount]
        low, high = ours["intervals"]["log_loss"]
        assert low <= ours["log_loss"] <= high
        assert (
            ours["log_loss"] < found["baselines"]["persistence"]["thresholds"][amount]["log_loss"]
        )
    assert set(found["quantiles"]) == {"0.95", "0.99"}
    assert found["hours"] == 123 * 24
    shuffled = record.hours.liquidated.copy()
    known = np.flatnonzero(np.isfinite(shuffled))
    shuffled[known] = np.random.default_rng(1).permutation(shuffled[known])
    mixed = aave_hourly.Record(
        Hours(**{**{n: getattr(record.hours, n) for n in Hours.__slots__}, "liquidated": shuffled}),
        record.begins,
        0,
        0,
        (),
        {},
    )
    assert reserve_backtest.backtest(mixed, begin, end)["thresholds"]["1e6"]["auc"] < 0.6


def test_a_period_nobody_can_judge_is_refused(tmp_path: Path) -> None:
    """Before the reserve began there is nothing to judge."""
    file, bars = candles(tmp_path, 60)
    record = aave_hourly.read(reserve(tmp_path, bars), file)
    day = pd.Timestamp("2020-01-01", tz="UTC")
    with pytest.raises(InvalidInput, match="can be judged"):
        reserve_backtest.backtest(record, day, day + pd.Timedelta(days=3))


@needs_reserve
def test_quarterly_totals_are_those_published() -> None:
    """Million USD by quarter up to 2023-05, repeated rows dropped."""
    record = aave_hourly.read(RESERVE, CANDLES)
    published = {"2021Q1": 16.9, "2021Q2": 204.9, "2021Q3": 36.0, "2021Q4": 51.5}
    published |= {"2022Q1": 124.0, "2022Q2": 172.9, "2022Q3": 1.8, "2022Q4": 10.9, "2023Q1": 1.1}
    assert record.repeated == 2400
    for quarter, million in published.items():
        assert record.quarters[quarter] / 1e6 == pytest.approx(million, abs=0.06)
