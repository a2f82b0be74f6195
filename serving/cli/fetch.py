"""What `forewarn fetch` does."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import typer

from models.errors import Fault, InvalidInput
from serving.ingest.exchange import Exchange, ExchangeSeries
from serving.ingest.fetcher import FUNDING, Fetched, Fetcher, FetchRequest, follow
from serving.process import stoppable
from serving.store import open_store

KINDS = ("spot", "perp", "mark", "index", FUNDING)


def wish(symbols: str, *, quote: str, kinds: str, since: datetime, step: int) -> FetchRequest:
    """Return what the command line asks for.

    Raises
    ------
    InvalidInput
        Naming every kind that there is none of.
    """
    chosen = [kind.strip() for kind in kinds.split(",")]
    unknown = [kind for kind in chosen if kind not in KINDS]
    if unknown:
        choices = ", ".join(KINDS)
        raise InvalidInput(
            [Fault("--kinds", f"{kind!r} is not one of {choices}") for kind in unknown]
        )
    assets = [symbol.strip() for symbol in symbols.split(",") if symbol.strip()]
    lines = tuple(
        ExchangeSeries(asset=a, quote=quote, kind=kind) for a in assets for kind in chosen
    )
    return FetchRequest(lines=lines, since=since, step=step)


def once(wished: FetchRequest, *, store: str, exchange: Exchange) -> int:
    """Fetch what is missing, print the outcome per series and return the number of faults.

    Raises
    ------
    StoreRefused, StoreFailed
        When the store cannot be opened, or fails.
    """
    with _fetcher(store, exchange) as fetcher:
        return _tell(fetcher.run(wished, now=datetime.now(tz=UTC)))


def on_and_on(wished: FetchRequest, *, store: str, exchange: Exchange) -> int:
    """Fetch at every close of a candle until interrupted; returns 0 then."""
    with stoppable(), _fetcher(store, exchange) as fetcher:
        _tell(follow(fetcher, wished, clock=lambda: datetime.now(tz=UTC), sleep=time.sleep))
    return 0


@contextlib.contextmanager
def _fetcher(store: str, exchange: Exchange) -> Iterator[Fetcher]:
    """Yield a fetcher into a store that is closed at the end."""
    opened = open_store(store)
    try:
        yield Fetcher(store=opened, exchange=exchange)
    finally:
        opened.close()


def _tell(fetched: Iterable[Fetched]) -> int:
    """Print what became of every series and return how many faults there were."""
    faults = 0
    for outcome in fetched:
        typer.echo(f"{outcome.line.symbol} {outcome.line.kind}: {outcome.written} written")
        for fault in outcome.faults:
            typer.echo(str(fault), err=True)
        faults += len(outcome.faults)
    return faults
