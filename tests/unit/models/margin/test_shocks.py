"""Markets whose prices have moved, in integers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from models.domain import Market, Price
from models.margin.rulebook import with_price
from models.margin.shock import shocked

AT = datetime(2026, 1, 1, tzinfo=UTC)
PRICE = Price(
    value=1001,
    decimals=2,
    observed_at=AT,
    source="test",
    bid=1000,
    ask=1003,
    next_value=900,
    next_at=AT,
    stale_after=timedelta(hours=1),
    disputed="odd",
)
MARKET = Market(
    at=AT, prices={"ETH": PRICE, "BTC": PRICE}, state={"rate": 1}, pegged=frozenset({"BTC"})
)


def test_a_shock_moves_spread_and_next_price_and_rounds_down() -> None:
    """Everything known of the asset's price moves by the share; other assets stand."""
    moved = shocked(MARKET, {"ETH": Fraction(-1, 10)})
    assert moved.prices["ETH"] == replace(PRICE, value=900, bid=900, ask=902, next_value=810)
    assert moved.prices["BTC"] is PRICE


def test_a_price_never_rounds_to_nothing() -> None:
    """Less than a unit of the scale is one unit: a price of 0 would count as missing."""
    moved = shocked(MARKET, {"ETH": Fraction(-9999, 10000)})
    assert moved.prices["ETH"].value == 1
    assert moved.prices["ETH"].next_value == 1


def test_no_shock_changes_nothing() -> None:
    """A move of 0 is the market itself."""
    assert shocked(MARKET, {"ETH": Fraction(0)}) == MARKET


def test_one_price_moves_without_its_spread_and_nothing_else_does() -> None:
    """What else is known of the price and of the market stays."""
    moved = replace(PRICE, value=5, bid=None, ask=None)
    assert with_price(MARKET, "ETH", 5) == replace(MARKET, prices={"ETH": moved, "BTC": PRICE})
