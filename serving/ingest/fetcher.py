"""Keep a store's candles and funding rates up with an exchange.

The store is asked what it lacks, and only that is fetched: after a stop, a gap or a late candle
the next pass closes what is open. A whole series is looked through once; from then on a pass
looks at what closed since and at what is still open. A candle is taken once it has closed by the
exchange's clock and by ours; every page is committed on its own, so that a crash loses at most
one.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from models.errors import Fault
from serving.ingest.exchange import PAGE, Exchange, ExchangeFailed, ExchangeSeries
from serving.store import Store, StoreConflict, StoreFailed, market

SETTLE = timedelta(seconds=3)
"""How long after its close an exchange may still change a candle."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
FUNDING = "funding"
PRICES = ("open", "high", "low", "close")
VALUES = (*PRICES, "volume")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a pass over one series did.

    Parameters
    ----------
    written
        New candles or rates.
    faults
        Rows that were left out, with the reason, and why the pass ended early.
    """

    line: ExchangeSeries
    written: int = 0
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRequest:
    """What is to be kept up.

    Parameters
    ----------
    lines
        Series of one exchange.
    since
        Nothing older is asked for.
    step
        Length of a candle, s.
    """

    lines: tuple[ExchangeSeries, ...]
    since: datetime
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a series has been looked through; places count steps since 1970.

    Parameters
    ----------
    end
        First place that no pass has looked at.
    open
        Ranges before it that the store lacks and the exchange may still tell of.
    """

    end: int
    open: tuple[range, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """A store that is kept up with an exchange.

    Parameters
    ----------
    progress
        By series, first place wanted and step, s.
    """

    store: Store
    exchange: Exchange
    progress: dict[tuple[ExchangeSeries, int, int], Progress] = field(default_factory=dict)

    def run(self, wish: FetchRequest, *, now: datetime) -> Iterator[Fetched]:
        """Fetch what is missing, series by series, and yield the outcome of each."""
        settled = self._settled(now)
        for line in wish.lines:
            if line.kind == FUNDING:
                yield self._funding(line, since=wish.since, until=settled)
            else:
                yield self._candles(line, wish, until=settled)

    def _settled(self, now: datetime) -> datetime:
        """Return until when candles are final, by whichever clock is behind."""
        try:
            theirs = self.exchange.time()
        except ExchangeFailed:
            # Whether the exchange answers at all is told by the series.
            theirs = None
        return min(now, theirs or now) - SETTLE

    def _candles(self, line: ExchangeSeries, wish: FetchRequest, *, until: datetime) -> Fetched:
        """Fetch the candles of one series that closed by a moment and are not stored."""
        fetched = Fetched(line=line)
        step = wish.step
        first = -(-int((wish.since - EPOCH).total_seconds()) // step)
        before = self.progress.get((line, first, step), Progress(end=first))
        end = max(before.end, int((until - EPOCH).total_seconds()) // step)
        spans = [span for span in (*before.open, range(before.end, end)) if span]
        settled: set[int] = set()
        try:
            with self.store.read() as transaction:
                for span in spans:
                    settled |= market.stored(
                        transaction, line.asset, kind=line.kind, step=step, places=span
                    )
            for gap in [gap for span in spans for gap in gaps(settled, span)]:
                for page in self._pages(line, gap, step=step):
                    fetched = replace(
                        fetched,
                        written=fetched.written
                        + self._keep(line, list(page.candles.values()), step=step),
                        faults=(*fetched.faults, *page.faults),
                    )
                    settled |= page.vacant | page.candles.keys()
        except (ExchangeFailed, StoreConflict, StoreFailed) as error:
            ended = Fault(f"{line.symbol}:{line.kind}", str(error))
            fetched = replace(fetched, faults=(*fetched.faults, ended))
        left = tuple(gap for span in spans for gap in gaps(settled, span))
        self.progress[line, first, step] = Progress(end=end, open=left)
        return fetched

    def _pages(self, line: ExchangeSeries, gap: range, *, step: int) -> Iterator["Page"]:
        """Yield the exchange's candles of a gap, page by page."""
        cursor = gap.start
        while cursor < gap.stop:
            since = EPOCH + timedelta(seconds=cursor * step)
            rows = self.exchange.candles(line, since=since, step=step, count=gap.stop - cursor)
            page = read_page(rows, line, range(cursor, gap.stop), step=step)
            yield page
            cursor = page.reached + 1 if page.reached is not None else cursor + PAGE

    def _keep(self, line: ExchangeSeries, candles: Sequence[dict[str, Any]], *, step: int) -> int:
        """Write the candles of a page."""
        if not candles:
            return 0
        with self.store.begin() as transaction:
            frame = pd.DataFrame(list(candles)).assign(symbol=line.asset)
            frame[list(PRICES)] *= line.rate
            return market.push_candles(transaction, frame, kind=line.kind, step=step).written

    def _funding(self, line: ExchangeSeries, *, since: datetime, until: datetime) -> Fetched:
        """Fetch the funding rates after the last one held."""
        fetched = Fetched(line=line)
        try:
            with self.store.read() as transaction:
                last = market.last_funding(transaction, line.asset)
            cursor = since if last is None else max(since, last + MILLISECOND)
            while rates := [r for r in self.exchange.funding(line, since=cursor) if r[0] >= cursor]:
                sound = [rate for rate in rates if rate[0] <= until and math.isfinite(rate[1])]
                with self.store.begin() as transaction:
                    written = market.push_funding(transaction, line.asset, sound).written
                fetched = replace(fetched, written=fetched.written + written)
                cursor = max(at for at, _ in rates) + MILLISECOND
        except (ExchangeFailed, StoreConflict, StoreFailed) as error:
            return replace(fetched, faults=(Fault(f"{line.symbol}:{FUNDING}", str(error)),))
        return fetched


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one answer of an exchange says about a gap.

    Parameters
    ----------
    candles
        Sound ones that were missing, by place, ascending.
    vacant
        Places before a later candle at which the exchange has none.
    reached
        Last place it told of, which may lie beyond the gap; None where it told of none in it or
        later.
    """

    candles: Mapping[int, dict[str, Any]]
    faults: tuple[Fault, ...]
    vacant: frozenset[int]
    reached: int | None


def gaps(settled: AbstractSet[int], span: range) -> list[range]:
    """Return the ranges of a span's places that are not settled.

    >>> gaps({3, 4, 7}, range(2, 10))
    [range(2, 3), range(5, 7), range(8, 10)]
    """
    left: list[range] = []
    begin = span.start
    for place in (*(place for place in span if place in settled), span.stop):
        if place > begin:
            left.append(range(begin, place))
        begin = place + 1
    return left


def read_page(
    rows: Sequence[Sequence[Any]], line: ExchangeSeries, places: range, *, step: int
) -> Page:
    """Return the candles that rows give for a gap; unsound rows are left out and listed as faults.

    Parameters
    ----------
    rows
        Opening in milliseconds since 1970, open, high, low, close, volume; in any order.
    places
        Places, in steps since 1970.
    """
    sound: dict[int, dict[str, Any]] = {}
    faults: dict[int, Fault] = {}
    for number, row in enumerate(rows):
        where = f"{line.symbol}:{line.kind}:{str(row[0])[:30] if row else number}"
        try:
            place, candle = _candle(row, step=step, has_volume=line.kind in {"spot", "perp"})
        except (TypeError, ValueError) as error:
            faults[-1 - number] = Fault(where, str(error))
            continue
        if sound.setdefault(place, candle) != candle:
            faults[place] = Fault(where, "told twice, with different numbers")
    valid = {p: c for p, c in sound.items() if p in places and p not in faults}
    reached = max((place for place in sound if place >= places.start), default=places.start - 1)
    absent = frozenset(range(places.start, min(reached, places.stop))) - sound.keys()
    return Page(
        candles={place: valid[place] for place in sorted(valid)},
        faults=tuple(faults.values()),
        vacant=frozenset() if faults else absent,
        reached=reached if reached in sound else None,
    )


def _candle(row: Sequence[Any], *, step: int, has_volume: bool) -> tuple[int, dict[str, Any]]:
    """Return the place and the columns of a row.

    Raises
    ------
    TypeError, ValueError
        When the row is no candle.
    """
    opened, *rest = row
    numbers = [float(cell) for cell in rest[:4]]
    volume = float(rest[4]) if has_volume else math.nan
    if int(opened) % (step * 1000):
        raise ValueError(f"does not open on a multiple of {step} s")
    first, high, low, close = numbers
    if not all(math.isfinite(x) and x > 0.0 for x in numbers) or volume < 0.0:
        raise ValueError(f"{rest!r:.80} are no prices")
    if low > min(first, close) or high < max(first, close):
        raise ValueError("range does not hold open and close")
    opens = EPOCH + timedelta(milliseconds=int(opened))
    cells = dict(zip(VALUES, (*numbers, volume), strict=True))
    return int(opened) // (step * 1000), {"open_time": opens, **cells}


def follow(
    fetcher: Fetcher,
    wish: Callable[[], FetchRequest],
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> Iterator[Fetched]:
    """Yield what pass after pass did, one at every close of a candle; never ends.

    Parameters
    ----------
    wish
        Returns what is to be kept up; asked before every pass.
    """
    while True:
        current = wish()
        yield from fetcher.run(current, now=clock())
        beyond = (clock() - EPOCH).total_seconds() % current.step
        sleep(current.step - beyond + 2 * SETTLE.total_seconds())
