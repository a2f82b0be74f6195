"""Pure: a book whose losses can be told: its accounts as the cascade takes them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType

import numpy as np

from models.book.cascade import Borrower, Market
from models.book.columns import BookColumns, book_columns, ordered_assets
from models.book.headroom import concentration
from models.book.impact import USD, ImpactCurve
from models.book.kernel import Owners
from models.book.linear import Reader, Unjudged
from models.domain import Price
from models.errors import Fault
from models.pegs import is_one, moving, quote_of
from serving.evaluation.inputs import AccountInput
from serving.schemas.book_risk import ConcentrationAnswer, HolderAnswer, UnjudgedAnswer

FILE = "file"
CONTRIBUTORS = 20
"""Accounts that are named of those who lose most."""

MOST_HOLDERS = 10
"""Of the largest holders that are named."""

SMALL_SHARE = 0.01
"""Share of the collateral up to which an asset may lack a curve unsaid."""


@dataclass(frozen=True)
class RiskBook:
    """A book that can be shocked.

    Parameters
    ----------
    borrowers
        Accounts that owe.
    cases
        Each as the exact rules take it, by key.
    chances
        P(liquidated | below the line) by key; 1 where nothing is known of the owner.
    unjudged
        Accounts left out.
    prices
        USD per unit of every asset of the book; 1 for the unpriced.
    unpriced
        Assets whose worth a venue knows only in its own quote: their units are dollars of now,
        so no curve and no price per unit can be told of them.
    holders
        Owner of each account by key; one that is absent stands for itself.
    """

    borrowers: tuple[Borrower, ...]
    cases: Mapping[str, AccountInput]
    chances: Mapping[str, float]
    unjudged: tuple[UnjudgedAnswer, ...]
    prices: Mapping[str, Fraction]
    unpriced: frozenset[str] = frozenset()
    holders: Mapping[str, str] = field(default_factory=dict)
    _columns: dict[tuple[str, ...], BookColumns] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def columns(self, market: Market) -> BookColumns:
        """Return the accounts as columns in a market's order of assets, laid out once."""
        order = ordered_assets(market)
        if order not in self._columns:
            self._columns[order] = book_columns(self.borrowers, market)
        return self._columns[order]

    @cached_property
    def collateral(self) -> Mapping[str, float]:
        """USD of collateral by asset."""
        result: dict[str, float] = {}
        for account in self.borrowers:
            for leg in account.collateral:
                worth = float(leg.units * self.prices[leg.asset])
                result[leg.asset] = result.get(leg.asset, 0.0) + worth
        return result

    @property
    def usd_prices(self) -> dict[str, float]:
        """Return USD per unit of the assets that have a price."""
        return {
            asset: float(price)
            for asset, price in self.prices.items()
            if asset not in self.unpriced
        }

    def usable(self, curves: Mapping[str, ImpactCurve]) -> dict[str, ImpactCurve]:
        """Return the curves of assets whose units are known, as are those they are sold for."""
        priced = {USD, *self.prices} - self.unpriced
        return {
            asset: curve
            for asset, curve in curves.items()
            if asset in priced and asset in self.prices and curve.quote in priced
        }

    def market(self, curves: Mapping[str, ImpactCurve], oracle_share: Fraction) -> Market:
        """Return the market as it stands, in which selling moves prices by curves."""
        usable = self.usable(curves)
        return Market(dict(self.prices), usable, oracle_share, priced_in(usable))

    @cached_property
    def oldest_at(self) -> datetime | None:
        """When the oldest price that the book rests on was observed; None without any."""
        markets = {id(case.market): case.market for case in self.cases.values()}
        times = (p.observed_at for m in markets.values() for p in m.prices.values())
        return min(times, default=None)

    @cached_property
    def unknown_owners(self) -> int:
        """How many borrowers have owners of whom nothing is known."""
        return sum(item.key not in self.chances for item in self.borrowers)

    def venue(self, key: str) -> str:
        """Return the venue of an account; `file` where no rulebook judges it."""
        case = self.cases.get(key)
        return FILE if case is None else case.account.venue

    def owners(self, seed: int = 0) -> Owners:
        """Return the owners of the accounts in their order."""
        chance = np.array([self.chances.get(item.key, 1.0) for item in self.borrowers])
        return Owners(chance, np.arange(chance.size), seed=seed)


def priced_in(curves: Mapping[str, ImpactCurve]) -> dict[str, str]:
    """Return the assets that are sold for another one, and for which."""
    return {asset: curve.quote for asset, curve in curves.items() if curve.quote != USD}


def read_book(
    cases: Sequence[AccountInput],
    prices: Mapping[str, Fraction],
    chances: Mapping[str, float],
    *,
    also: Collection[str] = (),
    holders: Mapping[str, str] = MappingProxyType({}),
) -> RiskBook:
    """Read accounts through their own rules.

    Parameters
    ----------
    prices
        USD per unit by asset; of what is not among them, the newest price that one of the
        accounts is judged by in USD.
    chances
        As of `RiskBook`.
    also
        Assets whose prices are kept though nobody holds them: what others are sold for.
    holders
        As of `RiskBook`.
    """
    prices = {**_oracle_prices(cases), **prices}
    reader = Reader(prices)
    borrowers, unjudged = [], []
    for case in cases:
        try:
            quote = quote_of(case.terms) or USD
            result = reader.borrower(
                case.account.id,
                case.rulebook,
                case.account,
                case.market,
                case.terms,
                quote=quote,
                worth=prices.get(quote, Fraction(1) if is_one(quote, quote=USD) else None),
            )
        except (ArithmeticError, LookupError, TypeError, ValueError):
            result = Unjudged("cannot_be_evaluated")
        if isinstance(result, Unjudged):
            debt = None if result.debt is None else float(result.debt)
            unjudged.append(UnjudgedAnswer(case.account.id, result.reason, debt))
        elif result is not None:
            borrowers.append(result)
    legs = {asset for item in borrowers for asset in assets_of(item)}
    legs |= {asset for asset in also if asset in prices}
    used = {asset: prices.get(asset, Fraction(1)) for asset in sorted(legs)}
    return RiskBook(
        tuple(borrowers),
        {case.account.id: case for case in cases},
        chances,
        tuple(unjudged),
        used,
        frozenset(a for a in used if a not in prices and not is_one(a, quote=USD)),
        holders,
    )


def _oracle_prices(cases: Sequence[AccountInput]) -> dict[str, Fraction]:
    """Return the newest USD price of each asset by the markets that judge the accounts.

    An account read from a chain has the prices of its market's oracle, and no others.
    """
    newest: dict[str, Price] = {}
    for market, terms in {id(c.market): (c.market, c.terms) for c in cases}.values():
        if quote_of(terms):  # in units of another asset, or of its smallest unit
            continue
        for asset, price in market.prices.items():
            before = newest.get(asset)
            if price.value > 0 and (before is None or price.observed_at > before.observed_at):
                newest[asset] = price
    return {asset: price.exact for asset, price in newest.items()}


def assets_of(account: Borrower) -> set[str]:
    """Return what an account holds and owes."""
    return {leg.asset for leg in account.collateral} | {leg.asset for leg in account.debt}


def without(book: RiskBook, assets: Mapping[str, str]) -> RiskBook:
    """Return a book without the accounts that hold or owe some assets, each named with why."""
    remaining, left = [], []
    for item in book.borrowers:
        used = assets_of(item)
        reason = next((assets[asset] for asset in sorted(used) if asset in assets), None)
        if reason is None:
            remaining.append(item)
        else:
            debt = sum((leg.units * book.prices[leg.asset] for leg in item.debt), Fraction(0))
            left.append(UnjudgedAnswer(item.key, reason, float(debt)))
    return replace(book, borrowers=tuple(remaining), unjudged=(*book.unjudged, *left))


def missing_curves(book: RiskBook, curves: Mapping[str, ImpactCurve]) -> list[Fault]:
    """Return a fault for every asset that matters, moves and has no curve."""
    worth, usable = book.collateral, book.usable(curves)
    total = sum(worth.values())
    return [
        Fault(
            "/impact",
            f"{asset} is {value / total:.1%} of the collateral and "
            + (
                "has no price in USD, without which no curve applies: push one to /v1/prices"
                if asset in book.unpriced
                else f"has no curve: push one to /v1/impact/{asset}/USD"
            )
            + ', or say "impact": "none"',
        )
        for asset, value in sorted(worth.items())
        if value > SMALL_SHARE * total and asset not in usable and moving([asset], None)
    ]


def concentrations(book: RiskBook) -> dict[str, ConcentrationAnswer] | None:
    """Return how few accounts, owners and venues owe, and how few assets back, how much.

    None where nobody owes.
    """
    debts = debts_of(book)
    if not sum(debts.values()) > 0.0:
        return None
    owners: dict[tuple[bool, str], float] = {}
    venues: dict[str, float] = {}
    for key, debt in debts.items():
        holder = (key in book.holders, book.holders.get(key, key))
        owners[holder] = owners.get(holder, 0.0) + debt
        venues[book.venue(key)] = venues.get(book.venue(key), 0.0) + debt
    amounts = {
        "account": list(debts.items()),
        "owner": [(name, debt) for (_, name), debt in owners.items()],
        "venue": list(venues.items()),
        "asset": list(book.collateral.items()),
    }
    return {
        name: _concentrated(items)
        for name, items in amounts.items()
        if sum(amount for _, amount in items) > 0.0
    }


def _concentrated(items: Sequence[tuple[str, float]]) -> ConcentrationAnswer:
    """Return how concentrated amounts by name are, not all of them 0."""
    values = np.array([amount for _, amount in items])
    shares, total = concentration(values), float(values.sum())
    order = np.argsort(-values, kind="stable")[:MOST_HOLDERS]
    holders = [items[place] for place in order.tolist() if values[place] > 0.0]
    return ConcentrationAnswer(
        count=int((values > 0.0).sum()),
        largest=shares.largest,
        ten_largest=shares.ten_largest,
        index=shares.index,
        holders=tuple(
            HolderAnswer(name=name, amount=amount, share=amount / total) for name, amount in holders
        ),
    )


def debts_of(book: RiskBook) -> dict[str, float]:
    """Return USD owed by account."""
    return {
        item.key: float(sum((leg.units * book.prices[leg.asset] for leg in item.debt), Fraction(0)))
        for item in book.borrowers
    }


def oldest(book: RiskBook, at: datetime) -> float | None:
    """Return the age in seconds of the oldest price that the book rests on."""
    return None if book.oldest_at is None else (at - book.oldest_at).total_seconds()
