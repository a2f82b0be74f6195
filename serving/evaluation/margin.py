"""The margin of one account, with what the venue still takes and lends."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from models.margin.result import Headroom, Margin, Side, Verdict
from serving.evaluation import rules
from serving.evaluation.inputs import AccountInput
from serving.evaluation.item import Item
from serving.evaluation.margin_text import (
    amounts,
    doubts_of,
    price_used,
    refuse_unpriced,
    rulebook,
    standing,
)
from serving.evaluation.risk_weights import risk_weights
from serving.schemas.assessment import exact_text
from serving.schemas.margin import HeadroomAnswer, MarginAnswer, TokenAnswer
from serving.schemas.margin_requests import RiskBody
from serving.words.actions import token_text
from serving.words.tables import english


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginEvaluation:
    """The margin of one account in exact text, and as the rules gave it."""

    item: Item
    now: Margin
    answer: MarginAnswer


def margin_evaluation(
    item: Item, *, risk: Mapping[str, RiskBody] | None, request_id: str
) -> MarginEvaluation:
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
    case = item.metered
    refuse_unpriced(risk, item, field="risk")
    now, (soon, soon_at) = rules.evaluated(case, _now_and_soon)
    doubts = doubts_of(case, now)
    worth = rules.evaluated(case, rules.worth)
    answer = MarginAnswer(
        account=case.account.id,
        as_of=case.market.at,
        standing=standing(now),
        collateral_value=None if worth is None else exact_text(worth.credit, now.value_decimals),
        debt=None if worth is None else exact_text(worth.requirement, now.value_decimals),
        tokens=rules.evaluated(case, partial(_tokens, worth=worth, decimals=now.value_decimals)),
        next_verdict=rules.next_text(soon, soon_at),
        headroom=rules.evaluated(case, _headroom),
        risk_weights=None
        if risk is None
        else rules.evaluated(case, partial(risk_weights, risk=risk)),
        prices=tuple(
            price_used(name, price, case=case) for name, price in rules.used(case, now).items()
        ),
        missing_prices=rules.missing_prices(case, now),
        degraded=bool(doubts),
        degraded_reasons=doubts,
        rulebook=rulebook(case),
        simulated=item.around.simulated,
        request_id=request_id,
    )
    return MarginEvaluation(item=item, now=now, answer=answer)


def _tokens(
    case: AccountInput, *, worth: Side | None, decimals: int
) -> tuple[TokenAnswer, ...] | None:
    """Return what each leg holds or owes in whole tokens and its value, where that can be told."""
    amounts = rules.token_amounts(case)
    if amounts is None:
        return None
    return tuple(
        TokenAnswer(
            kind=each.kind.value,
            asset=each.asset,
            amount=exact_text(each.amount, 0),
            per_unit=None if unit is None else exact_text(unit, 0),
            value=None if value is None else exact_text(value, decimals),
            text=token_text(english(), {"asset": each.asset, "amount": each.amount}),
            decimals=each.digits,
        )
        for each, value, unit in zip(
            amounts, rules.leg_values(case, worth), rules.tokens_per_unit(case), strict=True
        )
    )


def _headroom(case: AccountInput) -> tuple[HeadroomAnswer, ...] | None:
    """Return what the venue still takes and lends, where its caps are established."""
    ask = case.rulebook.headroom
    if ask is None:
        return None
    return tuple(_room(room) for room in ask(case.account, case.market, case.terms))


def _room(headroom: Headroom) -> HeadroomAnswer:
    """Return the room of one asset in exact text."""
    return HeadroomAnswer(
        asset=headroom.asset,
        supply=None if headroom.supply is None else exact_text(headroom.supply, 0),
        borrow=None if headroom.borrow is None else exact_text(headroom.borrow, 0),
        limits=amounts(headroom.limits),
        unknown=rules.refusal_text(headroom.refusal),
    )


def _now_and_soon(case: AccountInput) -> tuple[Margin, tuple[Margin | None, datetime | None]]:
    """Return the margin now and at the next prices."""
    now = case.rulebook.margin(case.account, case.market, case.terms)
    if now.verdict is Verdict.UNEVALUABLE:
        return now, (None, None)
    return now, rules.at_next_prices(case, now)
