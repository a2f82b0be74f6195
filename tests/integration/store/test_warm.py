"""The book kept warm: what is judged again and what is not."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import governed_books
import pytest

from serving.application.deployment import read_deployment
from serving.application.scoring import ScoringService
from serving.application.term_book import read_now, term_book
from serving.application.warm import Warmer
from serving.store import Store, market, open_store

NOON = governed_books.NOON
SOON = NOON + timedelta(seconds=30)


@pytest.fixture
def store(book_url: str) -> Iterator[Store]:
    """Return a store with a small book."""
    result = open_store(book_url)
    governed_books.lay(result)
    yield result
    result.close()


def test_whoever_asks_after_a_look_reads_nothing_anew(store: Store) -> None:
    """The book of a look is the very one that a preview and an activation judge by."""
    desk = ScoringService(model=read_deployment(None).model, store=store, clock=lambda: NOON)
    Warmer(desk, store).look()
    first = term_book(store, now=NOON)
    assert term_book(store, now=SOON) is first
    with store.begin() as transaction:
        assert read_now(transaction, now=SOON) is first
    assert term_book(store, now=NOON + timedelta(minutes=2)) is not first


def test_a_price_makes_it_judged_again_and_a_note_does_not(store: Store) -> None:
    """A price moves verdicts; a note of the store's does not."""
    first = term_book(store, now=NOON)
    with store.begin() as transaction:
        market.write_notes(transaction, {"simulated": "1"})
    assert term_book(store, now=NOON) is first
    governed_books.reprice(store, 900, at=SOON)
    after = term_book(store, now=SOON)
    assert after is not first
    assert after.prices_hash != first.prices_hash
    with store.begin() as transaction:
        assert read_now(transaction, now=SOON) is after


def test_it_ends_when_it_is_told_to(store: Store) -> None:
    """No thread of that name is left once `stop` returns."""
    desk = ScoringService(model=read_deployment(None).model, store=store, clock=lambda: NOON)
    warmer = Warmer(desk, store).start()
    warmer.stop()
    assert all(thread.name != "warm" for thread in threading.enumerate())
