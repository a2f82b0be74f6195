"""The forecast of a market at one moment: the backtest's, of the past alone, or refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from reserve_files import candles, reserve
from typer.testing import CliRunner

from models.book.reserve import has_drivers, states
from models.command import root
from models.errors import InvalidInput
from training.evaluation import reserve_backtest, reserve_forecast
from training.sources import aave_hourly

BEGIN = pd.Timestamp("2021-10-01", tz="UTC")
AT = pd.Timestamp("2021-10-15T12:00", tz="UTC")


def test_an_hour_is_forecast_as_the_backtest_forecasts_it(tmp_path: Path) -> None:
    """With the fold of the quarter, the hour that ends at the moment has the same figures."""
    file, bars = candles(tmp_path, 320)
    path = reserve(tmp_path, bars)
    whole = states(aave_hourly.read(path, file).hours)
    answer = whole[["ahead", "low_ahead"]].notna().all(axis=1).to_numpy() & has_drivers(whole)
    walked = reserve_backtest.walk(whole, answer, BEGIN, BEGIN + pd.Timedelta(days=20))
    place = walked.rows[0].index.get_loc(AT - pd.Timedelta(hours=1))
    told = reserve_forecast.read_and_forecast(path, file, as_of=AT, train_to=BEGIN)
    for name, found in told["thresholds"].items():
        theirs = walked.chances["structural"][name][0][place]
        assert found["probability"] == pytest.approx(theirs, rel=1e-9)
        assert 0.0 < found["share_of_past"] < 1.0
    shares = [found["basis_points"] for found in told["quantiles"].values()]
    assert shares == pytest.approx(walked.quantiles["structural"][0][place], rel=1e-9)
    assert told["quantiles"]["0.99"]["usd"] == pytest.approx(shares[1] * 1e-4 * 1e9)
    assert (told["from"], told["to"]) == (AT.isoformat(), (AT + pd.Timedelta(days=1)).isoformat())
    assert told["age_hours"] == 0.0


def test_what_comes_after_the_moment_changes_nothing(tmp_path: Path) -> None:
    """Later rows, repeated ones and candles are other ones, even of the hour under way."""
    file, bars = candles(tmp_path, 320)
    path = reserve(tmp_path, bars)
    moment = AT + pd.Timedelta(minutes=30)
    before = reserve_forecast.read_and_forecast(path, file, as_of=moment)
    later = bars["open_time"] >= AT
    bars.loc[later, ["open", "high", "low", "close"]] *= 0.5
    bars.to_parquet(file)
    rows = pd.read_parquet(path)
    is_later = rows["timestamp"] >= AT.timestamp()
    rows.loc[is_later, ["supplied_USD", "liquidations"]] = [5e7, 9e6]
    pd.concat([rows, rows[is_later]]).to_parquet(path)
    assert reserve_forecast.read_and_forecast(path, file, as_of=moment) == before
    assert before["age_hours"] == 0.5
    after = reserve_forecast.read_and_forecast(path, file, as_of=moment + pd.Timedelta(hours=1))
    assert after["thresholds"] != before["thresholds"]


def test_the_command_tells_the_last_hour_and_what_was_treated(tmp_path: Path) -> None:
    """Repeated rows, calm hours, an unknown stretch and a missing candle are all told."""
    file, bars = candles(tmp_path, 320)
    path = reserve(tmp_path, bars.drop(index=[30, *range(500, 700)]))
    bars.drop(index=[900]).to_parquet(file)
    out = tmp_path / "market.json"
    words = ["risk", "market", "--source", "aave-hourly", "--data", str(path)]
    words += ["--candles", str(file), "--json", str(out)]
    result = CliRunner().invoke(root(), words)
    assert result.exit_code == 0, result.output
    told = json.loads(out.read_text())
    end = bars["open_time"].iloc[-1] + pd.Timedelta(hours=1)
    assert (told["as_of"], told["horizon_hours"]) == (end.isoformat(), 24)
    defects = told["defects"]
    assert len(defects.pop("unknown_stretches")) == 1
    assert defects == {
        "repeated_rows_dropped": 2,
        "hours_without_row_taken_as_calm": 1,
        "hours_unknown": 200,
        "hours_without_candle": 1,
    }
    chance = told["thresholds"]["1e6"]["probability"]
    assert f"more than 1e6 USD liquidated: probability {chance:.4f}" in result.output


def test_an_amount_that_the_past_never_exceeded_has_no_probability(tmp_path: Path) -> None:
    """0 would be certainty: none is told, and the share of the past is."""
    file, bars = candles(tmp_path, 160)
    fell = np.log(bars["low"] / bars["open"]) < -0.015
    path = reserve(tmp_path, bars, liquidations=np.where(fell, 4e5, 0.0) / 24.0 + 10.0)
    told = reserve_forecast.read_and_forecast(path, file)
    assert told["thresholds"]["1e6"] == {"probability": None, "share_of_past": 0.0}


@pytest.mark.parametrize(
    ("cut", "moment", "trained", "told"),
    [
        (0, 161, None, "--data: the last hour ended 2021-06-10 00:00:00.*6 hours before"),
        (0, None, 161, "--train-to: .* lies after"),
        (0, 60, None, "--data: .* whole hours to learn from, 2,160 are needed"),
        (3, None, None, "--candles: none of 2021-06-09 23:00:00"),
        (0, -5, None, "reserve.parquet: has no row before"),
    ],
)
def test_stale_and_short_data_are_refused(
    tmp_path: Path, cut: int, moment: int | None, trained: int | None, told: str
) -> None:
    """What is too old, too short or not there yet is named by where it came from."""
    file, bars = candles(tmp_path, 160)
    path = reserve(tmp_path, bars)
    bars.iloc[: len(bars) - cut].to_parquet(file)
    at, to = (
        None if days is None else bars["open_time"].iloc[0] + pd.Timedelta(days=days)
        for days in (moment, trained)
    )
    with pytest.raises(InvalidInput, match=told):
        reserve_forecast.read_and_forecast(path, file, as_of=at, train_to=to)


def test_candles_that_stand_still_are_refused(tmp_path: Path) -> None:
    """A feed that fills forward would pass for a calm market."""
    file, bars = candles(tmp_path, 160)
    path = reserve(tmp_path, bars)
    bars.loc[bars.index[-6:], ["open", "high", "low", "close"]] = 900.0
    bars.to_parquet(file)
    with pytest.raises(InvalidInput, match="--candles: the last 6 repeat one price"):
        reserve_forecast.read_and_forecast(path, file)
