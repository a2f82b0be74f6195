"""Where and when the verdict of one account flips."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from functools import partial
from typing import Any

from models.domain import Account, Market
from models.errors import Fault, InvalidInput
from models.margin.result import Margin, Refusal, Trigger, Verdict
from models.margin.rulebook import priced_assets
from models.margin.trigger import bankruptcy_price, price_triggers, shock_trigger, time_trigger
from serving.evaluation import rules
from serving.evaluation.assess import shock_text
from serving.evaluation.inputs import AccountInput
from serving.evaluation.item import Item
from serving.evaluation.margin_text import doubts_of, refuse_unpriced, rulebook
from serving.schemas.assessment import exact_text
from serving.schemas.margin import ExactPrice, PriceTrigger, TriggersAnswer

WEEK = timedelta(days=7)
LONGEST = timedelta(days=366)

PriceOf = Callable[[Account, Market, Any, str], Fraction | Refusal | None]


def triggers_of(
    item: Item,
    *,
    betas: Mapping[str, Fraction] | None,
    search_end: datetime | None,
    request_id: str,
) -> TriggersAnswer:
    """Return where and when the verdict of one account flips.

    Parameters
    ----------
    betas
        Sensitivity to the common shock by asset; None for the default.
    search_end
        End of the search in time; None for a week.

    Raises
    ------
    InvalidInput
        When the rules cannot be evaluated, a beta names an asset without a price, or the
        search would end before it starts or after more than 366 days.
    """
    case = item.metered
    until = _until(search_end, at=case.market.at)
    refuse_unpriced(betas, item, field="betas")
    now = rules.evaluated(case, lambda c: c.rulebook.margin(c.account, c.market, c.terms))
    chosen = _default_betas(case, now) if betas is None else betas
    search = rules.evaluated(case, partial(_search, now=now, betas=chosen, until=until))
    doubts = doubts_of(case, now)
    return TriggersAnswer(
        account=case.account.id,
        as_of=case.market.at,
        verdict=now.verdict.value,
        reason=now.reason,
        price_triggers=tuple(_price_trigger(trigger, case) for trigger in search.prices),
        shock_trigger=shock_text(search.shock),
        betas={name: exact_text(beta, 0) for name, beta in chosen.items()},
        flips_at=search.flips_at,
        until=until,
        liquidation_prices=search.liquidation_prices,
        bankruptcy_prices=search.bankruptcy_prices,
        degraded=bool(doubts),
        degraded_reasons=doubts,
        rulebook=rulebook(case),
        simulated=item.around.simulated,
        request_id=request_id,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _TriggerSearch:
    """What a search found."""

    prices: tuple[Trigger, ...] = ()
    shock: Trigger | None = None
    flips_at: datetime | None = None
    liquidation_prices: tuple[ExactPrice, ...] = ()
    bankruptcy_prices: tuple[ExactPrice, ...] = ()


def _search(
    case: AccountInput, *, now: Margin, betas: Mapping[str, Fraction], until: datetime
) -> _TriggerSearch:
    """Return every trigger; nothing is sought where there is no verdict to flip."""
    if now.verdict is Verdict.UNEVALUABLE:
        return _TriggerSearch()
    book = case.rulebook
    facts = (book, case.account, case.market, case.terms)
    later = time_trigger(*facts, until=until)
    return _TriggerSearch(
        prices=tuple(
            trigger for name in now.prices for trigger in price_triggers(*facts, asset=name)
        ),
        shock=shock_trigger(*facts, betas=betas),
        flips_at=None if later is None else later.at,
        liquidation_prices=tuple(_closed_form(case, now, book.liquidation_price)),
        bankruptcy_prices=tuple(_bankruptcy_prices(case, now)),
    )


def _bankruptcy_prices(case: AccountInput, now: Margin) -> Iterator[ExactPrice]:
    """Yield where nothing is left: in closed form, or by the rules without haircuts."""
    book = case.rulebook
    if book.bankruptcy_price is not None:
        yield from _closed_form(case, now, book.bankruptcy_price)
        return
    for asset in now.prices:
        trigger = bankruptcy_price(book, case.account, case.market, case.terms, asset=asset)
        if trigger is not None and trigger.value is not None:
            yield ExactPrice(asset=asset, price=exact_text(trigger.value, trigger.decimals))


def _closed_form(case: AccountInput, now: Margin, price_of: PriceOf | None) -> Iterator[ExactPrice]:
    """Yield the prices that the rulebook gives in closed form."""
    if price_of is None:
        return
    for asset in now.prices:
        price = price_of(case.account, case.market, case.terms, asset)
        if isinstance(price, Fraction):
            yield ExactPrice(asset=asset, price=exact_text(price, 0))


def _until(stated: datetime | None, *, at: datetime) -> datetime:
    """Return the end of the search in time."""
    until = stated or at + WEEK
    if not at < until <= at + LONGEST:
        detail = f"{until.isoformat()} is not within {LONGEST.days} days after {at.isoformat()}"
        raise InvalidInput([Fault("/until", detail)])
    return until


def _default_betas(case: AccountInput, now: Margin) -> dict[str, Fraction]:
    """Return 1 for every asset that the account's worth rests on and the whole market moves."""
    priced = priced_assets(case.account, case.market, now)
    return dict.fromkeys(rules.moving(case, priced), Fraction(1))


def _price_trigger(trigger: Trigger, case: AccountInput) -> PriceTrigger:
    """Return one price trigger in exact text."""
    if trigger.asset is None or trigger.value is None or trigger.direction is None:
        raise ValueError(f"{trigger} names no price")
    moved = Fraction(trigger.value, case.market.prices[trigger.asset].value)
    return PriceTrigger(
        asset=trigger.asset,
        direction=trigger.direction,
        price=exact_text(trigger.value, trigger.decimals),
        decimals=trigger.decimals,
        move=float(moved - 1),
        token_price=rules.token_price(case, trigger.asset, trigger.value, trigger.decimals),
    )
