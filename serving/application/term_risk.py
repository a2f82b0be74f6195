"""What changes of terms do to a book's tail: the store's past drawn once, run before and after."""

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from models.domain import MarketId
from models.errors import Fault, InvalidInput
from models.parameters.changes import Change, applied
from serving.application.book_risk import PAST, curves_of, on_one_grid
from serving.application.term_book import TermBook
from serving.evaluation.inputs import AccountInput
from serving.evaluation.paired_risk import Scenarios, compared, scenarios
from serving.evaluation.risk_book import RiskBook, read_book
from serving.schemas.term_changes import RiskChange
from serving.store import Transaction, market
from serving.store.impact import newest


def risk_book(book: TermBook, changes: Sequence[Change] = ()) -> RiskBook:
    """Return a book under changed terms as the cascade takes it."""
    prices = {asset: price.exact for asset, price in book.around.prices.items()}
    made: dict[tuple[MarketId, int], Any] = {}
    cases: list[AccountInput] = []
    for case, whose in zip(book.judged.cases, book.judged.whose, strict=True):
        if not isinstance(case, AccountInput):
            continue
        mine = [change for change in changes if change.market == whose]
        if whose is None or not mine:
            cases.append(case)
            continue
        key = (whose, id(case.terms))
        if key not in made:
            made[key] = applied(case.terms, mine)
        cases.append(structs.replace(case, terms=made[key]))
    return read_book(cases, prices, {}, also=prices)


def drawn(
    transaction: Transaction, book: TermBook, books: Sequence[RiskBook], *, count: int, seed: int
) -> Scenarios:
    """Return scenarios for the accounts that all books hold, from the store's candles.

    Raises
    ------
    InvalidInput
        As of `serving.evaluation.paired_risk.scenarios`.
    """
    curves, _ = curves_of(newest(transaction, at=book.at), at=book.at)
    stored = market.candles(transaction, list(books[0].prices), at=book.at, lookback=PAST)
    if not stored:
        raise InvalidInput([Fault("/scenarios", "the store has no candles to draw from")])
    return scenarios(books, curves, on_one_grid(stored), count=count, seed=seed)


def paired(
    transaction: Transaction, book: TermBook, changes: Sequence[Change], *, count: int, seed: int
) -> RiskChange:
    """Return what changes do to the tail of a book; raises as `drawn` does."""
    before, after = risk_book(book), risk_book(book, changes)
    made = drawn(transaction, book, (before, after), count=count, seed=seed)
    return compared(
        made.losses(before),
        made.losses(after),
        seed=seed,
        left_out=len(book.judged) - len(made.keys),
        has_impact=bool(made.curves),
    )
