"""The market's past: what is added stays, and a moment sees what was known then."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from features.table_schemas import TABLES
from features.tables import validate
from models.domain import MarketId, Price
from serving.store import Store, StoreConflict, frames, market
from serving.store.rows import Added
from serving.store.series import series

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
A = MarketId("maker", "A")


def price(value: int, *, at: datetime = NOON, source: str = "osm") -> Price:
    """Return a price with every field set."""
    return Price(
        value=value,
        decimals=18,
        observed_at=at,
        source=source,
        bid=value - 1,
        ask=value + 1,
        next_value=value + 2,
        next_at=at + HOUR,
        stale_after=timedelta(seconds=90, microseconds=1),
        disputed="two sources differ",
    )


def candles(symbol: str, first: datetime, closes: list[float]) -> pd.DataFrame:
    """Return hourly candles."""
    times = [first + i * HOUR for i in range(len(closes))]
    frame = pd.DataFrame({"symbol": symbol, "open_time": times, "close": closes})
    return frame.assign(open=1.0, high=9.0, low=0.5, volume=[float(i) for i in range(len(closes))])


def test_a_price_comes_back_exactly_from_the_moment_it_was_known(store: Store) -> None:
    """The newest at or before the question, to the microsecond; nothing from later."""
    later = NOON + timedelta(microseconds=1)
    told = [
        ("ETH", price(10**60 + 1)),
        ("ETH", price(2, at=later)),
        ("BTC", price(3, at=NOON - HOUR)),
        ("BTC", price(4, at=NOON - MINUTE)),
    ]
    with store.begin() as transaction:
        assert market.push_prices(transaction, told, now=later) == Added(written=4, repeated=0)
    with store.read() as transaction:
        assert market.prices(transaction, at=NOON) == {
            "BTC": price(4, at=NOON - MINUTE),
            "ETH": price(10**60 + 1),
        }
        assert market.prices(transaction, at=later)["ETH"] == price(2, at=later)
        assert market.prices(transaction, at=NOON - HOUR) == {"BTC": price(3, at=NOON - HOUR)}
        assert market.prices(transaction, at=NOON - 2 * HOUR) == {}


def test_the_same_price_twice_is_one_and_another_one_is_a_conflict(store: Store) -> None:
    """A repetition is counted; a contradiction refuses the whole batch, listing every row."""
    with store.begin() as transaction:
        market.push_prices(transaction, [("ETH", price(5))], now=NOON)
    with store.begin() as transaction:
        again = [("ETH", price(5)), ("ETH", price(6, source="other")), ("ETH", price(5))]
        told = market.push_prices(transaction, again, now=NOON + MINUTE)
    assert told == Added(written=1, repeated=2)
    wrong = [("SOL", price(1)), ("ETH", price(7)), ("BTC", price(1)), ("BTC", price(2))]
    with pytest.raises(StoreConflict) as refused, store.begin() as transaction:
        market.push_prices(transaction, wrong, now=NOON)
    assert [fault.where for fault in refused.value.faults] == ["/1", "/3"]
    with store.read() as transaction:
        assert set(market.prices(transaction, at=NOON)) == {"ETH"}


def test_accumulators_and_terms_keep_their_past(store: Store) -> None:
    """What was in force at a moment is told, with the time from which it was."""
    with store.begin() as transaction:
        market.push_state(transaction, A, {"A.rate": 10**30, "dirt": 1}, at=NOON - HOUR)
        market.push_state(transaction, A, {"A.rate": 10**30 + 1}, at=NOON)
        market.push_terms(transaction, A, {"mat": "1"}, valid_from=NOON - HOUR)
        market.push_terms(transaction, A, {"mat": "2"}, valid_from=NOON)
    with store.read() as transaction:
        before = NOON - MINUTE
        assert market.state(transaction, at=before) == {A: {"A.rate": 10**30, "dirt": 1}}
        assert market.state(transaction, at=NOON) == {A: {"A.rate": 10**30 + 1, "dirt": 1}}
        assert market.terms(transaction, at=before) == {A: ({"mat": "1"}, NOON - HOUR)}
        assert market.terms(transaction, at=NOON) == {A: ({"mat": "2"}, NOON)}


def test_only_closed_candles_of_the_assets_asked_about_are_loaded(store: Store) -> None:
    """A gap stays a gap; what closes later, is older than the lookback or another's is not seen."""
    with store.begin() as transaction:
        market.push_candles(transaction, candles("ETH", NOON - 5 * HOUR, [1.0, 2.0]))
        market.push_candles(transaction, candles("ETH", NOON - 2 * HOUR, [4.0, 5.0, 6.0]))
        market.push_candles(transaction, candles("BTC", NOON - 2 * HOUR, [7.0]))
        market.push_candles(transaction, candles("ETH", NOON - HOUR, [8.0]), kind="mark")
        market.push_candles(transaction, candles("ETH", NOON - HOUR, [9.0]), step=60)
    with store.read() as transaction:
        found = market.candles(transaction, ["ETH", "SOL"], at=NOON, lookback=4 * HOUR)
    assert set(found) == {"ETH"}
    assert found["ETH"].first_hour == 525968
    np.testing.assert_array_equal(found["ETH"].close, [2.0, np.nan, 4.0, 5.0])
    np.testing.assert_array_equal(found["ETH"].volume, [1.0, np.nan, 0.0, 1.0])


def test_a_mark_candle_has_no_volume_and_a_revised_candle_is_a_conflict(store: Store) -> None:
    """A missing volume stays missing; an exchange's second thought does not change the past."""
    marks = candles("ETH", NOON - HOUR, [8.0]).drop(columns="volume")
    with store.begin() as transaction:
        told = market.push_candles(transaction, marks, kind="mark")
        again = market.push_candles(transaction, marks, kind="mark")
    assert (told, again) == (Added(written=1, repeated=0), Added(written=0, repeated=1))
    with store.read() as transaction:
        found = market.candles(transaction, ["ETH"], at=NOON, kind="mark")
    assert np.isnan(found["ETH"].volume).all()
    with pytest.raises(StoreConflict, match="/0: candles holds"), store.begin() as transaction:
        market.push_candles(transaction, marks.assign(close=8.5), kind="mark")


def test_what_is_read_beside_the_candles_counts_from_when_it_was_known(store: Store) -> None:
    """Nothing from later or older than the lookback; an empty reserve has no utilisation."""
    tables = {
        "funding": [("ETH", NOON - 9 * HOUR, 0.5), ("ETH", NOON - HOUR, -0.25), ("SOL", NOON, 1.0)],
        "open_interest": [("ETH", NOON, 2.0), ("ETH", NOON + HOUR, 3.0)],
        "reserves": [("v", "ETH", NOON - HOUR, 0.0, 0.0), ("v", "ETH", NOON, 8.0, 2.0)],
        "oracle_rounds": [("ETH/USD", "1", NOON - timedelta(microseconds=1), 150 * 10**8, 8)],
    }
    with store.begin() as transaction:
        for name, rows in tables.items():
            names = [column.name for column in TABLES[name].columns]
            frame = validate(pd.DataFrame(rows, columns=names), TABLES[name], file=name)
            frames.write(transaction, name, frame, file=name, now=NOON)
    with store.read() as transaction:
        found = series(transaction, ["ETH"], at=NOON, lookback=4 * HOUR)
    noon = 1893499200
    told = {
        name: {key: (r.at.tolist(), r.value.tolist()) for key, r in getattr(found, name).items()}
        for name in ("funding", "open_interest", "rounds", "utilisation", "liquidity")
    }
    assert told == {
        "funding": {"ETH": ([noon - 3600], [-0.25])},
        "open_interest": {"ETH": ([noon], [2.0])},
        "rounds": {"ETH": ([noon], [150.0])},
        "utilisation": {("v", "ETH"): ([noon], [0.25])},
        "liquidity": {("v", "ETH"): ([noon - 3600, noon], [0.0, 6.0])},
    }
