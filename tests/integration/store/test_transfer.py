"""Importing and exporting every table, by file and from other databases."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from features.table_schemas import TABLES
from models.errors import InvalidInput
from serving.cli.serve import app
from serving.ingest.tables import export_table, import_table
from serving.store import accounts, open_store
from serving.store.rows import Added

NOON = "2030-01-01T12:00:00+00:00"
NOW = datetime(2031, 1, 1, tzinfo=UTC)
LATER = "2030-01-01T13:00:00.000001+00:00"
LEGS = (
    '[{"kind": "collateral", "asset": "ETH", "quantity": "3"}, '
    '{"kind": "debt", "asset": "DAI", "quantity": "1"}]'
)
ROWS: Mapping[str, tuple[str, ...]] = {
    "candles": (
        "symbol,kind,step,open_time,open,high,low,close,volume",
        f"ETH,spot,3600,{NOON},1.5,2.0,1.0,1.25,10.0",
        f"ETH,mark,60,{NOON},1.5,2.0,1.0,0.1e1,",
    ),
    "prices": (
        "asset,observed_at,source,value,decimals,next_value,next_at,stale_after,disputed",
        f"ETH,{LATER},osm,{10**40},18,{10**40 + 1},{LATER},90.5,two sources differ",
        f"BTC,{NOON},osm,1,0,,,,",
    ),
    "funding": ("asset,at,rate", f"ETH,{NOON},-0.0001"),
    "open_interest": ("asset,at,amount", f"ETH,{NOON},12.5"),
    "oracle_rounds": (
        "feed,round,updated_at,answer,decimals",
        f"ETH/USD,110680464442257309697,{NOON},190818855732,8",
    ),
    "reserves": ("venue,asset,at,supplied,borrowed", f"aave-v2,WETH,{NOON},10.5,5.25"),
    "liquidations": (
        "venue,key,account,at,collateral_asset,collateral,debt_asset,debt",
        f"aave-v2,0x1-2,a,{NOON},WETH,1.000000000000000001,DAI,5",
    ),
    "state": (
        "name,at,value,venue,market,chain",
        f"ETH-B.rate,{NOON},{10**27 + 1},,,",
        f"base_borrow_index,{NOON},{10**15 + 1},compound-v3,usdc,base",
        f"base_borrow_index,{NOON},{10**15 + 2},compound-v3,weth,",
    ),
    "terms": (
        "market,valid_from,body,venue,chain",
        f'ETH-B,{NOON},"{{""mat"": ""13""}}",maker,',
        f'core,{NOON},"{{""reserves"": {{}}}}",aave-v3,base',
    ),
    "positions": (
        "account,venue,version,market,owner,opened_at,at,legs",
        f'a,maker,dss,ETH-B,me,{NOON},{NOON},"{LEGS.replace(chr(34), chr(34) * 2)}"',
        f'b,maker,,ETH-B,,,{NOON},"{LEGS.replace(chr(34), chr(34) * 2)}"',
    ),
    "events": (
        "account,key,at,kind,collateral,debt,collateral_asset",
        f"a,0x1-3,{LATER},deposit,{10**30},0,ETH",
    ),
}


def written(directory: Path, table: str, rows: tuple[str, ...]) -> Path:
    """Return a CSV file."""
    path = directory / f"{table}.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_every_table_comes_back_as_it_went_in(tmp_path: Path, suffix: str) -> None:
    """Exported, imported into another store and exported again, nothing has changed."""
    first, second = (f"sqlite:///{tmp_path / name}.sqlite3" for name in ("first", "second"))
    assert set(ROWS) == set(TABLES)
    for table, rows in ROWS.items():
        import_table(str(written(tmp_path, table, rows)), store=first, table=table, now=NOW)
        once, twice = (tmp_path / f"{n}-{table}.{suffix}" for n in ("once", "twice"))
        assert export_table(once, store=first, table=table) == len(rows) - 1
        import_table(str(once), store=second, table=table, now=NOW)
        export_table(twice, store=second, table=table)
        read = pd.read_parquet if suffix == "parquet" else pd.read_csv
        pd.testing.assert_frame_equal(read(once), read(twice))
        again = import_table(str(once), store=second, table=table, now=NOW)
        assert again.added.repeated == (0 if table == "positions" else len(rows) - 1)


def test_what_was_imported_is_what_accounts_hold(tmp_path: Path) -> None:
    """Events are applied to the positions that were stated before them, exactly."""
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    for table in ("positions", "events"):
        path = written(tmp_path, table, ROWS[table])
        import_table(str(path), store=url, table=table, now=NOW)
    store = open_store(url)
    with store.read() as transaction:
        found = accounts.read(transaction, ["a"])["a"]
    store.close()
    assert found["legs"][0]["quantity"] == "1000000000000000000000000000003"
    assert found["events"][0]["at"] == LATER


def test_a_faulty_table_is_refused_whole_with_every_fault(tmp_path: Path) -> None:
    """Nothing of it is written, and the command says what is wrong and where."""
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    rows = (
        *ROWS["candles"],
        "BTC,spot,60,2030-01-01T12:00:30+00:00,1,2,1,1,0",
        "BTC,spot,60,2030-01-01T12:01:00+00:00,1,2,1.5,1,0",
    )
    told = CliRunner().invoke(
        app,
        ["import", str(written(tmp_path, "candles", rows)), "--store", url, "--table", "candles"],
    )
    assert told.exit_code == 2
    assert told.stderr.splitlines() == [
        "candles.csv:low,high:line 5: range does not hold open and close",
        "candles.csv:open_time:line 4: 2030-01-01T12:00:30+00:00 is not on a multiple of 60 s",
    ]
    rows = (
        ROWS["positions"][0],
        f'a,maker,dss,ETH-B,,,{NOON},"[{{""kind"": ""debt""}}]"',
        f"b,maker,dss,ETH-B,,,{NOON},[[",
    )
    path = str(written(tmp_path, "positions", rows))
    with pytest.raises(InvalidInput, match=r"positions.csv:legs:line 3: not JSON"):
        import_table(path, store=url, table="positions", now=NOW)
    path = str(written(tmp_path, "positions", rows[:2]))
    with pytest.raises(InvalidInput) as refused:
        import_table(path, store=url, table="positions", now=NOW)
    assert [fault.where for fault in refused.value.faults] == [
        "positions.csv:line 2/legs/0/asset",
        "positions.csv:line 2/legs/0/quantity",
    ]
    for table in ("candles", "positions"):
        assert export_table(tmp_path / "out.csv", store=url, table=table) == 0


def test_candles_off_their_grid_are_left_out_on_request_and_listed(tmp_path: Path) -> None:
    """Nothing is dropped unasked; what has no grid cannot be asked to."""
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    skewed = "BTC,spot,60,2030-01-01T12:00:30+00:00,1,2,1,1,0"
    path = str(written(tmp_path, "candles", (*ROWS["candles"], skewed)))
    asked = ["import", path, "--store", url, "--off-grid", "drop", "--table"]
    told = CliRunner().invoke(app, [*asked, "candles"])
    assert told.stdout == "candles: 2 written, 0 held already, 1 left out\n"
    fault = "candles.csv:open_time:line 4: 2030-01-01T12:00:30+00:00 is not on a multiple of 60 s"
    assert told.stderr == f"left out {fault}\n"
    refused = CliRunner().invoke(app, [*asked, "funding"])
    assert refused.stderr == "--off-grid: funding have no grid; candles have\n"


def test_the_command_moves_a_table_and_names_what_there_is(tmp_path: Path) -> None:
    """Import counts what is new; an unknown table and a missing file are told."""
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    path = str(written(tmp_path, "funding", ROWS["funding"]))
    run = CliRunner().invoke
    first = run(app, ["import", path, "--store", url, "--table", "funding"])
    second = run(app, ["import", path, "--store", url, "--table", "funding"])
    out = run(app, ["export", str(tmp_path / "f.parquet"), "--store", url, "--table", "funding"])
    assert first.stdout == "funding: 1 written, 0 held already\n"
    assert second.stdout == "funding: 0 written, 1 held already\n"
    assert out.stdout.startswith("funding: 1 rows in ")
    unknown = run(app, ["import", path, "--store", url, "--table", "fun"])
    assert (unknown.exit_code, unknown.stderr[:36]) == (2, "--table: 'fun' is not one of candles")
    missing = run(app, ["import", "no.csv", "--store", url, "--table", "funding"])
    assert (missing.exit_code, missing.stderr) == (2, "no.csv: file not found\n")
    refused = run(app, ["import", path, "--store", "mysql://h/d", "--table", "funding"])
    assert refused.exit_code == 1


def test_what_all_rows_share_may_be_given(tmp_path: Path) -> None:
    """A file of one kind of candle need not say so in every row; it must not say otherwise."""
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    rows = ("symbol,open_time,open,high,low,close,volume", f"ETH,{NOON},1.5,2.0,1.0,1.25,10.0")
    path = str(written(tmp_path, "candles", rows))
    shared = ["import", path, "--store", url, "--table", "candles", "--set", "kind=perp"]
    run = CliRunner().invoke
    assert run(app, [*shared, "--set", "step=60"]).stdout == "candles: 1 written, 0 held already\n"
    clash = run(app, [*shared, "--set", "step=60", "--set", "close=1"])
    assert clash.stderr == "candles.csv:close: stands in the file and is given as well\n"
    assert run(app, [*shared, "--set", "step"]).stderr == "--set: 'step' is not column=value\n"


def test_a_table_of_another_database_is_read_by_its_columns(database: str, tmp_path: Path) -> None:
    """A view with the schema's columns is enough; what breaks the schema is refused."""
    engine = sa.create_engine(database.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        for statement in (
            "CREATE TABLE paid (coin TEXT, moment TEXT, rate DOUBLE PRECISION, note TEXT)",
            "INSERT INTO paid VALUES ('ETH', '2030-01-01T12:00:00Z', 0.25, 'x')",
            "INSERT INTO paid VALUES ('BTC', '2030-01-01T12:00:00Z', 0.5, NULL)",
            "CREATE VIEW told AS SELECT coin AS asset, moment AS at, rate FROM paid",
        ):
            connection.execute(sa.text(statement))
    url = f"sqlite:///{tmp_path / 'mine.sqlite3'}"
    source = database.replace("postgresql://", "postgresql+psycopg://")
    assert import_table(source, store=url, table="funding", named="told", now=NOW).added == Added(
        written=2, repeated=0
    )
    with pytest.raises(InvalidInput, match="paid:asset: column missing"):
        import_table(source, store=url, table="funding", named="paid", now=NOW)
    with pytest.raises(InvalidInput, match="nowhere: not readable"):
        import_table(source, store=url, table="funding", named="nowhere", now=NOW)
    engine.dispose()


def test_faults_that_the_store_finds_are_told_by_file_column_and_row(
    database: str, tmp_path: Path
) -> None:
    """An unknown account, more taken than is held, another body under a known key."""
    head = ROWS["events"][0]
    import_table(
        str(written(tmp_path, "positions", ROWS["positions"])),
        store=database,
        table="positions",
        now=NOW,
    )
    known = f"a,0x/1,{LATER},deposit,5,0,ETH"
    import_table(
        str(written(tmp_path, "events", (head, known))), store=database, table="events", now=NOW
    )
    filler = f"b,0x/1,{LATER},deposit,5,0,ETH"
    for row, place, said in (
        (
            f"nobody,1,{LATER},deposit,1,0,ETH",
            "events.csv:account:line 3",
            "knows no account 'nobody'",
        ),
        (
            f"a,0x/2,{LATER},withdraw,900,0,ETH",
            "events.csv:collateral:line 3",
            "takes 900 of 8 ETH",
        ),
        (f"a,0x/1,{LATER},deposit,6,0,ETH", "events.csv:line 3", "with another body"),
    ):
        path = str(written(tmp_path, "events", (head, filler, row)))
        with pytest.raises(InvalidInput) as refused:
            import_table(path, store=database, table="events", now=NOW)
        (fault,) = refused.value.faults
        assert fault.where == place
        assert said in fault.message
