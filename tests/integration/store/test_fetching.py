"""Keeping up with an exchange that pages, repeats itself, breaks off and talks nonsense."""

import doctest
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from serving.cli.serve import app
from serving.ingest import fetcher as fetching
from serving.ingest.exchange import Exchange, ExchangeFailed, ExchangeSeries, find
from serving.ingest.fetcher import Fetcher, FetchRequest, follow, read_page
from serving.store import Store, market, open_store

FIRST = 525_960
"""Hours from 1970 to 2030."""

AT = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
SPOT = ExchangeSeries(asset="ETH", quote="USDT", kind="spot")
MARK = ExchangeSeries(asset="ETH", quote="USDT", kind="mark")
FUNDING = ExchangeSeries(asset="ETH", quote="USDT", kind="funding")
KLINES = "/api/v3/klines"


def candle(close: float = 1.0) -> list[str]:
    """Return a candle as Binance tells it."""
    return ["1.0", "9.0", "0.5", str(close), "3.25"]


@pytest.fixture
def slept() -> list[float]:
    """Return the pauses that were made."""
    return []


@pytest.fixture
def asking(binance: Any, slept: list[float]) -> Exchange:
    """Return an exchange that is asked at full speed."""
    client = find("binance", api=binance.url).client
    client.enableRateLimit = False
    return Exchange(client=client, sleep=slept.append, jitter=random.Random(1))  # noqa: S311 - pauses


def wish(*lines: ExchangeSeries, since: datetime = AT) -> FetchRequest:
    """Return a wish for hourly candles."""
    return FetchRequest(lines=lines, since=since, step=3600)


def closes(store: Store, until: datetime, kind: str = "spot") -> list[float]:
    """Return the closes that the store holds since 2030, NaN where there is none."""
    with store.read() as transaction:
        found = market.candles(transaction, ["ETH"], at=until, lookback=until - AT, kind=kind)
    return found["ETH"].close.tolist() if found else []


def test_gaps_are_what_is_not_stored() -> None:
    """The example in the documentation holds."""
    assert doctest.testmod(fetching).failed == 0
    assert fetching.gaps(set(), range(5, 5)) == []
    assert fetching.gaps({5, 6}, range(5, 7)) == []


def test_only_closed_candles_are_taken_page_by_page(
    binance: Any, asking: Exchange, store: Store
) -> None:
    """Closed by both clocks and settled; the next pass asks for what came since, no more."""
    binance.candles[KLINES] = {FIRST + i: candle(1.0 + i) for i in range(6)}
    binance.page = 2
    binance.time = (FIRST + 4) * HOUR_MS + 1
    fetcher = Fetcher(store=store, exchange=asking)
    told = list(fetcher.run(wish(SPOT), now=AT + 5.5 * HOUR))
    assert [(one.written, one.faults) for one in told] == [(3, ())]
    assert closes(store, AT + 5 * HOUR) == [1.0, 2.0, 3.0]
    binance.asked.clear()
    binance.time = (FIRST + 9) * HOUR_MS
    told = list(fetcher.run(wish(SPOT), now=AT + 5 * HOUR + timedelta(seconds=4)))
    assert told[0].written == 2
    assert closes(store, AT + 5 * HOUR) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert binance.asked == [f"{KLINES}?{(FIRST + 3) * HOUR_MS}"]
    binance.asked.clear()
    assert next(fetcher.run(wish(SPOT), now=AT + 5.1 * HOUR)).written == 0
    assert binance.asked == []


def test_a_gap_is_closed_when_the_candle_comes_late(
    binance: Any, asking: Exchange, store: Store
) -> None:
    """A hole is asked for again by a new process, and only the hole."""
    binance.time = (FIRST + 9) * HOUR_MS
    binance.candles[KLINES] = {FIRST + i: candle(float(i)) for i in (1, 4, 5)}
    fetcher = Fetcher(store=store, exchange=asking)
    assert next(fetcher.run(wish(SPOT), now=AT + 6.5 * HOUR)).written == 3
    binance.asked.clear()
    assert next(fetcher.run(wish(SPOT), now=AT + 6.6 * HOUR)).written == 0
    assert binance.asked == []
    binance.candles[KLINES][FIRST + 2] = candle(2.0)
    again = Fetcher(store=store, exchange=asking)
    assert next(again.run(wish(SPOT), now=AT + 6.7 * HOUR)).written == 1
    assert binance.asked == [
        f"{KLINES}?{FIRST * HOUR_MS}",
        f"{KLINES}?{(FIRST + 2) * HOUR_MS}",
    ]
    np.testing.assert_array_equal(closes(store, AT + 6 * HOUR), [1.0, 2.0, np.nan, 4.0, 5.0])


@contextmanager
def openings_read(store: Store) -> Iterator[list[int]]:
    """Yield how many rows of candles each selection meanwhile was answered with."""
    counts: list[int] = []

    def note(connection: Any, _: Any, text: str, parameters: Any, *__: Any) -> None:
        if text.startswith("SELECT") and "FROM candles" in text and "count(" not in text:
            counted = f"SELECT count(*) FROM ({text}) AS answer"  # noqa: S608 - of the statement
            counts.append(connection.exec_driver_sql(counted, parameters).scalar_one())

    sa.event.listen(store.readers, "before_cursor_execute", note)
    try:
        yield counts
    finally:
        sa.event.remove(store.readers, "before_cursor_execute", note)


def test_a_pass_reads_what_closed_since_and_what_is_open(
    binance: Any, asking: Exchange, store: Store
) -> None:
    """Forty stored candles are read once; a candle that stays unsound holds nothing up."""
    binance.time = (FIRST + 99) * HOUR_MS
    binance.candles[KLINES] = {FIRST + i: candle(1.0 + i / 10) for i in range(50)}
    first = Fetcher(store=store, exchange=asking)
    assert next(first.run(wish(SPOT), now=AT + 40.5 * HOUR)).written == 40
    binance.candles[KLINES][FIRST + 41] = ["1.0", "0.9", "0.5", "1.0", "3.25"]
    fetcher = Fetcher(store=store, exchange=asking)
    with openings_read(store) as counts:
        written = [
            next(fetcher.run(wish(SPOT), now=AT + hour * HOUR)).written
            for hour in (41.5, 42.5, 44.5, 45.5)
        ]
    assert written == [1, 0, 2, 1]
    # Of later passes: nothing of the open candle, nor of what has just closed.
    assert counts == [40, 0, 0, 0, 0, 0]
    binance.candles[KLINES][FIRST + 41] = candle(5.1)
    assert next(fetcher.run(wish(SPOT), now=AT + 45.6 * HOUR)).written == 1
    assert len(closes(store, AT + 45 * HOUR)) == 45


@pytest.mark.parametrize(
    ("mood", "least"),
    [
        ((429, {"Retry-After": "7"}), 7.0),
        ((418, {}), 0.5),
        ((503, {}), 0.5),
        ("<html>Cloud says no</html>", 0.5),
        ('{"code": -1003, "msg": "Way too many requests"}', 0.5),
        ("[[1, 2", 0.5),
        ((200, {"X-Length": "9999999"}), 0.5),
    ],
)
def test_an_exchange_in_a_mood_is_asked_again_later(
    binance: Any, asking: Exchange, slept: list[float], tmp_path: Any, mood: Any, least: float
) -> None:
    """Not before it wishes, and nothing of what it said meanwhile is written."""
    store = open_store(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    asking.client.timeout = 500
    binance.time = (FIRST + 2) * HOUR_MS
    binance.candles[KLINES] = {FIRST: candle(5.0)}
    binance.moods = [mood]
    told = next(Fetcher(store=store, exchange=asking).run(wish(SPOT), now=AT + 1.5 * HOUR))
    assert (told.written, told.faults) == (1, ())
    assert len(slept) == 1
    assert slept[0] >= least
    assert closes(store, AT + HOUR) == [5.0]
    store.close()


def test_an_exchange_that_stays_in_its_mood_is_told_and_others_go_on(
    binance: Any, asking: Exchange, slept: list[float], store: Store
) -> None:
    """Six tries, ever later; what was written before stays; the next series is fetched."""
    binance.time = (FIRST + 9) * HOUR_MS
    binance.candles[KLINES] = {FIRST + i: candle() for i in range(3)}
    binance.candles["/fapi/v1/markPriceKlines"] = {FIRST: candle(7.0)}
    binance.page = 2
    fetcher = Fetcher(store=store, exchange=asking)
    assert next(fetcher.run(wish(SPOT), now=AT + HOUR + 4 * fetching.SETTLE)).written == 1
    binance.moods = [(500, {})] * 6
    told = list(fetcher.run(wish(SPOT, MARK), now=AT + 3.5 * HOUR))
    assert [one.written for one in told] == [0, 1]
    assert "asked 6 times" in str(told[0].faults[0])
    assert [second > first for first, second in pairwise(slept)] == [True] * 4
    with store.read() as transaction:
        marks = market.candles(transaction, ["ETH"], at=AT + 9 * HOUR, kind="mark")
    assert marks["ETH"].close.tolist() == [7.0]
    assert np.isnan(marks["ETH"].volume).all()


def test_unsound_rows_are_left_out_and_told() -> None:
    """Half an hour off, no price, nothing, a range that does not hold, told twice differently."""
    base = FIRST * HOUR_MS
    sound = [base, 1.0, 2.0, 0.5, 1.5, 9.0]
    rows: list[list[Any]] = [
        [base + 4 * HOUR_MS, 1.0, 2.0, 0.5, 1.5, 9.0],
        sound,
        list(sound),
        [base + 1, 1.0, 2.0, 0.5, 1.5, 9.0],
        [base + HOUR_MS, None, 2.0, 0.5, 1.5, 9.0],
        [base + HOUR_MS, 0.0, 2.0, 0.0, 1.5, 9.0],
        [base + HOUR_MS, 1.0, float("nan"), 0.5, 1.5, 9.0],
        [base + HOUR_MS, 1.0, 1.2, 0.5, 1.5, 9.0],
        [base + 2 * HOUR_MS, 1.0, 2.0, 0.5, 1.5, 9.0],
        [base + 2 * HOUR_MS, 1.0, 2.0, 0.5, 1.6, 9.0],
        [],
        [base + 9 * HOUR_MS, 1.0, 2.0, 0.5, 1.5, 9.0],
    ]
    page = read_page(rows, SPOT, range(FIRST, FIRST + 6), step=3600)
    assert {place: c["open_time"] for place, c in page.candles.items()} == {
        FIRST: AT,
        FIRST + 4: AT + 4 * HOUR,
    }
    assert len(page.faults) == 7
    assert page.reached == FIRST + 9
    assert page.vacant == frozenset()


def test_funding_is_fetched_from_the_last_payment_on(
    binance: Any, asking: Exchange, store: Store
) -> None:
    """Each payment once, at the millisecond it was made; what is to come is not taken."""
    times = [FIRST * HOUR_MS + i * 8 * HOUR_MS + 3 for i in range(4)]
    binance.rates = [(at, "-0.00012") for at in times]
    binance.time = times[2] + 60_000
    binance.page = 2
    fetcher = Fetcher(store=store, exchange=asking)
    now = AT + 100 * HOUR
    assert next(fetcher.run(wish(FUNDING), now=now)).written == 3
    binance.asked.clear()
    binance.time = times[3] + 60_000
    assert next(fetcher.run(wish(FUNDING), now=now)).written == 1
    assert binance.asked[0] == f"/fapi/v1/fundingRate?{times[2] + 1}"
    with store.read() as transaction:
        assert market.last_funding(transaction, "ETH") == AT + timedelta(hours=24, milliseconds=3)


def test_following_passes_at_every_close(binance: Any, asking: Exchange, store: Store) -> None:
    """It sleeps until the next candle has closed and settled."""
    binance.time = (FIRST + 99) * HOUR_MS
    binance.candles[KLINES] = {FIRST + i: candle(float(i + 1)) for i in range(9)}
    times = iter([AT + 1.25 * HOUR, AT + 1.25 * HOUR, AT + 2 * HOUR + 5 * fetching.SETTLE])
    slept: list[float] = []
    sleep: Callable[[float], None] = slept.append
    passes = follow(
        Fetcher(store=store, exchange=asking),
        lambda: wish(SPOT),
        clock=times.__next__,
        sleep=sleep,
    )
    assert [next(passes).written, next(passes).written] == [1, 1]
    assert slept == [2706.0]


def test_an_exchange_or_a_market_that_is_not_there_is_told_at_once(
    asking: Exchange, slept: list[float]
) -> None:
    """Asking again would not help."""
    with pytest.raises(ExchangeFailed, match="not an exchange"):
        find("binanze")
    doge = ExchangeSeries(asset="DOGE", quote="USDT", kind="spot")
    with pytest.raises(ExchangeFailed, match="does not have market symbol DOGE/USDT"):
        asking.candles(doge, since=AT, step=3600, count=1)
    with pytest.raises(ExchangeFailed, match="no candles of 7 s"):
        asking.candles(SPOT, since=AT, step=7, count=1)
    assert slept == []


def test_the_command_fetches_into_a_store(binance: Any, tmp_path: Any) -> None:
    """One pass, told line by line; an unknown kind is refused."""
    now = datetime.now(tz=UTC)
    hours = int(now.timestamp()) // 3600
    binance.time = int(now.timestamp() * 1000)
    binance.candles[KLINES] = {hours - i: candle() for i in range(30)}
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    asked = ["fetch", "--symbols", "ETH", "--days", "1", "--store", url, "--api", binance.url]
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 0, told.output
    assert told.stdout in {"ETH/USDT spot: 23 written\n", "ETH/USDT spot: 24 written\n"}
    wrong = CliRunner().invoke(app, [*asked, "--kinds", "spot,moon"])
    assert wrong.exit_code == 2
    assert "--kinds: 'moon' is not one of spot" in wrong.stderr
