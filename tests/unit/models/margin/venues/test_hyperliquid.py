"""Hyperliquid: verdicts, partial orders, the backstop and their refusals."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate
from models.margin.venues import hyperliquid
from models.margin.venues.hyperliquid import LeverageTier, Terms

AT = datetime(2026, 1, 1, tzinfo=UTC)
TABLE = (
    LeverageTier(floor=Fraction(0), max_leverage=10),
    LeverageTier(floor=Fraction(3_000_000), max_leverage=5),
)
TERMS = Terms(coins={"X": TABLE, "Y": TABLE, "EMPTY": ()})


def account(cash: int, *positions: tuple[str, int, int]) -> Account:
    """Return USDC and (coin, signed size, entry) positions."""
    legs = [
        Leg(kind=LegKind.POSITION, asset=coin, quantity=size, entry=entry)
        for coin, size, entry in positions
    ]
    cash_leg = Leg(kind=LegKind.COLLATERAL, asset="USDC", quantity=cash)
    return Account(
        id="h",
        venue="hyperliquid",
        version="2026-09",
        market="cross",
        legs=(cash_leg, *legs),
        options={"X.leverage": 10},
    )


def market(bid: int | None = None, ask: int | None = None, **marks: int) -> Market:
    """Return whole-number marks, with one spread for all."""
    return Market(
        at=AT,
        prices={
            coin: Price(value=mark, decimals=0, observed_at=AT, bid=bid, ask=ask)
            for coin, mark in marks.items()
        },
    )


def test_longs_and_shorts_of_one_coin_net() -> None:
    """A one-way account has one position per coin."""
    found = hyperliquid.margin(account(100, ("X", 10, 100), ("X", -4, 110)), market(X=100), TERMS)
    assert found.maintenance is not None
    assert found.initial is not None
    assert found.maintenance.credit == 140
    assert found.maintenance.requirement == 30
    assert found.initial.requirement == 60


@pytest.mark.parametrize(
    ("cash", "verdict", "reason"),
    [
        (51, Verdict.SAFE, "above_maintenance_margin"),
        (50, Verdict.LIQUIDATABLE, "at_maintenance_margin_strictness_not_established"),
        (49, Verdict.LIQUIDATABLE, "below_maintenance_margin"),
    ],
)
def test_verdict_at_the_edge(cash: int, verdict: Verdict, reason: str) -> None:
    """Equality is judged liquidatable and said to be unestablished."""
    found = hyperliquid.margin(account(cash, ("X", 10, 100)), market(X=100), TERMS)
    assert (found.verdict, found.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("held", "marks", "reason"),
    [
        (account(1, ("X", 1, 100)), market(), "price_missing"),
        (account(1, ("X", 1, 100)), market(X=0), "price_not_positive"),
        (account(1, ("Z", 1, 100)), market(Z=1), "terms_missing"),
        (account(1, ("EMPTY", 1, 100)), market(EMPTY=1), "terms_missing"),
    ],
)
def test_what_cannot_be_judged(held: Account, marks: Market, reason: str) -> None:
    """Every answer gives the same reason."""
    found = hyperliquid.margin(held, marks, TERMS)
    assert (found.verdict, found.reason) == (Verdict.UNEVALUABLE, reason)
    assert hyperliquid.liquidation_price(held, marks, TERMS, coin="X") == Refusal(reason)
    assert hyperliquid.bankruptcy_price(held, marks, TERMS, coin="X") == Refusal(reason)
    refused = hyperliquid.liquidate(held, marks, TERMS, Liquidate())
    assert isinstance(refused, Refusal)
    assert refused.reason == reason


def test_prices_of_a_cross_account() -> None:
    """Another coin's profit and requirement are held."""
    held, marks = account(100, ("X", 10, 100), ("Y", -5, 20)), market(X=100, Y=18)
    price = hyperliquid.liquidation_price(held, marks, TERMS, coin="X")
    assert price == (1000 - (100 + 10 - Fraction(9, 2))) / Fraction(19, 2)
    assert hyperliquid.bankruptcy_price(held, marks, TERMS, coin="X") == 89
    assert hyperliquid.liquidation_price(held, marks, TERMS, coin="Q") is None
    rich = account(10_000, ("X", 10, 100))
    assert hyperliquid.liquidation_price(rich, market(X=100), TERMS, coin="X") is None


def test_tier_is_that_of_the_price_sought() -> None:
    """A short that grows into the next tier is solved with that tier's rate."""
    held, marks = account(600_000, ("X", -29_000, 100)), market(X=100)
    price = hyperliquid.liquidation_price(held, marks, TERMS, coin="X")
    assert price == Fraction(600_000 + 2_900_000 + 150_000, 31_900)
    assert price * 29_000 > 3_000_000


def test_market_order_closes_against_the_book() -> None:
    """A small long is sold whole at the bid."""
    held = account(49, ("X", 10, 100))
    found = hyperliquid.liquidate(held, market(X=100, bid=99, ask=101), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert (dict(found.repaid), dict(found.seized)) == ({"X": 10}, {})
    assert found.after is not None
    assert found.after.maintenance is not None
    assert found.after.maintenance.credit == 39
    assert found.after.reason == "no_position"
    assert not found.is_toxic


def test_large_position_goes_by_a_fifth() -> None:
    """Above 100,000 USDC a fifth is ordered first, all of it during the cool-down."""
    held, marks = account(9_000, ("X", -1_900, 100)), market(X=100, bid=99, ask=101)
    found = hyperliquid.liquidate(held, marks, TERMS, Liquidate(collateral_asset="X"))
    assert isinstance(found, Liquidation)
    assert found.repaid == {"X": -380}
    assert found.after is not None
    assert found.after.maintenance is not None
    assert found.after.maintenance.credit == 9_000 - 380
    assert found.after.maintenance.requirement == 1_520 * 5
    cooling = replace(marks, state={"partial_liquidation_cooldown": 1})
    whole = hyperliquid.liquidate(held, cooling, TERMS, Liquidate())
    assert isinstance(whole, Liquidation)
    assert whole.repaid == {"X": -1_900}
    assert hyperliquid.order_share(Fraction(100_000), cooldown=0) == 1


@pytest.mark.parametrize(("cash", "is_backstop"), [(33, True), (34, False)])
def test_backstop_takes_all_below_two_thirds(cash: int, *, is_backstop: bool) -> None:
    """Below two thirds of maintenance the vault takes positions and margin."""
    held = account(cash, ("X", 10, 100))
    found = hyperliquid.liquidate(held, market(X=100, bid=100, ask=100), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.seized == ({"X": 10, "USDC": 33} if is_backstop else {})


def test_backstop_of_a_negative_account() -> None:
    """What the margin does not cover is the vault's loss."""
    held = account(10, ("X", 10, 100))
    found = hyperliquid.liquidate(held, market(X=98), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.seized == {"X": 10, "USDC": 0}
    assert found.bad_debt == {"USDC": 10}


def test_refusals() -> None:
    """No fill without a book, no choice among several, nothing of a safe account."""
    held = account(49, ("X", 10, 100))
    for marks, reason in (
        (market(X=100), "fill_price_unknown"),
        (market(X=100, bid=0, ask=0), "fill_price_unknown"),
    ):
        found = hyperliquid.liquidate(held, marks, TERMS, Liquidate())
        assert isinstance(found, Refusal)
        assert found.reason == reason
    two = account(60, ("X", 10, 100), ("Y", 10, 50))
    marks = replace(market(X=100), prices={**market(X=100).prices, **market(Y=50).prices})
    for asked, reason in ((None, "position_not_chosen"), ("Q", "no_position")):
        found = hyperliquid.liquidate(two, marks, TERMS, Liquidate(collateral_asset=asked))
        assert isinstance(found, Refusal)
        assert found.reason == reason
    safe = hyperliquid.liquidate(account(1), market(), TERMS, Liquidate())
    assert safe == Refusal("not_liquidatable", "no_position")


def test_exactly_two_thirds_still_goes_to_the_book() -> None:
    """The backstop starts below two thirds of maintenance, not at it."""
    held = account(40, ("X", 12, 100))
    found = hyperliquid.liquidate(held, market(X=100, bid=100, ask=100), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.seized == {}


@pytest.mark.parametrize(("ask", "is_toxic"), [(104, False), (105, True)])
def test_fill_that_keeps_the_ratio_is_not_toxic(ask: int, *, is_toxic: bool) -> None:
    """A fifth closed at a loss of a fifth of the equity leaves requirement / equity at 1.25."""
    marks = market(X=100, bid=100, ask=ask)
    found = hyperliquid.liquidate(account(7_600, ("X", -1_900, 100)), marks, TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.repaid == {"X": -380}
    assert found.is_toxic is is_toxic


def test_netted_position_is_none() -> None:
    """A long and a short that cancel leave a result but nothing to close."""
    held = account(140, ("X", 10, 100), ("X", -10, 90), ("Y", 10, 100))
    marks = replace(
        market(X=100), prices={**market(X=100).prices, **market(Y=100, bid=99, ask=101).prices}
    )
    found = hyperliquid.liquidate(held, marks, TERMS, Liquidate(collateral_asset="X"))
    assert found == Refusal("no_position", "no position in X")
    only = hyperliquid.liquidate(held, marks, TERMS, Liquidate())
    assert isinstance(only, Liquidation)
    assert only.repaid == {"Y": 10}
