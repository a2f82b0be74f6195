"""A rulebook: one venue's rules at one version, found by its folder."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from functools import cache
from typing import Any, Generic, TypeVar

from models.domain import Account, Exact, Market
from models.errors import UnknownRulebook
from models.margin import venues
from models.margin.legs import ReadLegs
from models.margin.refused import refused
from models.margin.result import (
    Headroom,
    Liquidation,
    Margin,
    Refusal,
    Side,
    TokenAmount,
    WeightedCollateral,
)
from models.margin.variables import Names, Variable, names_of

T = TypeVar("T")

MarginAt = Callable[[Market], Margin]
"""The margin of one account in markets that differ in nothing but prices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidate:
    """What a liquidator asks for.

    Parameters
    ----------
    debt_asset, collateral_asset
        What is repaid and what is taken; None where the venue leaves no choice.
    repay
        Debt to repay, in smallest units; None for as much as the venue allows.
    """

    debt_asset: str | None = None
    collateral_asset: str | None = None
    repay: Exact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook(Generic[T]):
    """One venue's rules at one version, as pure functions over frozen data.

    Parameters
    ----------
    venue, version
        Identity; parameters and roundings differ by version.
    terms
        Dataclass of the risk parameters of one market.
    price_decimals
        Scale at which the rules read a price; None where they take it as it is stated.
    price_power
        (terms, asset) to the power of ten that makes of a price one of a whole token in whole
        units of the quote; None where the terms do not tell.
    is_exact
        Whether the rules reckon in exact numbers of whole units: a price at any scale, amounts
        with any decimals, profit in the units of the cash.
    margin
        (account, market, terms) to the verdict with its amounts. Total: never raises for
        a missing or non-positive price, an absent debt or amounts of uint256 size.
    liquidate
        (account, market, terms, request) to the outcome or the venue's refusal; None where
        the venue's liquidation is not established here.
    accrue
        (market, terms, at) to the market with interest and ramps carried to `at` and prices
        unchanged; None where nothing accrues.
    liquidation_price, bankruptcy_price
        (account, market, terms, asset) to the exact price, on the scale of `Price.exact`, at
        which credit meets the requirement, or at which nothing is left, other prices held;
        None in place of a price where no positive one does. The functions themselves are None
        where the rules give no such closed form.
    bare
        Terms to the same terms without haircuts, under which the verdict flips where what is
        pledged no longer covers what is owed; None where no such terms are established.
    headroom
        (account, market, terms) to what the venue still takes and lends of each of the
        account's assets; total as `margin` is. None where no caps are established.
    permits
        (account, market, terms) to why the venue would not let its owner leave the account so,
        None where it would; None in place of the function where no such limit is established.
    weights
        (account, market, terms) to the collateral that counts, with its value and the venue's
        own weight, or why it cannot be valued. None where no such weights are established.
    tokens
        (account, market, terms) to what each leg holds or owes in whole tokens, interest
        included, or why it cannot be told. None where legs are not of tokens whose digits the
        terms know.
    at_prices
        (account, market, terms) to the margin in markets that differ from this one in prices
        alone, with all that no price moves worked out once; None where `margin` alone tells.
    side
        (account, market, terms) to the maintenance side that `margin` gives, at less cost, where
        an account is liquidatable exactly where that side is short; None in place of the
        function where `margin` alone tells.
    cash
        Terms to the asset that profit is settled in, of which any account may hold a leg; None
        where an account holds none but those it brings.
    reads
        Terms to the legs that the rules read. What else is stated is for `leg_faults` to find:
        of it the rules would say nothing.
    state
        What is read of `Market.state`.
    options
        What is read of `Account.options`.
    """

    venue: str
    version: str
    terms: type[T]
    price_decimals: int | None
    margin: Callable[[Account, Market, T], Margin]
    liquidate: Callable[[Account, Market, T, Liquidate], Liquidation | Refusal] | None = None
    accrue: Callable[[Market, T, datetime], Market] | None = None
    liquidation_price: Callable[[Account, Market, T, str], Fraction | Refusal | None] | None = None
    bankruptcy_price: Callable[[Account, Market, T, str], Fraction | Refusal | None] | None = None
    bare: Callable[[T], T] | None = None
    headroom: Callable[[Account, Market, T], tuple[Headroom, ...]] | None = None
    permits: Callable[[Account, Market, T], Refusal | None] | None = None
    weights: Callable[[Account, Market, T], tuple[WeightedCollateral, ...] | Refusal] | None = None
    tokens: Callable[[Account, Market, T], tuple[TokenAmount, ...] | Refusal] | None = None
    at_prices: Callable[[Account, Market, T], MarginAt] | None = None
    side: Callable[[Account, Market, T], Side | None] | None = None
    price_power: Callable[[T, str], int | None] = lambda _terms, _asset: 0
    cash: Callable[[T], str | None] = lambda _: None
    reads: Callable[[T], ReadLegs] = lambda _: ReadLegs()
    state: tuple[Variable, ...] = ()
    options: tuple[Variable, ...] = ()
    is_exact: bool = False

    def along_prices(self, account: Account, market: Market, terms: T) -> MarginAt:
        """Return the margin of an account as a function of a market's prices."""
        if self.at_prices is not None:
            return self.at_prices(account, market, terms)
        return lambda moved: self.margin(account, moved, terms)

    def maintenance(self, account: Account, market: Market, terms: T) -> Side | None:
        """Return the side that liquidation is judged by; None where it cannot be told."""
        if self.side is not None:
            return self.side(account, market, terms)
        return self.margin(account, market, terms).maintenance


@cache
def load_all() -> Mapping[tuple[str, str], Rulebook[Any]]:
    """Return every rulebook in `models.margin.venues` by (venue, version)."""
    rulebooks: dict[tuple[str, str], Rulebook[Any]] = {}
    for info in pkgutil.iter_modules(venues.__path__):
        module = importlib.import_module(f"{venues.__name__}.{info.name}")
        for book in getattr(module, "RULEBOOKS", ()):
            rulebooks[book.venue, book.version] = book
    return rulebooks


def load(venue: str, version: str) -> Rulebook[Any]:
    """Return one rulebook.

    Raises
    ------
    UnknownRulebook
        When the venue or the version is not known; the message lists those that are, or tells
        why the venue is refused.
    """
    try:
        return load_all()[venue, version]
    except KeyError:
        reason = refused(venue)
        if reason is not None:
            raise UnknownRulebook(f"no rulebook of {reason}") from None
        available = ", ".join(sorted(f"{v}/{n}" for v, n in load_all()))
        raise UnknownRulebook(f"no rulebook {venue}/{version}; known: {available}") from None


@cache
def state_names(venue: str) -> Names:
    """Return the names of state that any version of a venue's rules reads."""
    return names_of(
        variable
        for (name, _), book in load_all().items()
        if name == venue
        for variable in book.state
    )


@cache
def option_names(venue: str) -> Names:
    """Return the names of options that any version of a venue's rules reads."""
    return names_of(
        variable
        for (name, _), book in load_all().items()
        if name == venue
        for variable in book.options
    )


@cache
def venue_names() -> tuple[str, ...]:
    """Return the venues whose rules are known."""
    return tuple(sorted({venue for venue, _ in load_all()}))


def watched(book: Rulebook[T], look: Callable[[Account, Market], None]) -> Rulebook[T]:
    """Return a rulebook that looks at what it is to judge before each evaluation."""

    def margin(account: Account, market: Market, terms: T) -> Margin:
        look(account, market)
        return book.margin(account, market, terms)

    watched_book = replace(book, margin=margin)
    plain_side = book.side
    if plain_side is not None:

        def side(account: Account, market: Market, terms: T) -> Side | None:
            look(account, market)
            return plain_side(account, market, terms)

        watched_book = replace(watched_book, side=side)
    if book.at_prices is None:
        return watched_book

    def at_prices(account: Account, market: Market, terms: T) -> MarginAt:
        judged = book.along_prices(account, market, terms)

        def at(moved: Market) -> Margin:
            look(account, moved)
            return judged(moved)

        return at

    return replace(watched_book, at_prices=at_prices)


def priced_assets(account: Account, market: Market, now: Margin) -> tuple[str, ...]:
    """Return every asset whose price may move an account, beyond those that `now` rests on.

    A venue that adds collateral until the debt is covered reads no price after that, and its
    verdict rests on none; when prices fall, the rest counts all the same.
    """
    named = dict.fromkeys((*now.prices, *[leg.asset for leg in account.legs]))
    prices = market.prices
    return tuple([asset for asset in named if asset in prices])


def with_price(market: Market, asset: str, value: int) -> Market:
    """Return the market with one price (and its spread) moved to `value`."""
    return market.priced({**market.prices, asset: market.prices[asset].moved_to(value)})


def with_next_prices(market: Market) -> Market:
    """Return the market as delayed oracles will show it at their next update."""
    moved = {
        asset: price
        if price.next_value is None
        else replace(
            price, value=price.next_value, bid=None, ask=None, next_value=None, next_at=None
        )
        for asset, price in market.prices.items()
    }
    return market.priced(moved)
