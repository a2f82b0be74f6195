"""Past brackets of an exchange judge past questions."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from models.command import root
from models.domain import MarketId
from serving.store import market, open_store

ROWS = {
    "snapshot_date": ["2022-02-16", "2022-03-01", "2023-02-01", "2023-02-01", "2023-02-01"],
    "commit": ["a", "b", "c", "c", "c"],
    "symbol": ["A/USDT", "A/USDT", "A/USDT:USDT", "A/USDT:USDT", "B/USDT:USDT"],
    "tier": [1.0, 1.0, 2.0, 1.0, 1.0],
    "min_notional": [0.0, 0.0, 5000.0, 0.0, 0.0],
    "max_notional": [9.0, 9.0, 9000.0, 5000.0, 9.0],
    "maintenance_margin_rate": [0.0065, 0.0065, 0.01, 0.0065, 0.5],
    "max_leverage": [50.0, 50.0, 25.0, 50.0, 1.0],
    "cum": [0.0, 0.0, 17.5, 0.0, 0.0],
}
FIRST = {"floor": "0", "rate": "13/2000", "deduction": "0", "max_leverage": 50}
SECOND = {"floor": "5000", "rate": "1/100", "deduction": "35/2", "max_leverage": 25}
BINANCE = MarketId("binance-usdm", "USDT")
OTHER = {"floor": "0", "rate": "1/2", "deduction": "0", "max_leverage": 1}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return three snapshots, the second of them like the first."""
    path = tmp_path / "tiers.parquet"
    pq.write_table(pa.table(ROWS), path)
    return path


def brought(file: Path, url: str, *symbols: str, venue: str = "binance-usdm") -> Result:
    """Run the command."""
    words = ["import-tiers", str(file), "--store", url, "--venue", venue]
    return CliRunner().invoke(root(), [*words, *(f"--symbol={symbol}" for symbol in symbols)])


def in_force(url: str, at: datetime, whose: MarketId = BINANCE) -> object:
    """Return the terms that a question at a moment is judged by."""
    store = open_store(url)
    with store.read() as transaction:
        found = market.terms(transaction, at=at).get(whose)
    store.close()
    return None if found is None else found[0]["symbols"]


def test_terms_hold_from_when_they_were_known(store_url: str, file: Path) -> None:
    """A day's snapshot counts from its end; what did not change is written once."""
    done = brought(file, store_url, "A/USDT", "B/USDT")
    assert done.output == "terms: 2 written, 0 held already\n"
    assert brought(file, store_url, "A/USDT", "B/USDT").output == (
        "terms: 0 written, 2 held already\n"
    )
    assert in_force(store_url, datetime(2022, 2, 16, 23, tzinfo=UTC)) is None
    assert in_force(store_url, datetime(2022, 6, 1, tzinfo=UTC)) == {"A/USDT:USDT": [FIRST]}
    assert in_force(store_url, datetime(2023, 2, 2, tzinfo=UTC)) == {
        "A/USDT:USDT": [FIRST, SECOND],
        "B/USDT:USDT": [OTHER],
    }


@pytest.mark.parametrize(
    ("symbols", "said"),
    [
        (("A/USDT", "C/USDT"), "tiers.parquet: knows nothing of C/USDT"),
        (("A/USDT", "A/BUSD"), "symbol: one quote is needed, not BUSD, USDT"),
    ],
)
def test_what_the_file_does_not_know_is_refused(
    file: Path, symbols: tuple[str, ...], said: str
) -> None:
    """Nothing is written."""
    url = f"sqlite:///{file.with_name('store.sqlite3')}"
    done = brought(file, url, *symbols)
    assert done.exit_code == 2
    assert said in done.output
    assert not file.with_name("store.sqlite3").exists()


def test_brackets_of_bybit_are_of_the_day_that_the_file_names(
    store_url: str, tmp_path: Path
) -> None:
    """Of the contract asked for; a name without a day is refused."""
    text = (
        "symbol,tier_id,min_notional,max_notional,maintenance_margin_rate,max_leverage,mm_deduction\n"
        "APERP(A/USDC:USDC),1,0,100000.0,0.004,125,0.0\n"
        "BPERP(B/USDC:USDC),1,0,9.0,0.5,1,0.0\n"
        "APERP(A/USDC:USDC),2,100000.0,200000.0,0.005,100,100.0\n"
    )
    path = tmp_path / "tiers_2025-12-29.csv"
    path.write_text(text)
    done = brought(path, store_url, "A/USDC", venue="bybit-linear")
    assert done.output == "terms: 1 written, 0 held already\n"
    whose = MarketId("bybit-linear", "USDC")
    assert in_force(store_url, datetime(2025, 12, 29, 23, tzinfo=UTC), whose) is None
    assert in_force(store_url, datetime(2025, 12, 30, tzinfo=UTC), whose) == {
        "A/USDC:USDC": [
            {"floor": "0", "rate": "1/250", "deduction": "0", "max_leverage": 125},
            {"floor": "100000", "rate": "1/200", "deduction": "100", "max_leverage": 100},
        ]
    }
    undated = tmp_path / "tiers.csv"
    undated.write_text(text)
    refused = brought(undated, store_url, "A/USDC", venue="bybit-linear")
    assert (refused.exit_code, "tiers.csv: " in refused.output) == (2, True)
    other = brought(path, store_url, "A/USDC", venue="okx")
    assert "venue: okx is not one of binance-usdm, bybit-linear" in other.output
