"""Pure: the cheapest action that brings an account to a health and a probability target.

Amounts are sized by the rulebook itself, at the units the venue moves and rounded the safe
way, so that applying the plan and judging again gives what the plan says.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations, permutations
from typing import Literal

import numpy as np

from features.inputs import Floats
from models.domain import Account, Market
from models.margin.result import Margin, Verdict
from models.margin.trigger import BREACHED
from serving.evaluation.actions import Action, ActionOption, Constraints, action_options, apply
from serving.evaluation.inputs import AccountInput

MOST_COMBINED = 3
"""Actions in one plan."""

MOST_TRIED = 4
"""Cheapest mixes whose probability is looked at."""

WIDE = np.geomspace(1e-6, 1.0, 20)[:-1]
EVEN = np.linspace(0.0, 1.0, 16, endpoint=False)
"""Shares of a range of amounts whose probabilities are asked for at once: first, then."""

ROUNDS = 3
GRID = 10**9

Risk = Callable[[Sequence[Account]], Floats]
"""From changed accounts to the probability that counts; NaN where there is no forecast."""

Why = Literal[
    "reached",
    "already_there",
    "no_action_open",
    "means_do_not_suffice",
    "no_forecast",
    "not_evaluable",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Verdicts that the rules may not give in a market."""

    market: Market
    refused: frozenset[Verdict] = BREACHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the account should be.

    Parameters
    ----------
    health
        Credit per requirement by the venue's rule, at least; 1 is the line.
    probability
        To be undercut; None where only the rules count.
    conditions
        What the account must stand beside the market in force.
    """

    health: Fraction = Fraction(1)
    probability: float | None = None
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionPlan:
    """What to do, and where it leads.

    Parameters
    ----------
    is_reached
        Whether the target is met; otherwise the actions are the best that can be done.
    cost, value
        What the actions cost and move, quote units.
    after
        The account when they are done.
    margin
        The rules' answer then.
    probability
        The probability then; None where it was not asked or there is no forecast.
    """

    is_reached: bool
    reason: Why
    actions: tuple[Action, ...]
    cost: Fraction
    value: Fraction
    after: Account
    margin: Margin
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class _Mix:
    """Actions in use: all but the last to their limit, the last as far as needed."""

    full: tuple[Action, ...]
    last: ActionOption
    steps: int

    def actions(self, account: Account) -> tuple[Action, ...]:
        """Return the actions on an account."""
        before = apply(account, self.full)
        quantity = self.last.quantity(self.steps, before)
        return (*self.full, Action(tool=self.last, quantity=quantity))


def plan(case: AccountInput, target: Target, means: Constraints, *, risk: Risk) -> ActionPlan:
    """Return the cheapest actions that reach the target, or the best that can be done.

    Cost decides, then the value moved, then the order in which the owner named the kinds.

    Parameters
    ----------
    case
        Account, rulebook, market and terms.
    risk
        Called with changed accounts only.
    """
    now = case.rulebook.margin(case.account, case.market, case.terms)
    if now.verdict is Verdict.UNEVALUABLE:
        return _plan_of(case, (), reason="not_evaluable")
    open_to = action_options(case, means)
    if is_healthy(case, case.account, target) and _is_calm(risk, [case.account], target)[0]:
        return _with_risk(_plan_of(case, (), reason="already_there"), risk, target)
    if not open_to:
        return _with_risk(_plan_of(case, (), reason="no_action_open"), risk, target)
    mixes = sorted(_mixes(case, open_to, target), key=lambda mix: _order(case, mix))
    if target.probability is None and mixes:
        return _plan_of(case, mixes[0].actions(case.account), reason="reached")
    best = _cheapest_calm(case, mixes[:MOST_TRIED], target, risk=risk)
    if best is None:
        wide = _able(case, list(_wide(open_to, case.account)), target, risk=risk)
        best = _cheapest_calm(case, wide, target, risk=risk)
    if best is None:
        return _best_effort(case, open_to, target, risk=risk)
    return _with_risk(_plan_of(case, best.actions(case.account), reason="reached"), risk, target)


def _cheapest_calm(
    case: AccountInput, mixes: Sequence[_Mix], target: Target, *, risk: Risk
) -> _Mix | None:
    """Return the cheapest mix, enlarged until its probability is within the target.

    To enlarge one never makes it cheaper, so that one which is dearer already is not tried.
    """
    best: _Mix | None = None
    for mix in mixes:
        if best is None or _order(case, mix) < _order(case, best):
            calmed = _calmed(case, mix, target, risk=risk)
            if calmed is not None and (best is None or _order(case, calmed) < _order(case, best)):
                best = calmed
    return best


def _able(case: AccountInput, mixes: Sequence[_Mix], target: Target, *, risk: Risk) -> list[_Mix]:
    """Return the first mixes that reach the target when used to the limit."""
    most = [replace(mix, steps=mix.last.steps(apply(case.account, mix.full))) for mix in mixes]
    able = _are_there(case, [_after(case, mix) for mix in most], target, risk=risk) if most else []
    return [mix for mix, is_able in zip(mixes, able, strict=True) if is_able][:MOST_TRIED]


def _wide(open_to: Sequence[ActionOption], account: Account) -> Iterator[_Mix]:
    """Yield mixes of all actions but the last in full, though the rules ask for less."""
    for size in range(2, min(MOST_COMBINED, len(open_to)) + 1):
        for chosen in combinations(open_to, size):
            for last in chosen:
                full: tuple[Action, ...] = ()
                for tool in chosen:
                    if tool is not last:
                        full = (*full, _whole(tool, full, apply(account, full)))
                yield _Mix(full, last.beside(full), 0)


def _mixes(case: AccountInput, open_to: Sequence[ActionOption], target: Target) -> Iterator[_Mix]:
    """Yield every smallest mix of actions that reaches the health target."""
    for size in range(1, min(MOST_COMBINED, len(open_to)) + 1):
        for chosen in combinations(range(len(open_to)), size):
            for order in _arrangements(chosen):
                mix = _sized(case, [open_to[i] for i in order], target)
                if mix is not None:
                    yield mix


def _arrangements(chosen: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the chosen tools with each in turn as the last."""
    keys = set()
    for order in permutations(chosen):
        key = (frozenset(order[:-1]), order[-1])
        if key not in keys:
            keys.add(key)
            yield order


def _sized(case: AccountInput, order: Sequence[ActionOption], target: Target) -> _Mix | None:
    """Return the mix with the least of its last action, or None where it is of no use."""
    full: tuple[Action, ...] = ()
    account = case.account
    for tool in order[:-1]:
        used = _whole(tool, full, account)
        full, account = (*full, used), apply(account, (used,))
        if not used.quantity or is_healthy(case, account, target):
            return None  # a smaller mix does as much
    last = order[-1].beside(full)

    def reaches(steps: int) -> bool:
        action = Action(tool=last, quantity=last.quantity(steps, account))
        return is_healthy(case, apply(account, (action,)), target)

    most = last.steps(account)
    steps = _least(reaches, most)
    if steps is None:
        return None
    mixes = (_Mix(full, last, n) for n in (steps, most))
    return next((mix for mix in mixes if _is_permitted(case, _after(case, mix))), None)


def _whole(tool: ActionOption, used: Sequence[Action], account: Account) -> Action:
    """Return a tool in full, on an account that others were used on."""
    left = tool.beside(used)
    return Action(tool=left, quantity=left.quantity(left.steps(account), account))


def _after(case: AccountInput, mix: _Mix) -> Account:
    """Return the account when a mix is done."""
    return apply(case.account, mix.actions(case.account))


def _least(reaches: Callable[[int], bool], most: int) -> int | None:
    """Return the least number of steps that reaches the target, None where none does."""
    if reaches(0):
        return 0
    if most <= 0 or not reaches(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def is_healthy(case: AccountInput, account: Account, target: Target) -> bool:
    """Whether the rules find the account where the target asks it to be, forecast aside."""
    judged = case.rulebook.margin
    margin = judged(account, case.market, case.terms)
    if margin.maintenance is None or margin.verdict in BREACHED:
        return False
    if margin.maintenance.credit < target.health * margin.maintenance.requirement:
        return False
    return all(
        judged(account, condition.market, case.terms).verdict not in condition.refused
        for condition in target.conditions
    )


def _is_permitted(case: AccountInput, account: Account) -> bool:
    """Whether the venue lets its owner leave an account so."""
    permits = case.rulebook.permits
    return permits is None or permits(account, case.market, case.terms) is None


def _is_calm(risk: Risk, accounts: Sequence[Account], target: Target) -> list[bool]:
    """Return per account whether its probability is within the target."""
    if target.probability is None:
        return [True] * len(accounts)
    return [bool(p < target.probability) for p in risk(accounts)]


def _are_there(
    case: AccountInput, accounts: Sequence[Account], target: Target, *, risk: Risk
) -> list[bool]:
    """Return per account whether it is where the target asks, and may be left so."""
    calm = _is_calm(risk, accounts, target)
    return [
        is_calm and is_healthy(case, account, target) and _is_permitted(case, account)
        for is_calm, account in zip(calm, accounts, strict=True)
    ]


def _calmed(case: AccountInput, mix: _Mix, target: Target, *, risk: Risk) -> _Mix | None:
    """Return the mix enlarged until the probability is within the target, or None."""
    low, high = mix.steps, mix.last.steps(apply(case.account, mix.full))
    if _are_there(case, [_after(case, mix)], target, risk=risk)[0]:
        return mix
    for shares in (WIDE, *[EVEN] * ROUNDS):
        tried = _spread(low, high, shares)
        after = [_after(case, replace(mix, steps=n)) for n in tried]
        there = _are_there(case, after, target, risk=risk)
        if not any(there):
            return None
        first = there.index(True)
        low, high = (tried[first - 1] if first else low), tried[first]
    return replace(mix, steps=high)


def _spread(low: int, high: int, shares: Floats) -> list[int]:
    """Return amounts at shares of the way from `low` to `high`, and `high`."""
    parts = (int(share * GRID) for share in shares)
    return sorted({low + max(1, (high - low) * part // GRID) for part in parts} | {high})


def _order(case: AccountInput, mix: _Mix) -> tuple[Fraction, Fraction]:
    """Return cost and value, by which plans are compared."""
    actions = mix.actions(case.account)
    return _cost(actions), _value(actions)


def _cost(actions: Sequence[Action]) -> Fraction:
    """Return what the actions cost, quote units."""
    return sum((action.tool.cost(action.quantity) for action in actions), Fraction(0))


def _value(actions: Sequence[Action]) -> Fraction:
    """Return what the actions move, quote units."""
    return sum((action.tool.value(action.quantity) for action in actions), Fraction(0))


def _best_effort(
    case: AccountInput, open_to: Sequence[ActionOption], target: Target, *, risk: Risk
) -> ActionPlan:
    """Return everything the owner can do, one action after another, where that helps."""
    actions: tuple[Action, ...] = ()
    best = case.account
    for tool in open_to:
        used = _whole(tool, actions, best)
        after = apply(best, (used,))
        if used.quantity and _cover(case, after) > _cover(case, best):
            actions, best = (*actions, used), after
    action_plan = _with_risk(_plan_of(case, actions, reason="means_do_not_suffice"), risk, target)
    if target.probability is None:
        return action_plan
    if action_plan.probability is None:
        return replace(action_plan, reason="no_forecast")
    if action_plan.probability < target.probability and is_healthy(case, best, target):
        return replace(action_plan, is_reached=True, reason="reached")
    return action_plan


def _cover(case: AccountInput, account: Account) -> float:
    """Return credit per requirement, infinite where nothing is required."""
    side = case.rulebook.margin(account, case.market, case.terms).maintenance
    if side is None:
        return -np.inf
    return float(side.credit / Fraction(side.requirement)) if side.requirement else np.inf


def _plan_of(case: AccountInput, actions: Sequence[Action], *, reason: Why) -> ActionPlan:
    """Return the plan of some actions, judged where it leads."""
    used = tuple(action for action in actions if action.quantity)
    after = apply(case.account, used)
    return ActionPlan(
        is_reached=reason in {"reached", "already_there"},
        reason=reason,
        actions=used,
        cost=_cost(used),
        value=_value(used),
        after=after,
        margin=case.rulebook.margin(after, case.market, case.terms),
    )


def _with_risk(action_plan: ActionPlan, risk: Risk, target: Target) -> ActionPlan:
    """Return the plan with the probability it leads to."""
    if target.probability is None:
        return action_plan
    probability = float(risk([action_plan.after])[0])
    return replace(action_plan, probability=None if np.isnan(probability) else probability)
