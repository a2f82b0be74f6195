"""Past maintenance brackets of exchanges as terms of a store, from when they were known."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from models.domain import MarketId
from models.errors import Fault, InvalidInput
from models.terms_history.exchanges import binance_tiers, bybit_tiers
from models.terms_history.observed import Bracket, Observed, in_force
from serving.ingest.past_terms import dated, unreadable, write
from serving.store.rows import Added

READERS: Mapping[str, tuple[Callable[..., tuple[Observed, ...]], str]] = {
    "binance-usdm": (binance_tiers, "USD-M"),
    "bybit-linear": (bybit_tiers, "linear"),
}
"""By venue: what reads its files, and the market that they are of."""


def terms(
    file: Path, symbols: Sequence[str], *, venue: str
) -> Iterator[tuple[datetime, Mapping[str, Any]]]:
    """Yield from when terms held, and the terms, as often as they changed.

    Parameters
    ----------
    file
        Snapshots, as the venue's reader in `models.terms_history.exchanges` takes them.
    symbols
        Contracts of one quote, such as `BTC/USDT`.
    venue
        One of `READERS`.

    Raises
    ------
    InvalidInput
        When there is no reader, the file cannot be read or knows nothing of a symbol, or quotes
        differ.
    """
    if venue not in READERS:
        raise InvalidInput([Fault("venue", f"{venue} is not one of {', '.join(READERS)}")])
    read, observed_market = READERS[venue]
    quotes = sorted({symbol.rpartition("/")[2] for symbol in symbols})
    if len(quotes) != 1:
        raise InvalidInput([Fault("symbol", f"one quote is needed, not {', '.join(quotes)}")])
    try:
        by_symbol = {symbol: read(file, symbol=symbol) for symbol in symbols}
    except (OSError, ValueError, KeyError) as error:
        raise unreadable(file, error) from None
    absent = [symbol for symbol, observed in by_symbol.items() if not observed]
    if absent:
        raise InvalidInput([Fault(file.name, f"knows nothing of {', '.join(absent)}")])
    history = [each for observed in by_symbol.values() for each in observed]

    def terms_at(at: datetime) -> Mapping[str, Any]:
        stated = {}
        for symbol in symbols:
            values = in_force(history, market=observed_market, asset=symbol, at=at)
            brackets = values.get("brackets")
            if isinstance(brackets, tuple):
                stated[f"{symbol}:{quotes[0]}"] = [_stated(each) for each in brackets]
        return {"quote": quotes[0], "symbols": stated}

    yield from dated(history, terms_at)


def _stated(bracket: Bracket) -> dict[str, Any]:
    """Return a bracket as terms state it."""
    return {
        "floor": str(bracket["floor"]),
        "rate": str(bracket["maintenance_rate"]),
        "deduction": str(bracket["deduction"]),
        "max_leverage": int(bracket["max_leverage"]),
    }


def import_tiers(file: Path, symbols: Sequence[str], *, store: str, venue: str) -> Added:
    """Write the terms of every change: all of them or none.

    Raises
    ------
    InvalidInput
        As `terms`, when the venue's rules cannot read them, or when the store holds others of
        the same moment.
    StoreRefused, StoreFailed
        When the store cannot be opened, or fails.
    """
    whose = MarketId(venue, symbols[0].rpartition("/")[2])
    return write(terms(file, symbols, venue=venue), whose, version=None, url=store)
