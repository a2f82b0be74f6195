"""What a liquidation of one account would do."""

from functools import partial

from models.domain import Exact
from models.errors import Fault, InvalidInput
from models.margin.result import Liquidation, Refusal
from models.margin.rulebook import Liquidate
from serving.evaluation import rules
from serving.evaluation.inputs import AccountInput
from serving.evaluation.item import Item
from serving.evaluation.margin_text import amounts, doubts_of, rulebook, standing
from serving.schemas.margin import LiquidationAnswer, Seizure
from serving.schemas.margin_requests import LiquidateBody, LiquidationAccountBody


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
    case = item.metered
    liquidate = _request_of(item, request)
    now = rules.evaluated(case, lambda c: c.rulebook.margin(c.account, c.market, c.terms))
    outcome = rules.evaluated(case, partial(_liquidate, request=liquidate))
    doubts = doubts_of(case, now)
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
        rulebook=rulebook(case),
        simulated=item.around.simulated,
        request_id=request_id,
    )


def _request_of(item: Item, shared: LiquidateBody) -> Liquidate:
    """Return the request in the rulebook's numbers."""
    body, case = item.body, item.case
    stated = body.request if isinstance(body, LiquidationAccountBody) else None
    chosen = stated or shared
    repay: Exact | None = chosen.repay
    if chosen.repay is not None and chosen.repay.denominator == 1:
        repay = int(chosen.repay)
    elif repay is not None and case.rulebook.price_decimals is not None:
        place = f"{case.place}/request" if stated else "/request"
        message = f"{chosen.repay} is not a whole number of smallest units"
        raise InvalidInput([Fault(f"{place}/repay", message)])
    return Liquidate(
        debt_asset=chosen.debt_asset, collateral_asset=chosen.collateral_asset, repay=repay
    )


def _liquidate(case: AccountInput, *, request: Liquidate) -> Liquidation | Refusal:
    """Ask the rulebook, where it has a liquidation."""
    book = case.rulebook
    if book.liquidate is None:
        name = f"{book.venue}/{book.version}"
        return Refusal("liquidation_not_established", f"{name} states no liquidation")
    return book.liquidate(case.account, case.market, case.terms, request)


def _seizure(done: Liquidation) -> Seizure:
    """Return a liquidation in exact text."""
    return Seizure(
        repaid=amounts(done.repaid),
        seized=amounts(done.seized),
        bonus=amounts(done.bonus),
        protocol_fee=amounts(done.protocol_fee),
        bad_debt=amounts(done.bad_debt),
        after=None if done.after is None else standing(done.after),
        is_toxic=done.is_toxic,
    )
