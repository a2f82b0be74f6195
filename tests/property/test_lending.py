"""What must hold for every account of the pooled and isolated lending venues."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Margin, Refusal, Verdict
from models.margin.rulebook import Liquidate, Rulebook, with_price
from models.margin.trigger import BREACHED, price_trigger
from models.margin.venues import compound_v2, compound_v3, euler_v2, fluid, morpho_blue

AT = datetime(2026, 1, 1, tzinfo=UTC)
WAD, RAY = 10**18, 10**27
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@dataclass(frozen=True, kw_only=True)
class Venue:
    """One rulebook with terms and state in which unit prices are the decimals' power of ten.

    Parameters
    ----------
    debt_scale
        Debt leg per smallest unit of debt.
    """

    book: Rulebook[Any]
    terms: Any
    debt: str
    state: dict[str, int]
    debt_scale: int = 1


VENUES = {
    "compound-v3": Venue(
        book=compound_v3.RULEBOOKS[0],
        terms=compound_v3.Terms(
            base_asset="D",
            base_decimals=0,
            collaterals=tuple(
                compound_v3.Collateral(
                    asset=asset,
                    decimals=0,
                    borrow_factor=7 * 10**17,
                    liquidate_factor=8 * 10**17,
                    liquidation_factor=93 * 10**16,
                )
                for asset in ("A", "B")
            ),
        ),
        debt="D",
        state={"base_supply_index": 11 * 10**14, "base_borrow_index": 12 * 10**14},
    ),
    "compound-v2": Venue(
        book=compound_v2.RULEBOOKS[0],
        terms=compound_v2.Terms(
            close_factor=5 * 10**17,
            liquidation_incentive=108 * 10**16,
            collateral_factors={"A": 8 * 10**17, "B": 6 * 10**17, "D": 0},
        ),
        debt="D",
        state={"A.exchange_rate": WAD, "B.exchange_rate": WAD // 3},
    ),
    "morpho-blue": Venue(
        book=morpho_blue.RULEBOOKS[0],
        terms=morpho_blue.Terms(loan_asset="D", collateral_asset="A", lltv=86 * 10**16),
        debt="D",
        state={
            "total_supply_assets": 2**100,
            "total_borrow_assets": 2**99,
            "total_borrow_shares": 2**99 * 10**6,
        },
        debt_scale=10**6,
    ),
    "euler-v2": Venue(
        book=euler_v2.RULEBOOKS[0],
        terms=euler_v2.Terms(
            asset="D",
            collaterals={
                "A": euler_v2.Ltv(borrow=8000, liquidation=8500),
                "B": euler_v2.Ltv(borrow=6000, liquidation=7000),
            },
            max_liquidation_discount=1500,
        ),
        debt="D",
        state={},
        debt_scale=2**31,
    ),
    "fluid": Venue(
        book=fluid.RULEBOOKS[0],
        terms=fluid.Terms(
            collateral_asset="A",
            debt_asset="D",
            collateral_factor=800,
            liquidation_threshold=850,
            liquidation_max_limit=900,
            liquidation_penalty=300,
        ),
        debt="D",
        state={},
    ),
}
BOTH = pytest.mark.parametrize("venue", VENUES.values(), ids=VENUES.keys())

amounts = st.integers(10_000, 10**15)
relative_prices = st.integers(10**5, 10**7)
uint256 = st.integers(0, 2**256 - 1)


def is_single(venue: Venue) -> bool:
    """Return whether the venue's accounts have one collateral."""
    return venue.book.venue in {"morpho-blue", "fluid"}


def account(venue: Venue, debt: int, a: int, b: int) -> Account:
    """Return an account that owes smallest units against one or two collaterals."""
    held = {"A": a} if is_single(venue) else {"A": a, "B": b}
    legs = tuple(
        Leg(kind=LegKind.COLLATERAL, asset=asset, quantity=quantity)
        for asset, quantity in held.items()
    )
    owed = Leg(kind=LegKind.DEBT, asset=venue.debt, quantity=debt * venue.debt_scale)
    return Account(
        id="a",
        venue=venue.book.venue,
        version=venue.book.version,
        market="m",
        legs=(*legs, owed),
    )


def market(venue: Venue, a: int, b: int) -> Market:
    """Return a market with collateral prices in millionths of the debt's."""
    decimals = venue.book.price_decimals or 0
    values = {"A": a * 10**decimals // 10**6, "B": b * 10**decimals // 10**6, "D": 10**decimals}
    return Market(
        at=AT,
        prices={
            asset: Price(value=value, decimals=decimals, observed_at=AT)
            for asset, value in values.items()
        },
        state=venue.state,
    )


def judge(venue: Venue, held: Account, where: Market) -> Margin:
    """Return the venue's verdict."""
    return venue.book.margin(held, where, venue.terms)


@BOTH
@SETTINGS
@given(held=st.tuples(amounts, amounts, amounts), price=relative_prices, more=amounts)
def test_collateral_and_repayment_never_hurt(
    venue: Venue, held: tuple[int, int, int], price: int, more: int
) -> None:
    """An account that is safe stays so with more collateral or less debt."""
    debt, a, b = held
    where = market(venue, price, 10**6)
    assume(judge(venue, account(venue, debt, a, b), where).verdict is Verdict.SAFE)
    less = max(0, debt - more)
    for better in (account(venue, debt, a + more, b), account(venue, less, a, b)):
        assert judge(venue, better, where).verdict is Verdict.SAFE


@BOTH
@SETTINGS
@given(debt=amounts, a=amounts, b=amounts, price=relative_prices)
def test_verdict_flips_at_the_trigger(venue: Venue, debt: int, a: int, b: int, price: int) -> None:
    """At the trigger price and one below the account is liquidatable, one above it is not."""
    held, where = account(venue, debt, a, b), market(venue, price, 10**6)
    found = price_trigger(venue.book, held, where, venue.terms, asset="A")
    if found is None:
        high = with_price(where, "A", 2**128)
        low = with_price(where, "A", 1)
        verdicts = {judge(venue, held, each).verdict in BREACHED for each in (low, where, high)}
        assert len(verdicts) == 1
        return
    assert found.direction == "below"
    at = int(found.value or 0)
    for offset, is_breached in ((-1, True), (0, True), (1, False)):
        if at + offset > 0:
            moved = with_price(where, "A", at + offset)
            assert (judge(venue, held, moved).verdict in BREACHED) == is_breached


@BOTH
@SETTINGS
@given(debt=amounts, a=amounts, b=amounts, price=relative_prices)
def test_surplus_agrees_with_the_verdict(
    venue: Venue, debt: int, a: int, b: int, price: int
) -> None:
    """A negative surplus is liquidatable, a positive one safe; equality is the venue's own."""
    judged = judge(venue, account(venue, debt, a, b), market(venue, price, 10**6))
    assert judged.maintenance is not None
    if judged.maintenance.surplus < 0:
        assert judged.verdict is Verdict.LIQUIDATABLE
    elif judged.maintenance.surplus > 0 or venue.book.venue != "euler-v2":
        assert judged.verdict is Verdict.SAFE
    else:
        assert judged.verdict is Verdict.LIQUIDATABLE


@BOTH
@SETTINGS
@given(
    amounts_held=st.tuples(amounts, amounts, amounts),
    price=relative_prices,
    share=st.integers(1, 100),
)
def test_liquidation_takes_no_more_than_there_is(
    venue: Venue, amounts_held: tuple[int, int, int], price: int, share: int
) -> None:
    """Nothing seized, repaid or lost exceeds what the account has and owes."""
    assert venue.book.liquidate is not None
    held, where = account(venue, *amounts_held), market(venue, price, 10**6)
    part = amounts_held[0] * venue.debt_scale * share // 100
    for repay in (None, part // (2**31 if venue.book.venue == "euler-v2" else 1)):
        request = Liquidate(debt_asset="D", collateral_asset="A", repay=repay)
        found = venue.book.liquidate(held, where, venue.terms, request)
        if isinstance(found, Refusal):
            assert found.reason
            continue
        assert isinstance(found, Liquidation)
        quantities = {leg.asset: leg.quantity for leg in held.legs}
        assert all(taken <= quantities[asset] for asset, taken in found.seized.items())
        assert all(amount >= 0 for amount in found.repaid.values())
        assert all(found.bonus[asset] <= found.seized[asset] for asset in found.bonus)
        assert found.after is not None
        assert found.after.verdict is not Verdict.UNEVALUABLE


@BOTH
@SETTINGS
@given(
    debt=uint256,
    a=uint256,
    b=uint256,
    price=st.one_of(st.none(), st.integers(-(2**255), 2**256 - 1), st.integers(0, 10**40)),
)
def test_margin_and_liquidate_are_total(
    venue: Venue, debt: int, a: int, b: int, price: int | None
) -> None:
    """No amount and no price makes the rules raise; a bad price is never called safe."""
    assert venue.book.liquidate is not None
    held, where = account(venue, debt, a, b), market(venue, 10**6, 10**6)
    prices = {asset: each for asset, each in where.prices.items() if asset != "A"}
    if price is not None:
        prices["A"] = replace(where.prices["A"], value=price)
    where = replace(where, prices=prices)
    judged = judge(venue, held, where)
    if debt and a and (price is None or price <= 0):
        assert judged.verdict is Verdict.UNEVALUABLE
    request = Liquidate(debt_asset="D", collateral_asset="A")
    found = venue.book.liquidate(held, where, venue.terms, request)
    if judged.verdict is not Verdict.LIQUIDATABLE:
        assert isinstance(found, Refusal)


@BOTH
@SETTINGS
@given(a=uint256, b=uint256)
def test_no_debt_is_safe_at_any_price(venue: Venue, a: int, b: int) -> None:
    """An account that owes nothing is safe, without any price."""
    held = account(venue, 0, a, b)
    assert judge(venue, held, Market(at=AT, prices={})).verdict is Verdict.SAFE


@SETTINGS
@given(tick=st.integers(-32766, 32767))
def test_tick_of_its_own_ratio(tick: int) -> None:
    """A hair above the ratio of a tick lies that tick, and ratios rise with ticks.

    On the ratio itself the roundings of the venue may say one tick less.
    """
    ratio = fluid.ratio_at_tick(tick)
    assert fluid.tick_at_ratio(ratio).tick in {tick - 1, tick}
    above = min(fluid.MAX_RATIO, ratio + ratio // 10**20 + 1)
    assert fluid.tick_at_ratio(above).tick == tick
    assert ratio > fluid.ratio_at_tick(tick - 1)


@SETTINGS
@given(ratio=st.integers(fluid.MIN_RATIO, fluid.MAX_RATIO))
def test_perfect_ratio_is_not_above(ratio: int) -> None:
    """The ratio of the tick below a ratio does not exceed it."""
    assert fluid.tick_at_ratio(ratio).ratio <= ratio


@SETTINGS
@given(
    target=st.integers(0, 10_000),
    initial=st.integers(0, 10_000),
    duration=st.integers(1, 10**7),
    now=st.integers(0, 10**7),
)
def test_ramp_is_continuous_and_never_rises(
    target: int, initial: int, duration: int, now: int
) -> None:
    """A falling limit starts and ends where it should; a rising one is in force at once."""
    ltv = euler_v2.Ltv(
        borrow=0,
        liquidation=target,
        initial_liquidation=initial,
        target_timestamp=duration,
        ramp_duration=duration,
    )
    start, end = max(target, initial) if initial > target else target, target
    assert euler_v2.liquidation_ltv(ltv, 0) == start
    assert euler_v2.liquidation_ltv(ltv, duration) == end
    before, after = (euler_v2.liquidation_ltv(ltv, at) for at in (now, now + 1))
    assert end <= after <= before <= start
    # One second moves the limit by its slope, rounded up, at the most.
    assert before - after <= -(-max(0, initial - target) // duration)


@SETTINGS
@given(kink=st.integers(1, WAD), slope=st.integers(0, 10**19))
def test_rate_is_continuous_at_the_kink(kink: int, slope: int) -> None:
    """The rate just above the kink is the rate at it plus at most one unit of the slope."""
    rate = compound_v3.Kink(base=10**16, slope_low=slope, slope_high=slope * 10, kink=kink)
    at, above = (compound_v3.per_second(rate, each) for each in (kink, kink + 1))
    assert at <= above <= at + 1


@SETTINGS
@given(shares=amounts, collateral=amounts, price=relative_prices)
def test_morpho_books_balance(shares: int, collateral: int, price: int) -> None:
    """What a liquidation takes off a position it takes off the market's books."""
    totals = morpho_blue.Totals(supply_assets=10**16, borrow_assets=10**15, borrow_shares=10**21)
    position = morpho_blue.Position(collateral=collateral, borrow_shares=shares * 10**6)
    found = morpho_blue.seize_most(position, totals, price=price * 10**30, lltv=86 * 10**16)
    if isinstance(found, Refusal):
        assert found.reason in {"position is healthy", "underflow"}
        return
    assert found.seized + found.position.collateral == collateral
    lost = position.borrow_shares - found.position.borrow_shares
    assert totals.borrow_shares - found.totals.borrow_shares == lost
    assert totals.supply_assets - found.totals.supply_assets == found.bad_debt
    assert totals.borrow_assets - found.totals.borrow_assets == found.repaid + found.bad_debt
