"""What an owner can do to an account: each action with its limit, its value and its effect."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

from msgspec import structs

from models.domain import Account, Exact, Leg, LegKind
from models.forecast.exposure import surplus
from serving.evaluation import rules
from serving.evaluation.inputs import AccountInput

Kind = Literal["repay", "add", "swap", "reduce"]
ZERO = Fraction(0)

ENOUGH = 1000
"""Where no balance limits it, an owner is taken to add at most so many times what is there."""

PROBE = 16
"""A sixteenth of a leg is moved to see what a unit of it is worth."""

EMPTY_PROBE = 10**18
"""Smallest units that are put into an empty leg to see the same: too few would round to nothing."""

FINEST = Fraction(1, 10**8)
"""Least amount of an exchange's asset that is moved where no step is stated, whole units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionCost:
    """What an action costs its owner.

    Parameters
    ----------
    fixed
        Quote units each time, such as gas.
    rate
        Share of the value moved, such as fee and slippage. For `swap` and `reduce` it is
        also what is lost on the way.
    """

    fixed: Fraction = ZERO
    rate: Fraction = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What an owner can and will use.

    Parameters
    ----------
    balances
        By asset, in the units of the leg; None where nothing is known, and then nothing
        but the legs themselves limits an action.
    prices
        Cost by kind of action; a kind that is absent is free.
    kinds
        Kinds that may be used.
    step
        By asset, the least amount that can be moved, in the units of the leg.
    assets
        That may be moved; None for all.
    """

    balances: Mapping[str, Exact] | None = None
    prices: Mapping[Kind, ActionCost] = field(default_factory=dict)
    kinds: tuple[Kind, ...] = ("repay", "add", "swap", "reduce")
    step: Mapping[str, Fraction] = field(default_factory=dict)
    assets: frozenset[str] | None = None

    def allow(self, account: Account, option: "ActionOption") -> bool:
        """Return whether all that an action moves may be moved."""
        if self.assets is None:
            return True
        swapped = option.into if option.kind == "swap" else None
        places = (option.leg, *(() if swapped is None else (swapped,)))
        return all(account.legs[place].asset in self.assets for place in places)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionOption:
    """One kind of action on one leg.

    Parameters
    ----------
    leg
        Place of the leg in the account.
    into
        Place of the debt that a swap repays, or of the cash that a reduction settles in.
    most
        In the units of the leg.
    step
        Amounts are multiples of it.
    unit_value
        Quote units per unit of the leg.
    into_value
        Quote units per unit of the debt that a swap repays.
    balance
        Asset that the owner brings, and how much of it there is for all actions; None where the
        action brings nothing or nothing limits it.
    """

    kind: Kind
    leg: int
    most: Exact
    step: Fraction
    unit_value: Fraction
    price: ActionCost
    into: int | None = None
    into_value: Fraction = ZERO
    balance: tuple[str, Exact] | None = None

    def beside(self, used: Sequence["Action"]) -> "ActionOption":
        """Return the option with what others leave of the balance that it draws on."""
        if self.balance is None:
            return self
        asset, limit = self.balance
        others = (each for each in used if each.tool.balance and each.tool.balance[0] == asset)
        left = limit - sum(each.quantity for each in others)
        return replace(self, most=min(self.most, max(left, 0)))

    def value(self, quantity: Exact) -> Fraction:
        """Return what is moved, quote units."""
        return quantity * self.unit_value

    def cost(self, quantity: Exact) -> Fraction:
        """Return what the action costs its owner, quote units."""
        return self.price.fixed + self.price.rate * self.value(quantity) if quantity else ZERO

    def steps(self, account: Account) -> int:
        """Return how many steps of the tool the account and the owner still allow."""
        balance = abs(Fraction(account.legs[self.leg].quantity))
        most = self.most if self.kind == "add" else min(self.most, balance)
        return -int(-most // self.step)

    def quantity(self, steps: int, account: Account) -> Exact:
        """Return the amount of so many steps, never more than there is."""
        amount = steps * self.step
        if self.kind != "add":
            amount = min(amount, abs(Fraction(account.legs[self.leg].quantity)))
        amount = min(amount, Fraction(self.most))
        return int(amount) if amount.denominator == 1 else amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A tool used for an amount, in the units of its leg."""

    tool: ActionOption
    quantity: Exact


def apply(account: Account, actions: Sequence[Action]) -> Account:
    """Return the account after the actions, in their order."""
    for action in actions:
        account = _EFFECTS[action.tool.kind](account, action)
    return account


def _less(account: Account, action: Action) -> Account:
    """Return the account with less of a leg."""
    leg = account.legs[action.tool.leg]
    return _with(account, action.tool.leg, leg.quantity - action.quantity)


def _more(account: Account, action: Action) -> Account:
    """Return the account with more of a leg."""
    return _paid(account, action.tool.leg, action.quantity)


def _swapped(account: Account, action: Action) -> Account:
    """Return the account with collateral sold to repay a debt, rounded against the owner."""
    tool = action.tool
    if tool.into is None:
        return account
    proceeds = tool.value(action.quantity) * (1 - tool.price.rate)
    owed = account.legs[tool.into].quantity
    repaid = min(int(proceeds / tool.into_value), owed)
    return _with(_less(account, action), tool.into, owed - repaid)


def _reduced(account: Account, action: Action) -> Account:
    """Return the account with part of a position closed and its profit settled."""
    tool = action.tool
    leg = account.legs[tool.leg]
    if tool.into is None or leg.entry is None:
        return account
    closed = action.quantity if leg.quantity > 0 else -action.quantity
    settled = closed * (tool.unit_value - leg.entry) - tool.price.rate * tool.value(action.quantity)
    return _paid(_with(account, tool.leg, leg.quantity - closed), tool.into, settled)


def _paid(account: Account, place: int, amount: Exact) -> Account:
    """Return the account with an amount paid in: off cash that is owed, which may end as held."""
    leg = account.legs[place]
    if leg.kind is not LegKind.DEBT:
        return _with(account, place, leg.quantity + amount)
    if amount <= leg.quantity:
        return _with(account, place, leg.quantity - amount)
    legs = list(account.legs)
    legs[place] = replace(leg, kind=LegKind.COLLATERAL, quantity=amount - leg.quantity)
    return replace(account, legs=tuple(legs))


_EFFECTS = {"repay": _less, "add": _more, "swap": _swapped, "reduce": _reduced}


def _with(account: Account, place: int, quantity: Exact) -> Account:
    """Return the account with one leg's quantity changed."""
    legs = list(account.legs)
    legs[place] = replace(legs[place], quantity=quantity)
    return replace(account, legs=tuple(legs))


def with_cash(case: AccountInput) -> AccountInput:
    """Return a case whose account has a leg that its venue's cash can be paid into.

    One that states none gets an empty one; cash that is owed to exact rules is paid off itself.
    """
    cash, is_exact = case.rulebook.cash(case.terms), case.rulebook.is_exact
    taking = (
        leg.asset == cash and (leg.kind is LegKind.COLLATERAL or bool(leg.quantity and is_exact))
        for leg in case.account.legs
    )
    if cash is None or any(taking):
        return case
    empty = Leg(kind=LegKind.COLLATERAL, asset=cash, quantity=0)
    legs = (*case.account.legs, empty)
    return structs.replace(case, account=replace(case.account, legs=legs))


def action_options(case: AccountInput, means: Constraints) -> tuple[ActionOption, ...]:
    """Return every action open to the owner of an account, each with its limits."""
    makers = {"repay": _repayments, "add": _additions, "swap": _swaps, "reduce": _reductions}
    options = (tool for kind in means.kinds for tool in makers[kind](case, means))
    return tuple(option for option in options if means.allow(case.account, option))


def _repayments(case: AccountInput, means: Constraints) -> Iterator[ActionOption]:
    """Yield the repayment of each debt; cash that may be added pays off what is owed itself."""
    if case.rulebook.is_exact and "add" in means.kinds:
        return
    for place, leg in _legs(case, LegKind.DEBT):
        option = _option(case, means, "repay", place, most=leg.quantity)
        if option is not None:
            yield option


def _additions(case: AccountInput, means: Constraints) -> Iterator[ActionOption]:
    """Yield more of each collateral that counts, and of cash where it has gone below zero.

    Where no collateral holds anything, the empty legs say what may be brought.
    """
    legs = enumerate(case.account.legs)
    empty = [(place, leg) for place, leg in legs if leg.kind is LegKind.COLLATERAL]
    cash = _legs(case, LegKind.DEBT) if case.rulebook.is_exact else []
    for place, leg in [*(_legs(case, LegKind.COLLATERAL) or empty), *cash]:
        most = ENOUGH * (leg.quantity or _needed(case, place))
        option = _option(case, means, "add", place, most=most) if leg.pledged else None
        if option is not None:
            yield option


def _needed(case: AccountInput, place: int) -> Exact:
    """Return how much of an empty leg is worth what is required; 0 where the rules cannot tell."""
    worth = unit_value(case, place)
    judged = rules.without_haircuts(case, case.account)
    if not worth or judged.maintenance is None:
        return 0
    required = Fraction(judged.maintenance.requirement, 10**judged.value_decimals)
    return required / worth if case.rulebook.is_exact else math.ceil(required / worth)


def _swaps(case: AccountInput, means: Constraints) -> Iterator[ActionOption]:
    """Yield the sale of each collateral for each debt."""
    debts = [
        (place, worth)
        for place, _ in _legs(case, LegKind.DEBT)
        if (worth := unit_value(case, place))
    ]
    for place, leg in _legs(case, LegKind.COLLATERAL):
        for into, worth in debts:
            option = _option(case, means, "swap", place, most=leg.quantity)
            if option is not None and leg.pledged:
                yield replace(option, into=into, into_value=worth)


def _reductions(case: AccountInput, means: Constraints) -> Iterator[ActionOption]:
    """Yield the partial closing of each position whose venue settles in exact quote units."""
    into = _settled_in(case) if case.rulebook.is_exact else None
    if into is None:
        return
    for place, leg in _legs(case, LegKind.POSITION):
        mark = case.market.prices.get(leg.asset)
        if mark is not None and leg.entry is not None:
            yield ActionOption(
                kind="reduce",
                leg=place,
                into=into,
                most=abs(Fraction(leg.quantity)),
                step=means.step.get(leg.asset, FINEST),
                unit_value=mark.exact,
                price=means.prices.get("reduce", ActionCost()),
            )


def _settled_in(case: AccountInput) -> int | None:
    """Return the place of the cash that profit is settled in, held rather than owed."""
    cash, legs = case.rulebook.cash(case.terms), case.account.legs
    places = [
        place
        for kind in (LegKind.COLLATERAL, LegKind.DEBT)
        for place, leg in enumerate(legs)
        if leg.kind is kind and leg.asset == cash
    ]
    return next(iter(places), None)


def _option(
    case: AccountInput, means: Constraints, kind: Kind, place: int, *, most: Exact
) -> ActionOption | None:
    """Return a tool on a leg that has a value and may be moved, or None."""
    leg = case.account.legs[place]
    whole = not case.rulebook.is_exact
    step = means.step.get(leg.asset, Fraction(1) if whole else FINEST)
    balance = None
    if means.balances is not None and kind != "swap":
        balance = leg.asset, means.balances.get(leg.asset, 0)
        most = min(most, balance[1])
    worth = unit_value(case, place) if most > 0 else None
    if not worth:
        return None
    return ActionOption(
        kind=kind,
        leg=place,
        most=most,
        step=step,
        unit_value=worth,
        price=means.prices.get(kind, ActionCost()),
        balance=balance,
    )


def _legs(case: AccountInput, kind: LegKind) -> list[tuple[int, Leg]]:
    """Return the legs of a kind that hold something, with their places."""
    legs = enumerate(case.account.legs)
    return [(place, leg) for place, leg in legs if leg.kind is kind and leg.quantity]


def unit_value(case: AccountInput, place: int) -> Fraction | None:
    """Return what a unit of a leg is worth to the venue, without haircuts, quote units.

    Returns
    -------
    Fraction | None
        None where the rules cannot tell, or give the leg no value.
    """
    leg = case.account.legs[place]
    part = max(Fraction(leg.quantity) / PROBE, Fraction(1))
    amount = part if case.rulebook.is_exact else Fraction(int(part))
    left: Exact = _remaining(leg.quantity, amount)
    if not leg.quantity:
        left = 1 if case.rulebook.is_exact else EMPTY_PROBE
    now, then = _full(case, case.account), _full(case, _with(case.account, place, left))
    moved = abs(Fraction(leg.quantity) - Fraction(left))
    if now is None or then is None or not moved:
        return None
    return abs(now - then) / moved or None


def _remaining(quantity: Exact, amount: Fraction) -> Exact:
    """Return what is left of a leg when an amount is taken, at least nothing."""
    left = max(Fraction(quantity) - amount, ZERO)
    return int(left) if left.denominator == 1 else left


def _full(case: AccountInput, account: Account) -> Fraction | None:
    """Return what an account is worth without haircuts; None where unknown."""
    return surplus(rules.without_haircuts(case, account))
