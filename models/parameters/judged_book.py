"""A book of accounts judged once, ready to be judged again under other terms or prices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from models.domain import Account, LegKind, Market, MarketId
from models.errors import Fault, InvalidInput
from models.margin.result import Margin, Refusal, Verdict
from models.margin.rulebook import Rulebook
from models.margin.trigger import BREACHED

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

ROUNDED_AVERAGE = frozenset({("aave-v3", "3.3"), ("aave-v3", "3.4")})
"""Rules that round an account's average threshold down to a basis point before using it."""

FAILURES = (ArithmeticError, LookupError, TypeError, ValueError)
"""How a rulebook says that amounts or terms cannot be evaluated at all."""


class Case(Protocol):
    """One account with all that is needed to judge it."""

    @property
    def account(self) -> Account:
        """What is liquidated as one."""

    @property
    def rulebook(self) -> Rulebook[Any]:
        """Rules that judge it."""

    @property
    def market(self) -> Market:
        """What the venue sees."""

    @property
    def terms(self) -> Any:
        """Risk parameters in force for it."""


def market_of(account: Account) -> MarketId:
    """Return the market whose terms an account is judged by."""
    return MarketId(account.venue, account.market, account.chain)


def margin_of(case: Case, market: Market, terms: Any) -> Margin:
    """Return what the rules say; an account that they cannot evaluate is unevaluable."""
    try:
        return case.rulebook.margin(case.account, market, terms)
    except FAILURES:
        return Margin(verdict=Verdict.UNEVALUABLE, reason="impossible_to_evaluate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What an account stands for, exact, quote units of its venue.

    Parameters
    ----------
    debt
        What is owed with interest; of positions their notional at the mark.
    collateral
        What backs it without haircuts; None where the rules do not tell.
    """

    debt: Fraction
    collateral: Fraction | None


@dataclass(frozen=True, kw_only=True)
class JudgedBook:
    """Accounts with the rules' answer for each at one moment.

    Parameters
    ----------
    cases
        In the order in which they were handed in; keys are distinct.
    margins
        What the rules say of each now.
    whose
        Market whose terms each is judged by; None where an account brings its own terms, which
        no change of a market's terms moves.
    """

    cases: tuple[Case, ...]
    margins: tuple[Margin, ...]
    whose: tuple[MarketId | None, ...]
    _amounts: dict[int, Amounts] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many accounts there are."""
        return len(self.cases)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Names of the accounts."""
        return tuple(case.account.id for case in self.cases)

    @cached_property
    def breached(self) -> Bools:
        """Whether each is liquidatable now, shape (accounts,)."""
        return np.array([margin.verdict in BREACHED for margin in self.margins], dtype=np.bool_)

    def amounts(self, place: int) -> Amounts:
        """Return what an account stands for, worked out once."""
        if place not in self._amounts:
            self._amounts[place] = amounts_of(self.cases[place], self.margins[place])
        return self._amounts[place]

    @cached_property
    def unjudged(self) -> tuple[int, ...]:
        """Places of the accounts that the rules cannot judge."""
        return tuple(
            place
            for place, margin in enumerate(self.margins)
            if margin.verdict is Verdict.UNEVALUABLE
        )

    @cached_property
    def markets(self) -> Mapping[MarketId, Places]:
        """Places of the accounts that are judged by the terms of each market."""
        result: dict[MarketId, list[int]] = {}
        for place, market in enumerate(self.whose):
            if market is not None:
                result.setdefault(market, []).append(place)
        return {market: np.array(places, dtype=np.int64) for market, places in result.items()}

    @cached_property
    def terms(self) -> Mapping[MarketId, Any]:
        """Terms of each market, as most of its accounts are judged by them."""
        return {market: self._common(places) for market, places in self.markets.items()}

    def _common(self, places: Places) -> Any:
        """Return the terms that most accounts at some places share."""
        counts: dict[int, int] = {}
        named: dict[int, Any] = {}
        for place in places:
            terms = self.cases[place].terms
            named[id(terms)] = terms
            counts[id(terms)] = counts.get(id(terms), 0) + 1
        return named[max(counts, key=lambda item: counts[item])]

    @cached_property
    def credit(self) -> Floats:
        """Credit by which each is judged, quote units; NaN where unjudged, shape (accounts,)."""
        return self._side("credit")

    @cached_property
    def requirement(self) -> Floats:
        """Requirement by which each is judged, quote units, shape (accounts,)."""
        return self._side("requirement")

    def _side(self, name: str) -> Floats:
        """Return one amount of every account's side."""
        result = np.full(len(self), np.nan)
        for place, margin in enumerate(self.margins):
            if margin.maintenance is not None:
                amount = getattr(margin.maintenance, name)
                result[place] = float(amount / 10**margin.value_decimals)
        return result

    @cached_property
    def slack(self) -> Floats:
        """Most that the rules' roundings move a surplus, quote units, shape (accounts,).

        A millionth of both sides, two units of the value's scale per leg (at least a millionth
        of a quote unit), and where the average threshold is rounded down to a basis point, that
        of all collateral.
        """
        result = np.empty(len(self))
        for place, (case, margin) in enumerate(zip(self.cases, self.margins, strict=True)):
            legs = len(case.account.legs) + 2
            result[place] = legs * max(2 * 10.0**-margin.value_decimals, 1e-6)
            if (case.account.venue, case.account.version) in ROUNDED_AVERAGE:
                result[place] += self._rounded(place)
        return result + 1e-6 * (np.abs(self.credit) + np.abs(self.requirement))

    def _rounded(self, place: int) -> float:
        """Return what two basis points of an account's collateral are worth, quote units."""
        collateral = self.amounts(place).collateral
        return np.inf if collateral is None else float(collateral) * 2e-4

    @cached_property
    def credit_of(self) -> Mapping[str, Floats]:
        """Credit by each collateral asset, shape (accounts,); NaN where the rules do not tell.

        It is told where the venue's weights give the very credit that the account is judged by.
        """
        rows: dict[str, Floats] = {}
        for place, case in enumerate(self.cases):
            lone = _lone(case.account)
            # One collateral alone is all of the credit, whatever its weight.
            credit = float(self.credit[place])
            parts = _weighted(case) if lone is None else {lone: credit}
            is_same = abs(sum(parts.values()) - credit) <= self.slack[place]
            for asset in {leg.asset for leg in case.account.legs if leg.quantity}:
                column = rows.setdefault(asset, np.zeros(len(self)))
                column[place] = parts.get(asset, 0.0) if parts and is_same else np.nan
        return rows

    @cached_property
    def is_in_mode(self) -> Bools:
        """Whether each has chosen options, which may replace its parameters, shape (accounts,)."""
        return np.array([any(case.account.options.values()) for case in self.cases], dtype=np.bool_)

    @cached_property
    def holders(self) -> Mapping[tuple[MarketId, str], Places]:
        """Places of the accounts under a market's terms that hold or owe an asset."""
        return self._by_asset(self.whose)

    @cached_property
    def priced(self) -> Mapping[tuple[MarketId, str], Places]:
        """Places of the accounts in a market, under whatever terms, that hold or owe an asset."""
        return self._by_asset([market_of(case.account) for case in self.cases])

    def _by_asset(
        self, markets: Sequence[MarketId | None]
    ) -> Mapping[tuple[MarketId, str], Places]:
        """Return the places of the accounts by market and asset."""
        result: dict[tuple[MarketId, str], list[int]] = {}
        for place, (case, market) in enumerate(zip(self.cases, markets, strict=True)):
            if market is None:
                continue
            for asset in {leg.asset for leg in case.account.legs if leg.quantity}:
                result.setdefault((market, asset), []).append(place)
        return {key: np.array(places, dtype=np.int64) for key, places in result.items()}

    @cached_property
    def lone(self) -> Mapping[tuple[MarketId, str], Places]:
        """Places of the accounts outside any mode whose one collateral is an asset."""
        result: dict[tuple[MarketId, str], list[int]] = {}
        for place, (case, market) in enumerate(zip(self.cases, self.whose, strict=True)):
            asset = _lone(case.account)
            if asset is not None and market is not None:
                result.setdefault((market, asset), []).append(place)
        return {key: np.array(places, dtype=np.int64) for key, places in result.items()}

    def warmed(self) -> "JudgedBook":
        """Return the book with all that a preview reads of it worked out."""
        _ = self.slack, self.breached, self.unjudged, self.terms, self.keys
        _ = self.holders, self.priced, self.lone, self.credit_of, self.is_in_mode
        return self


def _weighted(case: Case) -> dict[str, float]:
    """Return credit by asset, quote units; empty where the rules do not tell."""
    if case.rulebook.weights is None:
        return {}
    try:
        parts = case.rulebook.weights(case.account, case.market, case.terms)
    except FAILURES:
        return {}
    if isinstance(parts, Refusal):
        return {}
    by_asset: dict[str, float] = {}
    for part in parts:
        by_asset[part.asset] = by_asset.get(part.asset, 0.0) + float(part.value * part.weight)
    return by_asset


def _lone(account: Account) -> str | None:
    """Return the one collateral of an account without positions and options."""
    legs = [leg for leg in account.legs if leg.quantity]
    backing = [leg.asset for leg in legs if leg.kind is LegKind.COLLATERAL]
    has_mode = any(account.options.values())
    if len(backing) != 1 or has_mode or any(leg.kind is LegKind.POSITION for leg in legs):
        return None
    return backing[0]


def judge_book(cases: Sequence[Case], whose: Sequence[MarketId | None] | None = None) -> JudgedBook:
    """Judge every account of a book as it stands.

    Parameters
    ----------
    whose
        As of `JudgedBook`; the accounts' own markets when left out.

    Raises
    ------
    InvalidInput
        Listing every account that stands twice: it would be counted twice.
    """
    faults: list[Fault] = []
    places: dict[str, int] = {}
    for place, case in enumerate(cases):
        first = places.setdefault(case.account.id, place)
        if first != place:
            faults.append(Fault(f"/accounts/{place}", f"{case.account.id} is /accounts/{first}"))
    if faults:
        raise InvalidInput(faults)
    margins = tuple(margin_of(case, case.market, case.terms) for case in cases)
    markets = [market_of(case.account) for case in cases] if whose is None else whose
    return JudgedBook(cases=tuple(cases), margins=margins, whose=tuple(markets))


def amounts_of(case: Case, margin: Margin) -> Amounts:
    """Return what an account stands for.

    Parameters
    ----------
    margin
        What the rules say of it as it stands.
    """
    side, scale = margin.maintenance, 10**margin.value_decimals
    positions = [leg for leg in case.account.legs if leg.kind is LegKind.POSITION and leg.quantity]
    if positions and case.rulebook.is_exact:
        marks = case.market.prices
        debt = sum(
            (abs(Fraction(leg.quantity)) * marks[leg.asset].exact for leg in positions),
            Fraction(0),
        )
        credit = None if side is None else Fraction(side.credit) / scale
        return Amounts(debt=debt, collateral=credit)
    if side is None:
        return Amounts(debt=Fraction(0), collateral=None)
    return Amounts(debt=Fraction(side.requirement) / scale, collateral=_gross(case))


def _gross(case: Case) -> Fraction | None:
    """Return what backs an account's debt without haircuts; None where no rule says it."""
    if case.rulebook.bare is None:
        return None
    full = margin_of(case, case.market, case.rulebook.bare(case.terms))
    if full.maintenance is None:
        return None
    return Fraction(full.maintenance.credit) / 10**full.value_decimals


def moved(market: Market, prices: Mapping[str, int]) -> Market:
    """Return a market with some prices replaced, at the scale that they have there."""
    changed = {
        asset: replace(market.prices[asset], value=value, bid=None, ask=None)
        for asset, value in prices.items()
        if asset in market.prices
    }
    return replace(market, prices={**market.prices, **changed}) if changed else market
