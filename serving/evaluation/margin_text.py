"""What the margin's answers have in common: the rules' numbers in exact text."""

from collections.abc import Mapping

from models.domain import Exact, Price
from models.errors import Fault, InvalidInput
from models.margin.result import Margin, Side, Verdict
from serving.evaluation import rules
from serving.evaluation.inputs import AccountInput
from serving.evaluation.item import Item
from serving.schemas.assessment import Notice, RulebookAnswer, exact_text
from serving.schemas.margin import PriceUsed, Standing, SurplusSide
from serving.schemas.strict_json import escape


def amounts(amounts: Mapping[str, Exact]) -> dict[str, str]:
    """Return amounts in exact text."""
    return {asset: exact_text(amount, 0) for asset, amount in amounts.items()}


def standing(now: Margin) -> Standing:
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


def price_used(asset: str, price: Price, *, case: AccountInput) -> PriceUsed:
    """Return one price with its age and what is wrong with it."""
    at = case.market.at
    return PriceUsed(
        asset=asset,
        price=exact_text(price.value, price.decimals),
        token_price=rules.token_price(case, asset, price.value, price.decimals),
        source=price.source,
        observed_at=price.observed_at,
        age_seconds=price.age(at).total_seconds(),
        is_stale=price.is_stale(at),
        disputed=price.disputed,
    )


def doubts_of(case: AccountInput, now: Margin) -> tuple[Notice, ...]:
    """Return what makes an answer doubtful: missing, stale and disputed prices."""
    notices = rules.price_doubts(rules.used(case, now), at=case.market.at)
    if now.verdict is Verdict.UNEVALUABLE:
        notices.append(rules.unjudged(case, now))
    return (*notices, *rules.unplaced(case))


def rulebook(case: AccountInput) -> RulebookAnswer:
    """Return which rules judged."""
    return RulebookAnswer(
        venue=case.account.venue,
        version=case.account.version,
        terms_valid_from=case.terms_valid_from,
    )


def refuse_unpriced(named: Mapping[str, object] | None, item: Item, *, field: str) -> None:
    """Refuse entries for assets without a price: a misspelt one must not be ignored."""
    priced = item.case.market.prices
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
