"""Orders that somebody asks for: of one account by its plan, or of an allocation."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs

from models.allocation.ordering import Step
from models.domain import Account
from models.errors import InvalidInput
from models.orders.mandate import DAY, Breach
from models.orders.order import View
from serving.application.allocation import Solved, solved
from serving.application.scoring import ScoringService
from serving.evaluation.actions import Action, ActionCost, ActionOption
from serving.evaluation.cover import Cover
from serving.evaluation.inputs import AccountInput, MarketSnapshot
from serving.evaluation.rule_evaluation import evaluate_rules
from serving.orders.calls import WITHDRAWALS, NoCall, calls_of
from serving.orders.drafting import (
    Draft,
    Maker,
    doubts_of,
    holdings,
    identity,
    legs_text,
    made_for,
    order_row,
    planned,
    prices_of,
    relied_on,
    simulated,
    trigger_of,
)
from serving.orders.requests import FROM, TO, is_exchange
from serving.schemas.allocation import AllocateBody
from serving.schemas.assessment import exact_text
from serving.schemas.orders import (
    Call,
    ExchangeRequest,
    MandateBody,
    OrderedAction,
)
from serving.schemas.requests import ScoreBody
from serving.store import orders
from serving.store.orders import MandateRow, OrderRow
from serving.words.actions import action_text
from serving.words.tables import english

REQUEST = ("request", "by hand")
ALLOCATION = "allocation"


def cases_of(
    desk: ScoringService, accounts: tuple[str, ...]
) -> tuple[MarketSnapshot, dict[str, AccountInput]]:
    """Return accounts of the store with the market around them, as it stands now.

    Raises
    ------
    InvalidInput
        When one cannot be judged.
    """
    request = ScoreBody.model_validate({"accounts": list(accounts)})
    around, outcomes = desk.outcomes(request, [], lambda item: item.metered)
    broken = [outcome for outcome in outcomes if isinstance(outcome, InvalidInput)]
    if broken:
        raise InvalidInput([fault for error in broken for fault in error.faults])
    return around, {
        outcome.account.id: outcome for outcome in outcomes if not isinstance(outcome, InvalidInput)
    }


def view_of(desk: ScoringService, row: OrderRow) -> View:
    """Return what is known now of what an order depends on; raises as `cases_of` does."""
    around, cases = cases_of(desk, tuple(each["account"] for each in row.body["accounts"]))
    prices: dict[str, Fraction] = {}
    for case in cases.values():
        prices |= relied_on(case.market, row.body["prices"], around.at)
    return View(
        at=max(desk.clock(), row.moved_at),
        prices=prices,
        legs={name: legs_text(holdings(case.account)) for name, case in cases.items()},
        doubts=doubts_of(cases.values()),
    )


def requested(
    desk: ScoringService,
    mandate: MandateRow,
    key: Ed25519PrivateKey,
    *,
    account: str | None,
    allocation: AllocateBody | None,
) -> OrderRow | None:
    """Return an order that somebody asks for; None where there is nothing to do.

    Raises
    ------
    InvalidInput, Refused
        When the account cannot be judged, or the allocation is at fault.
    """
    now = desk.clock()
    order = identity(now)
    if allocation is not None:
        solution = solved(desk, allocation, [])
        maker = Maker(model=desk.model, around=solution.question.around, key=key, now=now)
        draft = _allocated(solution, mandate, maker)
    else:
        around, cases = cases_of(desk, (account or "",))
        maker = Maker(model=desk.model, around=around, key=key, now=now)
        (case,) = cases.values()
        draft = planned(case, mandate, maker, order=order, fired=REQUEST)
    if draft is None or desk.store is None:
        return None
    with desk.store.read() as transaction:
        spent = orders.spent(transaction, mandate.id, since=now - DAY)
    return order_row(draft, mandate, maker, order=order, spent=spent)


@dataclass(slots=True)
class _Steps:
    """Steps of an allocation as they are put into actions, calls and requests.

    Parameters
    ----------
    now
        Accounts as the steps so far leave them.
    """

    covers: Mapping[str, Cover]
    solution: Solved
    mandate: MandateRow
    body: MandateBody
    maker: Maker
    posted: dict[str, dict[str, Fraction]]
    now: dict[str, Account]

    @staticmethod
    def account_of(step: Step) -> str:
        """Return the account that a step changes; empty where it is between places."""
        return {"deposit": step.destination, "withdraw": step.origin}.get(step.kind, "")

    def action_of(self, step: Step) -> OrderedAction:
        """Return a step as an action."""
        name = self.account_of(step)
        kind = {"deposit": "add", "withdraw": "withdraw"}.get(step.kind, "transfer")
        resource = self.solution.problem.resources[step.asset]
        action = OrderedAction(
            account=name,
            kind=kind,  # type: ignore[arg-type]
            asset=step.asset,
            quantity=exact_text(step.quantity if not name else self.moved(step, name), 0),
            value=exact_text(resource.price * step.quantity, 0),
            cost="0",
            tokens=exact_text(step.quantity, 0),
        )
        return replace(action, text=action_text(english(), asdict(action)))

    def posted_after(self, step: Step, name: str) -> dict[str, Fraction]:
        """Return what is posted at an account after a step."""
        sign = 1 if step.kind == "deposit" else -1
        posted = self.posted[name]
        return posted | {step.asset: posted.get(step.asset, Fraction(0)) + sign * step.quantity}

    def moved(self, step: Step, name: str) -> Fraction:
        """Return the units of the leg that a step moves."""
        if name not in self.covers:
            return step.quantity
        cover = self.covers[name]
        place, left = cover.legs[step.asset], cover.account(self.posted_after(step, name))
        before, after = (account.legs[place].quantity for account in (self.now[name], left))
        return abs(Fraction(after) - Fraction(before))

    def instructions(self, step: Step) -> tuple[list[Call], list[ExchangeRequest]]:
        """Return how a step is done; raises `NoCall` where nothing is made out for it."""
        name = self.account_of(step)
        if not name:
            return [], []
        if name not in self.covers:
            raise NoCall(f"{name} is stated by its need alone: nothing is made out for it")
        cover = self.covers[name]
        case = structs.replace(cover.case, account=self.now[name])
        amount = self.moved(step, name)
        if is_exchange(case):
            ends = (FROM, TO) if step.kind == "deposit" else (TO, FROM)
            names = ("fromAccount", "toAccount")
            arguments = {"code": step.asset, "amount": exact_text(amount, 0)}
            arguments |= dict(zip(names, ends, strict=True))
            return [], [ExchangeRequest(method="transfer", arguments=arguments)]
        made = made_for(case, self.mandate, self.body, self.maker)
        place = cover.legs[step.asset]
        if step.kind == "withdraw":
            withdrawal = WITHDRAWALS[case.account.venue]
            return [withdrawal(made, case.account.legs[place].asset, int(amount))], []
        return calls_of(made, _deposit(place, int(amount))), []

    def take(self, step: Step) -> None:
        """Go on to the next step."""
        name = self.account_of(step)
        if name not in self.covers:
            return
        self.posted[name] = self.posted_after(step, name)
        self.now[name] = self.covers[name].account(self.posted[name])


def _deposit(place: int, quantity: int) -> Action:
    """Return the addition of some units to a leg."""
    tool = ActionOption(
        kind="add",
        leg=place,
        most=quantity,
        step=Fraction(1),
        unit_value=Fraction(0),
        price=ActionCost(),
    )
    return Action(tool=tool, quantity=quantity)


def _allocated(solution: Solved, mandate: MandateRow, maker: Maker) -> Draft | None:
    """Return an order that carries out an allocation; None where nothing is to be moved."""
    steps = solution.order.steps if solution.order is not None and solution.is_accepted else ()
    shortfalls = list(_shortfalls(solution))
    if not steps and not shortfalls:
        return None
    covers = solution.question.covers
    walk = _Steps(
        covers=covers,
        solution=solution,
        mandate=mandate,
        body=MandateBody.model_validate(mandate.body),
        maker=maker,
        posted={name: dict(cover.posted) for name, cover in covers.items()},
        now={name: cover.case.account for name, cover in covers.items()},
    )
    actions: list[OrderedAction] = []
    calls: list[Call] = []
    requests: list[ExchangeRequest] = []
    notes: list[str] = []
    for step in steps:
        actions.append(walk.action_of(step))
        try:
            made, more = walk.instructions(step)
        except NoCall as error:
            notes.append(str(error))
        else:
            calls += made
            requests += more
        walk.take(step)
    values = (Fraction(a.value) for a in actions if a.kind != "transfer")
    return Draft(
        trigger=trigger_of(mandate.id, ALLOCATION),
        fired=REQUEST,
        account="",
        actions=tuple(actions),
        value=sum(values, Fraction(0)),
        cost=Fraction(0) if solution.result.result is None else solution.result.result.cost,
        accounts=tuple(
            simulated(evaluate_rules(cover.case), walk.now[name], maker)
            for name, cover in covers.items()
            if walk.now[name] != cover.case.account
        ),
        prices={
            asset: price
            for cover in covers.values()
            for asset, price in prices_of(cover.case).items()
        },
        # A sequence of which a part cannot be made out would be half an order.
        calls=() if notes else tuple(calls),
        requests=() if notes else tuple(requests),
        notes=tuple(dict.fromkeys(notes)),
        shortfalls=tuple(shortfalls),
    )


def _shortfalls(solution: Solved) -> Iterator[Breach]:
    """Yield why an allocation is not carried out."""
    if solution.result.result is None:
        yield Breach(limit="target", text=f"the allocation is {solution.result.status}")
    for notice in solution.refusals:
        yield Breach(limit=notice.code, text=notice.text)
