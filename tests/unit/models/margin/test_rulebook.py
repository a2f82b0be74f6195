"""Rulebooks are found by their folder and named in full when one is unknown."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest

from models.domain import Market, Price
from models.errors import UnknownRulebook
from models.margin.refused import OTHER_NAMES, REASONS, refused
from models.margin.rulebook import load, load_all, venue_names, with_next_prices, with_price

AT = datetime(2026, 1, 1, tzinfo=UTC)
NOW = Price(
    value=100,
    decimals=2,
    observed_at=AT,
    bid=99,
    ask=101,
    next_value=90,
    next_at=AT + timedelta(hours=1),
)
STILL = Price(value=7, decimals=0, observed_at=AT, bid=6, ask=8)
MARKET = Market(at=AT, prices={"ETH": NOW, "DAI": STILL}, state={"rate": 1})


def test_every_venue_of_the_folder_is_found() -> None:
    """The venues' rulebooks, each under its own name."""
    venues = {venue for venue, _ in load_all()}
    assert venues >= {"aave-v3", "aave-v4", "compound-v2", "compound-v3", "maker", "euler-v2"}
    assert venues >= {"morpho-blue", "gmx-v2", "fluid", "dydx-v4", "hyperliquid", "reg-t"}
    assert venues >= {"binance-usdm", "bybit-linear", "okx-swap", "portfolio-margin"}
    for (venue, version), book in load_all().items():
        assert (book.venue, book.version) == (venue, version)
        assert fields(book.terms)


def test_a_known_rulebook_is_loaded() -> None:
    """By venue and version."""
    assert load("maker", "dss") is load_all()["maker", "dss"]


@pytest.mark.parametrize(("venue", "version"), [("maker", "2"), ("aave-v33", "3.7"), ("", "")])
def test_an_unknown_rulebook_names_those_that_are_known(venue: str, version: str) -> None:
    """The message says what was asked for and lists every rulebook in order."""
    with pytest.raises(UnknownRulebook) as raised:
        load(venue, version)
    asked, _, known = str(raised.value).partition("; known: ")
    assert asked == f"no rulebook {venue}/{version}"
    assert known.split(", ") == sorted(known.split(", "))
    assert {"maker/dss", "aave-v3/3.7", "aave-v3/3.3"} <= set(known.split(", "))
    assert len(known.split(", ")) == len(load_all())


def test_a_venue_that_is_refused_says_why() -> None:
    """Under its name or another that it has, and never beside rules of the same name."""
    with pytest.raises(UnknownRulebook, match=r"^no rulebook of moonwell: a fork of Compound v2"):
        load("moonwell", "1")
    assert (refused("Curve Lend") or "").startswith("llamalend: ")
    assert refused("aave-v2") is None
    assert [venue for venue in venue_names() if refused(venue) is not None] == []
    assert set(OTHER_NAMES.values()) <= REASONS.keys()


def test_one_price_is_moved() -> None:
    """The spread goes with it; other prices, the state and the original stay."""
    moved = with_price(MARKET, "ETH", 50)
    assert (moved.prices["ETH"].value, moved.prices["ETH"].decimals) == (50, 2)
    assert (moved.prices["ETH"].bid, moved.prices["ETH"].ask) == (None, None)
    assert moved.prices["ETH"].next_value == 90
    assert moved.prices["DAI"] == STILL
    assert (moved.at, moved.state) == (AT, {"rate": 1})
    assert MARKET.prices["ETH"].value == 100


def test_a_price_that_is_missing_cannot_be_moved() -> None:
    """It has no scale to be moved on."""
    with pytest.raises(KeyError):
        with_price(MARKET, "BTC", 1)


def test_delayed_prices_come_into_force() -> None:
    """The queued price becomes the price, once, and without the old one's spread."""
    ahead = with_next_prices(MARKET)
    assert ahead.prices["ETH"] == Price(value=90, decimals=2, observed_at=AT, bid=None, ask=None)
    assert ahead.prices["DAI"] == STILL
    assert with_next_prices(ahead) == ahead
