"""The closed form of a vault's trigger against the rule itself."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import RAY, WAD
from models.margin.rulebook import load
from models.margin.trigger import price_trigger
from models.margin.venues import maker

AT = datetime(2026, 1, 1, tzinfo=UTC)


def terms(mat: int) -> maker.Terms:
    """Return terms with one liquidation ratio."""
    wide = 2**256 - 1
    return maker.Terms(mat=mat, duty=RAY, dust=0, chop=WAD, hole=wide, hole_all=wide)


@given(
    ink=st.integers(1, 10**28),
    art=st.integers(1, 10**30),
    rate=st.integers(RAY, 3 * RAY),
    mat=st.integers(RAY, 4 * RAY),
)
def test_the_verdict_flips_exactly_at_the_trigger(ink: int, art: int, rate: int, mat: int) -> None:
    """Unsafe at the trigger and one unit below, safe one unit above."""
    found = maker.trigger_price(ink, art, rate=rate, mat=mat)
    for price, unsafe in ((found - 1, True), (found, True), (found + 1, False)):
        if price > 0:
            spot = maker.spot_price(price, terms(mat))
            assert maker.is_unsafe(ink, art, spot=spot, rate=rate) is unsafe


@pytest.mark.parametrize(("ink", "art"), [(10 * WAD, 9_000 * WAD), (WAD // 7, 123 * WAD)])
def test_the_search_finds_the_closed_form(ink: int, art: int) -> None:
    """The search over any rulebook gives the same integer."""
    account = Account(
        id="v",
        venue="maker",
        version="dss",
        market="ETH-B",
        legs=(
            Leg(kind=LegKind.COLLATERAL, asset="ETH", quantity=ink),
            Leg(kind=LegKind.DEBT, asset="DAI", quantity=art),
        ),
    )
    rate, mat = 107 * RAY // 100, 13 * RAY // 10
    market = Market(
        at=AT,
        prices={"ETH": Price(value=2_000 * WAD, decimals=18, observed_at=AT)},
        state={"ETH-B.rate": rate, "ETH-B.dirt": 0, "dirt": 0},
    )
    known = terms(mat)
    found = price_trigger(load("maker", "dss"), account, market, known, asset="ETH")
    assert found is not None
    assert found.value == maker.trigger_price(ink, art, rate=rate, mat=mat)
    assert found.direction == "below"
