"""Where the verdict flips, on a rule small enough to solve by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.perpetual import tiers_from
from models.margin.result import Margin, Side, Trigger, Verdict
from models.margin.rulebook import Rulebook, load
from models.margin.trigger import (
    boundary,
    evaluable,
    price_trigger,
    price_triggers,
    shock_trigger,
    time_trigger,
)
from models.margin.venues import tiered_perp

AT = datetime(2026, 1, 1, tzinfo=UTC)


def margin(account: Account, market: Market, terms: int) -> Margin:
    """Judge 10 A and 5 B against a debt of `terms` plus one per second; equality is safe."""
    credit = 0
    for leg in account.legs:
        price = market.prices.get(leg.asset)
        if price is None or price.value <= 0:
            return Margin(verdict=Verdict.UNEVALUABLE, reason="price_missing")
        credit += int(leg.quantity) * price.value
    if credit > 2**100:
        return Margin(verdict=Verdict.UNEVALUABLE, reason="overflow")
    side = Side(credit, terms + market.state.get("accrued", 0))
    verdict = Verdict.SAFE if side.surplus >= 0 else Verdict.LIQUIDATABLE
    return Margin(verdict=verdict, reason="toy", maintenance=side)


def accrue(market: Market, terms: int, at: datetime) -> Market:
    """Let one unit of debt accrue per second."""
    del terms
    grown = market.state.get("accrued", 0) + int((at - market.at).total_seconds())
    return replace(market, at=at, state={"accrued": grown})


BOOK = Rulebook(venue="toy", version="1", terms=int, price_decimals=0, margin=margin, accrue=accrue)


def account(a: int = 10, b: int = 5) -> Account:
    """Return an account with two assets; negative quantities are owed."""
    legs = tuple(
        Leg(kind=LegKind.COLLATERAL, asset=asset, quantity=quantity)
        for asset, quantity in (("A", a), ("B", b))
    )
    return Account(id="a", venue="toy", version="1", market="m", legs=legs)


def market(a: int = 100, b: int = 40) -> Market:
    """Return prices of the two assets."""
    prices = {
        asset: Price(value=value, decimals=2, observed_at=AT, bid=value, ask=value)
        for asset, value in (("A", a), ("B", b))
    }
    return Market(at=AT, prices=prices)


@pytest.mark.parametrize("near", [0, 1, 7, 8, 50, 99, 100])
@pytest.mark.parametrize("last", [0, 7, 99])
def test_boundary_is_the_last_breached(near: int, last: int) -> None:
    """The same boundary is found from either side and from both ends."""
    assert boundary(lambda x: x <= last, near=near, low=0, high=100) == last
    assert boundary(lambda x: x > last, near=near, low=0, high=100) == last + 1


@pytest.mark.parametrize("answer", [True, False])
def test_boundary_without_a_flip(*, answer: bool) -> None:
    """Nothing that flips, no boundary."""
    assert boundary(lambda _: answer, near=5, low=0, high=10) is None


def test_boundary_on_a_range_of_two() -> None:
    """The smallest range that can hold a flip."""
    assert boundary(lambda x: x == 0, near=0, low=0, high=1) == 0
    assert boundary(lambda x: x == 1, near=0, low=0, high=1) == 1


def test_boundary_in_few_steps() -> None:
    """Doubling then halving: a flip 10^30 away costs about two hundred questions."""
    asked: list[int] = []

    def is_breached(x: int) -> bool:
        asked.append(x)
        return x >= 10**30

    assert boundary(is_breached, near=0, low=0, high=2**128) == 10**30
    assert len(asked) <= 210


def test_evaluable_goes_down_to_what_can_be_judged() -> None:
    """Halving toward the start, and no further than the start."""

    def verdict(value: int) -> Verdict:
        return Verdict.SAFE if value <= 30 else Verdict.UNEVALUABLE

    assert evaluable(verdict, near=10, high=100) == 21
    assert evaluable(verdict, near=10, high=30) == 30
    assert evaluable(verdict, near=40, high=100) == 40


def test_price_trigger_below() -> None:
    """10·A + 200 < 900 first at A = 69."""
    found = price_trigger(BOOK, account(), market(), 900, asset="A")
    assert found == Trigger(kind="price", asset="A", direction="below", value=69, decimals=2)


def test_price_trigger_of_an_account_that_is_already_liquidatable() -> None:
    """From the other side the answer is the same."""
    found = price_trigger(BOOK, account(), market(a=5), 900, asset="A")
    assert found is not None
    assert (found.direction, found.value) == ("below", 69)


def test_price_trigger_above_is_found_before_the_rules_overflow() -> None:
    """An owed asset: 1000 - 5·B < 0 first at B = 201, though the highest prices overflow."""
    found = price_trigger(BOOK, account(b=-5), market(), 0, asset="B")
    assert found == Trigger(kind="price", asset="B", direction="above", value=201, decimals=2)
    reverse = price_trigger(BOOK, account(a=-10), market(b=2**90), 0, asset="A")
    assert reverse is not None
    assert reverse.value == 5 * 2**90 // 10 + 1


def test_price_trigger_that_does_not_exist() -> None:
    """No flip, a missing price or one that is not positive: no trigger."""
    assert price_trigger(BOOK, account(), market(), 200, asset="A") is None
    assert price_trigger(BOOK, account(), market(), 900, asset="C") is None
    assert price_trigger(BOOK, account(), market(a=0), 900, asset="A") is None
    assert price_trigger(BOOK, account(), market(a=-1), 900, asset="A") is None


def test_price_trigger_at_the_lowest_price() -> None:
    """The lowest price there is can be a trigger; it need not be looked for below."""
    found = price_trigger(BOOK, account(), market(a=1), 220, asset="A")
    assert found is not None
    assert (found.direction, found.value) == ("below", 1)


def test_shock_falls() -> None:
    """1,000 + 200 meets 900 at -25 %; B moves half as much with beta 1/2."""
    both = shock_trigger(BOOK, account(), market(), 900, betas={"A": Fraction(1), "B": Fraction(1)})
    assert both is not None
    assert (both.kind, both.asset, both.direction) == ("shock", None, "below")
    # A at 75 and B at 30 are just enough; one grid step less makes both a unit smaller
    assert both.value == Fraction(-250_000_001, 10**9)
    slow = shock_trigger(
        BOOK, account(a=0), market(), 150, betas={"B": Fraction(1, 2), "C": Fraction(1)}
    )
    assert slow is not None
    assert slow.value == Fraction(-500_000_001, 10**9)


def test_shock_rises() -> None:
    """What is owed triggers on the way up: 1,000 - 5·B < 0 first at B = 201."""
    found = shock_trigger(BOOK, account(b=-5), market(), 0, betas={"B": Fraction(1)})
    assert found is not None
    assert (found.direction, found.value) == ("above", Fraction(4_025, 1_000))


def test_shock_of_an_account_that_is_already_liquidatable() -> None:
    """The last shock that leaves it so: A has to double to 70 from 35."""
    found = shock_trigger(BOOK, account(), market(a=35), 900, betas={"A": Fraction(1)})
    assert found is not None
    assert (found.direction, found.value) == ("below", Fraction(999_999_999, 10**9))


def test_shock_that_does_not_exist() -> None:
    """No price moves, or none that matters."""
    assert shock_trigger(BOOK, account(), market(), 900, betas={}) is None
    assert shock_trigger(BOOK, account(), market(), 0, betas={"A": Fraction(1)}) is None


def test_shock_moves_the_spread_with_the_price() -> None:
    """Bid and ask move by the share that the price moves by; none is left from before."""
    seen: list[Price] = []

    def watched(account: Account, market: Market, terms: int) -> Margin:
        seen.append(market.prices["A"])
        return margin(account, market, terms)

    shock_trigger(replace(BOOK, margin=watched), account(), market(), 900, betas={"A": Fraction(1)})
    assert len(seen) > 10
    assert all(price.bid == price.ask == price.value for price in seen)


def test_time_trigger() -> None:
    """1,200 of credit against 900 and one per second: liquidatable after 301 seconds."""
    found = time_trigger(BOOK, account(), market(), 900, until=AT + timedelta(days=1))
    assert found == Trigger(kind="time", at=AT + timedelta(seconds=301))
    edge = time_trigger(BOOK, account(), market(), 900, until=AT + timedelta(seconds=301))
    assert edge == found


def test_time_trigger_that_does_not_exist() -> None:
    """Not by then, already so, or nothing accrues."""
    soon = AT + timedelta(seconds=300)
    assert time_trigger(BOOK, account(), market(), 900, until=soon) is None
    assert time_trigger(BOOK, account(), market(), 1201, until=soon) is None
    still = replace(BOOK, accrue=None)
    assert time_trigger(still, account(), market(), 900, until=AT + timedelta(days=1)) is None


@pytest.mark.parametrize(
    ("mark", "found", "shock"),
    [
        # 10 · price - 2,500 of equity against 1 % of 200 · price: safe from 312.5 on, ...
        (100, [("below", 312_500)], ("below", "2.125009999")),
        # ... up to where brackets of 10 % from 100,000 on ask for more than that.
        (400, [("below", 312_500), ("above", 1_550_000)], ("below", "-0.218747501")),
        (2_000, [("above", 1_550_000)], ("above", "-0.225")),
    ],
)
def test_an_account_that_is_safe_between_two_prices_alone(
    mark: int, found: list[tuple[str, int]], shock: tuple[str, str]
) -> None:
    """Long 105 at 100 and short 95 at 2,000 / 19, with 2,000 owed; whatever the price now.

    Beyond 100,000 / 95 both legs are in the second bracket, where 9,000 each is taken off 10 %:
    10 · price - 2,500 = 20 · price - 18,000 at 1,550.
    """
    tiers = tiers_from(
        [(Fraction(0), Fraction(1, 100), None), (Fraction(100_000), Fraction(1, 10), None)]
    )
    legs = (
        Leg(kind=LegKind.DEBT, asset="USDT", quantity=2_000),
        Leg(kind=LegKind.POSITION, asset="X", quantity=105, entry=100),
        Leg(kind=LegKind.POSITION, asset="X", quantity=-95, entry=Fraction(2_000, 19)),
    )
    hedged = Account(id="a", venue="binance-usdm", version="2026-09", market="m", legs=legs)
    price = Price(value=mark * 1_000, decimals=3, observed_at=AT)
    rules, terms = load("binance-usdm", "2026-09"), tiered_perp.Terms(symbols={"X": tiers})
    around = Market(at=AT, prices={"X": price})
    triggers = price_triggers(rules, hedged, around, terms, asset="X")
    assert [(trigger.direction, trigger.value) for trigger in triggers] == found
    moved = shock_trigger(rules, hedged, around, terms, betas={"X": Fraction(1)})
    assert moved is not None
    assert (moved.direction, moved.value) == (shock[0], Fraction(shock[1]))
