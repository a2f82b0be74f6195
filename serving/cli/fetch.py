"""What `forewarn fetch` does."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import typer

from models.errors import Fault, InvalidInput
from serving.ingest.connected import connected_series
from serving.ingest.exchange import Exchange, ExchangeSeries
from serving.ingest.fetcher import FUNDING, Fetched, Fetcher, FetchRequest, follow
from serving.process import stoppable
from serving.store import Store, open_store

KINDS = ("spot", "perp", "mark", "index", FUNDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line asks for.

    Parameters
    ----------
    assets
        Base assets by the exchange's symbols.
    is_connected
        Whether what connected accounts hold is fetched too.
    since, step
        As of `FetchRequest`.
    """

    assets: tuple[str, ...]
    quote: str
    kinds: tuple[str, ...]
    since: datetime
    step: int
    is_connected: bool = False

    def request(self, store: Store) -> FetchRequest:
        """Return the series wished for as of now, and tell what no series stands for."""
        lines = [
            ExchangeSeries(asset=asset, quote=self.quote, kind=kind)
            for asset in self.assets
            for kind in self.kinds
        ]
        if self.is_connected:
            at = datetime.now(tz=UTC)
            connected = connected_series(store, quote=self.quote, kinds=self.kinds, at=at)
            stated = {(line.asset, line.kind) for line in lines}
            lines += [line for line in connected.lines if (line.asset, line.kind) not in stated]
            for asset, reason in connected.unmapped.items():
                if asset not in self.assets:
                    typer.echo(
                        f"{asset}: {reason}; push its candles, or there is no forecast", err=True
                    )
        return FetchRequest(lines=tuple(lines), since=self.since, step=self.step)


def wish(
    symbols: str, *, quote: str, kinds: str, since: datetime, step: int, is_connected: bool = False
) -> Wish:
    """Return what the command line asks for.

    Raises
    ------
    InvalidInput
        Naming every kind that there is none of; and where no asset is named at all.
    """
    chosen = [kind.strip() for kind in kinds.split(",")]
    choices = ", ".join(KINDS)
    faults = [
        Fault("--kinds", f"{kind!r} is not one of {choices}")
        for kind in chosen
        if kind not in KINDS
    ]
    assets = tuple(symbol.strip() for symbol in symbols.split(",") if symbol.strip())
    if not assets and not is_connected:
        faults.append(Fault("--symbols", "name assets, or take --connected"))
    if faults:
        raise InvalidInput(faults)
    return Wish(
        assets=assets,
        quote=quote,
        kinds=tuple(chosen),
        since=since,
        step=step,
        is_connected=is_connected,
    )


def once(wished: Wish, *, store: str, exchange: Exchange) -> int:
    """Fetch what is missing, print the outcome per series and return the number of faults.

    Raises
    ------
    StoreRefused, StoreFailed
        When the store cannot be opened, or fails.
    """
    with _fetcher(store, exchange) as fetcher:
        return _tell(fetcher.run(wished.request(fetcher.store), now=datetime.now(tz=UTC)))


def on_and_on(wished: Wish, *, store: str, exchange: Exchange) -> int:
    """Fetch at every close of a candle until interrupted; returns 0 then."""
    with stoppable(), _fetcher(store, exchange) as fetcher:
        request = partial(wished.request, fetcher.store)
        _tell(follow(fetcher, request, clock=lambda: datetime.now(tz=UTC), sleep=time.sleep))
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
        typer.echo(f"{outcome.line.title}: {outcome.written} written")
        for fault in outcome.faults:
            typer.echo(str(fault), err=True)
        faults += len(outcome.faults)
    return faults
