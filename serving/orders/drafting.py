"""Pure: an order as it is made: planned, simulated by the exact rules, held to limits, sealed."""

import secrets
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from functools import partial

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs

from models.domain import Account, Leg, LegKind, Market
from models.orders.mandate import Breach, Proposal, acting_prices, breaches
from models.orders.order import Ground, State
from serving.application.what_if import constraints_of
from serving.evaluation.actions import Action, apply, with_cash
from serving.evaluation.assess import Model
from serving.evaluation.inputs import AccountInput, MarketSnapshot
from serving.evaluation.plan import ActionPlan, plan
from serving.evaluation.plan_result import action_texts, burdens, stated_goal, states
from serving.evaluation.rule_evaluation import RuleEvaluation, evaluate_rules
from serving.orders.calls import VENUES, Made, NoCall, calls_of, holder_of
from serving.orders.requests import is_exchange, request_of
from serving.orders.seal import sealed, tree_of
from serving.schemas.assessment import exact_text
from serving.schemas.orders import (
    Call,
    ContractsBody,
    Course,
    ExchangeRequest,
    LegHolding,
    LimitBroken,
    MandateBody,
    OrderContent,
    OrderedAction,
    PriceLimits,
    SimulatedAccount,
)
from serving.store.orders import MandateRow, OrderRow

DOUBTS = frozenset(
    {"price_stale", "price_disputed", "price_off_candles", "rule_mismatch", "account_stale"}
)
"""Codes of why prices, what is held, or the verdict must not be acted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """What orders are made with.

    Parameters
    ----------
    key
        That seals them.
    now
        When they are made.
    """

    model: Model
    around: MarketSnapshot
    key: Ed25519PrivateKey
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an order would do, before it is held to limits.

    Parameters
    ----------
    fired
        Which trigger, and what it read.
    shortfalls
        What else speaks against it.
    """

    trigger: str
    fired: tuple[str, str]
    account: str
    actions: tuple[OrderedAction, ...]
    value: Fraction
    cost: Fraction
    accounts: tuple[SimulatedAccount, ...]
    prices: Mapping[str, Fraction]
    calls: tuple[Call, ...] = ()
    requests: tuple[ExchangeRequest, ...] = ()
    notes: tuple[str, ...] = ()
    shortfalls: tuple[Breach, ...] = ()


def identity(now: datetime) -> str:
    """Return the id of a new order or mandate; ids ascend with time."""
    return f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"


def trigger_of(mandate: str, account: str) -> str:
    """Return the name of a trigger, of which there is one live order at most."""
    return f"{mandate}:{account}"


def planned(
    case: AccountInput, row: MandateRow, maker: Maker, *, order: str, fired: tuple[str, str]
) -> Draft | None:
    """Return an order of an account by its cheapest plan; None where there is nothing to do."""
    body = MandateBody.model_validate(row.body)
    case = with_cash(case)
    goal = stated_goal(case, body.target)
    before = evaluate_rules(case)
    means = replace(constraints_of(body.as_means()), assets=frozenset(body.assets))
    risk = partial(burdens, before, goal, model=maker.model, around=maker.around)
    action_plan = plan(case, goal.target, means, risk=risk)
    if action_plan.reason == "already_there" or (
        not action_plan.actions and action_plan.is_reached
    ):
        return None
    simulation = simulated(before, action_plan.after, maker)
    doubts = sorted({notice.code for notice in simulation.before.degraded_reasons} & DOUBTS)
    shortfalls = [Breach(limit="prices_in_doubt", text=", ".join(doubts))] if doubts else []
    if not action_plan.is_reached:
        text = f"nothing that the mandate allows leads to its target: {action_plan.reason}"
        shortfalls.append(Breach(limit="target", text=text))
    calls, requests, notes = _instructions(case, action_plan, row, body, maker, order=order)
    return Draft(
        trigger=trigger_of(row.id, case.account.id),
        fired=fired,
        account=case.account.id,
        actions=tuple(
            OrderedAction(
                account=case.account.id,
                kind=action.kind,
                asset=action.asset,
                quantity=action.quantity,
                value=action.value,
                cost=action.cost,
                repays=action.repays,
                tokens=action.tokens,
                text=action.text,
            )
            for action in action_texts(case, action_plan)
        ),
        value=action_plan.value,
        cost=action_plan.cost,
        accounts=(simulation,),
        prices=prices_of(case),
        calls=calls,
        requests=requests,
        notes=notes,
        shortfalls=tuple(shortfalls),
    )


def simulated(before: RuleEvaluation, account: Account, maker: Maker) -> SimulatedAccount:
    """Return an account as it is judged, and as an order leaves it."""
    case = before.case
    after = evaluate_rules(structs.replace(case, account=account))
    both = states(maker.model, maker.around, [before, after], history=[before, before])
    return SimulatedAccount(
        account=case.account.id,
        venue=case.account.venue,
        market=case.account.market,
        chain=case.account.chain,
        before=both[0],
        after=both[1],
        legs_before=holdings(case.account),
        legs_after=holdings(account),
    )


def prices_of(case: AccountInput) -> dict[str, Fraction]:
    """Return the prices of what an account holds, quote units as its venue prices it."""
    return {
        leg.asset: case.market.prices[leg.asset].exact
        for leg in case.account.legs
        if leg.asset in case.market.prices
    }


def relied_on(market: Market, assets: Container[str], at: datetime) -> dict[str, Fraction]:
    """Return those prices of some assets that an order may be acted on by, quote units."""
    return {
        asset: price.exact
        for asset, price in market.prices.items()
        if asset in assets and not price.is_stale(at) and price.disputed is None
    }


def doubts_of(cases: Iterable[AccountInput]) -> dict[str, Ground]:
    """Return which accounts were not read for too long, or are judged otherwise by their venue."""
    return {
        case.account.id: Ground.ACCOUNT_STALE if case.unread_since else Ground.RULE_MISMATCH
        for case in cases
        if case.unread_since is not None or case.mismatch is not None
    }


def _instructions(
    case: AccountInput,
    action_plan: ActionPlan,
    row: MandateRow,
    body: MandateBody,
    maker: Maker,
    *,
    order: str,
) -> tuple[tuple[Call, ...], tuple[ExchangeRequest, ...], tuple[str, ...]]:
    """Return calls, requests, and why there are none where there are none: all or nothing."""
    try:
        if is_exchange(case):
            places = enumerate(_cases(case, action_plan.actions))
            return (
                (),
                tuple(
                    request_of(now, action, order=order, place=place, slippage=body.slippage)
                    for place, (now, action) in places
                ),
                (),
            )
        made = made_for(case, row, body, maker)
        return (
            tuple(
                call
                for now, action in _cases(case, action_plan.actions)
                for call in calls_of(replace(made, case=now), action)
            ),
            (),
            (),
        )
    except (NoCall, ValueError) as error:
        return (), (), (str(error),)


def made_for(case: AccountInput, row: MandateRow, body: MandateBody, maker: Maker) -> Made:
    """Return what the calls of an account are made out for; raises `NoCall`."""
    account = case.account
    if account.venue not in VENUES:
        raise NoCall(f"calls of {account.venue} are not made out")
    return Made(
        case=case,
        contracts=_contracts_of(account, body.contracts),
        holder=holder_of(account.id, row.owner),
        until=maker.now + body.as_limits().life,
    )


def _contracts_of(account: Account, stated: Sequence[ContractsBody]) -> ContractsBody:
    """Return the contracts of an account's market; raises `NoCall` where none are named."""
    where = (account.venue, account.market, account.chain)
    for contracts in stated:
        if (contracts.venue, contracts.market, contracts.chain) == where:
            return contracts
    raise NoCall(f"the mandate names no contracts of {account.venue} {account.market}")


def _cases(case: AccountInput, actions: Sequence[Action]) -> Iterator[tuple[AccountInput, Action]]:
    """Yield each action with the account as it stands before it."""
    account = case.account
    for action in actions:
        yield structs.replace(case, account=account), action
        account = apply(account, (action,))


def holdings(account: Account) -> tuple[LegHolding, ...]:
    """Return what an account holds, without legs of nothing, in an order of its own."""
    legs = (
        LegHolding(
            kind=leg.kind.value,
            asset=leg.asset,
            quantity=exact_text(leg.quantity, 0),
            entry=None if leg.entry is None else exact_text(leg.entry, 0),
            key=leg.key,
            pledged=leg.pledged,
        )
        for leg in account.legs
        if leg.quantity
    )
    return tuple(sorted(legs, key=lambda leg: (leg.kind, leg.asset, leg.key or "", leg.quantity)))


def legs_of(legs: Sequence[LegHolding]) -> tuple[Leg, ...]:
    """Return held legs as the rules take them."""
    return tuple(
        Leg(
            kind=LegKind(leg.kind),
            asset=leg.asset,
            quantity=_exact(leg.quantity),
            entry=None if leg.entry is None else _exact(leg.entry),
            key=leg.key,
            pledged=leg.pledged,
        )
        for leg in legs
    )


def _exact(text: str) -> int | Fraction:
    """Return an exact amount of its text."""
    value = Fraction(text)
    return int(value) if value.denominator == 1 else value


def legs_text(legs: Sequence[LegHolding]) -> str:
    """Return held legs as one text, equal where they are."""
    return msgspec.json.encode(list(legs)).decode()


def order_row(
    draft: Draft, row: MandateRow, maker: Maker, *, order: str, spent: Fraction
) -> OrderRow:
    """Return an order held to the limits of its mandate: sealed, or refused with each named.

    Parameters
    ----------
    spent
        Quote units of the mandate's orders made within the 24 hours before.
    """
    limits = MandateBody.model_validate(row.body).as_limits()
    broken = (*draft.shortfalls, *breaches(limits, proposal_of(draft), spent=spent, at=maker.now))
    body = OrderContent(
        id=order,
        mandate=row.id,
        trigger=draft.fired[0],
        reading=draft.fired[1],
        as_of=maker.around.at,
        made_at=maker.now,
        expires_at=min(maker.now + limits.life, limits.expires_at),
        actions=draft.actions,
        value=exact_text(draft.value, 0),
        cost=exact_text(draft.cost, 0),
        prices={
            asset: PriceLimits(least=_bound(bounds.least), most=_bound(bounds.most))
            for asset, bounds in acting_prices(limits, draft.prices).items()
        },
        accounts=draft.accounts,
        calls=draft.calls,
        requests=draft.requests,
        notes=draft.notes,
        simulated=maker.around.simulated,
    )
    tree = tree_of(body)
    ready = OrderRow(
        id=order,
        mandate=row.id,
        account=draft.account,
        trigger=draft.trigger,
        live=draft.trigger,
        state=State.READY,
        version=1,
        made_at=maker.now,
        moved_at=maker.now,
        expires_at=body.expires_at,
        value=body.value,
        counts=True,
        body=tree,
        seal=None,
        course=msgspec.to_builtins(Course()),
    )
    if broken:
        return refused(ready, broken)
    return replace(ready, seal=msgspec.to_builtins(sealed(tree, maker.key)))


def refused(row: OrderRow, broken: Sequence[Breach]) -> OrderRow:
    """Return an order that nobody is told to act on, with the limits it broke; unsigned."""
    course = Course(broken=tuple(LimitBroken(limit=b.limit, text=b.text) for b in broken))
    return replace(
        row,
        live=None,
        state=State.REFUSED,
        counts=False,
        seal=None,
        course=msgspec.to_builtins(course),
    )


def proposal_of(draft: Draft) -> Proposal:
    """Return a draft as far as limits are concerned."""
    repaid = {action.repays.asset for action in draft.actions if action.repays is not None}
    return Proposal(
        accounts=frozenset(each.account for each in draft.accounts),
        venues=frozenset(each.venue for each in draft.accounts),
        assets=frozenset({action.asset for action in draft.actions} | repaid),
        kinds=frozenset(action.kind for action in draft.actions),
        value=draft.value,
        prices=draft.prices,
    )


def _bound(value: Fraction | None) -> str | None:
    """Return a bound as exact text."""
    return None if value is None else exact_text(value, 0)
