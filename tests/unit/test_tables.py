"""Validation lists every fault at once, with file, column and row."""

from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from features.tables import CANDLES, Column, Table, read_candles, read_csv, read_file, validate
from models.errors import InvalidTable

AMOUNTS = Table(
    name="amounts",
    columns=(
        Column(name="who", dtype="text", unit="account"),
        Column(name="when", dtype="time", unit="UTC"),
        Column(name="much", dtype="exact", unit="ETH", low=0, high=10),
    ),
    key=("who", "when"),
)


def candle(**changes: object) -> dict[str, object]:
    """Return one sound candle, changed."""
    sound = {
        "symbol": "ETH",
        "open_time": pd.Timestamp("2021-01-01 05:00", tz="UTC"),
        "open": 10.0,
        "high": 12.0,
        "low": 9.0,
        "close": 11.0,
        "volume": 5.0,
    }
    return {**sound, **changes}


def written(tmp_path: Path, *candles: dict[str, object]) -> Path:
    """Return a Parquet file of candles."""
    path = tmp_path / "candles.parquet"
    pd.DataFrame(list(candles)).to_parquet(path)
    return path


def test_amounts_keep_every_digit(tmp_path: Path) -> None:
    """Decimals are read as written, in any notation."""
    path = tmp_path / "a.csv"
    path.write_text(
        "who,when,much\na,2021-01-20 1:03:47,0.123456789012345678\nb,2021-01-20,8e-18\n"
    )
    table = read_csv(path, AMOUNTS)
    assert table["much"].tolist() == [Decimal("0.123456789012345678"), Decimal("8e-18")]
    assert str(table["when"][0]) == "2021-01-20 01:03:47+00:00"


def test_every_fault_is_listed_with_its_place(tmp_path: Path) -> None:
    """Nothing is read from a file with faults, and all of them are told."""
    path = tmp_path / "a.csv"
    path.write_text("who,when,much\n,2021-01-20,1\na,soon,NaN\nb,2021-01-20,11\nb,2021-01-21,-1\n")
    with pytest.raises(InvalidTable) as refused:
        read_csv(path, AMOUNTS)
    assert [fault.where for fault in refused.value.faults] == [
        "a.csv:who:1",
        "a.csv:when:2",
        "a.csv:much:2",
        "a.csv:much:3",
        "a.csv:much:4",
    ]
    assert "'11' is not exact in [0, 10] (ETH)" in str(refused.value)


def test_a_missing_column_and_a_missing_file_are_faults(tmp_path: Path) -> None:
    """The schema names what it expected."""
    with pytest.raises(InvalidTable, match=r"x:much: column missing \(ETH\)"):
        validate(pd.DataFrame({"who": ["a"], "when": ["2021"]}), AMOUNTS, file="x")
    with pytest.raises(InvalidTable, match="file not found"):
        read_csv(tmp_path / "none.csv", AMOUNTS)
    with pytest.raises(InvalidTable, match="file not found"):
        read_candles(tmp_path / "none.parquet", symbols=["ETH"])


def test_a_repeated_key_is_a_fault() -> None:
    """Two rows with one key are told, not merged."""
    raw = pd.DataFrame([candle(), candle(close=10.5)])
    with pytest.raises(InvalidTable, match=r"open_time:2.*stands twice"):
        validate(raw, CANDLES, file="c")


def test_a_candle_off_the_hour_is_left_out_and_counted(tmp_path: Path) -> None:
    """It overlaps two hours and belongs to neither."""
    odd = candle(open_time=pd.Timestamp("2021-01-01 06:28:14.789", tz="UTC"))
    candles, dropped = read_candles(written(tmp_path, candle(), odd), symbols=["ETH"])
    assert len(candles) == 1
    assert dropped == {"candles that do not start on the hour": 1}


def test_an_impossible_candle_and_a_missing_asset_are_refused(tmp_path: Path) -> None:
    """A range must hold its ends, a price is positive, and what was asked for is there."""
    path = written(tmp_path, candle(), candle(symbol="BTC", high=10.5))
    with pytest.raises(InvalidTable, match=r"low,high:2: range does not hold") as refused:
        read_candles(path, symbols=["BTC", "SOL"])
    assert "no candles of SOL" in str(refused.value)
    with pytest.raises(InvalidTable, match=r"close:1"):
        read_candles(written(tmp_path, candle(close=0.0)), symbols=["ETH"])


def test_integers_of_any_size_choices_and_absent_cells(tmp_path: Path) -> None:
    """A float is no integer, a misspelt choice is told, and what may be absent stays missing."""
    table = Table(
        name="moves",
        columns=(
            Column(name="side", dtype="text", unit="side", allowed=("long", "short")),
            Column(name="size", dtype="whole", unit="wad", low=0),
            Column(name="note", dtype="text", unit="note", is_optional=True),
            Column(name="until", dtype="time", unit="UTC", is_optional=True),
            Column(name="limit", dtype="whole", unit="wad", is_optional=True),
        ),
    )
    path = tmp_path / "m.csv"
    path.write_text(f"side,size,note,until\nlong,{10**40},,\nshort,0,x,2021-01-20\n")
    read = read_file(path, table)
    assert read["size"].tolist() == [10**40, 0]
    assert read["note"].tolist() == [None, "x"]
    assert read["until"].isna().tolist() == [True, False]
    assert read["limit"].tolist() == [None, None]
    path.write_text("side,size,limit\nlnog,1e18,\nlong,-1,soon\n")
    with pytest.raises(InvalidTable) as refused:
        read_file(path, table)
    assert [str(fault) for fault in refused.value.faults] == [
        "m.csv:side:1: 'lnog' is not one of long, short (side)",
        "m.csv:size:1: '1e18' is not whole in [0, None] (wad)",
        "m.csv:size:2: '-1' is not whole in [0, None] (wad)",
        "m.csv:limit:2: 'soon' is not whole (wad)",
    ]
