"""What is not established is refused with its reason: venues, and modes of accounts."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.perpetual import Tier
from models.margin.result import Refusal, Verdict
from models.margin.rulebook import load
from models.margin.venues import hyperliquid, tiered_perp, unestablished

AT = datetime(2026, 11, 30, tzinfo=UTC)
MARKET = Market(at=AT, prices={"X": Price(value=100, decimals=0, observed_at=AT)})
TIERS = (Tier(floor=Fraction(0), rate=Fraction("0.01")),)
TERMS = {
    "binance-usdm": tiered_perp.Terms(symbols={"X": TIERS}),
    "bybit-linear": tiered_perp.Terms(symbols={"X": TIERS}),
    "okx-swap": tiered_perp.Terms(symbols={"X": TIERS}),
    "hyperliquid": hyperliquid.Terms(
        coins={"X": (hyperliquid.LeverageTier(floor=Fraction(0), max_leverage=50),)}, quote="USDT"
    ),
}
VERSIONS = {
    "binance-usdm": "2026-09",
    "bybit-linear": "isolated-2024-09",
    "okx-swap": "isolated-flat",
    "hyperliquid": "2026-09",
}


def account(venue: str, version: str, **options: int) -> Account:
    """Return an account with one position in X."""
    cash = Leg(kind=LegKind.COLLATERAL, asset="USDT", quantity=100)
    position = Leg(kind=LegKind.POSITION, asset="X", quantity=5, entry=Fraction(100))
    return Account(
        id="a",
        venue=venue,
        version=version,
        market="m",
        legs=(cash, position),
        options=options,
    )


@pytest.mark.parametrize(
    ("venue", "mode", "reason"),
    [
        ("binance-usdm", "cross", None),
        ("binance-usdm", "multi_assets", "multi_assets_margin_not_established"),
        ("binance-usdm", "portfolio_margin", "portfolio_margin_not_established"),
        ("bybit-linear", "cross", "cross_margin_not_established"),
        ("bybit-linear", "portfolio_margin", "portfolio_margin_not_established"),
        ("okx-swap", "cross", "cross_margin_not_established"),
        ("hyperliquid", "cross", None),
        ("hyperliquid", "multi_assets", "multi_assets_margin_not_established"),
        ("hyperliquid", "portfolio_margin", "portfolio_margin_not_established"),
    ],
)
def test_a_mode_that_is_not_established_is_refused(
    venue: str, mode: str, reason: str | None
) -> None:
    """By the margin at one price and along prices, and by the liquidation price alike."""
    book = load(venue, VERSIONS[venue])
    held, terms = account(venue, book.version, **{mode: 1}), TERMS[venue]
    judged = book.margin(held, MARKET, terms)
    assert book.along_prices(held, MARKET, terms)(MARKET) == judged
    assert book.liquidation_price is not None
    price = book.liquidation_price(held, MARKET, terms, "X")
    assert (judged.verdict is Verdict.UNEVALUABLE) == (reason is not None)
    assert isinstance(price, Refusal) == (reason is not None)
    if reason is not None:
        assert judged.reason == reason
    off = book.margin(account(venue, book.version, **{mode: 0}), MARKET, terms)
    assert off.verdict is Verdict.SAFE


def test_deribit_is_refused_for_what_it_holds() -> None:
    """Nothing is judged in the venue's place; without positions there is nothing to judge."""
    (book,) = unestablished.RULEBOOKS
    held = account("deribit", book.version)
    judged = book.margin(held, MARKET, unestablished.Terms())
    assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, unestablished.REASON)
    assert judged.prices == ("X",)
    bare = Account(id="a", venue="deribit", version=book.version, market="m", legs=held.legs[:1])
    assert book.margin(bare, MARKET, unestablished.Terms()).verdict is Verdict.SAFE
