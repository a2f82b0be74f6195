"""Stocks on credit: what must hold for every account."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Verdict
from models.margin.venues import reg_t

AT = datetime(2026, 1, 5, tzinfo=UTC)
TERMS = reg_t.Terms()
SCALE = 10**12
SHARES = st.integers(-(10**6), 10**6).filter(bool)
MONEY = st.integers(-(10**9), 10**9)
CENTS = st.integers(1, 10**6)


def account(money: int, shares: int) -> Account:
    """Return an account with one stock."""
    kind = LegKind.COLLATERAL if money >= 0 else LegKind.DEBT
    legs = (
        Leg(kind=kind, asset="USD", quantity=abs(money)),
        Leg(kind=LegKind.POSITION, asset="AAA", quantity=shares),
    )
    return Account(id="a", venue="reg-t", version="finra-4210", market="margin", legs=legs)


def verdict(held: Account, price: Fraction) -> Verdict:
    """Return the verdict at an exact price."""
    scaled = price * SCALE
    value = Price(value=scaled.numerator // scaled.denominator, decimals=12, observed_at=AT)
    return reg_t.margin(held, Market(at=AT, prices={"AAA": value}), TERMS).verdict


@settings(deadline=None)
@given(money=MONEY, shares=SHARES, cents=CENTS)
def test_verdict_flips_exactly_at_the_liquidation_price(
    money: int, shares: int, cents: int
) -> None:
    """Liquidatable just beyond the formula's price and never just before it."""
    held = account(money, shares)
    start = Price(value=cents, decimals=2, observed_at=AT)
    market = Market(at=AT, prices={"AAA": start})
    found = reg_t.liquidation_price(held, market, TERMS, asset="AAA")
    if found is None or found < Fraction(1, 100):
        return
    step = Fraction(1 if shares < 0 else -1, 10**6)
    assert verdict(held, found + step) is Verdict.LIQUIDATABLE
    assert verdict(held, found - step) is Verdict.SAFE


@settings(deadline=None)
@given(money=MONEY, shares=SHARES, cents=CENTS, more=st.integers(0, 10**9))
def test_adding_money_never_makes_an_account_liquidatable(
    money: int, shares: int, cents: int, more: int
) -> None:
    """Cash added or debit repaid helps or changes nothing."""
    price = Fraction(cents, 100)
    before = verdict(account(money, shares), price)
    after = verdict(account(money + more, shares), price)
    assert before is Verdict.LIQUIDATABLE or after is not Verdict.LIQUIDATABLE


@settings(deadline=None)
@given(cents=st.integers(1, 10**4))
def test_short_requirement_never_falls_as_the_price_rises(cents: int) -> None:
    """The tiers meet without a step down."""
    low, high = (
        reg_t.maintenance_per_share(Fraction(value, 100), TERMS, short=True)
        for value in (cents, cents + 1)
    )
    assert low <= high


@settings(deadline=None)
@given(shares=SHARES, cents=CENTS)
def test_removing_every_position_is_safe(shares: int, cents: int) -> None:
    """Without a position there is nothing to maintain."""
    held = account(0, shares)
    flat = replace(held, legs=held.legs[:1])
    assert verdict(flat, Fraction(cents, 100)) is Verdict.SAFE
