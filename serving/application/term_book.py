"""The book of a store as changes of terms are judged on it, kept warm while nothing changes."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TermBook:
    """A book ready to be previewed.

    Parameters
    ----------
    number
        Of the last change in it.
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

    def oldest_price(self) -> timedelta | None:
        """Return the age of the oldest price that a verdict rests on; None without any."""
        return max((price.age(self.at) for price in self._used()), default=None)

    def stale(self) -> tuple[str, ...]:
        """Return the assets whose prices are older than they may be, or are disputed."""
        return tuple(
            sorted(
                {
                    asset
                    for case, margin in zip(self.judged.cases, self.judged.margins, strict=True)
                    if margin.verdict is not Verdict.UNEVALUABLE
                    for asset in margin.prices
                    if _is_doubtful(case.market.prices.get(asset), self.at)
                }
            )
        )

    def _used(self) -> list[Price]:
        """Return the prices that verdicts rest on."""
        return [
            case.market.prices[asset]
            for case, margin in zip(self.judged.cases, self.judged.margins, strict=True)
            for asset in margin.prices
            if asset in case.market.prices
        ]


def _is_doubtful(price: Price | None, at: datetime) -> bool:
    """Return whether a price is too old, or disputed."""
    return price is not None and (price.is_stale(at) or price.disputed is not None)


_LOCK = threading.Lock()
_BOOKS: WeakKeyDictionary[Any, TermBook] = WeakKeyDictionary()


def term_book(store: Store, *, now: datetime, at: datetime | None = None) -> TermBook:
    """Return the book of a store, judged now or at a moment of the past.

    Of now it is kept while nothing changes, and judged anew after a minute.
    """
    if at is not None:
        with store.read() as transaction:
            return _read(transaction, at=at)
    with _LOCK, store.read() as transaction:
        clock = market.clock(transaction, now=now)
        standing = _BOOKS.get(store.engine)
        is_same = standing is not None and standing.number == changes.last(transaction)
        if standing is not None and is_same and abs(clock - standing.at) <= FRESH:
            return standing
        fresh = _read(transaction, at=clock)
        _BOOKS[store.engine] = fresh
        return fresh


def read_now(transaction: Transaction, *, now: datetime) -> TermBook:
    """Return the book as a transaction sees it, judged now, whatever is kept warm."""
    return _read(transaction, at=market.clock(transaction, now=now))


def _read(transaction: Transaction, *, at: datetime) -> TermBook:
    """Return the book as it stood at a moment."""
    number = changes.last(transaction)
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
