"""Stocks on credit: requirements, verdicts and liquidation prices."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Verdict
from models.margin.rulebook import load
from models.margin.trigger import price_trigger
from models.margin.venues import reg_t

AT = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
TERMS = reg_t.Terms()


def market(**cents: int) -> Market:
    """Return previous closes in cents."""
    prices = {name: Price(value=v, decimals=2, observed_at=AT) for name, v in cents.items()}
    return Market(at=AT, prices=prices)


def account(money: int, *, opened: int = 0, **shares: int) -> Account:
    """Return an account with a credit (or, negative, a debit) balance and stocks."""
    kind = LegKind.COLLATERAL if money >= 0 else LegKind.DEBT
    legs = [Leg(kind=kind, asset="USD", quantity=abs(money))]
    legs += [
        Leg(kind=LegKind.POSITION, asset=name, quantity=count) for name, count in shares.items()
    ]
    return Account(
        id="a",
        venue="reg-t",
        version="finra-4210",
        market="margin",
        legs=tuple(legs),
        options={"is_transaction_day": opened},
    )


def test_long_account_on_the_line_is_safe_and_one_cent_below_is_not() -> None:
    """A debit of 7,500 on 100 shares meets 25 % at exactly 100."""
    held = account(-7_500, AAA=100)
    at_line = reg_t.margin(held, market(AAA=10_000), TERMS)
    assert at_line.verdict is Verdict.SAFE
    assert at_line.reason == "restricted"
    assert at_line.maintenance is not None
    assert (at_line.maintenance.credit, at_line.maintenance.requirement) == (2_500, 2_500)
    assert at_line.initial is not None
    assert at_line.initial.requirement == 5_000
    assert at_line.ratio is not None
    assert (at_line.ratio.name, at_line.ratio.value) == ("equity_percentage", Fraction(1, 4))
    below = reg_t.margin(held, market(AAA=9_999), TERMS)
    assert (below.verdict, below.reason) == (Verdict.LIQUIDATABLE, "below_maintenance")


@pytest.mark.parametrize(
    ("cents", "per_share"),
    [
        (100, Fraction(5, 2)),
        (250, Fraction(5, 2)),
        (499, Fraction(499, 100)),
        (500, Fraction(5)),
        (1_666, Fraction(5)),
        (1_667, Fraction(5001, 1000)),
        (10_000, Fraction(30)),
    ],
)
def test_short_requirement_per_share(cents: int, per_share: Fraction) -> None:
    """Both tiers and both floors of the rule."""
    price = Fraction(cents, 100)
    assert reg_t.maintenance_per_share(price, TERMS, short=True) == per_share


@pytest.mark.parametrize(
    ("money", "shares", "close", "expected"),
    [
        (-7_500, 100, 12_000, Fraction(100)),
        (-10_000, 100, 20_000, Fraction(400, 3)),
        (15_000, -100, 10_000, Fraction(1_500, 13)),
        (2_000, -100, 1_200, Fraction(15)),
        (800, -100, 300, Fraction(4)),
        (400, -100, 100, Fraction(3, 2)),
    ],
)
def test_liquidation_price(money: int, shares: int, close: int, expected: Fraction) -> None:
    """Debit / 0.75, credit / 1.30 and the tiers of cheap stocks."""
    found = reg_t.liquidation_price(
        account(money, AAA=shares), market(AAA=close), TERMS, asset="AAA"
    )
    assert found == expected


def test_five_dollars_is_not_cheap() -> None:
    """With a house floor of 6 per share the tier begins at 5.00 exactly."""
    house = replace(TERMS, short_floor_cents=600)
    assert reg_t.maintenance_per_share(Fraction(5), house, short=True) == 6
    assert reg_t.maintenance_per_share(Fraction(499, 100), house, short=True) == Fraction(499, 100)


def test_short_without_margin_has_no_liquidation_price() -> None:
    """A credit of the floor alone balances only at a price of 0."""
    held = account(250, AAA=-100)
    assert reg_t.liquidation_price(held, market(AAA=100), TERMS, asset="AAA") is None


def test_liquidation_price_with_other_positions_held() -> None:
    """Another stock's equity above its own requirement carries the debit."""
    both = account(-10_000, AAA=100, BBB=100)
    prices = market(AAA=10_000, BBB=4_000)
    found = reg_t.liquidation_price(both, prices, TERMS, asset="AAA")
    assert found == Fraction(280, 3)


@pytest.mark.parametrize("money", [5_000, 0])
def test_no_liquidation_price_without_debit(money: int) -> None:
    """A stock that is paid for cannot be called."""
    paid = account(money, AAA=100)
    assert reg_t.liquidation_price(paid, market(AAA=100), TERMS, asset="AAA") is None
    assert reg_t.liquidation_price(paid, market(AAA=100), TERMS, asset="BBB") is None
    assert reg_t.margin(paid, market(AAA=1), TERMS).verdict is Verdict.SAFE


def test_trigger_search_agrees_with_the_formula() -> None:
    """Integer search finds the first cent below 400/3."""
    found = price_trigger(
        load("reg-t", "finra-4210"),
        account(-10_000, AAA=100),
        market(AAA=20_000),
        TERMS,
        asset="AAA",
    )
    assert found is not None
    assert (found.direction, found.value, found.decimals) == ("below", 13_333, 2)


def test_initial_requirement_calls_only_on_the_day_of_the_transaction() -> None:
    """The same shortfall is a call on that day and a restriction later."""
    prices = market(AAA=10_000)
    today = reg_t.margin(account(-6_000, opened=1, AAA=100), prices, TERMS)
    assert (today.verdict, today.reason) == (Verdict.MARGIN_CALL, "below_initial")
    later = reg_t.margin(account(-6_000, AAA=100), prices, TERMS)
    assert (later.verdict, later.reason) == (Verdict.SAFE, "restricted")
    enough = reg_t.margin(account(-5_000, opened=1, AAA=100), prices, TERMS)
    assert (enough.verdict, enough.reason) == (Verdict.SAFE, "above_initial")


@pytest.mark.parametrize(
    ("money", "shares", "required"), [(-500, 10, 1_000), (-1_500, 30, 2_000), (900, -6, 2_000)]
)
def test_minimum_equity(money: int, shares: int, required: int) -> None:
    """2,000 at least, but never more than what long positions cost."""
    found = reg_t.margin(account(money, opened=1, AAA=shares), market(AAA=10_000), TERMS)
    assert found.initial is not None
    assert found.initial.requirement == required
    assert found.verdict is Verdict.MARGIN_CALL


@pytest.mark.parametrize(
    ("held", "prices", "reason"),
    [
        (account(-1, AAA=1), market(), "price_missing"),
        (account(-1, AAA=1), market(AAA=0), "price_not_positive"),
        (account(-1, AAA=1), market(AAA=-5), "price_not_positive"),
    ],
)
def test_unevaluable(held: Account, prices: Market, reason: str) -> None:
    """A missing or worthless price is never taken for 0."""
    found = reg_t.margin(held, prices, TERMS)
    assert (found.verdict, found.reason) == (Verdict.UNEVALUABLE, reason)
    assert reg_t.liquidation_price(held, prices, TERMS, asset="AAA") is None


def test_what_is_not_established_is_refused() -> None:
    """The same stock on both sides, and money in another currency."""
    one = account(0, AAA=5)
    boxed = replace(one, legs=(*one.legs, Leg(kind=LegKind.POSITION, asset="AAA", quantity=-5)))
    found = reg_t.margin(boxed, market(AAA=100), TERMS)
    assert (found.verdict, found.reason) == (
        Verdict.UNEVALUABLE,
        "boxed_position_not_established",
    )
    euro = replace(one, legs=(Leg(kind=LegKind.COLLATERAL, asset="EUR", quantity=5),))
    assert reg_t.margin(euro, market(), TERMS).reason == "foreign_currency_not_established"


def test_empty_and_hopeless_accounts() -> None:
    """Nothing held is safe; a debit with nothing behind it cannot be executed."""
    empty = reg_t.margin(account(0), market(), TERMS)
    assert (empty.verdict, empty.reason) == (Verdict.SAFE, "no_position")
    owing = reg_t.margin(account(-1), market(), TERMS)
    assert (owing.verdict, owing.reason) == (Verdict.NOT_EXECUTABLE, "nothing_to_sell")
    assert owing.ratio is not None
    assert owing.ratio.value is None


def test_huge_amounts_are_exact() -> None:
    """Amounts of uint256 size are judged like any other."""
    held = account(-(3 * 2**256), AAA=4 * 2**256)
    assert reg_t.margin(held, market(AAA=100), TERMS).verdict is Verdict.SAFE
    assert reg_t.margin(held, market(AAA=99), TERMS).verdict is Verdict.LIQUIDATABLE


def test_previous_close_is_the_newest_before_the_day() -> None:
    """A print of the day itself is not the current market value."""
    closes = [Price(value=v, decimals=2, observed_at=AT - timedelta(days=v)) for v in (3, 0, 1)]
    found = reg_t.previous_close(closes, day=AT)
    assert found is not None
    assert found.value == 1
    assert reg_t.previous_close(closes[1:2], day=AT) is None


def test_nothing_held_is_not_short() -> None:
    """Only less than nothing is."""
    assert reg_t.is_short(-1)
    assert not reg_t.is_short(0)
