"""Caps, debt ceilings and borrowing restrictions of Aave v3, release by release."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from models.domain import Account, Leg, LegKind, Market
from models.margin.fixed_point import RAY
from models.margin.result import Headroom as Room
from models.margin.result import Refusal
from models.margin.venues.aave_v3_limits import (
    Headroom,
    borrow_headroom,
    borrow_refusal,
    headroom,
    isolation_headroom,
    rooms,
    supply_headroom,
)
from models.margin.venues.aave_v3_terms import (
    V3_3,
    V3_4,
    V3_5,
    V3_6,
    V3_7,
    Category,
    Policy,
    Reserve,
    Terms,
)

PLAIN = Reserve(id=0, decimals=6, ltv=7500, threshold=7800, bonus=10450, supply_cap=2, borrow_cap=1)
ISOLATED = replace(PLAIN, id=1, debt_ceiling=500)
SILOED = replace(PLAIN, id=2, siloed=True)
CLOSED = replace(PLAIN, id=3, borrowable=False)
TERMS = Terms(
    reserves={"PLAIN": PLAIN, "ISOLATED": ISOLATED, "SILOED": SILOED, "CLOSED": CLOSED},
    categories={1: Category(ltv=1, threshold=1, bonus=10100, borrowable_bitmap=0b1000)},
)


def reason(
    asset: str, policy: Policy, *, state: dict[str, int] | None = None, **changes: Any
) -> str | None:
    """Return why the asset may not be borrowed."""
    account = {"pledged": ("PLAIN",), "borrowed": (), "emode": 0, **changes}
    refused = borrow_refusal(asset, TERMS, state or {}, policy=policy, **account)
    return refused.reason if isinstance(refused, Refusal) else None


@pytest.mark.parametrize(("policy", "room"), [(V3_4, 1_999_998), (V3_5, 1_999_999)])
def test_supply_headroom(policy: Policy, room: int) -> None:
    """What is supplied, 1.5 units, rounds half up until 3.4 and down later."""
    found = supply_headroom(
        PLAIN, scaled_supply=0, scaled_accrued=1, index=RAY * 3 // 2, policy=policy
    )
    assert found == room


@pytest.mark.parametrize(("policy", "room"), [(V3_4, 999_999), (V3_5, 999_998)])
def test_borrow_headroom(policy: Policy, room: int) -> None:
    """What is owed, 1.25 units, rounds half up until 3.4 and up later."""
    assert borrow_headroom(PLAIN, scaled_debt=1, index=RAY * 5 // 4, policy=policy) == room


def test_full_caps_and_no_caps() -> None:
    """A cap that is passed leaves no room; a cap of 0 is none."""
    free = replace(PLAIN, supply_cap=0, borrow_cap=0)
    assert borrow_headroom(PLAIN, scaled_debt=10**7, index=RAY, policy=V3_7) == 0
    assert borrow_headroom(free, scaled_debt=10**7, index=RAY, policy=V3_7) is None
    supplied = {"scaled_accrued": 0, "index": RAY, "policy": V3_7}
    assert supply_headroom(PLAIN, scaled_supply=10**7, **supplied) == 0
    assert supply_headroom(free, scaled_supply=10**7, **supplied) is None


def test_debt_ceiling() -> None:
    """Hundredths of a token count; what is below one does not."""
    room = {"debt_decimals": 6, "policy": V3_6}
    assert isolation_headroom(ISOLATED, isolated_debt=499, **room) == 19_999
    assert isolation_headroom(ISOLATED, isolated_debt=500, **room) == 9_999
    assert isolation_headroom(ISOLATED, isolated_debt=501, **room) == 0
    assert isolation_headroom(PLAIN, isolated_debt=0, **room) is None
    assert isolation_headroom(ISOLATED, isolated_debt=0, debt_decimals=6, policy=V3_7) is None


@pytest.mark.parametrize(
    ("switch", "code"),
    [("inactive", "ReserveInactive"), ("paused", "ReservePaused"), ("frozen", "ReserveFrozen")],
)
def test_switches(switch: str, code: str) -> None:
    """Reserves that are switched off lend nothing."""
    assert reason("PLAIN", V3_7, state={f"PLAIN.{switch}": 1}) == code


def test_sentinel() -> None:
    """The sentinel held borrowing back until 3.6."""
    down = {"borrow_allowed": 0}
    assert reason("PLAIN", V3_6, state=down) == "PriceOracleSentinelCheckFailed"
    assert reason("PLAIN", V3_7, state=down) is None


@pytest.mark.parametrize(("policy", "code"), [(V3_3, "NotBorrowableInEMode"), (V3_6, None)])
def test_borrowable_in_a_category_only(policy: Policy, code: str | None) -> None:
    """From 3.6 on a category lends what the reserve itself does not."""
    assert reason("CLOSED", policy) == "BorrowingNotEnabled"
    assert reason("CLOSED", policy, emode=1) == code
    assert reason("PLAIN", policy, emode=1) == "NotBorrowableInEMode"


@pytest.mark.parametrize(
    ("policy", "isolated", "siloed"),
    [(V3_6, "AssetNotBorrowableInIsolation", "SiloedBorrowingViolation"), (V3_7, None, None)],
)
def test_isolation_and_silos(policy: Policy, isolated: str | None, siloed: str | None) -> None:
    """Isolated collateral and siloed debt restrict borrowing until 3.6."""
    assert reason("PLAIN", policy, pledged=("ISOLATED",)) == isolated
    assert reason("PLAIN", policy, pledged=("ISOLATED", "PLAIN")) is None
    assert reason("SILOED", policy) is None
    assert reason("SILOED", policy, borrowed=("SILOED",)) is None
    assert reason("SILOED", policy, borrowed=("PLAIN",)) == siloed
    assert reason("PLAIN", policy, borrowed=("SILOED",)) == siloed


def test_headroom_of_an_account() -> None:
    """The smaller of the cap and the ceiling limits borrowing; the cap limits supply."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    legs = (Leg(kind=LegKind.COLLATERAL, asset="ISOLATED", quantity=1),)
    held = Account(id="a", venue="aave-v3", version="3.6", market="m", legs=legs)
    state = {
        "PLAIN.liquidity_index": RAY,
        "PLAIN.borrow_index": RAY,
        "PLAIN.scaled_supply": 1_500_000,
        "PLAIN.scaled_debt": 100_000,
        "ISOLATED.isolated_debt": 490,
    }
    market = Market(at=at, prices={}, state=state)
    assert headroom("PLAIN", held, market, TERMS, V3_6) == Headroom(500_000, 109_999)
    assert headroom("PLAIN", held, market, TERMS, V3_7) == Headroom(500_000, 900_000)
    for name in state:
        left = {other: value for other, value in state.items() if other != name}
        refused = headroom("PLAIN", held, replace(market, state=left), TERMS, V3_6)
        assert isinstance(refused, Refusal)
    assert headroom("DAI", held, market, TERMS, V3_6) == Refusal("reserve_unknown", "DAI")
    free = Terms(reserves={**TERMS.reserves, "PLAIN": replace(PLAIN, supply_cap=0, borrow_cap=0)})
    empty = replace(market, state={})
    assert headroom("PLAIN", held, empty, free, V3_7) == Headroom(None, None)


def test_rooms_of_what_an_account_holds() -> None:
    """Two decimals are enough for a ceiling; what may not be lent has 0 and its code."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    cents = replace(PLAIN, decimals=2, supply_cap=0, borrow_cap=0, borrowable_in_isolation=True)
    terms = Terms(reserves={"CENTS": cents, "ISOLATED": replace(ISOLATED, supply_cap=0)})
    legs = (
        Leg(kind=LegKind.COLLATERAL, asset="ISOLATED", quantity=1),
        Leg(kind=LegKind.DEBT, asset="CENTS", quantity=1),
        Leg(kind=LegKind.DEBT, asset="ISOLATED", quantity=1),
    )
    held = Account(id="a", venue="aave-v3", version="3.6", market="m", legs=legs)
    state = {
        "ISOLATED.borrow_index": RAY,
        "ISOLATED.scaled_debt": 999_999,
        "ISOLATED.isolated_debt": 490,
    }
    market = Market(at=at, prices={}, state=state)
    unlent = {"borrow_cap": 1, "debt_ceiling": 109_999, "AssetNotBorrowableInIsolation": 0}
    assert rooms(held, market, terms, V3_6) == (
        Room(asset="ISOLATED", borrow=0, limits=unlent),
        Room(asset="CENTS", borrow=10, limits={"debt_ceiling": 10}),
    )
    frozen = replace(market, state={"CENTS.frozen": 1, **state})
    shut = {"debt_ceiling": 10, "ReserveFrozen": 0}
    assert rooms(held, frozen, terms, V3_6)[1] == Room(
        asset="CENTS", supply=0, borrow=0, limits=shut
    )
