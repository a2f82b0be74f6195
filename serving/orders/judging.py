"""Pure: what the next judgement says of a finished order."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from typing import Any

import msgspec

from models.domain import Leg
from serving.evaluation.inputs import AccountInput
from serving.orders.drafting import holdings, legs_of
from serving.schemas.orders import LegHolding, Outcome
from serving.store.orders import OrderRow


def outcome_of(row: OrderRow, cases: Mapping[str, AccountInput], *, at: datetime) -> Outcome:
    """Return what an order came to, by its accounts as they are held now.

    Whether it helped is asked in one market: the account as it was before the order, and as it is
    held now, both at the prices of now. So neither a fall nor a rise of prices is taken for the
    order's doing.
    """
    stated = row.body["accounts"]
    if any(each["account"] not in cases for each in stated):
        return unseen(at)
    now = {each["account"]: holdings(cases[each["account"]].account) for each in stated}
    if all(now[each["account"]] == _legs(each["legs_before"]) for each in stated):
        return unseen(at)
    pairs = [
        (
            _cover(cases[each["account"]], legs_of(_legs(each["legs_before"]))),
            _cover(cases[each["account"]], cases[each["account"]].account.legs),
        )
        for each in stated
    ]
    is_planned = all(now[each["account"]] == _legs(each["legs_after"]) for each in stated)
    is_better = all(_is_better(before, after) for before, after in pairs)
    without, having = pairs[0] if len(pairs) == 1 else (None, None)
    return Outcome(
        said="as_planned" if is_planned else "helped" if is_better else "did_not_help",
        at=at,
        health_without=_float(without),
        health=_float(having),
    )


def unseen(at: datetime) -> Outcome:
    """Return that nothing was seen to change."""
    return Outcome(said="unseen", at=at, health_without=None, health=None)


def _legs(stated: Any) -> tuple[LegHolding, ...]:
    """Return kept legs."""
    return msgspec.convert(stated, tuple[LegHolding, ...])


Cover = Fraction | None
"""Credit per requirement; None where nothing is required, or the rules cannot judge."""


def _cover(case: AccountInput, legs: tuple[Leg, ...]) -> tuple[bool, Cover]:
    """Return whether the rules judge an account with some legs, and its cover."""
    margin = case.rulebook.margin(replace(case.account, legs=legs), case.market, case.terms)
    side = margin.maintenance
    if side is None:
        return False, None
    if not side.requirement:
        return True, None
    return True, Fraction(side.credit) / Fraction(side.requirement)


def _is_better(before: tuple[bool, Cover], after: tuple[bool, Cover]) -> bool:
    """Return whether an account is better covered; without a requirement it is covered best."""
    if not before[0] or not after[0] or before[1] is None:
        return False
    return after[1] is None or after[1] > before[1]


def _float(cover: tuple[bool, Cover] | None) -> float | None:
    """Return a cover as it is told."""
    return None if cover is None or cover[1] is None else float(cover[1])
