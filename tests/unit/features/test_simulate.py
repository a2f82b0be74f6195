"""The simulated market and book."""

import pytest

from features.simulate import SimulatedBook, simulate
from features.tables import CANDLES, validate
from models.events import EventKind
from models.margin.fixed_point import mul_div_down
from models.margin.venues.maker import is_unsafe, spot_price
from serving.application.sample_book import exact


@pytest.fixture(scope="module")
def book() -> SimulatedBook:
    """Return a book with a few liquidations."""
    return simulate(seed=1, days=60, accounts=60)


def test_a_seed_gives_one_book(book: SimulatedBook) -> None:
    """The same seed draws the same market, events and holdings; another one does not."""
    again, other = simulate(seed=1, days=60, accounts=60), simulate(seed=2, days=60, accounts=60)
    assert book.candles.equals(again.candles)
    assert book.events.equals(again.events)
    assert book.accounts.equals(again.accounts)
    assert not book.candles.equals(other.candles)


def test_candles_keep_their_schema(book: SimulatedBook) -> None:
    """Every hour is there, and every range holds its ends."""
    candles = validate(book.candles, CANDLES, file="simulated")
    assert len(candles) == 60 * 24
    body = candles[["open", "close"]]
    assert (candles["low"] <= body.min(axis=1)).all()
    assert (candles["high"] >= body.max(axis=1)).all()


def test_events_add_up_to_holdings(book: SimulatedBook) -> None:
    """Nothing is held that no event brought."""
    moved = book.events.groupby("account")[["ink", "art"]].sum()
    held = book.accounts.set_index("account")
    assert list(moved["ink"]) == list(held["ink"])
    assert list(moved["art"]) == list(held["art"])
    assert min(held["ink"]) >= 0
    assert min(held["art"]) >= 0


def test_liquidations_keep_the_exact_rule_at_the_delayed_price(book: SimulatedBook) -> None:
    """Every liquidation was allowed by the price of an hour before, and there are some."""
    lots = book.events[book.events["kind"] == int(EventKind.LIQUIDATE)]
    assert len(lots) > 3
    close = book.candles["close"]
    for lot in lots.itertuples():
        hour = int((lot.at - book.started_at).total_seconds()) // 3600
        spot = spot_price(exact(close.iloc[hour - 2]), book.terms)
        rate = book.rate_at(lot.at)
        assert is_unsafe(-lot.ink, -lot.art, spot=spot, rate=rate)
        assert mul_div_down(-lot.art, rate, 10**27) <= lot.amount
