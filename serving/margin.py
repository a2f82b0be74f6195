"""The rules over HTTP: cases in; margins, triggers and liquidations out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from functools import partial
from typing import Any, TypeVar

from models.domain import Account, Exact, LegKind, Market, Price
from models.errors import Fault, InvalidInput
from models.margin.result import Liquidation, Margin, Refusal, Room, Side, Trigger, Verdict
from models.margin.rulebook import Liquidate
from models.margin.trigger import bankruptcy_price, price_triggers, shock_trigger, time_trigger
from serving import rules, wire
from serving.aggregate import Placed, aggregate, refuse_single
from serving.answers import FaultyItem, Notice, RulebookAnswer, exact_text
from serving.cases import Case
from serving.desk import Desk, Item, in_order
from serving.margin_answers import (
    ExactPrice,
    HeadroomAnswer,
    LiquidationAnswer,
    LiquidationBatch,
    MarginAnswer,
    MarginBatch,
    PriceTrigger,
    PriceUsed,
    Seizure,
    ShockTrigger,
    Standing,
    SurplusSide,
    TriggerBatch,
    TriggersAnswer,
)
from serving.margin_wire import (
    LiquidateBody,
    LiquidationAccountBody,
    LiquidationBody,
    MarginBody,
    RiskBody,
    TriggerBody,
)
from serving.problems import encode
from serving.reading import escape
from serving.risk_weights import risk_weights

T = TypeVar("T")

WEEK = timedelta(days=7)
LONGEST = timedelta(days=366)
MOST_WORK = 20_000
"""Assets times legs, summed over the accounts of a request for triggers: some ten seconds."""

BASE_FIELDS = ("base_asset", "loan_asset", "quote")
"""Fields in which terms name the asset that everything else is valued in."""


def margin(desk: Desk, body: bytes, request_id: str) -> bytes:
    """Answer the body of `POST /v1/margin`.

    Raises
    ------
    NotJson
        When the body is not JSON.
    InvalidInput
        When the envelope or every account is at fault.
    """
    return encode(answer_margin(desk, body, request_id))


def trigger(desk: Desk, body: bytes, request_id: str) -> bytes:
    """Answer the body of `POST /v1/trigger`; raises as `margin` does."""
    return encode(answer_trigger(desk, body, request_id))


def liquidation(desk: Desk, body: bytes, request_id: str) -> bytes:
    """Answer the body of `POST /v1/liquidation`; raises as `margin` does."""
    return encode(answer_liquidation(desk, body, request_id))


def answer_margin(desk: Desk, body: bytes, request_id: str) -> MarginAnswer | MarginBatch:
    """Answer the body of `POST /v1/margin`; raises as `margin` does."""
    asked, found = wire.parse(body, MarginBody)
    return margins(desk, asked, found, request_id)


def margins(
    desk: Desk, asked: MarginBody, found: Sequence[Fault], request_id: str
) -> MarginAnswer | MarginBatch:
    """Answer an envelope; `found` holds the faults of single accounts."""
    refuse_single(asked)
    ask = partial(judged_of, risk=asked.risk, request_id=request_id)
    around, told = desk.outcomes(asked, found, ask)
    answers = [one if isinstance(one, InvalidInput) else one.answer for one in told]
    if asked.accounts is None:
        return _only(answers)
    return MarginBatch(
        request_id=request_id,
        as_of=around.at,
        simulated=around.simulated,
        margins=_items(asked, answers),
        aggregate=aggregate(asked, placed(told)),
    )


def answer_trigger(desk: Desk, body: bytes, request_id: str) -> TriggersAnswer | TriggerBatch:
    """Answer the body of `POST /v1/trigger`; raises as `margin` does."""
    asked, found = wire.parse(body, TriggerBody)
    _refuse_long_work(asked)
    ask = partial(triggers_of, betas=asked.betas, wanted_until=asked.until, request_id=request_id)
    around, told = desk.outcomes(asked, found, ask)
    if asked.accounts is None:
        return _only(told)
    return TriggerBatch(
        request_id=request_id,
        as_of=around.at,
        simulated=around.simulated,
        triggers=_items(asked, told),
    )


def answer_liquidation(
    desk: Desk, body: bytes, request_id: str
) -> LiquidationAnswer | LiquidationBatch:
    """Answer the body of `POST /v1/liquidation`; raises as `margin` does."""
    asked, found = wire.parse(body, LiquidationBody)
    ask = partial(liquidation_of, request=asked.request, request_id=request_id)
    around, told = desk.outcomes(asked, found, ask)
    if asked.accounts is None:
        return _only(told)
    return LiquidationBatch(
        request_id=request_id,
        as_of=around.at,
        simulated=around.simulated,
        liquidations=_items(asked, told),
    )


def _only(told: Sequence[T | InvalidInput]) -> T:
    """Return the one answer; a request whose only account is at fault is refused before."""
    return sound(told)[0]


def _items(asked: wire.Envelope, told: Sequence[T | InvalidInput]) -> tuple[T | FaultyItem, ...]:
    """Return the answer or the faults per account, in the order asked."""
    return tuple(in_order(asked, told, sound(told)))


def sound(told: Sequence[T | InvalidInput]) -> list[T]:
    """Return the answers among answers and faults."""
    return [one for one in told if not isinstance(one, InvalidInput)]


def _refuse_long_work(asked: wire.Envelope) -> None:
    """Refuse a request whose search would outlast the service's patience.

    Raises
    ------
    InvalidInput
        Naming the limit.
    """
    work = 0
    for _, item in asked.items:
        legs = item.get("legs") if isinstance(item, dict) else None
        if isinstance(legs, list):
            assets = {str(leg.get("asset")) for leg in legs if isinstance(leg, dict)}
            work += len(assets) * len(legs)
    if work > MOST_WORK:
        place = "/account/legs" if asked.accounts is None else "/accounts"
        message = f"assets times legs add up to {work}, at most {MOST_WORK}: ask in parts"
        raise InvalidInput([Fault(place, message)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The margin of one account in exact text, and as the rules gave it."""

    item: Item
    now: Margin
    answer: MarginAnswer


def placed(told: Sequence[Judged | InvalidInput]) -> list[Placed | InvalidInput]:
    """Return what the accounts' whole is made of."""
    return [
        one if isinstance(one, InvalidInput) else Placed(item=one.item, now=one.now) for one in told
    ]


def judged_of(item: Item, *, risk: Mapping[str, RiskBody] | None, request_id: str) -> Judged:
    """Return the margin of one account.

    Parameters
    ----------
    risk
        Measures of collateral by asset; None where no risk weights are asked for.

    Raises
    ------
    InvalidInput
        When the terms or amounts make the rules impossible to evaluate, or `risk` names an
        asset without a price.
    """
    case = item.case
    _refuse_unpriced(risk, item, field="risk")
    now, (soon, soon_at) = rules.evaluated(case, _now_and_soon)
    doubts = _doubts(case, now)
    answer = MarginAnswer(
        account=case.account.id,
        as_of=case.market.at,
        standing=_standing(now),
        next_verdict=rules.next_text(soon, soon_at),
        headroom=rules.evaluated(case, _headroom),
        risk_weights=None
        if risk is None
        else rules.evaluated(case, partial(risk_weights, risk=risk)),
        prices=tuple(
            _price(name, price, at=case.market.at) for name, price in rules.used(case, now).items()
        ),
        missing_prices=tuple(name for name in now.prices if name not in case.market.prices),
        degraded=bool(doubts),
        degraded_reasons=doubts,
        rulebook=_rulebook(case),
        simulated=item.around.simulated,
        request_id=request_id,
    )
    return Judged(item=item, now=now, answer=answer)


def _headroom(case: Case) -> tuple[HeadroomAnswer, ...] | None:
    """Return what the venue still takes and lends, where its caps are established."""
    ask = case.rulebook.headroom
    if ask is None:
        return None
    return tuple(_room(one) for one in ask(case.account, case.market, case.terms))


def _room(one: Room) -> HeadroomAnswer:
    """Return the room of one asset in exact text."""
    return HeadroomAnswer(
        asset=one.asset,
        supply=None if one.supply is None else exact_text(one.supply, 0),
        borrow=None if one.borrow is None else exact_text(one.borrow, 0),
        limits=_amounts(one.limits),
        unknown=rules.refusal_text(one.refusal),
    )


def _now_and_soon(case: Case) -> tuple[Margin, tuple[Margin | None, datetime | None]]:
    """Return the margin now and at the next prices."""
    now = case.rulebook.margin(case.account, case.market, case.terms)
    if now.verdict is Verdict.UNEVALUABLE:
        return now, (None, None)
    return now, rules.at_next_prices(case, now)


def triggers_of(
    item: Item,
    *,
    betas: Mapping[str, Fraction] | None,
    wanted_until: datetime | None,
    request_id: str,
) -> TriggersAnswer:
    """Return where and when the verdict of one account flips.

    Parameters
    ----------
    betas
        Sensitivity to the common shock by asset; None for the default.
    wanted_until
        End of the search in time; None for a week.

    Raises
    ------
    InvalidInput
        When the rules cannot be evaluated, a beta names an asset without a price, or the
        search would end before it starts or after more than 366 days.
    """
    case = item.case
    until = _until(wanted_until, at=case.market.at)
    _refuse_unpriced(betas, item, field="betas")
    now = rules.evaluated(case, lambda c: c.rulebook.margin(c.account, c.market, c.terms))
    chosen = _default_betas(case, now) if betas is None else betas
    found = rules.evaluated(case, partial(_search, now=now, betas=chosen, until=until))
    doubts = _doubts(case, now)
    return TriggersAnswer(
        account=case.account.id,
        as_of=case.market.at,
        verdict=now.verdict.value,
        reason=now.reason,
        price_triggers=tuple(_price_trigger(one, case) for one in found.prices),
        shock_trigger=_shock_trigger(found.shock),
        betas={name: exact_text(beta, 0) for name, beta in chosen.items()},
        flips_at=found.flips_at,
        until=until,
        liquidation_prices=found.liquidation_prices,
        bankruptcy_prices=found.bankruptcy_prices,
        degraded=bool(doubts),
        degraded_reasons=doubts,
        rulebook=_rulebook(case),
        simulated=item.around.simulated,
        request_id=request_id,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What a search found."""

    prices: tuple[Trigger, ...] = ()
    shock: Trigger | None = None
    flips_at: datetime | None = None
    liquidation_prices: tuple[ExactPrice, ...] = ()
    bankruptcy_prices: tuple[ExactPrice, ...] = ()


def _search(case: Case, *, now: Margin, betas: Mapping[str, Fraction], until: datetime) -> _Found:
    """Return every trigger; nothing is sought where there is no verdict to flip."""
    if now.verdict is Verdict.UNEVALUABLE:
        return _Found()
    book = case.rulebook
    facts = (book, case.account, case.market, case.terms)
    later = time_trigger(*facts, until=until)
    return _Found(
        prices=tuple(one for name in now.prices for one in price_triggers(*facts, asset=name)),
        shock=shock_trigger(*facts, betas=betas),
        flips_at=None if later is None else later.at,
        liquidation_prices=tuple(_closed_form(case, now, book.liquidation_price)),
        bankruptcy_prices=tuple(_bankruptcy_prices(case, now)),
    )


def _bankruptcy_prices(case: Case, now: Margin) -> Iterator[ExactPrice]:
    """Yield where nothing is left: in closed form, or by the rules without haircuts."""
    book = case.rulebook
    if book.bankruptcy_price is not None:
        yield from _closed_form(case, now, book.bankruptcy_price)
        return
    for asset in now.prices:
        found = bankruptcy_price(book, case.account, case.market, case.terms, asset=asset)
        if found is not None and found.value is not None:
            yield ExactPrice(asset=asset, price=exact_text(found.value, found.decimals))


PriceOf = Callable[[Account, Market, Any, str], Fraction | Refusal | None]


def _closed_form(case: Case, now: Margin, price_of: PriceOf | None) -> Iterator[ExactPrice]:
    """Yield the prices that the rulebook gives in closed form."""
    if price_of is None:
        return
    for asset in now.prices:
        price = price_of(case.account, case.market, case.terms, asset)
        if isinstance(price, Fraction):
            yield ExactPrice(asset=asset, price=exact_text(price, 0))


def _until(wanted: datetime | None, *, at: datetime) -> datetime:
    """Return the end of the search in time."""
    until = wanted or at + WEEK
    if not at < until <= at + LONGEST:
        detail = f"{until.isoformat()} is not within {LONGEST.days} days after {at.isoformat()}"
        raise InvalidInput([Fault("/until", detail)])
    return until


def _refuse_unpriced(named: Mapping[str, object] | None, item: Item, *, field: str) -> None:
    """Refuse what is said of assets without a price: a misspelt one must not be ignored."""
    priced = item.around.prices
    faults = [
        Fault(f"/{field}/{escape(name)}", f"{name} has no price; those that have: {_names(priced)}")
        for name in named or ()
        if name not in priced
    ]
    if faults:
        raise InvalidInput(faults)


def _names(priced: Mapping[str, object]) -> str:
    """Return the first names of a mapping."""
    return ", ".join(list(priced)[:20]) or "none"


def _default_betas(case: Case, now: Margin) -> dict[str, Fraction]:
    """Return 1 for every asset that the verdict rests on but what it is valued in.

    That is the asset that the terms name, or else what the account owes and does not hold.
    """
    stated = {str(getattr(case.terms, name, "")) for name in BASE_FIELDS}
    if stated == {""}:
        legs = [leg for leg in case.account.legs if leg.quantity]
        held = {leg.asset for leg in legs if leg.kind is not LegKind.DEBT}
        stated = {leg.asset for leg in legs if leg.kind is LegKind.DEBT} - held
    return {name: Fraction(1) for name in now.prices if name not in stated}


def _price_trigger(found: Trigger, case: Case) -> PriceTrigger:
    """Return one price trigger in exact text."""
    if found.asset is None or found.value is None or found.direction is None:
        raise ValueError(f"{found} names no price")
    moved = Fraction(found.value, case.market.prices[found.asset].value)
    return PriceTrigger(
        asset=found.asset,
        direction=found.direction,
        price=exact_text(found.value, found.decimals),
        decimals=found.decimals,
        move=float(moved - 1),
    )


def _shock_trigger(found: Trigger | None) -> ShockTrigger | None:
    """Return the joint trigger in exact text."""
    if found is None or found.value is None or found.direction is None:
        return None
    return ShockTrigger(shock=exact_text(found.value, 0), direction=found.direction)


def liquidation_of(item: Item, *, request: LiquidateBody, request_id: str) -> LiquidationAnswer:
    """Return what a liquidation of one account would do, or why it is refused.

    Parameters
    ----------
    request
        What is asked where the account does not carry its own request.

    Raises
    ------
    InvalidInput
        When the rules cannot be evaluated, or the repayment is not in smallest units.
    """
    case = item.case
    wanted = _wanted(item, request)
    now = rules.evaluated(case, lambda c: c.rulebook.margin(c.account, c.market, c.terms))
    outcome = rules.evaluated(case, partial(_liquidate, request=wanted))
    doubts = _doubts(case, now)
    return LiquidationAnswer(
        account=case.account.id,
        as_of=case.market.at,
        verdict=now.verdict.value,
        reason=now.reason,
        outcome="refused" if isinstance(outcome, Refusal) else "liquidated",
        liquidation=None if isinstance(outcome, Refusal) else _seizure(outcome),
        refusal=rules.refusal_text(outcome if isinstance(outcome, Refusal) else None),
        degraded=bool(doubts),
        degraded_reasons=doubts,
        rulebook=_rulebook(case),
        simulated=item.around.simulated,
        request_id=request_id,
    )


def _wanted(item: Item, shared: LiquidateBody) -> Liquidate:
    """Return the request in the rulebook's numbers."""
    body, case = item.body, item.case
    own = body.request if isinstance(body, LiquidationAccountBody) else None
    asked = own or shared
    repay: Exact | None = asked.repay
    if asked.repay is not None and asked.repay.denominator == 1:
        repay = int(asked.repay)
    elif repay is not None and case.rulebook.price_decimals is not None:
        place = f"{case.place}/request" if own else "/request"
        message = f"{asked.repay} is not a whole number of smallest units"
        raise InvalidInput([Fault(f"{place}/repay", message)])
    return Liquidate(
        debt_asset=asked.debt_asset, collateral_asset=asked.collateral_asset, repay=repay
    )


def _liquidate(case: Case, *, request: Liquidate) -> Liquidation | Refusal:
    """Ask the rulebook, where it has a liquidation."""
    book = case.rulebook
    if book.liquidate is None:
        name = f"{book.venue}/{book.version}"
        return Refusal("liquidation_not_established", f"{name} states no liquidation")
    return book.liquidate(case.account, case.market, case.terms, request)


def _seizure(done: Liquidation) -> Seizure:
    """Return a liquidation in exact text."""
    return Seizure(
        repaid=_amounts(done.repaid),
        seized=_amounts(done.seized),
        bonus=_amounts(done.bonus),
        protocol_fee=_amounts(done.protocol_fee),
        bad_debt=_amounts(done.bad_debt),
        after=None if done.after is None else _standing(done.after),
        is_toxic=done.is_toxic,
    )


def _amounts(amounts: Mapping[str, Exact]) -> dict[str, str]:
    """Return amounts in exact text."""
    return {asset: exact_text(amount, 0) for asset, amount in amounts.items()}


def _standing(now: Margin) -> Standing:
    """Return verdict, ratio and both sides in exact text."""
    return Standing(
        verdict=now.verdict.value,
        reason=now.reason,
        ratio=rules.ratio_text(now.ratio),
        maintenance=_side(now.maintenance, now.value_decimals),
        initial=_side(now.initial, now.value_decimals),
        value_decimals=now.value_decimals,
    )


def _side(side: Side | None, decimals: int) -> SurplusSide | None:
    """Return one side with its surplus in exact text."""
    if side is None:
        return None
    return SurplusSide(
        credit=exact_text(side.credit, decimals),
        requirement=exact_text(side.requirement, decimals),
        surplus=exact_text(side.surplus, decimals),
    )


def _price(asset: str, price: Price, *, at: datetime) -> PriceUsed:
    """Return one price with its age and what is wrong with it."""
    return PriceUsed(
        asset=asset,
        price=exact_text(price.value, price.decimals),
        source=price.source,
        observed_at=price.observed_at,
        age_seconds=price.age(at).total_seconds(),
        is_stale=rules.is_stale(price, at=at),
        disputed=price.disputed,
    )


def _doubts(case: Case, now: Margin) -> tuple[Notice, ...]:
    """Return what makes an answer doubtful: missing, stale and disputed prices."""
    found = [
        rules.doubt(price, at=case.market.at, asset=name)
        for name, price in rules.used(case, now).items()
    ]
    told = [one for one in found if one is not None]
    if now.verdict is Verdict.UNEVALUABLE:
        told.append(Notice(code=now.reason, text="the rules cannot judge the account"))
    return tuple(told)


def _rulebook(case: Case) -> RulebookAnswer:
    """Return which rules judged."""
    return RulebookAnswer(
        venue=case.account.venue,
        version=case.account.version,
        terms_valid_from=case.terms_valid_from,
    )
