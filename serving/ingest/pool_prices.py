"""Prices of a market whose oracle is the mean tick of a Uniswap v3 pool over a window."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from features.tables import Column, Table, read_file
from models.domain import MarketId, Price
from models.errors import Fault, InvalidInput
from models.margin.result import Refusal
from models.margin.uniswap_v3 import MAX_TICK, Pair, TickChange, twap_price
from serving.schemas.market_names import venue_faults
from serving.store import market as markets
from serving.store import open_store
from serving.store.rows import Added

TICKS = Table(
    name="ticks",
    columns=(
        Column(name="at", dtype="time", unit="UTC, in force from then"),
        Column(name="tick", dtype="whole", unit="log 1.0001", low=-MAX_TICK, high=MAX_TICK),
    ),
)


def ticks(file: Path) -> tuple[TickChange, ...]:
    """Read the ticks of a pool in order of time; of several in one second the last counts.

    Raises
    ------
    InvalidTable
        Listing every fault of the file with its place.
    """
    frame = read_file(file, TICKS).sort_values("at", kind="stable")
    pairs = zip(frame["at"], frame["tick"], strict=True)
    return tuple(TickChange(int(at.timestamp()), int(tick)) for at, tick in pairs)


def means(changes: Sequence[TickChange], pair: Pair, *, window: int, every: int) -> Iterator[Price]:
    """Yield the pool's mean price at every multiple of some seconds that the ticks cover.

    Parameters
    ----------
    changes
        In order of time; the last says how far the ticks reach.
    window
        Seconds over which the oracle takes its mean.
    every
        Seconds between two prices.

    Raises
    ------
    InvalidInput
        When the ticks reach over less than one window.
    """
    times = [change.at for change in changes]
    first = -(-(times[0] + window) // every) * every if times else 0
    if not times or first > times[-1]:
        raise InvalidInput([Fault("at", f"the ticks reach over less than the window, {window} s")])
    for moment in range(first, times[-1] + 1, every):
        # What lies before the tick in force when the window begins says nothing of it.
        read = changes[bisect_right(times, moment - window) - 1 : bisect_right(times, moment)]
        at = datetime.fromtimestamp(moment, tz=UTC)
        mean = twap_price(
            read, pair, at=at, window=window, stale_after=timedelta(seconds=2 * every)
        )
        if isinstance(mean, Refusal):
            raise InvalidInput([Fault("at", mean.detail)])
        yield mean


def import_pool(
    file: Path,
    *,
    store: str,
    asset: str,
    of: MarketId,
    pair: Pair,
    window: int,
    every: int,
    now: datetime,
) -> Added:
    """Write the prices of a pool's ticks as those of a market's oracle: all of them or none.

    Raises
    ------
    InvalidInput
        Listing every fault of the file, when there is no such venue, or when the store holds
        another price of the pool.
    StoreRefused, StoreFailed
        When the store cannot be opened, or fails.
    """
    if faults := venue_faults(of.venue, where="venue"):
        raise InvalidInput(faults)
    prices = list(means(ticks(file), pair, window=window, every=every))
    opened = open_store(store)
    try:
        with opened.begin() as transaction:
            quotes = [(asset, price) for price in prices]
            return markets.push_prices(transaction, quotes, now=now, of=of)
    finally:
        opened.close()
