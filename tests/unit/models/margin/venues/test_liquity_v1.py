"""Troves by hand: what is safe, what recovery mode changes, what an owner may not leave."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate
from models.margin.venues import liquity_v1
from models.margin.venues.liquity_v1 import Terms

AT = datetime(2026, 11, 30, tzinfo=UTC)
WAD = 10**18
TERMS = Terms(
    collateral_asset="ETH",
    debt_asset="LUSD",
    mcr=11 * 10**17,
    ccr=15 * 10**17,
    gas_compensation=200 * WAD,
    min_net_debt=1_800 * WAD,
)
STATE = {
    "system_collateral": 1_000 * WAD,
    "system_debt": 1_000_000 * WAD,
    "stability_deposits": 50_000 * WAD,
    "troves": 5,
}


def trove(collateral: int, debt: int) -> Account:
    """Return a trove of so many whole units."""
    return Account(
        id="t",
        venue="liquity-v1",
        version="1",
        market="core",
        legs=(
            Leg(kind=LegKind.COLLATERAL, asset="ETH", quantity=collateral * WAD),
            Leg(kind=LegKind.DEBT, asset="LUSD", quantity=debt * WAD),
        ),
    )


def market(price: int | None, **state: int) -> Market:
    """Return a system at a price in whole coins."""
    prices = {} if price is None else {"ETH": Price(value=price * WAD, decimals=18, observed_at=AT)}
    return Market(at=AT, prices=prices, state={**STATE, **state})


@pytest.mark.parametrize(
    ("collateral", "debt", "price", "state", "verdict", "reason"),
    [
        # 11 x 2,000 over 20,000 is 1.1 exactly, which is safe; all troves are at 2.
        (11, 20_000, 2_000, {}, "safe", "above_least_ratio"),
        (11, 20_001, 2_000, {}, "liquidatable", "below_least_ratio"),
        # At 1,499 all troves are at 1.499: one at 1.37 is not safe any more.
        (11, 12_000, 1_499, {}, "liquidatable", "below_total_ratio_in_recovery_mode"),
        (11, 12_000, 1_500, {}, "safe", "above_least_ratio"),
        (110, 120_000, 1_499, {}, "not_executable", "stability_pool_too_small"),
        (40, 50_000, 1_499, {}, "liquidatable", "below_total_ratio_in_recovery_mode"),
        (12, 12_000, 1_499, {}, "safe", "above_least_ratio"),
        (11, 20_001, 2_000, {"troves": 1}, "not_executable", "last_trove"),
        (11, 20_001, 0, {}, "unevaluable", "price_not_positive"),
        (11, 20_001, None, {}, "unevaluable", "price_missing"),
        (11, 20_001, 2_000, {"system_debt": 0}, "unevaluable", "system_totals_missing"),
        (11, 0, None, {}, "safe", "no_debt"),
    ],
)
def test_verdicts(
    collateral: int,
    debt: int,
    price: int | None,
    state: dict[str, int],
    verdict: str,
    reason: str,
) -> None:
    """Equality is safe; recovery mode begins below the critical ratio, not at it."""
    judged = liquity_v1.margin(trove(collateral, debt), market(price, **state), TERMS)
    assert (judged.verdict.value, judged.reason) == (verdict, reason)


def test_totals_that_are_not_known_judge_nobody() -> None:
    """Without them recovery mode cannot be told."""
    for name in liquity_v1.TOTALS:
        state = {key: value for key, value in STATE.items() if key != name}
        judged = liquity_v1.margin(trove(11, 10_000), replace(market(2_000), state=state), TERMS)
        assert judged.verdict is Verdict.UNEVALUABLE


def test_a_capped_liquidation_leaves_the_rest_to_its_owner() -> None:
    """By hand: 12,000 x 1.1 / 1,499 of 11 ether are taken; the rest may be claimed."""
    found = liquity_v1.liquidate(trove(11, 12_000), market(1_499), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    taken = 12_000 * 11 * 10**17 * WAD // (1_499 * WAD)
    assert found.seized == {"ETH": taken}
    assert found.repaid == {"LUSD": 12_000 * WAD}
    assert found.after is not None
    assert found.after.reason == "no_debt"


def test_a_trove_is_not_liquidated_twice_as_something_else() -> None:
    """What is safe, last or too large is refused with why."""
    for account, system, why in (
        (trove(11, 10_000), market(2_000), "above_least_ratio"),
        (trove(110, 120_000), market(1_499), "stability_pool_too_small"),
        (trove(11, 20_001), market(2_000, troves=1), "last_trove"),
    ):
        found = liquity_v1.liquidate(account, system, TERMS, Liquidate())
        assert isinstance(found, Refusal)
        assert found.detail == why


def closed(account: Account, system: Market) -> liquity_v1.Closing:
    """Return what closing a trove does."""
    price = system.prices["ETH"].value
    found = liquity_v1.trove_of(account)
    icr = liquity_v1.ratio_of(found.collateral, found.debt, price)
    return liquity_v1.closing(found, icr, price, liquity_v1.system_of(system, TERMS, price), TERMS)


def test_a_trove_worth_what_it_owes_is_spread_in_recovery_mode_alone() -> None:
    """Ten ether at 1,499 against 14,990: the pool pays nothing, and all of it outside the mode."""
    spread = closed(trove(10, 14_990), market(1_499))
    assert (spread.offset, spread.redistributed) == (0, 14_990 * WAD)
    normal = closed(trove(10, 16_000), market(1_600))
    assert (normal.offset, normal.redistributed) == (16_000 * WAD, 0)


def test_the_pool_gets_its_part_rounded_down() -> None:
    """Of 9.95 ether, 10,000 parts of 17,000; the rest goes to the other troves."""
    found = closed(trove(10, 17_000), market(1_800, stability_deposits=10_000 * WAD))
    assert found.compensation == 5 * 10**16
    assert found.to_pool == 5_852_941_176_470_588_235
    assert found.to_pool + found.to_troves == 995 * 10**16


def test_a_bonus_is_what_exceeds_the_debt_rounded_up() -> None:
    """20,001 at 1,999 are 10.0055027513756878439 ether and a bit."""
    found = liquity_v1.liquidate(trove(10, 20_001), market(1_999), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.bonus == {"ETH": 0}
    richer = liquity_v1.liquidate(trove(11, 20_001), market(1_999), TERMS, Liquidate())
    assert isinstance(richer, Liquidation)
    assert richer.bonus == {"ETH": 994_497_248_624_312_156}


@pytest.mark.parametrize(
    ("collateral", "debt", "price", "refusal"),
    [
        (11, 2_000, 2_000, None),
        (11, 1_999, 2_000, "BorrowerOps: Trove's net debt must be greater than minimum"),
        (11, 20_000, 2_000, None),
        (11, 20_001, 2_000, "BorrowerOps: ratio too low"),
        # In recovery mode a trove must have the critical ratio.
        (12, 12_000, 1_499, "BorrowerOps: ratio too low"),
        (13, 12_000, 1_499, None),
    ],
)
def test_what_an_owner_may_leave(
    collateral: int, debt: int, price: int, refusal: str | None
) -> None:
    """The least debt and the ratio that an adjusted trove must have."""
    found = liquity_v1.permits(trove(collateral, debt), market(price), TERMS)
    assert (None if found is None else found.reason) == refusal
