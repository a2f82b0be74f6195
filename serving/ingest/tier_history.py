"""Past maintenance brackets of Binance as terms of a store, in force from when they were known."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from models.domain import MarketId
from models.errors import Fault, InvalidInput
from models.terms_history.exchanges import binance_tiers
from models.terms_history.observed import Bracket, in_force
from serving.evaluation import inputs
from serving.evaluation.stated_terms import terms_of
from serving.store import market, open_store
from serving.store.rows import Added

VENUE, OBSERVED = "binance-usdm", "USD-M"


def terms(file: Path, symbols: Sequence[str]) -> Iterator[tuple[datetime, Mapping[str, Any]]]:
    """Yield from when terms held, and the terms, as often as they changed.

    Parameters
    ----------
    file
        Parquet of snapshots, as `models.terms_history.exchanges.binance_tiers` reads it.
    symbols
        Contracts of one quote, such as `BTC/USDT`.

    Raises
    ------
    InvalidInput
        When the file cannot be read or knows nothing of a symbol, or quotes differ.
    """
    quotes = sorted({symbol.rpartition("/")[2] for symbol in symbols})
    if len(quotes) != 1:
        raise InvalidInput([Fault("symbol", f"one quote is needed, not {', '.join(quotes)}")])
    try:
        by_symbol = {symbol: binance_tiers(file, symbol=symbol) for symbol in symbols}
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput([Fault(file.name, str(error))]) from None
    absent = [symbol for symbol, observed in by_symbol.items() if not observed]
    if absent:
        raise InvalidInput([Fault(file.name, f"knows nothing of {', '.join(absent)}")])
    history = [each for observed in by_symbol.values() for each in observed]
    before: Mapping[str, Any] = {}
    for at in sorted({each.observed_at for each in history}):
        stated = {}
        for symbol in symbols:
            brackets = in_force(history, market=OBSERVED, asset=symbol, at=at).get("brackets")
            if isinstance(brackets, tuple):
                stated[f"{symbol}:{quotes[0]}"] = [_stated(each) for each in brackets]
        if stated != before:
            yield at, {"quote": quotes[0], "symbols": stated}
        before = stated


def _stated(bracket: Bracket) -> dict[str, Any]:
    """Return a bracket as terms state it."""
    return {
        "floor": str(bracket["floor"]),
        "rate": str(bracket["maintenance_rate"]),
        "deduction": str(bracket["deduction"]),
        "max_leverage": int(bracket["max_leverage"]),
    }


def import_tiers(file: Path, symbols: Sequence[str], *, store: str) -> Added:
    """Write the terms of every change: all of them or none.

    Raises
    ------
    InvalidInput
        As `terms`, when the venue's rules cannot read them, or when the store holds others of
        the same moment.
    StoreRefused, StoreFailed
        When the store cannot be opened, or fails.
    """
    changes = list(terms(file, symbols))
    book = inputs.rulebook(VENUE, None, "")
    for at, body in changes:
        terms_of(body, book, f"{file.name}:{at:%Y-%m-%d}")
    whose = MarketId(VENUE, symbols[0].rpartition("/")[2])
    opened = open_store(store)
    try:
        with opened.begin() as transaction:
            added = [
                market.push_terms(transaction, whose, body, valid_from=at) for at, body in changes
            ]
    finally:
        opened.close()
    return Added(
        written=sum(each.written for each in added), repeated=sum(each.repeated for each in added)
    )
