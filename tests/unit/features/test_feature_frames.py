"""The frames that `forewarn features` writes, and the document it generates."""

from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from features.cli import app
from features.document import document, read_coverage
from features.files import Moments, read_market, read_moments, write_moments
from features.frames import OF_MARKET, account_frames, market_frames
from features.inputs import Events, Tables
from features.pipeline import NAMES, compute
from models.errors import InvalidTable

HOURS = 200
BEGIN = pd.Timestamp("2021-01-01", tz="UTC")


def candles(symbol: str, *, seed: int) -> pd.DataFrame:
    """Return hourly candles of one asset."""
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, HOURS)))
    times = pd.date_range(BEGIN, periods=HOURS, freq="h")
    columns = dict.fromkeys(("open", "high", "low", "close"), close)
    return pd.DataFrame({"symbol": symbol, "open_time": times, **columns, "volume": 5.0})


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """Return a directory with spot candles of two assets, and the rest of one."""
    directory = tmp_path / "market"
    directory.mkdir()
    spot = pd.concat([candles("ETH", seed=1), candles("BTC", seed=2)])
    spot.to_parquet(directory / "some_spot_1h.parquet")
    candles("ETH", seed=3).to_parquet(directory / "some_perp_1h.parquet")
    candles("ETH", seed=4).drop(columns="volume").to_parquet(directory / "some_mark_1h.parquet")
    times = pd.date_range(BEGIN, periods=24, freq="8h")
    rates = pd.DataFrame({"symbol": "ETH", "time": times, "funding_rate": 0.0001})
    rates.to_parquet(directory / "some_funding.parquet")
    return directory


def moments() -> Moments:
    """Return three moments of one account, the last a basket, and its one event."""
    frame = pd.DataFrame(
        {
            "account": "a",
            "asset": "ETH",
            "side": 1,
            "price": 100.0,
            "price_next": 100.0,
            "delay": 0.0,
            "trigger": 80.0,
            "collateral": 2.0,
            "debt": 100.0,
            "debt_value": 100.0,
            "cash": -160.0,
            "at": [BEGIN + pd.Timedelta(hours=hours) for hours in (150, 160, 170)],
            "opened_at": BEGIN,
        }
    )
    log = Events(
        account=np.array(["a"], dtype=object),
        at=np.array([int((BEGIN + pd.Timedelta(hours=155)).timestamp())]),
        kind=np.array([0]),
        collateral_before=np.array([1.0]),
        debt_before=np.array([100.0]),
    )
    legs = pd.DataFrame({"row": [2, 2], "asset": ["ETH", "BTC"], "units": [1.0, 1.0]})
    return Moments(frame, log, legs)


def test_a_market_frame_has_a_row_per_candle_whatever_is_computed_at_once(market: Path) -> None:
    """One asset at a time or both together give the same numbers."""
    tables, dropped = read_market(market)
    together = pd.concat(market_frames(tables), ignore_index=True)
    apart = pd.concat(market_frames(tables, rows=1), ignore_index=True)
    assert dropped == {"candles that do not start on the hour": 0}
    assert together.groupby("asset").size().to_dict() == {"BTC": 200, "ETH": 200}
    pd.testing.assert_frame_equal(together, apart)
    assert together["funding_24h"].notna().groupby(together["asset"]).sum()["BTC"] == 0
    assert together["mark_gap"].notna().sum() > 50


def test_candles_of_any_length_are_read_and_computed(market: Path) -> None:
    """Five minutes each: an hour's move is that of twelve candles, four hours' of 48."""
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.001, 1_200)))
    times = pd.date_range(BEGIN, periods=1_200, freq="5min")
    columns = dict.fromkeys(("open", "high", "low", "close"), close)
    frame = pd.DataFrame({"symbol": "ETH", "open_time": times, **columns, "volume": 5.0})
    frame.to_parquet(market / "some_spot_5m.parquet")
    tables, dropped = read_market(market, step=300)
    found = pd.concat(market_frames(tables), ignore_index=True)
    assert dropped == {"candles that do not start on a multiple of 300 s": 0}
    assert found["at"].iloc[[0, -1]].tolist() == [
        pd.Timestamp("2021-01-01 00:05", tz="UTC"),
        pd.Timestamp("2021-01-05 04:00", tz="UTC"),
    ]
    last = found.iloc[-1]
    moves = np.log(close[-1] / close[-49]) / np.log(close[-1] / close[-13])
    assert last["return_sigmas_4h"] / last["return_sigmas_1h"] == pytest.approx(moves / 2.0)
    with pytest.raises(InvalidTable, match="--step: 7 is not one of 60, 300"):
        read_market(market, step=7)


def test_a_market_frame_has_the_bits_of_account_moments(market: Path) -> None:
    """What comes from the rolling grid is what an account after the same candle is told."""
    tables, _ = read_market(market)
    found = pd.concat(market_frames(tables), ignore_index=True)
    rows = found[found["asset"] == "ETH"].index[[3, 100, 199]]
    moment = moments().moments.iloc[0].to_dict()
    asked = pd.DataFrame([{**moment, "at": at} for at in found.loc[rows, "at"]])
    own = compute(tables, asked, names=OF_MARKET)[list(OF_MARKET)]
    pd.testing.assert_frame_equal(
        found.loc[rows, list(OF_MARKET)].reset_index(drop=True), own, check_exact=True
    )


def test_account_frames_are_the_same_in_any_number_of_parts(market: Path, tmp_path: Path) -> None:
    """Written, read, and computed two rows at a time: the same as at once, legs and all."""
    write_moments(moments(), tmp_path / "told")
    told = read_moments(tmp_path / "told")
    tables: Tables = read_market(market)[0]
    whole = pd.concat(account_frames(tables, told), ignore_index=True)
    parts = pd.concat(account_frames(tables, told, rows=2), ignore_index=True)
    pd.testing.assert_frame_equal(whole, parts)
    assert whole["leverage_drift_24h"].round(6).tolist()[:2] == [0.0, 0.693147]
    assert whole["actions_720h"].tolist() == [0.0, 1.0, 1.0]


def test_the_command_writes_a_frame_and_tells_the_coverage(market: Path, tmp_path: Path) -> None:
    """The table names every feature of the frame; the frame is one Parquet file."""
    out = tmp_path / "frame.parquet"
    told = CliRunner().invoke(app, ["--data", str(market), "--out", str(out)])
    assert told.exit_code == 0, told.output
    assert "400 rows" in told.output
    assert "volatility_ratio_6h_24h" in told.output
    assert len(pd.read_parquet(out)) == 400


def test_the_command_lists_what_is_wrong_with_the_files(market: Path, tmp_path: Path) -> None:
    """Every bad cell is told with its place, and nothing is computed."""
    bad = candles("ETH", seed=1)
    bad.loc[3, "close"] = -1.0
    bad.loc[5, "low"] = np.nan
    bad.to_parquet(market / "some_spot_1h.parquet")
    told = CliRunner().invoke(app, ["--data", str(market)])
    assert told.exit_code == 2
    assert "some_spot_1h.parquet:close:row 4" in told.output
    assert "some_spot_1h.parquet:low:row 6" in told.output
    with pytest.raises(InvalidTable, match=r"spot_1h\.parquet: file not found"):
        read_market(tmp_path)
    with pytest.raises(InvalidTable, match="file not found"):
        read_moments(tmp_path)


def test_the_document_is_what_the_features_generate() -> None:
    """FEATURES.md is generated, complete, and not edited by hand."""
    text = resources.files("features").joinpath("FEATURES.md").read_text()
    assert text == document(read_coverage())
    assert sum(line.startswith("| `") for line in text.splitlines()) == len(NAMES)


def test_times_of_moments_are_read_as_times(tmp_path: Path) -> None:
    """Text is parsed, a number is no time, and faults of both files come together."""
    log = {"kind": [0], "collateral_before": [1.0], "debt_before": [0.0]}
    events = pd.DataFrame({"account": ["a"], "at": ["2030-01-01"], **log})
    events.to_parquet(tmp_path / "events.parquet")
    times = {"at": ["2030-01-01 05:00+02:00", "2030-01-02"], "opened_at": [None, "2029-12-31"]}
    pd.DataFrame({"account": ["a", "a"], **times}).to_parquet(tmp_path / "moments.parquet")
    told = read_moments(tmp_path).moments
    assert told["at"].tolist() == [
        pd.Timestamp("2030-01-01 03:00", tz="UTC"),
        pd.Timestamp("2030-01-02", tz="UTC"),
    ]
    assert told["opened_at"].isna().tolist() == [True, False]
    pd.DataFrame({"account": ["a"], "at": [1_893_456_000]}).to_parquet(tmp_path / "moments.parquet")
    events.assign(kind=9).to_parquet(tmp_path / "events.parquet")
    with pytest.raises(InvalidTable) as raised:
        read_moments(tmp_path)
    assert [fault.where for fault in raised.value.faults] == [
        "moments.parquet:at:row 1",
        "events.parquet:kind:row 1",
    ]
