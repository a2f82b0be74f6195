"""Properties every perpetuals rulebook keeps."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.perpetual import Tiers, discontinuities, maintenance_margin, tiers_from
from models.margin.result import Refusal, Verdict
from models.margin.rulebook import Rulebook, load, with_price
from models.margin.trigger import price_trigger
from models.margin.venues import dydx_v4, gmx_v2, hyperliquid, tiered_perp

AT = datetime(2026, 1, 1, tzinfo=UTC)
DIGITS = 4
FEW = settings(max_examples=40, deadline=None)
LEVERAGES = (50, 25, 20, 10, 5, 3, 2, 1)


@st.composite
def tables(draw: st.DrawFn) -> Tiers:
    """Draw a table of rising floors and rates."""
    count = draw(st.integers(1, len(LEVERAGES)))
    steps = draw(st.lists(st.integers(1, 10**6), min_size=count - 1, max_size=count - 1))
    floors = [sum(steps[:i]) for i in range(count)]
    return tiers_from(
        (Fraction(floor), Fraction(1, 2 * leverage), leverage)
        for floor, leverage in zip(floors, LEVERAGES, strict=False)
    )


def decimals(low: int, high: int) -> st.SearchStrategy[Fraction]:
    """Draw a decimal of four digits."""
    return st.integers(low * 10**DIGITS, high * 10**DIGITS).map(lambda n: Fraction(n, 10**DIGITS))


sizes = st.builds(lambda size, sign: size * sign, decimals(1, 10**4), st.sampled_from((1, -1)))


def book_of(cash: Fraction, positions: Mapping[str, tuple[Fraction, Fraction]]) -> Account:
    """Return cash and positions of (size, entry) by name; the name's first part is the coin."""
    legs = tuple(
        Leg(kind=LegKind.POSITION, asset=name[0], quantity=size, entry=entry)
        for name, (size, entry) in positions.items()
    )
    cash_leg = Leg(kind=LegKind.COLLATERAL, asset="USDT", quantity=cash)
    return Account(id="a", venue="v", version="1", market="m", legs=(cash_leg, *legs))


def marks(**prices: Fraction) -> Market:
    """Return marks of four digits."""
    return Market(
        at=AT,
        prices={
            name: Price(value=int(price * 10**DIGITS), decimals=DIGITS, observed_at=AT)
            for name, price in prices.items()
        },
    )


def flips_at(
    book: Rulebook[Any], account: Account, market: Market, terms: Any, asset: str
) -> int | None:
    """Check the verdict one tick to each side of the trigger, and return the trigger."""
    found = price_trigger(book, account, market, terms, asset=asset)
    if found is None or found.value is None:
        return None
    outward = -1 if found.direction == "below" else 1
    value = int(found.value)
    for at, is_safe in ((value, False), (value + outward, False), (value - outward, True)):
        if at > 0:
            verdict = book.margin(account, with_price(market, asset, at), terms).verdict
            assert (verdict is Verdict.SAFE) == is_safe
    return value


@FEW
@given(tables(), st.data())
def test_tiers_are_continuous(tiers: Tiers, data: st.DataObject) -> None:
    """The requirement does not jump at a floor and never falls with the notional."""
    assert discontinuities(tiers) == ()
    tier = data.draw(st.sampled_from(tiers))
    epsilon = Fraction(1, 10**9)
    here = maintenance_margin(tiers, tier.floor)
    assert maintenance_margin(tiers, tier.floor + epsilon) - here <= epsilon
    if tier.floor:
        assert 0 <= here - maintenance_margin(tiers, tier.floor - epsilon) <= epsilon


@FEW
@given(
    tiers=tables(),
    size=sizes,
    entry=decimals(1, 1000),
    cash=decimals(1, 10**6),
    other=sizes,
    mark=decimals(1, 1000),
)
def test_closed_form_is_where_the_search_flips(
    *,
    tiers: Tiers,
    size: Fraction,
    entry: Fraction,
    cash: Fraction,
    other: Fraction,
    mark: Fraction,
) -> None:
    """The segment-wise root, rounded to the tick, is the generic trigger; others held."""
    account = book_of(cash, {"X": (size, entry), "Y": (other, mark)})
    market = marks(X=entry, Y=mark)
    terms = tiered_perp.Terms(symbols={"X": tiers, "Y": tiers})
    roots = tiered_perp.liquidation_prices(account, market, terms, asset="X")
    assert not isinstance(roots, Refusal)
    value = flips_at(load("binance-usdm", "2026-09"), account, market, terms, "X")
    scaled = [root * 10**DIGITS for root in roots]
    ticks = [math.floor(root) if size > 0 else math.ceil(root) for root in scaled]
    assert [tick for tick in ticks if tick >= 1] == ([] if value is None else [value])


@FEW
@given(tables(), decimals(1, 1000), decimals(1, 1000), decimals(1, 1000), decimals(1, 10**5))
def test_hedge_mode_is_safe_between_its_prices(
    tiers: Tiers, long: Fraction, short: Fraction, entry: Fraction, cash: Fraction
) -> None:
    """There are at most two prices, exact to the last digit, and the middle is safe."""
    account = book_of(cash, {"X long": (long, entry), "X short": (-short, entry)})
    terms = tiered_perp.Terms(symbols={"X": tiers})
    market = marks(X=entry)
    roots = tiered_perp.liquidation_prices(account, market, terms, asset="X")
    assert not isinstance(roots, Refusal)
    assert len(roots) <= 2
    for root in roots:
        assert surplus(account, terms, at=root) == 0
    if len(roots) == 2:
        assert surplus(account, terms, at=sum(roots) / Fraction(2)) > 0


def surplus(account: Account, terms: tiered_perp.Terms, *, at: Fraction) -> Fraction:
    """Return the surplus at an exact price, scaled so that the price is an integer.

    Prices are decimals, so quantities are divided by the denominator of `at` instead.
    """
    scale = at.denominator
    legs = tuple(
        leg
        if leg.entry is None
        else replace(leg, quantity=Fraction(leg.quantity) / scale, entry=leg.entry * scale)
        for leg in account.legs
    )
    market = Market(at=AT, prices={"X": Price(value=at.numerator, decimals=0, observed_at=AT)})
    found = tiered_perp.margin(
        replace(account, legs=legs), market, terms, policy=tiered_perp.BINANCE
    )
    assert found.maintenance is not None
    return Fraction(found.maintenance.surplus)


@FEW
@given(tables(), sizes, decimals(1, 1000), decimals(0, 10**5), decimals(0, 10**5))
def test_adding_margin_never_liquidates(
    tiers: Tiers, size: Fraction, entry: Fraction, cash: Fraction, more: Fraction
) -> None:
    """A safe account stays safe with more cash; its liquidation price does not come nearer."""
    terms = tiered_perp.Terms(symbols={"X": tiers})
    market = marks(X=entry)
    poor, rich = (book_of(one, {"X": (size, entry)}) for one in (cash, cash + more))
    book = load("binance-usdm", "2026-09")
    if book.margin(poor, market, terms).verdict is Verdict.SAFE:
        assert book.margin(rich, market, terms).verdict is Verdict.SAFE
    before, after = (
        tiered_perp.liquidation_price(one, market, terms, asset="X") for one in (poor, rich)
    )
    if isinstance(before, Fraction) and isinstance(after, Fraction):
        assert (after <= before) if size > 0 else (after >= before)


@FEW
@given(sizes, decimals(1, 1000), decimals(1, 10**6))
def test_hyperliquid_price_is_where_the_search_flips(
    size: Fraction, entry: Fraction, cash: Fraction
) -> None:
    """The closed form and the search agree on a table of two tiers."""
    table = (
        hyperliquid.LeverageTier(floor=Fraction(0), max_leverage=10),
        hyperliquid.LeverageTier(floor=Fraction(3000), max_leverage=5),
    )
    terms = hyperliquid.Terms(coins={"X": table}, quote="USDT")
    account, market = book_of(cash, {"X": (size, entry)}), marks(X=entry)
    root = hyperliquid.liquidation_price(account, market, terms, coin="X")
    assert not isinstance(root, Refusal)
    value = flips_at(load("hyperliquid", "2026-09"), account, market, terms, "X")
    if root is not None and root * 10**DIGITS >= 1:
        scaled = root * 10**DIGITS
        assert value == (math.floor(scaled) if size > 0 else math.ceil(scaled))
    else:
        assert value is None


perpetuals = st.builds(
    dydx_v4.Perpetual,
    atomic_resolution=st.integers(-10, -4),
    initial_margin_ppm=st.integers(1, 10**6),
    maintenance_fraction_ppm=st.integers(1, 10**6),
)


@FEW
@given(
    perpetuals,
    st.integers(-(10**12), 10**12),
    st.integers(-(10**15), 10**15),
    st.integers(1, 10**10),
    st.integers(0, 10**15),
)
def test_dydx(perpetual: dydx_v4.Perpetual, size: int, usdc: int, price: int, more: int) -> None:
    """More USDC never liquidates and the verdict flips exactly at the trigger."""
    terms = dydx_v4.Terms(perpetuals={"X": perpetual})
    market = Market(at=AT, prices={"X": Price(value=price, decimals=5, observed_at=AT)})
    poor, rich = (
        Account(
            id="s",
            venue="dydx-v4",
            version="84d4664b",
            market="s",
            legs=(dydx_v4.quote_leg(one, terms), *dydx_v4.position_legs({"X": size})),
        )
        for one in (usdc, usdc + more)
    )
    before, after = (dydx_v4.margin(one, market, terms).verdict for one in (poor, rich))
    assert before is Verdict.LIQUIDATABLE or after is Verdict.SAFE
    flips_at(load("dydx-v4", "84d4664b"), poor, market, terms, "X")


@FEW
@given(
    tokens=st.integers(10**14, 10**20),
    sign=st.sampled_from((1, -1)),
    price=st.integers(10**14, 10**18),
    collateral=st.integers(0, 10**14),
    more=st.integers(0, 10**14),
    fee=st.integers(0, 10**28),
)
def test_gmx(*, tokens: int, sign: int, price: int, collateral: int, more: int, fee: int) -> None:
    """More collateral never liquidates and the verdict flips exactly at the trigger."""
    terms = gmx_v2.Terms(
        min_collateral_factor=10**28, min_collateral_usd=10**30, position_fee_factor=fee
    )
    market = Market(
        at=AT,
        prices={
            "I": Price(value=price, decimals=0, observed_at=AT),
            "C": Price(value=10**24, decimals=0, observed_at=AT),
        },
    )
    poor, rich = (
        Account(
            id="p",
            venue="gmx-v2",
            version="a5c0c883",
            market="M",
            legs=(
                Leg(kind=LegKind.COLLATERAL, asset="C", quantity=one),
                Leg(kind=LegKind.POSITION, asset="I", quantity=sign * tokens, entry=price),
            ),
        )
        for one in (collateral, collateral + more)
    )
    before, after = (gmx_v2.margin(one, market, terms).verdict for one in (poor, rich))
    assert before is Verdict.LIQUIDATABLE or after is Verdict.SAFE
    flips_at(load("gmx-v2", "a5c0c883"), poor, market, terms, "I")
