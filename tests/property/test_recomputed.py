"""Every rulebook beside plain fractions, over random accounts near their line."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reckoned_accounts import Reckoned, reckoned

from features.inputs import Floats
from models.domain import Account, Leg, LegKind
from models.margin.result import Verdict
from models.margin.rulebook import Rulebook, load_all, with_price
from models.margin.trigger import BREACHED, price_triggers
from serving.evaluation.actions import Constraints, Kind, with_cash
from serving.evaluation.inputs import AccountInput
from serving.evaluation.plan import Target, plan

NOT_ESTABLISHED = {"deribit"}
BOOKS = [
    pytest.param(book, id="/".join(name))
    for name, book in load_all().items()
    if book.venue not in NOT_ESTABLISHED
]
EVERY = pytest.mark.parametrize("book", BOOKS)


def settles_in_cash(book: Rulebook[Any]) -> bool:
    """Return whether profit under a rulebook is settled in an asset of its terms."""
    return book.cash(reckoned(book, 0).terms) is not None


FEW = settings(max_examples=15, deadline=None)
KINDS = Constraints().kinds
seeds = st.integers(0, 2**40)
SHARES = (Fraction(1, 1000), Fraction(1, 2), Fraction(9, 10), Fraction(11, 10), 2, 1000)


@EVERY
@FEW
@given(seed=seeds)
def test_the_verdict_is_that_of_plain_fractions(book: Rulebook[Any], seed: int) -> None:
    """But where the venue's own roundings may decide; exact rules have none."""
    case = reckoned(book, seed)
    found = book.margin(case.account(book), case.market, case.terms)
    room = (case.credit - case.requirement) / case.requirement
    assert found.maintenance is not None, found.reason
    if room == 0 or abs(room) > case.slack:
        is_safe = room > 0 or (room == 0 and case.is_safe_at_line)
        assert (found.verdict is Verdict.SAFE) == is_safe
        assert (found.verdict in BREACHED) == (not is_safe)
    if book.is_exact:
        assert found.maintenance.credit == case.credit
        assert found.maintenance.requirement == case.requirement
    elif case.credit > 0 and found.maintenance.requirement:
        ratio = Fraction(found.maintenance.credit) / Fraction(found.maintenance.requirement)
        plain = case.credit / case.requirement
        assert abs(ratio / plain - 1) <= case.slack


@EVERY
@FEW
@given(seed=seeds)
def test_each_price_flips_the_verdict_at_its_trigger(book: Rulebook[Any], seed: int) -> None:
    """Breached there and one unit beyond, safe one unit before; no trigger, no flip.

    Of an asset that is both held and owed, roundings may flip the verdict again one unit beyond.
    """
    case = reckoned(book, seed)
    account, market = case.account(book), case.market
    before = book.margin(account, market, case.terms)
    for asset, price in case.prices.items():
        found = list(price_triggers(book, account, market, case.terms, asset=asset))
        for trigger in found:
            assert isinstance(trigger.value, int)
            beyond = -1 if trigger.direction == "below" else 1
            is_both = len({leg.kind for leg in account.legs if leg.asset == asset}) > 1
            for offset in (-beyond, 0, *(() if is_both else (beyond,))):
                value = trigger.value + offset
                moved = with_price(market, asset, value)
                verdict = book.margin(account, moved, case.terms).verdict
                assert value < 1 or (verdict in BREACHED) == (offset != -beyond), (asset, offset)
        if not found:
            for share in SHARES:
                moved = with_price(market, asset, max(1, int(price.value * share)))
                verdict = book.margin(account, moved, case.terms).verdict
                same = (verdict in BREACHED) == (before.verdict in BREACHED)
                assert same or verdict is Verdict.UNEVALUABLE, (asset, share)


def unasked(accounts: Sequence[Account]) -> Floats:
    """Fail when a probability is asked for."""
    raise AssertionError(accounts)


@pytest.mark.parametrize("seed", [367076, 613393995021])
def test_cash_that_is_gone_leaves_a_way_out(seed: int) -> None:
    """Of cash below zero, and of none, the position can be reduced and settled all the same."""
    book = load_all()["flat-margin", "standard"]
    case = reckoned(book, seed)
    assert not [leg for leg in case.legs if leg.kind is LegKind.COLLATERAL and leg.quantity]
    found = planned(book, case, Fraction(21, 20))
    assert found.is_reached
    by_reducing = planned(book, case, Fraction(21, 20), kinds=("reduce",))
    assert by_reducing.is_reached
    assert by_reducing.margin.verdict is Verdict.SAFE
    # Settled at the mark, what the account is worth stays what it was.
    assert by_reducing.margin.maintenance.credit == case.credit


@pytest.mark.parametrize(
    ("name", "seed"), [(("gmx-v2", "a5c0c883"), 1262), (("flat-margin", "standard"), 367076)]
)
def test_into_collateral_that_is_empty_something_can_be_brought(
    name: tuple[str, str], seed: int
) -> None:
    """Of a position whose collateral is all gone, which lives by its profit."""
    book = load_all()[name]
    case = reckoned(book, seed)
    assert not [leg for leg in case.legs if leg.kind is LegKind.COLLATERAL and leg.quantity]
    found = planned(book, case, Fraction(21, 20), kinds=("add",))
    assert found.is_reached
    assert [each.tool.kind for each in found.actions] == ["add"]
    assert found.margin.maintenance.credit >= found.margin.maintenance.requirement * Fraction(
        21, 20
    )


@pytest.mark.parametrize("book", [each for each in BOOKS if settles_in_cash(each.values[0])])
@pytest.mark.parametrize("owed", [None, 0])
@FEW
@given(seed=seeds)
def test_a_position_without_cash_is_told_how_much_to_bring(
    book: Rulebook[Any], owed: int | None, seed: int
) -> None:
    """Whether no leg of cash is stated or none is owed, bringing some leads out of danger."""
    case = reckoned(book, seed)
    positions = [leg for leg in case.legs if leg.kind is LegKind.POSITION]
    assert positions
    cash = book.cash(case.terms)
    assert cash is not None
    none = [] if owed is None else [Leg(kind=LegKind.DEBT, asset=cash, quantity=owed)]
    bare = replace(case, legs=[*positions, *none])
    health = Fraction(21, 20)
    found = planned(book, bare, health, kinds=("add",))
    assert found.is_reached, found.reason
    assert {found.after.legs[each.tool.leg].asset for each in found.actions} <= {cash}
    assert found.margin.maintenance.credit >= found.margin.maintenance.requirement * health


@EVERY
@FEW
@given(seed=seeds)
def test_what_an_owner_is_told_leads_out_of_danger(book: Rulebook[Any], seed: int) -> None:
    """With means without limit a plan is found, and judged anew it stands where it says."""
    case = reckoned(book, seed)
    health = Fraction(21, 20)
    found = planned(book, case, health)
    judged = book.margin(found.after, case.market, case.terms)
    assert judged == found.margin
    assert found.is_reached, found.reason
    assert judged.verdict is Verdict.SAFE
    assert judged.maintenance is not None
    assert judged.maintenance.credit >= judged.maintenance.requirement * health


def planned(
    book: Rulebook[Any], case: Reckoned, health: Fraction, *, kinds: tuple[Kind, ...] = KINDS
) -> Any:
    """Return the plan to a health by the rules alone."""
    case_input = AccountInput(
        place="/account",
        account=case.account(book),
        rulebook=book,
        market=case.market,
        terms=case.terms,
    )
    return plan(
        with_cash(case_input), Target(health=health), Constraints(kinds=kinds), risk=unasked
    )


@EVERY
@FEW
@given(seed=seeds)
def test_the_order_of_legs_changes_no_verdict(book: Rulebook[Any], seed: int) -> None:
    """Nor does a leg that is stated in two parts, where the venue takes such."""
    case = reckoned(book, seed)
    account = case.account(book)
    before = book.margin(account, case.market, case.terms)
    turned = book.margin(replace(account, legs=account.legs[::-1]), case.market, case.terms)
    assert (turned.verdict, turned.maintenance) == (before.verdict, before.maintenance)
