"""What must hold for every Aave account: monotone, exact at the trigger, total."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import MAX_UINT256, RAY, WAD
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate, Rulebook, load, with_price
from models.margin.trigger import BREACHED, price_trigger
from models.margin.venues import aave_v3_terms as v3
from models.margin.venues import aave_v4_positions as v4
from models.margin.venues.aave_interest import binomial_factor, linear_factor, taylor_factor
from models.margin.venues.aave_v4_liquidation import Curve, liquidation_bonus

AT = datetime(2026, 1, 1, tzinfo=UTC)
DECIMALS = {"A": 18, "B": 8, "C": 2}
THRESHOLDS = {"A": 8_000, "B": 7_777, "C": 6_511}
CURVE = Curve(
    target_health_factor=105 * 10**16, max_bonus_health_factor=9 * 10**17, bonus_factor=5_000
)
TERMS = {
    "aave-v3": v3.Terms(
        reserves={
            asset: v3.Reserve(
                id=i,
                decimals=places,
                ltv=5_000,
                threshold=THRESHOLDS[asset],
                bonus=10_500,
                protocol_fee=1_000,
            )
            for i, (asset, places) in enumerate(DECIMALS.items())
        }
    ),
    "aave-v4": v4.Terms(
        reserves={
            asset: v4.Reserve(
                decimals=places,
                risk=100 * places,
                configs={"1": v4.Config(factor=THRESHOLDS[asset], max_bonus=10_500, fee=1_000)},
            )
            for asset, places in DECIMALS.items()
        },
        curve=CURVE,
    ),
}
BOOKS = (
    ("aave-v3", "3.3"),
    ("aave-v3", "3.4"),
    ("aave-v3", "3.5"),
    ("aave-v3", "3.6"),
    ("aave-v3", "3.7"),
    ("aave-v4", "0.5.11"),
)
EVERY = pytest.mark.parametrize(("venue", "version"), BOOKS)

amounts = st.integers(min_value=0, max_value=10**24)
prices = st.integers(min_value=1, max_value=10**13)
indices = st.integers(min_value=RAY, max_value=2 * RAY)
held_or_owed = st.fixed_dictionaries({"A": amounts, "B": amounts})


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """Draw prices and indices of three assets."""
    state: dict[str, int] = {}
    for asset in DECIMALS:
        grown = draw(indices)
        state[f"{asset}.liquidity_index"] = grown
        state[f"{asset}.borrow_index"] = state[f"{asset}.drawn_index"] = draw(indices)
        state[f"{asset}.added_shares"] = 10**24
        state[f"{asset}.added_assets"] = 10**24 * grown // RAY
    quoted = {asset: Price(value=draw(prices), decimals=8, observed_at=AT) for asset in DECIMALS}
    return Market(at=AT, prices=quoted, state=state)


def account(venue: str, version: str, held: dict[str, int], owed: dict[str, int]) -> Account:
    """Return an account of collateral and debt by asset."""
    legs = [
        Leg(kind=LegKind.COLLATERAL, asset=asset, quantity=amount) for asset, amount in held.items()
    ]
    legs += [Leg(kind=LegKind.DEBT, asset=asset, quantity=amount) for asset, amount in owed.items()]
    return Account(id="a", venue=venue, version=version, market="m", legs=tuple(legs))


def verdict(
    venue: str, version: str, held: dict[str, int], owed: dict[str, int], at: Market
) -> Verdict:
    """Judge an account of collateral and debt by asset."""
    judged = load(venue, version).margin(account(venue, version, held, owed), at, TERMS[venue])
    return judged.verdict


@EVERY
@settings(max_examples=60, deadline=None)
@given(held=held_or_owed, owed=amounts, more=amounts, at=markets())
def test_more_collateral_never_harms(
    *, venue: str, version: str, held: dict[str, int], owed: int, more: int, at: Market
) -> None:
    """More collateral never makes a safe account liquidatable.

    Until 3.4 it can, by less than a basis point: health is taken of the average threshold,
    truncated, so that is not asked of accounts with several thresholds.
    """
    before = verdict(venue, version, held, {"C": owed}, at)
    after = verdict(venue, version, {**held, "A": held["A"] + more}, {"C": owed}, at)
    average_rounds = version in {"3.3", "3.4"} and held["B"] > 0
    assert average_rounds or not (before is Verdict.SAFE and after in BREACHED)


@EVERY
@settings(max_examples=60, deadline=None)
@given(held=amounts, owed=held_or_owed, less=amounts, at=markets())
def test_repaying_never_harms(
    *, venue: str, version: str, held: int, owed: dict[str, int], less: int, at: Market
) -> None:
    """Repaying never makes a safe account liquidatable."""
    before = verdict(venue, version, {"C": held}, owed, at)
    after = verdict(venue, version, {"C": held}, {**owed, "A": max(0, owed["A"] - less)}, at)
    assert not (before is Verdict.SAFE and after in BREACHED)


@EVERY
@settings(max_examples=30, deadline=None)
@given(held=amounts, owed=amounts, at=markets(), asset=st.sampled_from(["A", "C"]))
def test_verdict_flips_exactly_at_the_trigger(
    *, venue: str, version: str, held: int, owed: int, at: Market, asset: str
) -> None:
    """One step on the safe side of the trigger is safe; the trigger and beyond are not."""
    book: Rulebook[object] = load(venue, version)
    judged = account(venue, version, {"A": held}, {"C": owed})
    found = price_trigger(book, judged, at, TERMS[venue], asset=asset)
    if found is None:
        return
    assert found.value is not None
    towards = -1 if found.direction == "below" else 1
    for step, is_breached in ((-towards, False), (0, True), (towards, True)):
        value = int(found.value) + step
        if value > 0:
            moved = with_price(at, asset, value)
            verdict_there = book.margin(judged, moved, TERMS[venue]).verdict
            assert (verdict_there in BREACHED) == is_breached


@EVERY
@settings(max_examples=60, deadline=None)
@given(
    held=st.integers(min_value=-1, max_value=MAX_UINT256),
    owed=st.integers(min_value=-1, max_value=MAX_UINT256),
    price=st.integers(min_value=-1, max_value=MAX_UINT256),
    repay=st.integers(min_value=-1, max_value=MAX_UINT256),
)
def test_total(*, venue: str, version: str, held: int, owed: int, price: int, repay: int) -> None:
    """Any integers get an answer; no debt is safe; no price is never safe with debt."""
    quoted = {
        asset: Price(value=value, decimals=8, observed_at=AT)
        for asset, value in (("A", price), ("C", 10**8))
    }
    state = {"A.liquidity_index": RAY, "C.borrow_index": RAY, "C.drawn_index": RAY}
    at = Market(
        at=AT, prices=quoted, state={**state, "A.added_assets": 10**24, "A.added_shares": 10**24}
    )
    judged = account(venue, version, {"A": held}, {"C": owed})
    book: Rulebook[object] = load(venue, version)
    found = book.margin(judged, at, TERMS[venue]).verdict
    if owed == 0:
        assert found is Verdict.SAFE
    elif held and price <= 0:
        assert found is Verdict.UNEVALUABLE
    assert book.liquidate is not None
    done = book.liquidate(judged, at, TERMS[venue], Liquidate(repay=repay))
    assert isinstance(done, Liquidation | Refusal)
    assert isinstance(done, Refusal) or found is Verdict.LIQUIDATABLE


@EVERY
@settings(max_examples=60, deadline=None)
@given(
    held=st.integers(min_value=10**18, max_value=10**24),
    health=st.integers(min_value=50, max_value=120),
    repay=st.integers(min_value=1, max_value=10**24),
    at=markets(),
)
def test_liquidation_conserves(
    *, venue: str, version: str, held: int, health: int, repay: int, at: Market
) -> None:
    """Nothing is repaid or taken beyond what was offered, owed and held."""
    book: Rulebook[object] = load(venue, version)
    assert book.liquidate is not None
    rich = book.margin(account(venue, version, {"A": held}, {"C": 10**9}), at, TERMS[venue])
    assert rich.ratio is not None
    assert rich.ratio.value is not None
    owed = int(rich.ratio.value * 10**11 // health // WAD)
    judged = account(venue, version, {"A": held}, {"C": owed})
    done = book.liquidate(judged, at, TERMS[venue], Liquidate(repay=repay))
    if isinstance(done, Refusal):
        return
    assert 0 <= done.repaid["C"] <= min(repay, 2 * owed + 1)
    assert 0 <= done.protocol_fee["A"] <= done.bonus["A"] + 1
    assert done.bonus["A"] <= done.seized["A"] <= 2 * held
    assert done.after is not None
    assert done.after.verdict is not Verdict.UNEVALUABLE
    without = replace(judged, legs=())
    assert book.margin(without, at, TERMS[venue]).reason == "no_debt"


@settings(max_examples=200, deadline=None)
@given(
    rate=st.integers(min_value=0, max_value=3 * RAY),
    seconds=st.integers(min_value=0, max_value=10**8),
    later=st.integers(min_value=0, max_value=10**7),
)
def test_interest_grows_with_time(rate: int, seconds: int, later: int) -> None:
    """Debt grows with time, and never less than income but for truncation."""
    for grow in (linear_factor, binomial_factor, taylor_factor):
        assert RAY <= grow(rate, seconds) <= grow(rate, seconds + later)
    assert taylor_factor(rate, seconds) >= linear_factor(rate, seconds)


@settings(max_examples=200, deadline=None)
@given(health=st.integers(min_value=1, max_value=WAD - 1), bonus=st.integers(10_000, 12_000))
def test_bonus_is_monotone_and_bounded(health: int, bonus: int) -> None:
    """A liquidator never earns more at better health, nor outside the curve."""
    earned = liquidation_bonus(CURVE, max_bonus=bonus, health_factor=health)
    worse = liquidation_bonus(CURVE, max_bonus=bonus, health_factor=health - 1)
    assert 10_000 <= earned <= worse <= bonus
