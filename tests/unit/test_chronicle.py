"""A market's past from the store, as training reads it."""

from pathlib import Path

import pytest

from features.simulate import simulate
from models.errors import InvalidInput
from serving import chronicle
from serving.book import lay
from serving.store import Store, accounts
from training.sources import events


def test_the_store_gives_a_history_that_training_reads(store: Store, tmp_path: Path) -> None:
    """Every account of the book has its hours, its candles and the terms in force."""
    book = simulate(seed=9, days=40, accounts=12)
    lay(book, store)
    with store.read() as transaction:
        names = accounts.keys(transaction)
    url = store.engine.url.render_as_string(hide_password=False)
    candles = chronicle.write(url, market="ETH-B", directory=tmp_path)
    history = events.load(tmp_path, candles)
    assert set(history.moments["account"].astype(str)) == set(names)
    liquidated = history.episodes["account"].tolist()
    assert liquidated == ["sim-0001", "sim-0001", "sim-0002", "sim-0005"]
    assert history.covered_until <= book.at


def test_a_market_that_the_store_does_not_know_is_refused(store: Store, tmp_path: Path) -> None:
    """Neither accounts nor terms: both are told."""
    url = store.engine.url.render_as_string(hide_password=False)
    with pytest.raises(InvalidInput) as refused:
        chronicle.write(url, market="nowhere", directory=tmp_path)
    assert [fault.message for fault in refused.value.faults] == [
        "the store knows no account of it",
        "the store knows no terms of it",
    ]
