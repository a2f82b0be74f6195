"""The book of a store as changes of terms are judged on it, kept warm while nothing changes."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from models.domain import MarketId, Price
from models.errors import InvalidInput
from models.margin.result import Verdict
from models.parameters.judged_book import JudgedBook, judge_book
from serving.application.stored_market import stored_snapshot
from serving.evaluation import inputs
from serving.evaluation.inputs import AccountInput, MarketSnapshot
from serving.evaluation.placing import terms_market
from serving.log.entries import digest
from serving.schemas import requests
from serving.store import Store, Transaction, accounts, changes, market

FRESH = timedelta(seconds=60)
"""How long a book that nothing changed in is not judged again; interest moves it meanwhile."""


@dataclass(frozen=True, kw_only=True)
class TermBook:
    """A book ready to be previewed.

    Parameters
    ----------
    number
        Of the last change of what verdicts rest on.
    at
        Moment that it is judged at.
    unread
        Keys of accounts that could not be read at all.
    changed_at
        When an account changed last; None where that is not known.
    book_hash, prices_hash, terms_hash
        SHA-256 of what was judged, in canonical JSON.
    """

    number: int
    at: datetime
    around: MarketSnapshot
    judged: JudgedBook
    unread: tuple[str, ...]
    changed_at: datetime | None
    book_hash: str
    prices_hash: str
    terms_hash: str

    @property
    def unjudged(self) -> tuple[str, ...]:
        """Keys of all accounts that the answer does not cover."""
        keys = self.judged.keys
        return (*self.unread, *(keys[place] for place in self.judged.unjudged))

    @cached_property
    def oldest_price(self) -> timedelta | None:
        """Age of the oldest price that a verdict rests on; None without any."""
        return max((price.age(self.at) for _, price in self._used), default=None)

    @cached_property
    def stale(self) -> tuple[str, ...]:
        """Assets whose prices are older than they may be, or are disputed."""
        doubtful = (price.is_stale(self.at) or price.disputed for _, price in self._used)
        return tuple(
            sorted(
                {
                    asset
                    for (asset, _), is_doubtful in zip(self._used, doubtful, strict=True)
                    if is_doubtful
                }
            )
        )

    @cached_property
    def _used(self) -> tuple[tuple[str, Price], ...]:
        """Prices that verdicts rest on, each of each market once."""
        result: dict[tuple[int, str], tuple[str, Price]] = {}
        for case, margin in zip(self.judged.cases, self.judged.margins, strict=True):
            if margin.verdict is Verdict.UNEVALUABLE:
                continue
            for asset in margin.prices:
                price = case.market.prices.get(asset)
                if price is not None:
                    result[id(price), asset] = asset, price
        return tuple(result.values())


_LOCK = threading.Lock()
_BOOKS: WeakKeyDictionary[Any, TermBook] = WeakKeyDictionary()


def term_book(store: Store, *, now: datetime, at: datetime | None = None) -> TermBook:
    """Return the book of a store, judged now or at a moment of the past.

    Of now it is kept while nothing in it changes, and judged anew after a minute.
    """
    if at is not None:
        with store.read() as transaction:
            return _read(transaction, at=at)
    with _LOCK, store.read() as transaction:
        clock = market.clock(transaction, now=now)
        fresh = _warm(transaction, store.engine, at=clock) or _read(transaction, at=clock)
        _BOOKS[store.engine] = fresh
        return fresh


def read_now(transaction: Transaction, *, now: datetime) -> TermBook:
    """Return the book as a transaction that writes sees it, judged within the last minute."""
    at = market.clock(transaction, now=now)
    return _warm(transaction, transaction.engine, at=at) or _read(transaction, at=at)


def _warm(transaction: Transaction, engine: Any, *, at: datetime) -> TermBook | None:
    """Return the book that is kept warm; None where anything in it has changed since."""
    warm = _BOOKS.get(engine)
    is_same = warm is not None and warm.number == changes.last(transaction, changes.JUDGED)
    return warm if warm is not None and is_same and abs(at - warm.at) <= FRESH else None


def _read(transaction: Transaction, *, at: datetime) -> TermBook:
    """Return the book as it stood at a moment."""
    number = changes.last(transaction, changes.JUDGED)
    around = stored_snapshot(transaction, at=at, assets=())
    bodies = accounts.read(transaction, accounts.keys(transaction), at=at)
    cases: list[AccountInput] = []
    whose: list[MarketId | None] = []
    unread: list[str] = []
    for key, body in bodies.items():
        try:
            account = requests.account({**body, "events": None}, "")
            cases.append(inputs.account_input(account, "", around))
        except InvalidInput:
            unread.append(key)
            continue
        whose.append(None if isinstance(account.terms, dict) else terms_market(account))
    newest = changes.newest(transaction, changes.ACCOUNTS)
    return TermBook(
        number=number,
        at=at,
        around=around,
        judged=judge_book(cases, whose).warmed(),
        unread=tuple(unread),
        changed_at=None if newest is None else newest.at,
        book_hash=digest([[key, _plain(body)] for key, body in sorted(bodies.items())]),
        prices_hash=digest(_prices(around)),
        terms_hash=digest(_terms(around)),
    )


def _plain(body: Mapping[str, Any]) -> Any:
    """Return an account as it is hashed: without its past, which no verdict reads."""
    return {
        name: value
        for name, value in body.items()
        if name not in {"events", "opened_at", "owner"} and value is not None
    }


def _prices(around: MarketSnapshot) -> Any:
    """Return prices and state as they are hashed: exact numbers as text."""
    spot = {asset: _quote(price) for asset, price in around.prices.items()}
    placed = {
        str(market): {
            "prices": {asset: _quote(price) for asset, price in facts.prices.items()},
            "state": {name: str(value) for name, value in facts.state.items()},
        }
        for market, facts in around.markets.items()
    }
    return {"spot": spot, "markets": placed}


def _quote(price: Price) -> list[str]:
    """Return what a price says."""
    return [str(price.value), str(price.decimals), price.observed_at.isoformat()]


def _terms(around: MarketSnapshot) -> Any:
    """Return the terms that the store states, as they are hashed."""
    return {
        str(market): facts.terms[0]
        for market, facts in around.markets.items()
        if facts.terms is not None
    }
