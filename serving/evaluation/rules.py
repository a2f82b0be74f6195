"""What every answer about the rules shares: faults, doubts about prices, exact text."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, TypeVar

from msgspec import structs

from models import pegs
from models.domain import Account, Exact, Leg, LegKind, Market, Price
from models.errors import Fault, InvalidInput
from models.margin.result import Margin, Ratio, Refusal, Side, TokenAmount
from models.margin.rulebook import Rulebook
from models.margin.variables import SIDES, Variable
from serving.evaluation.inputs import AccountInput
from serving.schemas.assessment import NextAnswer, Notice, RatioAnswer, SideAnswer, exact_text
from serving.schemas.margin import RefusalAnswer
from serving.words.tables import english

T = TypeVar("T")

NAMED = 5
"""Names that a sentence lists, at most."""

MANY_UNITS = 10**27
"""Units of a leg of which one is measured."""

RATIO_DECIMALS = 18
"""Of a ratio that does not end."""


def evaluated(case: AccountInput, rule: Callable[[AccountInput], T]) -> T:
    """Return the result of applying a rule; a fault of its own code goes on as it is.

    Raises
    ------
    InvalidInput
        When the terms or amounts make the rules impossible to evaluate: a division by nothing,
        or an amount at which the venue's contract reverts.
    """
    try:
        return rule(case)
    except ArithmeticError as error:
        book = f"{case.account.venue}/{case.account.version}"
        detail = f"{book} cannot be evaluated with these amounts and terms: {error!r:.120}"
        raise InvalidInput([Fault(case.place, detail)]) from None


def at_next_prices(
    case: AccountInput, now: Margin, *, book: Rulebook[Any] | None = None
) -> tuple[Margin | None, datetime | None]:
    """Return the margin at prices that delayed oracles will show next, and from when.

    Parameters
    ----------
    book
        The case's own rules, counted; None for the case's.

    Returns
    -------
    tuple
        None, None where no price that `now` rests on has a next one.
    """
    later, due = next_market(case, now)
    judge = (case.rulebook if book is None else book).margin
    return None if later is None else judge(case.account, later, case.terms), due


def next_market(case: AccountInput, now: Margin) -> tuple[Market | None, datetime | None]:
    """Return the market once delayed oracles show their next prices, and from when.

    Returns
    -------
    tuple
        None, None where no price that `now` rests on has a next one.
    """
    delayed = [price for price in used(case, now).values() if price.next_value is not None]
    if not delayed:
        return None, None
    book, market = case.rulebook, case.market
    due = max([price.next_at for price in delayed if price.next_at is not None], default=None)
    later = case.ahead(market)
    if due is not None and due > market.at and book.accrue is not None:
        later = book.accrue(later, case.terms, due)
    return later, due


def used(case: AccountInput, now: Margin) -> dict[str, Price]:
    """Return the prices that a verdict rests on and that are there."""
    prices = case.market.prices
    return {name: prices[name] for name in now.prices if name in prices}


def moving(case: AccountInput, assets: Iterable[str]) -> tuple[str, ...]:
    """Return those assets that a move of the whole market moves, as the case is priced."""
    return pegs.moving(assets, case.terms, pegged=case.market.pegged)


def without_haircuts(case: AccountInput, account: Account) -> Margin:
    """Return the margin of an account with what is pledged counted in full, where that is set."""
    return case.rulebook.margin(account, case.market, _bare(case))


def _bare(case: AccountInput) -> Any:
    """Return the terms of a case without haircuts; its terms where none are established."""
    bare = case.rulebook.bare
    return case.terms if bare is None else bare(case.terms)


def worth(case: AccountInput) -> Side | None:
    """Return collateral and debt of an account at market value, without haircuts.

    Returns
    -------
    Side or None
        At the scale of the case's own margin. Credit: pledged collateral that counts at the
        prices in force without haircuts; of positions, the balance with what they have gained or
        lost; 0 where there is neither debt nor position. Requirement: the debt, interest
        included; margin that positions need is none. None where the rules cannot tell.
    """
    kinds = {leg.kind for leg in case.account.legs if leg.quantity}
    if LegKind.DEBT not in kinds and LegKind.POSITION not in kinds:
        return Side(0, 0)
    full = case.rulebook.maintenance(case.account, case.market, _bare(case))
    if full is None or case.rulebook.bare is not None:
        return full
    return None if LegKind.DEBT in kinds else replace(full, requirement=0)


def leg_values(case: AccountInput, whole: Side | None) -> tuple[Exact | None, ...]:
    """Return what each leg is worth at the prices in force, without haircuts.

    Parameters
    ----------
    whole
        What `worth` says of the account.

    Returns
    -------
    tuple
        At the scale of the case's own margin, leg by leg: what the account would be without it
        less. None of positions, of what is not pledged, and where the rules cannot tell.
    """
    legs = case.account.legs
    kinds = Counter(leg.kind for leg in legs if leg.quantity)
    if whole is None or not (kinds[LegKind.DEBT] or kinds[LegKind.POSITION]):
        return (None,) * len(legs)

    def value(place: int, leg: Leg) -> Exact | None:
        if leg.kind is LegKind.POSITION or not leg.pledged:
            return None
        if not leg.quantity:
            return 0
        left: Side | None = Side(0, 0)
        if kinds[leg.kind] > 1 or kinds[LegKind.POSITION]:
            others = (*legs[:place], replace(leg, quantity=0), *legs[place + 1 :])
            account = replace(case.account, legs=others)
            left = case.rulebook.maintenance(account, case.market, _bare(case))
        if left is None:
            return None
        if leg.kind is LegKind.DEBT:
            return whole.requirement - left.requirement
        return whole.credit - left.credit

    return tuple(value(place, leg) for place, leg in enumerate(legs))


def doubt(price: Price, *, at: datetime, asset: str) -> Notice | None:
    """Return why a price must not be taken as if it were fresh, or None."""
    if price.disputed is not None:
        text = f"{asset}: {price.disputed}"
        return Notice(code="price_disputed", text=text, subject=asset)
    if price.is_stale(at):
        age, limit = price.age(at), price.limit
        return Notice(
            code="price_stale",
            text=f"{asset}: price is {in_words(age)} old, more than {in_words(limit)}",
            subject=asset,
            values={"age_seconds": age.total_seconds(), "limit_seconds": limit.total_seconds()},
        )
    return None


def price_doubts(prices: Mapping[str, Price], *, at: datetime) -> list[Notice]:
    """Return why prices must not be taken as if they were fresh."""
    notices = (doubt(price, at=at, asset=name) for name, price in prices.items())
    return [notice for notice in notices if notice is not None]


def unjudged_legs(case: AccountInput, now: Margin) -> tuple[int, ...]:
    """Return the places of the legs that alone make the rules refuse the account.

    Empty where the rules lack what belongs to the whole market.

    Parameters
    ----------
    now
        What the rules say of the account: unevaluable.
    """
    if missing_state(case, now):
        return ()
    alone = (replace(case.account, legs=(leg,)) for leg in case.account.legs)
    reasons = [case.rulebook.margin(account, case.market, case.terms).reason for account in alone]
    return tuple(place for place, reason in enumerate(reasons) if reason == now.reason)


def missing_state(case: AccountInput, now: Margin) -> tuple[str, ...]:
    """Return the names of state that an account cannot be judged without; empty for other causes.

    Parameters
    ----------
    now
        What the rules say of the account: unevaluable.
    """
    assets = {leg.asset for leg in case.account.legs}
    candidates = {
        variable.name.format(asset=asset, market=case.account.market, side=side): 1
        for variable in _lacks_state(case, now)
        for asset in (sorted(assets) if "{asset}" in variable.name else ("",))
        for side in (SIDES if "{side}" in variable.name else ("",))
    }
    whole = {**candidates, **case.market.state}

    def reason_without(name: str) -> str:
        rest = {key: value for key, value in whole.items() if key != name}
        market = replace(case.market, state=rest)
        return case.rulebook.margin(case.account, market, case.terms).reason

    lacking = (name for name in candidates if name not in case.market.state)
    return tuple(name for name in lacking if reason_without(name) == now.reason)


def missing_prices(case: AccountInput, now: Margin) -> tuple[str, ...]:
    """Return the assets that an account needs a price of and that have none."""
    return tuple(name for name in now.prices if name not in case.market.prices)


def _lacks_state(case: AccountInput, now: Margin) -> list[Variable]:
    """Return the variables of the rulebook that a verdict's reason may speak of."""
    what, _, missing = now.reason.rpartition("_")
    if missing != "missing":
        return []
    return [each for each in case.rulebook.state if what.removesuffix("s") in each.name]


def unjudged(case: AccountInput, now: Margin) -> Notice:
    """Return that the rules cannot judge an account, with what is missing or refused."""
    text, subject = "the rules cannot judge the account", None
    if prices := missing_prices(case, now):
        subject = ", ".join(prices[:NAMED])
        text += f": no price of {subject}"
    elif state := missing_state(case, now):
        subject = ", ".join(state[:NAMED])
        text += f": its market's state lacks {subject}"
    elif legs := [case.account.legs[place].asset for place in unjudged_legs(case, now)]:
        subject = ", ".join(dict.fromkeys(legs[:NAMED]))
        text = f"the rules cannot judge {subject} of the account"
    return Notice(code=now.reason, text=text, subject=subject)


def mismatch(case: AccountInput) -> Notice | None:
    """Return that the account's venue judges it otherwise than the rules, or None."""
    if case.mismatch is None:
        return None
    return Notice(code="rule_mismatch", text=f"the venue itself says otherwise: {case.mismatch}")


def unread(case: AccountInput) -> Notice | None:
    """Return that what the account holds was not read for long, or None."""
    if case.unread_since is None:
        return None
    age = case.market.at - case.unread_since
    return Notice(
        code="account_stale",
        text=f"what it holds was read {in_words(age)} ago and not since",
        values={"age_seconds": age.total_seconds()},
    )


def unplaced(case: AccountInput) -> list[Notice]:
    """Return that the store holds state which may be of the case's market or of another."""
    if not case.unplaced:
        return []
    names = ", ".join(case.unplaced[:NAMED])
    text = f"the store holds {names} without saying of which market: push it with venue and market"
    return [Notice(code="state_unplaced", text=text, subject=names)]


def in_words(span: timedelta) -> str:
    """Return a length of time in its two largest units, rounded down."""
    seconds = int(span.total_seconds())
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    for large, small, names in ((days, hours, "d h"), (hours, minutes, "h min")):
        if large:
            first, second = names.split()
            return f"{large} {first} {small} {second}" if small else f"{large} {first}"
    return f"{minutes} min" if minutes else f"{seconds} s"


def ratio_text(ratio: Ratio | None) -> RatioAnswer | None:
    """Return the venue's ratio in exact text."""
    if ratio is None:
        return None
    if ratio.value is None:
        return RatioAnswer(name=ratio.name, value=None)
    digits = rounded(ratio.value, ratio.decimals - RATIO_DECIMALS)
    return RatioAnswer(
        name=ratio.name,
        value=exact_text(digits, RATIO_DECIMALS),
        text=english().ratio(ratio.name, float(ratio.value / 10**ratio.decimals)),
    )


def rounded(value: Exact, places: int) -> int:
    """Return value / 10^places as a whole number, half to even; without a fraction where it can.

    >>> rounded(25, 1), rounded(35, 1), rounded(-25, 1), rounded(3, -2)
    (2, 4, -2, 300)
    """
    if not isinstance(value, int):
        return round(Fraction(value) / Fraction(10) ** places)
    if places <= 0:
        return value * 10**-places
    step = 10**places
    whole, rest = divmod(value, step)
    return whole + (2 * rest > step or (2 * rest == step and whole % 2))


def token_amounts(case: AccountInput) -> tuple[TokenAmount, ...] | None:
    """Return what each leg holds or owes in whole tokens, leg by leg; None where not known."""
    book, account = case.rulebook, case.account
    if book.is_exact:
        return tuple(
            TokenAmount(kind=leg.kind, asset=leg.asset, amount=Fraction(leg.quantity), digits=0)
            for leg in account.legs
        )
    if book.tokens is None:
        return None
    amounts = book.tokens(account, case.market, case.terms)
    return None if isinstance(amounts, Refusal) else amounts


def tokens_per_unit(case: AccountInput) -> tuple[Fraction | None, ...]:
    """Return the whole tokens that one unit of each leg stands for now, leg by leg.

    Venues that round amounts up or down leave it inexact beyond 27 digits.
    """
    legs = tuple(replace(leg, quantity=MANY_UNITS) for leg in case.account.legs)
    amounts = token_amounts(structs.replace(case, account=replace(case.account, legs=legs)))
    if amounts is None:
        return (None,) * len(legs)
    return tuple(Fraction(each.amount) / MANY_UNITS for each in amounts)


def token_price(case: AccountInput, asset: str, value: Exact, decimals: int) -> str | None:
    """Return what a price of value / 10^decimals is for a whole token; None where not known."""
    power = case.rulebook.price_power(case.terms, asset)
    return None if power is None else exact_text(value, decimals - power)


def refusal_text(refusal: Refusal | None) -> RefusalAnswer | None:
    """Return a refusal's code and sentence; None where there is none."""
    return None if refusal is None else RefusalAnswer(reason=refusal.reason, detail=refusal.detail)


def side_text(side: Side | None, decimals: int) -> SideAnswer | None:
    """Return one side in exact text."""
    if side is None:
        return None
    return SideAnswer(
        credit=exact_text(side.credit, decimals),
        requirement=exact_text(side.requirement, decimals),
    )


def next_text(soon: Margin | None, at: datetime | None) -> NextAnswer | None:
    """Return the next verdict of a delayed oracle; None where there is none."""
    if soon is None:
        return None
    return NextAnswer(verdict=soon.verdict.value, reason=soon.reason, at=at)
