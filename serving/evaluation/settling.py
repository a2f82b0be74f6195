"""Pure: who pays for bankrupt positions after a shock: the insurance fund, then the winners."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from typing import Any

from models.book.deleveraging import Position, Rule, by_queue, pro_rata, settle
from models.book.impact import USD
from models.domain import LegKind
from models.margin.shock import shocked
from models.pegs import is_one, quote_of
from serving.evaluation.inputs import AccountInput
from serving.schemas.book_risk import ClosedAnswer, SettlementAnswer, ShockBody

MOST_CLOSED = 20
LEAST_MARGIN = Fraction(1, 10**9)
"""Margin of a position that nothing backs any more but its own profit."""

RULES: Mapping[str, Rule] = {"queue": by_queue, "pro_rata": pro_rata}


@dataclass(frozen=True, slots=True)
class _Row:
    """A position of an account at the prices where a cascade ended, with USD per quote unit."""

    account: str
    venue: str
    asset: str
    position: Position
    mark: Fraction
    worth: Fraction


def settlements(
    cases: Mapping[str, AccountInput],
    shock: ShockBody,
    prices: Mapping[str, tuple[Fraction, Fraction]],
    bankrupt: Iterable[str],
) -> tuple[SettlementAnswer, ...]:
    """Settle the positions of bankrupt accounts, venue by venue.

    Parameters
    ----------
    cases
        The accounts of the book by key.
    shock
        Funds by venue, and how what they cannot pay is shared.
    prices
        USD per unit of every asset, before the shock and where the cascade ended.
    bankrupt
        Accounts that were left with bad debt, in the order of settling.
    """
    order = {key: place for place, key in enumerate(bankrupt)}
    if not any(_legs(cases[key]) for key in order if key in cases):
        return ()
    rows = [row for case in cases.values() for row in _positions(case, prices)]
    venues = sorted({row.venue for row in rows if row.account in order})
    return tuple(_settled(venue, rows, order, shock) for venue in venues)


def _legs(case: AccountInput) -> list[Any]:
    """Return the positions of an account whose rules count in whole units."""
    legs = [leg for leg in case.account.legs if leg.kind is LegKind.POSITION and leg.quantity]
    return legs if case.rulebook.is_exact else []


def _positions(
    case: AccountInput, prices: Mapping[str, tuple[Fraction, Fraction]]
) -> Iterable[_Row]:
    """Yield an account's positions, its wallet shared among them by what they are worth."""
    legs = _legs(case)
    if not legs:
        return
    moves = {
        asset: prices[asset][1] / prices[asset][0] - 1
        for asset in case.market.prices
        if asset in prices
    }
    around = shocked(case.market, moves)
    side = case.rulebook.margin(case.account, around, case.terms).maintenance
    quote = quote_of(case.terms) or USD
    of_quote = prices.get(quote)
    worth = of_quote[1] if of_quote else Fraction(1) if is_one(quote, quote=USD) else None
    if side is None or worth is None:
        return
    marks = {leg.asset: around.prices[leg.asset].exact for leg in legs}
    profits = [_size(leg) * (marks[leg.asset] - Fraction(leg.entry or 0)) for leg in legs]
    wallet = Fraction(side.credit) - sum(profits, Fraction(0))
    notional = sum((abs(_size(leg)) * marks[leg.asset] for leg in legs), Fraction(0))
    for leg in legs:
        mark = marks[leg.asset]
        margin = wallet * abs(_size(leg)) * mark / notional
        entry = Fraction(leg.entry or 0)
        position = Position(case.account.id, _size(leg), entry, max(margin, LEAST_MARGIN))
        yield _Row(case.account.id, case.account.venue, leg.asset, position, mark, worth)


def _size(leg: Any) -> Fraction:
    """Return the signed units of a position."""
    return Fraction(leg.quantity)


def _settled(
    venue: str, rows: Iterable[_Row], order: Mapping[str, int], shock: ShockBody
) -> SettlementAnswer:
    """Settle one venue's bankrupt positions, asset by asset, from one fund."""
    mine = sorted((each for each in rows if each.venue == venue), key=lambda each: each.asset)
    begun = shock.funds.get(venue, Fraction(0))
    fund, loss, unsettled = begun, Fraction(0), Fraction(0)
    closed: dict[tuple[str, str], tuple[Fraction, Fraction]] = {}
    for asset, group in groupby(mine, key=lambda each: each.asset):
        same = list(group)
        fallen = [each for each in same if each.account in order]
        others = {each.account: each.position for each in same if each.account not in order}
        for each in sorted(fallen, key=lambda item: order[item.account]):
            if each.position.equity(each.mark) >= 0:
                continue
            result = settle(
                each.position,
                tuple(others.values()),
                mark=each.mark,
                fund=fund / each.worth,
                rule=RULES[shock.deleveraging or "queue"],
            )
            per_unit = abs(each.position.bankruptcy_price - each.mark) * each.worth
            loss += abs(each.position.size) * per_unit
            fund -= result.fund_paid * each.worth
            unsettled += result.unsettled * per_unit
            for part in result.closed:
                units, cost = closed.get((part.key, asset), (Fraction(0), Fraction(0)))
                closed[part.key, asset] = units + part.units, cost + part.cost * each.worth
                others[part.key] = _smaller(others[part.key], part.units)
            others = {key: position for key, position in others.items() if position.size}
    ranked = sorted(closed.items(), key=lambda item: (-item[1][1], item[0]))
    return SettlementAnswer(
        venue=venue,
        loss=float(loss),
        fund=float(begun),
        paid_by_fund=float(begun - fund),
        deleveraged=float(sum((cost for _, cost in closed.values()), Fraction(0))),
        unsettled=float(unsettled),
        closed_count=len(closed),
        closed=tuple(
            ClosedAnswer(account=key, asset=asset, units=float(units), cost=float(cost))
            for (key, asset), (units, cost) in ranked[:MOST_CLOSED]
        ),
    )


def _smaller(position: Position, units: Fraction) -> Position:
    """Return a position after units of it were closed, its margin in proportion."""
    left = 1 - units / abs(position.size)
    return replace(position, size=position.size * left, margin=position.margin * left)
