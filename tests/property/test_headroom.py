"""Headroom and weights are total: no amount, total or option makes them fail."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import MAX_UINT256
from models.margin.result import Refusal
from models.margin.rulebook import load, load_all
from models.margin.venues import aave_v3_terms, compound_v3

AT = datetime(2026, 1, 5, tzinfo=UTC)
AMOUNT = st.integers(0, MAX_UINT256)
SIDES = ("scaled_supply", "scaled_debt", "isolated_debt", "liquidity_index", "borrow_index")
STATE = st.dictionaries(
    st.sampled_from(
        [f"{asset}.{name}" for asset in "AB" for name in (*SIDES, "frozen", "total_supply_asset")]
    ),
    AMOUNT,
)
KNOWN = sorted(key for key, book in load_all().items() if book.headroom is not None)


def terms_of(venue: str, decimals: int, cap: int) -> object:
    """Return terms of two assets, both capped, the first isolated where the venue has that."""
    if venue == "compound-v3":
        collateral = compound_v3.Collateral(
            asset="A",
            decimals=decimals,
            borrow_factor=1,
            liquidate_factor=1,
            liquidation_factor=1,
            supply_cap=cap,
        )
        return compound_v3.Terms(base_asset="B", base_decimals=6, collaterals=(collateral,))
    reserves = {
        asset: aave_v3_terms.Reserve(
            id=i,
            decimals=decimals,
            ltv=1,
            threshold=1,
            bonus=10_001,
            supply_cap=cap,
            borrow_cap=cap,
            debt_ceiling=cap if asset == "A" else 0,
        )
        for i, asset in enumerate("AB")
    }
    return aave_v3_terms.Terms(reserves=reserves)


@pytest.mark.parametrize("key", KNOWN)
@settings(max_examples=40, deadline=None)
@given(
    state=STATE,
    held=AMOUNT,
    owed=AMOUNT,
    cap=AMOUNT,
    decimals=st.integers(0, 77),
    emode=st.integers(0, 1),
    priced=st.booleans(),
)
def test_headroom_and_weights_are_total(
    key: tuple[str, str],
    state: dict[str, int],
    held: int,
    owed: int,
    cap: int,
    decimals: int,
    emode: int,
    *,
    priced: bool,
) -> None:
    """Rooms are never negative, never above the cap, and unknown only with a reason."""
    book = load(*key)
    legs = (
        Leg(kind=LegKind.COLLATERAL, asset="A", quantity=held),
        Leg(kind=LegKind.DEBT, asset="B", quantity=owed),
        Leg(kind=LegKind.DEBT, asset="elsewhere", quantity=0),
    )
    account = Account(
        id="a", venue=key[0], version=key[1], market="m", legs=legs, options={"emode": emode}
    )
    price = Price(value=MAX_UINT256, decimals=8, observed_at=AT)
    market = Market(
        at=AT + timedelta(hours=1), prices={"A": price, "B": price} if priced else {}, state=state
    )
    terms = terms_of(key[0], decimals, cap)
    assert book.headroom is not None
    assert book.weights is not None
    for room in book.headroom(account, market, terms):
        known = [room.supply, room.borrow, *room.limits.values()]
        assert all(one is None or 0 <= one <= cap * 10**decimals + 10**decimals for one in known)
        assert room.refusal is None or known == [None, None]
    found = book.weights(account, market, terms)
    assert isinstance(found, Refusal) or all(
        0 <= one.weight <= 1 and one.value >= 0 for one in found
    )
