"""PostgreSQL compiles none of the store's statements: it would take seconds to save nothing."""

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from models.domain import Price
from serving.store import Store, market
from serving.store.rows import latest
from serving.store.schema import PRICES

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def priced(store: Store) -> Store:
    """Return a store on PostgreSQL with one price, of which the server has no statistics yet."""
    if store.dialect != "postgresql":
        pytest.skip("SQLite compiles nothing")
    price = Price(value=2000, decimals=0, bid=2000, ask=2000, observed_at=NOW)
    with store.begin() as transaction:
        market.push_prices(transaction, [("ETH", price)], now=NOW)
    return store


@pytest.mark.parametrize("pool", ["engine", "readers", "probes"])
def test_the_newest_prices_are_read_without_compiling(priced: Store, pool: str) -> None:
    """The planner reckons a billion for what steps through an index in a millisecond."""
    names = ("venue", "market", "chain", "asset")
    chosen = latest(PRICES, names=names, time="observed_at").params(at=NOW)
    engine: sa.Engine = getattr(priced, pool)
    with engine.connect() as connection:
        statement = chosen.compile(connection, compile_kwargs={"literal_binds": True})
        (plan,) = explained(connection, str(statement))
        connection.exec_driver_sql("SET jit = on")
        (compiled,) = explained(connection, str(statement))
    assert plan["Plan"]["Actual Rows"] == 1
    assert "JIT" not in plan
    # Where the server compiles at all, this is a statement that it would compile.
    assert compiled["Plan"]["Total Cost"] > 100_000


def explained(connection: sa.Connection, statement: str) -> list[dict[str, Any]]:
    """Return how the server carried a statement out."""
    text = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
    return list(connection.exec_driver_sql(text).scalar_one())
