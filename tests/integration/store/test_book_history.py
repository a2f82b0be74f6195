"""Past forecasts of the book beside what came true, and how often they were exceeded."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from serving.application import book_risk
from serving.store import accounts, book_forecasts, connections, market, open_store
from serving.store.schema import EVENTS
from serving.watch.gauges import gauges

AT = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ACCOUNT = {"id": "a", "venue": "maker", "market": "ETH-B", "legs": []}


def quantiles(low: float, high: float) -> dict[str, object]:
    """Return what a forecast keeps of one way in which owners act."""
    levels = ((0.95, low), (0.99, high))
    return {"liquidated": [{"level": level, "value": value} for level, value in levels]}


def test_what_came_is_the_debt_of_who_was_liquidated_within_the_day(tmp_path: Path) -> None:
    """Of two forecasts the first is past: one of two accounts fell, above 95 % as owners act.

    Kupiec of one in two days at 5 %: 2 (2 ln .5 - ln .05 - ln .95) = 3.3215, p .06838.
    """
    store = open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}")
    body = {
        "horizons": {
            "24h": {
                "stressed": {
                    "unattended": quantiles(500.0, 900.0),
                    "expected": quantiles(50.0, 200.0),
                }
            }
        },
        "debts": {"a": 100.0, "b": 40.0},
    }
    with store.begin() as transaction:
        accounts.upsert(transaction, [ACCOUNT, {**ACCOUNT, "id": "b"}], at=AT, now=AT)
        for place, name in enumerate(("first", "second", "third")):
            at = AT + place * DAY
            book_forecasts.begin(transaction, name, {"selection": {}}, at=at, now=at)
            book_forecasts.update(
                transaction, name, done=1.0, now=at, status=book_forecasts.DONE, body=body
            )
        for key, moved in (("x", timedelta(hours=5)), ("y", timedelta(hours=6))):
            row = {"account": "a", "key": key, "at": AT + moved, "kind": "liquidate"}
            row |= {"collateral": 1, "debt": 1, "received_at": AT}
            transaction.execute(sa.insert(EVENTS).values(**row))
    with store.read() as transaction:
        found = book_risk.points(transaction, limit=10, now=AT + 2 * DAY)
    assert [(one.id, one.realised) for one in found] == [
        ("third", None),
        ("second", 0.0),
        ("first", 100.0),
    ]
    tests = book_risk.tests_of(found)
    assert {level: told["exceedances"] for level, told in tests["expected"].items()} == {
        "0.95": 1,
        "0.99": 0,
    }
    assert tests["unattended"]["0.95"]["exceedances"] == 0
    assert tests["expected"]["0.95"]["kupiec_p"] == pytest.approx(0.06838, abs=1e-5)
    assert book_risk.tests_of(found[:2]) == {}
    store.close()


def test_a_forecast_of_a_part_is_not_told_as_of_the_book(tmp_path: Path) -> None:
    """The newest is of one venue: the metrics, the history and its limit go by the one before."""
    store = open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}")
    with store.begin() as transaction:
        market.write_notes(transaction, {"clock": (AT + DAY).isoformat()})
        for place, chosen in enumerate(({"venue": None}, {"venue": "maker"})):
            at, name = AT + place * timedelta(hours=1), f"forecast-{place}"
            book_forecasts.begin(transaction, name, {"selection": chosen}, at=at, now=at)
            loss = {**quantiles(100.0 / (1 + place), 200.0), "mean_bad_debt": 0.0}
            horizons = {"24h": {"stressed": {"unattended": loss, "expected": loss}}}
            book_forecasts.update(
                transaction,
                name,
                done=1.0,
                now=at,
                status=book_forecasts.DONE,
                body={"horizons": horizons, "debts": {}},
            )
    with store.read() as transaction:
        found = book_risk.points(transaction, limit=1, now=AT + DAY)
    assert [one.id for one in found] == ["forecast-0"]
    told = {reading.name: reading.values for reading in gauges(store, now=AT + DAY)}
    losses = {labels["quantile"]: value for value, labels in told["forewarn_book_lar_usd"]}
    assert losses == {"0.95": 100.0, "0.99": 200.0}
    assert told["forewarn_book_forecast_age_seconds"] == ((24 * 3600.0, {}),)
    store.close()


def test_connections_and_the_store_are_gauges(database: str) -> None:
    """The store tells its size, and each connection what its venue judges otherwise."""
    store = open_store(database)
    with store.begin() as transaction:
        connections.write(transaction, "mine", {"venue": "aave-v3"}, sealed=None, now=AT)
    told = {one.name: one.values for one in gauges(store, now=AT)}
    assert told["forewarn_connection_mismatches"] == ((0.0, {"connection": "mine"}),)
    ((before, _),) = told["forewarn_store_bytes"]
    with store.begin() as transaction:
        market.write_notes(transaction, {f"note-{k}": "x" * 190 for k in range(10_000)})
    ((after, _),) = {one.name: one.values for one in gauges(store, now=AT)}["forewarn_store_bytes"]
    assert 2_000_000 < after - before < 20_000_000
    store.close()
