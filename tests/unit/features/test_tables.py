"""Validation lists every fault at once, with file, column and row."""

from datetime import UTC, date, datetime
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
        "a.csv:who:line 2",
        "a.csv:when:line 3",
        "a.csv:much:line 3",
        "a.csv:much:line 4",
        "a.csv:much:line 5",
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
    with pytest.raises(InvalidTable, match=r"open_time:row 2.*stands twice"):
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
    with pytest.raises(InvalidTable, match=r"low,high:row 2: range does not hold") as refused:
        read_candles(path, symbols=["BTC", "SOL"])
    assert "no candles of SOL" in str(refused.value)
    with pytest.raises(InvalidTable, match=r"close:row 1"):
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
        "m.csv:side:line 2: 'lnog' is not one of long, short (side)",
        "m.csv:size:line 2: '1e18' is not whole in [0, None] (wad)",
        "m.csv:size:line 3: '-1' is not whole in [0, None] (wad)",
        "m.csv:limit:line 3: 'soon' is not whole (wad)",
    ]


TIMED = Table(name="rates", columns=(Column(name="at", dtype="time", unit="UTC"),))
MORNING = pd.Timestamp("2025-04-09 05:00", tz="UTC")


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("2025-04-09T05:00:00Z", MORNING),
        ("2025-04-09 05:00", MORNING),
        ("2025-04-09T05:00:00+00:00", MORNING),
        ("2025-04-09 07:00:00+02:00", MORNING),
        ("2025-04-09T05:00:00.000000000Z", MORNING),
        ("2025-04-09 5:00:00", MORNING),
        ("2025-04-09", pd.Timestamp("2025-04-09", tz="UTC")),
        (datetime(2025, 4, 9, 5, tzinfo=UTC), MORNING),
        (date(2025, 4, 9), pd.Timestamp("2025-04-09", tz="UTC")),
    ],
)
def test_times_are_read_in_the_forms_of_iso(cell: object, wanted: pd.Timestamp) -> None:
    """Text without an offset is UTC, without a time midnight; what is a time already is one."""
    raw = pd.DataFrame({"at": pd.Series([cell, "2030-01-01"], dtype=object)})
    assert validate(raw, TIMED, file="f.csv")["at"].iloc[0] == wanted


@pytest.mark.parametrize(
    "cell",
    [
        *("09/04/2025 05:00", "14/04/2025", "04-09-2025", "2025", "20250409", "2025-4-9", "now"),
        *("9 April 2025", "2025-04-09 5am", "1744174800", "45756.25", "05:00", "2025-13-01"),
        *("2025-02-30", "2025-04-09T05", " 2025-04-09", "2025-04-09T05:00:00+0200", "2025-W15", ""),
        *("9999-01-01", "1066-10-14", 1744174800000, 1744174800.0, True, None, float("nan")),
    ],
)
def test_a_time_that_would_have_to_be_guessed_is_refused(cell: object) -> None:
    """The cell, its row and the forms that are accepted are told."""
    raw = pd.DataFrame({"at": pd.Series(["2025-04-09", cell], dtype=object)})
    with pytest.raises(InvalidTable, match=r"f.csv:at:line 3: .*not a time such as 2025-04-09T05"):
        validate(raw, TIMED, file="f.csv")


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_numbers_are_no_times_in_any_file(tmp_path: Path, unit: int, suffix: str) -> None:
    """Seconds to nanoseconds since 1970, in CSV and in Parquet alike: every cell is refused."""
    frame = pd.DataFrame({"at": [1767225600 * unit, 1767254400 * unit]})
    path = tmp_path / f"rates.{suffix}"
    if suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    with pytest.raises(InvalidTable) as refused:
        read_file(path, TIMED)
    assert len(refused.value.faults) == 2
    assert f"'{1767225600 * unit}' is not a time such as" in str(refused.value)


def test_parquet_times_of_any_resolution_are_read(tmp_path: Path) -> None:
    """Timestamps with a zone, without one (UTC) and of other units."""
    for place, unit in enumerate(("s", "ms", "us", "ns")):
        naive = pd.Series(pd.to_datetime(["2025-04-09 05:00"])).astype(f"datetime64[{unit}]")
        for name, told in (("naive", naive), ("zoned", naive.dt.tz_localize("Asia/Tokyo"))):
            path = tmp_path / f"{name}{place}.parquet"
            pd.DataFrame({"at": told}).to_parquet(path)
            read = read_file(path, TIMED)["at"].iloc[0]
            assert read == (MORNING if name == "naive" else MORNING - pd.Timedelta(hours=9))


def test_lines_of_a_csv_file_are_those_of_an_editor(tmp_path: Path) -> None:
    """After blank lines, cells of several lines and a byte-order mark; rows keep their values."""
    text = (
        "\ufeffsymbol,kind,step,open_time,open,high,low,close,volume\r\n"
        "\r\n"
        '"E\nT\nH",spot,3600,2030-01-01T12:00:00Z,1,2,1,1,0\r\n'
        "   \r\n"
        "BTC,spot,3600,2030-01-01T12:00:00Z,1,2,1,soon,0\r\n"
        "BTC,spot,3600,2030-01-01T13:00:00Z,1,2,1,1.5,-1\r\n"
    )
    file = tmp_path / "candles.csv"
    file.write_bytes(text.encode())
    with pytest.raises(InvalidTable) as refused:
        read_csv(file, CANDLES)
    assert [fault.where for fault in refused.value.faults] == [
        "candles.csv:close:line 7",
        "candles.csv:volume:line 8",
    ]
    file.write_bytes(text.replace("soon", "1.25").replace("-1\r", "7\r").encode())
    sound = read_csv(file, CANDLES)
    assert list(sound.index) == [0, 1, 2]
    assert sound["symbol"].tolist() == ["E\nT\nH", "BTC", "BTC"]
    assert sound["close"].tolist() == [1.0, 1.25, 1.5]
    assert sound["volume"].tolist() == [0.0, 0.0, 7.0]
