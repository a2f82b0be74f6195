"""Breakers over recorded stress: they open when it came, close again, and sleep when it is calm.

Five-minute closes of Binance spot in 2021-05/06, 2022-05/06 and 2024-07/09, and two famous
prints: LINK at 0.0001 on 2020-03-12, and the ETH perpetual's last price of 1,401 on 2021-05-19,
which its mark never followed.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise

import pandas as pd
import pytest
from vectors import SHARED

from models.parameters.breakers import (
    Breaker,
    Opening,
    Signal,
    Standing,
    disagreement,
    moves,
    observe,
    replay,
)

MARKET = SHARED.parent / "data" / "market"
STRESS = MARKET / "binance_spot_5m_stress.parquet"
pytestmark = pytest.mark.skipif(not STRESS.exists(), reason=f"{STRESS.name} is absent")
MINUTE = timedelta(minutes=1)
FIVE = Breaker(
    name="five minutes",
    signal=Signal.PRICE_MOVE_5M,
    trip=0.05,
    clear=0.02,
    hold=1,
    shortest=15 * MINUTE,
    longest=240 * MINUTE,
    cooldown=15 * MINUTE,
    trips_unknown=False,
)


@cache
def closes(symbol: str) -> tuple[tuple[datetime, float], ...]:
    """Return a symbol's closes by when they were known."""
    frame = pd.read_parquet(STRESS, columns=["symbol", "open_time", "close"])
    frame = frame[frame["symbol"] == symbol].drop_duplicates("open_time").sort_values("open_time")
    times = frame["open_time"] + timedelta(minutes=5)
    return tuple(
        (at.to_pydatetime(), float(close)) for at, close in zip(times, frame["close"], strict=True)
    )


@cache
def openings(symbol: str) -> tuple[Opening, ...]:
    """Return when the breaker would have been open."""
    return replay(FIVE, moves(closes(symbol), span=timedelta(minutes=5)))


@pytest.mark.parametrize("symbol", ["BTC", "ETH", "LINK"])
def test_it_opens_on_the_day_of_the_crash(symbol: str) -> None:
    """2021-05-19, and never for longer than its bound."""
    assert any(opening.begin.date().isoformat() == "2021-05-19" for opening in openings(symbol))
    for opening in openings(symbol):
        assert opening.end is not None
        assert FIVE.shortest <= opening.end - opening.begin <= FIVE.longest
        assert not opening.is_escalated


def test_it_does_not_flap() -> None:
    """Between a closing and the next opening its cooldown passes; six openings in all of ETH."""
    found = openings("ETH")
    assert len(found) == 6
    for before, after in pairwise(found):
        assert before.end is not None
        assert after.begin - before.end >= FIVE.cooldown


def test_none_in_the_calmest_week() -> None:
    """The week of the least realised variance of ETH."""
    series = pd.Series(dict(closes("ETH")))
    squares = series.pct_change() ** 2
    weekly = squares.resample("7D").agg(["sum", "count"])
    whole = weekly[weekly["count"] > 2000]
    begin = whole["sum"].idxmin().to_pydatetime()
    end = begin + timedelta(days=7)
    assert not any(begin <= opening.begin < end for opening in openings("ETH"))


def hour(file: str, symbol: str, at: datetime) -> pd.Series:
    """Return the candle of an hour."""
    frame = pd.read_parquet(MARKET / file)
    rows = frame[(frame["symbol"] == symbol) & (frame["open_time"] == pd.Timestamp(at))]
    return rows.iloc[0]


def test_a_flash_print_trips_the_breaker_of_sources() -> None:
    """One source at 0.0001 against the hour's open and close is a disagreement near 1."""
    row = hour("binance_spot_1h.parquet", "LINK", datetime(2020, 3, 12, 10, tzinfo=UTC))
    assert row["low"] == 0.0001
    sources = Breaker(
        name="sources",
        signal=Signal.PRICE_DISAGREEMENT,
        trip=0.05,
        clear=0.01,
        hold=1,
        shortest=MINUTE,
        longest=60 * MINUTE,
    )
    gap = disagreement([row["low"], row["open"], row["close"]])
    assert gap is not None
    assert observe(sources, Standing(), gap, at=datetime(2020, 3, 12, 11, tzinfo=UTC)).is_open
    assert disagreement([row["open"]]) is None


def test_a_last_price_that_the_mark_never_followed_trips_nothing() -> None:
    """The ETH perpetual traded at 1,401 within an hour whose mark fell to 1,764."""
    frame = pd.read_parquet(MARKET / "binance_perp_1h.parquet")
    day = frame[
        (frame["symbol"] == "ETH") & (frame["open_time"].dt.date.astype(str) == "2021-05-19")
    ]
    low = day.loc[day["low"].idxmin()]
    at = low["open_time"].to_pydatetime()
    mark = hour("binance_mark_1h.parquet", "ETH", at)
    before = hour("binance_mark_1h.parquet", "ETH", at - timedelta(hours=1))
    breaker = Breaker(
        name="mark",
        signal=Signal.PRICE_MOVE_1H,
        trip=0.35,
        clear=0.1,
        hold=1,
        shortest=MINUTE,
        longest=240 * MINUTE,
    )
    by_mark = abs(mark["low"] / before["close"] - 1)
    by_last = abs(low["low"] / before["close"] - 1)
    assert (round(low["low"]), round(mark["low"])) == (1401, 1764)
    later = at + timedelta(hours=1)
    assert not observe(breaker, Standing(), float(by_mark), at=later).is_open
    assert observe(breaker, Standing(), float(by_last), at=later).is_open
