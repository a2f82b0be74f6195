"""Opening a store: new, older, up to date, newer, foreign and unreachable ones."""

import ast
import json
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from models.domain import UNPLACED, MarketId
from serving.application.stored_market import stored_snapshot
from serving.store import (
    Store,
    StoreRefused,
    accounts,
    alert_schema,
    connection_schema,
    governance_schema,
    market,
    open_store,
    order_schema,
    schema,
)
from serving.store.migrate import VERSION_TABLE, configuration, revision
from serving.store.migrations import versions
from serving.store.schema import HEAD, METADATA

AT = datetime(2030, 1, 2, 3, tzinfo=UTC)
LEGS = [
    {"kind": "collateral", "asset": "ETH", "quantity": "10000000000000000001"},
    {"kind": "debt", "asset": "DAI", "quantity": "7"},
]
OLD_ROWS = {
    "notes": [{"name": "clock", "value": "2030-01-02T03:00:00+00:00"}],
    "accounts": [
        {
            "account": "a",
            "venue": "maker",
            "version": "dss",
            "market": "ETH-B",
            "opened_at": 1893456000,
            "legs": json.dumps(LEGS),
            "options": "{}",
        }
    ],
    "events": [
        {
            "number": 4,
            "account": "a",
            "at": 1893456060,
            "kind": "deposit",
            "collateral": "10000000000000000001",
            "debt": "0",
        }
    ],
    "candles": [
        {
            "asset": "ETH",
            "hour": 525984,
            "open": 1.0,
            "high": 2.0,
            "low": 0.5,
            "close": 1.5,
            "volume": 9.0,
        }
    ],
    "prices": [
        {
            "asset": "ETH",
            "value": "1500000000000000000",
            "decimals": 18,
            "observed_at": 1893549600,
            "source": "osm",
            "next_value": "1400000000000000000",
            "next_at": 1893556800,
            "stale_after": 7200,
            "disputed": None,
        }
    ],
    "state": [{"name": "ETH-B.rate", "value": "1000000000000000000000000001"}],
    "terms": [{"market": "ETH-B", "valid_from": 1893456000, "body": '{"mat": "13"}'}],
}


def _old(url: str, upto: str) -> None:
    """Lay a store of an old revision that began as the first, with a row in every table."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        command.upgrade(configuration(connection), "0001")
        laid = sa.MetaData()
        laid.reflect(connection)
        for table, rows in OLD_ROWS.items():
            connection.execute(sa.insert(laid.tables[table]), rows)
        command.upgrade(configuration(connection), upto)
        if upto == "0001":
            connection.execute(sa.text(f"DROP TABLE {VERSION_TABLE}"))
    engine.dispose()


def _says_what_the_old_one_said(store: Store) -> None:
    """Check every row of `OLD_ROWS` in the words of today."""
    with store.read() as transaction:
        assert market.clock(transaction, now=AT) == AT
        around = stored_snapshot(transaction, at=AT, assets=["ETH"])
        held = accounts.read(transaction, ["a"], at=AT)["a"]
    price = around.prices["ETH"]
    assert price.exact == Fraction(3, 2)
    assert price.next_value == 1400000000000000000
    assert price.next_at == datetime(2030, 1, 2, 4, tzinfo=UTC)
    assert price.is_stale(datetime(2030, 1, 2, 4, 0, 1, tzinfo=UTC))
    facts = around.markets[MarketId("maker", "ETH-B")]
    assert set(around.markets) == {MarketId("maker", "ETH-B"), UNPLACED}
    assert facts.prices == {}
    assert facts.state == {"ETH-B.rate": 1000000000000000000000000001}
    assert facts.terms == ({"mat": "13"}, datetime(2030, 1, 1, tzinfo=UTC))
    assert around.candles["ETH"].first_hour == 525984
    assert around.candles["ETH"].close.tolist() == [1.5]
    assert held["legs"] == LEGS
    assert held["opened_at"] == "2030-01-01T00:00:00+00:00"
    assert held["events"] == [
        {
            "at": "2030-01-01T00:01:00+00:00",
            "kind": "deposit",
            "collateral": "10000000000000000001",
            "debt": "0",
        }
    ]


@pytest.mark.parametrize("upto", ["0001", "0002", "0003", "0004"])
def test_an_older_store_is_brought_up_with_its_rows(database: str, upto: str) -> None:
    """What an old store said, the new one says; opening it again changes nothing.

    The first had no table of revisions: it counted its schema in a note.
    """
    _old(database, upto)
    for _ in range(2):
        store = open_store(database)
        _says_what_the_old_one_said(store)
        store.close()


def test_positions_that_missed_events_are_mended(database: str) -> None:
    """What one event before the first position hid is applied; who cannot be mended is named."""
    engine = sa.create_engine(database)
    noon, hour = 1893499200 * 10**6, 3600 * 10**6
    leg = {"kind": "collateral", "asset": "ETH", "quantity": "100"}
    said = {"legs": json.dumps([leg]), "options": "{}", "terms": None, "received_at": noon}
    none = {"collateral_asset": None, "debt_asset": None, "debt": "0", "received_at": noon}
    with engine.begin() as connection:
        command.upgrade(configuration(connection), "0007")
        laid = sa.MetaData()
        laid.reflect(connection)

        def add(table: str, *rows: dict[str, object]) -> None:
            connection.execute(sa.insert(laid.tables[table]), rows)

        for name in ("hurt", "sound", "broken"):
            add("accounts", {"account": name, "venue": "maker", "market": "ETH-B"})
            add("positions", {"account": name, "at": noon, "origin": "stated", **said})
            add("holdings", {"account": name, "asset": "ETH", "kind": "collateral"})
            deposit = {"account": name, "kind": "deposit", **none}
            if name != "sound":
                add("events", {**deposit, "key": "0", "at": noon - hour, "collateral": "7"})
            add("events", {**deposit, "key": "1", "at": noon + hour, "collateral": "10"})
            wrong = "101" if name != "sound" else "110"
            legs = json.dumps([{**leg, "quantity": wrong}])
            add(
                "positions",
                {"account": name, "at": noon + 3 * hour, "origin": "events", **said, "legs": legs},
            )
        taken = {"account": "broken", "kind": "withdraw", "key": "2", **none}
        add("events", {**taken, "at": noon + 2 * hour, "collateral": "500"})
        bought = {**deposit, "account": "hurt", "key": "3", "collateral_asset": "WBTC"}
        add("events", {**bought, "at": noon + 2 * hour, "collateral": "3"})
    engine.dispose()
    store = open_store(database)
    with store.read() as transaction:
        found = accounts.read(transaction, ["hurt", "sound", "broken"])
        amounts = {
            name: {leg["asset"]: leg["quantity"] for leg in body["legs"]}
            for name, body in found.items()
        }
        held = transaction.execute(sa.select(METADATA.tables["holdings"].c["account", "asset"]))
        holdings = {tuple(row) for row in held}
        lines = transaction.execute(sa.select(METADATA.tables["audit"])).all()
    store.close()
    assert amounts == {
        "hurt": {"ETH": "110", "WBTC": "3"},
        "sound": {"ETH": "110"},
        "broken": {"ETH": "101"},
    }
    assert {asset for name, asset in holdings if name == "hurt"} == {"ETH", "WBTC"}
    assert [(line.action, line.subject) for line in lines] == [
        ("positions.replay", "broken"),
        ("positions.replay", "hurt"),
    ]
    assert lines[0].detail == {"refused": ["/broken/2/collateral: takes 500 of 110 ETH held"]}
    assert lines[1].detail["versions"] == 2


def test_the_tables_laid_by_revisions_are_those_of_the_schema(store: Store) -> None:
    """The schema and the revisions cannot drift apart."""
    with store.begin() as transaction:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(transaction, opts=options)
        assert schema.METADATA is alert_schema.METADATA is METADATA
        assert governance_schema.METADATA is METADATA
        assert connection_schema.METADATA is METADATA
        assert order_schema.METADATA is METADATA
        assert compare_metadata(context, METADATA) == []
        assert revision(transaction) == HEAD
        scripts = ScriptDirectory.from_config(configuration(transaction))
        assert scripts.get_heads() == [HEAD]


def test_a_newer_store_is_refused(database: str) -> None:
    """Nothing is read that this code does not understand."""
    open_store(database).close()
    engine = sa.create_engine(database)
    with engine.begin() as connection:
        table = sa.table(VERSION_TABLE, sa.column("version_num"))
        connection.execute(sa.update(table).values(version_num="9999"))
    engine.dispose()
    with pytest.raises(StoreRefused, match="revision '9999' is not known"):
        open_store(database)


def test_a_database_of_something_else_is_refused_and_left_alone(database: str) -> None:
    """No table is laid beside those of another program."""
    engine = sa.create_engine(database)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE invoices (number INTEGER)"))
    with pytest.raises(StoreRefused, match="not a store's: invoices"):
        open_store(database)
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["invoices"]
    engine.dispose()


def test_what_cannot_be_opened_is_refused_without_its_password(tmp_path: Path) -> None:
    """No file, no server, another kind of database, nonsense."""
    nowhere = f"postgresql://me:geheim@/db?host={tmp_path}"
    for url in ("sqlite:////nonexistent/place/book.sqlite3", nowhere, "mysql://h/d", "not a URL"):
        with pytest.raises(StoreRefused) as refused:
            open_store(url)
        assert "geheim" not in str(refused.value)
    (tmp_path / "text").write_text("no database at all, but long enough to be looked at closely")
    with pytest.raises(StoreRefused, match="not a database"):
        open_store(f"sqlite:///{tmp_path / 'text'}")


def test_no_revision_reads_code_that_goes_on_changing() -> None:
    """A step that was taken once does the same for whoever takes it years later."""
    places = sorted(Path(versions.__file__).parent.glob("r*.py"))
    assert len(places) >= 11
    for place in places:
        parsed = ast.parse(place.read_text(encoding="utf-8"))
        names = {node.module or "" for node in ast.walk(parsed) if isinstance(node, ast.ImportFrom)}
        ours = {name for name in names if name.split(".")[0] in {"models", "features", "serving"}}
        assert ours == set(), place.name
