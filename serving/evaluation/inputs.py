"""From a request's text to the domain's values, with every fault that meaning adds."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from functools import cache
from typing import Any, ParamSpec, TypeVar

from msgspec import Struct

from features.inputs import Candles, Tables, no_events
from models.domain import UNPLACED, Account, Exact, Leg, LegKind, Market, MarketId, Price
from models.errors import Fault, ForewarnError, InvalidInput, UnknownRulebook
from models.margin.legs import leg_faults
from models.margin.rulebook import (
    Rulebook,
    load,
    load_all,
    state_names,
    watched,
    with_next_prices,
)
from models.terms import terms_in_force
from serving.evaluation import market_history
from serving.evaluation.facts import Facts
from serving.evaluation.memo import IdentityMemo
from serving.evaluation.owner_events import OwnerEvent, owner_events
from serving.evaluation.placing import (
    Readers,
    market_of,
    placed,
    placed_terms,
    readers,
    terms_market,
)
from serving.evaluation.stated_terms import terms_of
from serving.schemas import requests
from serving.schemas.market import MarketBody, PriceBody
from serving.schemas.market_names import option_faults, state_faults, venue_faults
from serving.schemas.strict_json import escape

P = ParamSpec("P")
T = TypeVar("T")
DIGITS = 13
"""Least digits of a price that rules read as an exact number."""

MOST_VAULT_UNITS = 10**12 * 10**18
"""Collateral or debt that no vault can hold, wad."""


class AccountInput(Struct, frozen=True, kw_only=True):
    """One account with all that is needed to judge it.

    Parameters
    ----------
    place
        JSON pointer of the account in the request.
    market
        With prices at the scale of the rulebook.
    terms_valid_from
        Since when the terms hold; None when the caller did not say.
    events
        Oldest first; None when not known.
    unplaced
        State that the market lacks, and that the store holds without saying of which market.
    ahead
        From a market to the same at the next prices of delayed oracles.
    mismatch
        How the account's venue was read to judge it otherwise than the rules; None where not.
    unread_since
        When all of the account was read last, where that is too long ago; None where it is not.
    """

    place: str
    account: Account
    rulebook: Rulebook[Any]
    market: Market
    terms: Any
    terms_valid_from: datetime | None = None
    opened_at: datetime | None = None
    events: tuple[OwnerEvent, ...] | None = None
    unplaced: tuple[str, ...] = ()
    ahead: Callable[[Market], Market] = with_next_prices
    mismatch: str | None = None
    unread_since: datetime | None = None


Scale = tuple[int | None, bool]
"""Decimals that a rulebook reads, and whether its rationals are exact."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """Prices at one scale, and the names of those that it would round."""

    prices: Mapping[str, Price]
    rounded: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketInput:
    """What all accounts are judged by that one rulebook, market and name of terms belong to.

    Parameters
    ----------
    rulebook, market, terms, terms_valid_from, unplaced
        As in `AccountInput`.
    """

    rulebook: Rulebook[Any]
    market: Market
    terms: Any
    terms_valid_from: datetime | None
    unplaced: tuple[str, ...]


_Kind = tuple[str | None, ...]


def _kind(body: requests.AccountBody) -> _Kind | None:
    """Return what accounts of one market input have alike; None where the terms are its own."""
    if isinstance(body.terms, dict):
        return None
    return body.venue, body.version, body.market, body.chain, body.terms


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSnapshot:
    """What the accounts of a request share.

    Parameters
    ----------
    at
        Moment of the question.
    prices
        Spot prices by asset, as stated.
    markets
        What belongs to one market alone. Without a venue: what was written before markets were
        told apart; it judges nobody.
    market_tables
        What features read beside the accounts: candles, funding, rounds, reserves; no events.
    simulated
        Whether anything of it is drawn from a generator.
    pegged
        Assets stated to keep their price when the whole market moves.
    mismatches
        By account how its venue was read to judge it otherwise than the rules.
    unread
        By account when it was read last, of those for which that is too long ago.
    look
        Looks at what is to be judged before each evaluation of rules, and raises where it may
        not be; None where nothing limits them.
    """

    at: datetime
    prices: Mapping[str, Price]
    markets: Mapping[MarketId, Facts]
    market_tables: Tables
    simulated: bool = False
    pegged: frozenset[str] = frozenset()
    mismatches: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, datetime] = field(default_factory=dict)
    look: Callable[[Account, Market], None] | None = None
    _parsed: dict[tuple[str, str, MarketId], Any] = field(default_factory=dict)
    _spot: dict[Scale, Scaled] = field(default_factory=dict, init=False)
    _markets: dict[tuple[MarketId | None, Scale], tuple[Market, frozenset[str]]] = field(
        default_factory=dict, init=False
    )
    _books: dict[tuple[str, str], Rulebook[Any]] = field(default_factory=dict, init=False)
    _inputs: dict[_Kind, MarketInput] = field(default_factory=dict, init=False)
    _ahead: IdentityMemo[Market] = field(
        default_factory=lambda: IdentityMemo(with_next_prices), init=False
    )

    @property
    def ahead(self) -> Callable[[Market], Market]:
        """Return `with_next_prices`, worked out once for all accounts."""
        return self._ahead

    def remembering(self, book: Rulebook[Any]) -> Rulebook[Any]:
        """Return a rulebook that works out once what all accounts of a market share.

        That is the market at a later moment, its terms without haircuts, and the legs read.
        """
        key = (book.venue, book.version)
        if key not in self._books:
            accrue = None if book.accrue is None else IdentityMemo(book.accrue)
            bare = None if book.bare is None else IdentityMemo(book.bare)
            reads = IdentityMemo(book.reads)
            memoized = dataclasses.replace(book, accrue=accrue, bare=bare, reads=reads)
            self._books[key] = memoized if self.look is None else watched(memoized, self.look)
        return self._books[key]

    def input_of(self, body: requests.AccountBody) -> MarketInput | None:
        """Return what accounts like this one were found to be judged by; None where none was."""
        key = _kind(body)
        return None if key is None else self._inputs.get(key)

    def remember(self, body: requests.AccountBody, shared: MarketInput) -> None:
        """Keep what an account is judged by for others like it, where nothing of it is its own."""
        key = _kind(body)
        _, rounded = self.market_of(market_of(body), shared.rulebook)
        if key is not None and not rounded:
            self._inputs[key] = shared

    def market_of(
        self, whose: MarketId, book: Rulebook[Any] | None
    ) -> tuple[Market, frozenset[str]]:
        """Return a market with its prices at a rulebook's scale, made once for all its accounts.

        Returns
        -------
        tuple
            The market, and the assets left out of it because the scale would round them.
        """
        facts = self.markets.get(whose)
        scale = (None, False) if book is None else (book.price_decimals, book.is_exact)
        key = (None if facts is None else whose, scale)
        if key not in self._markets:
            self._markets[key] = self._made(facts or NO_FACTS, scale)
        return self._markets[key]

    def _made(self, facts: Facts, scale: Scale) -> tuple[Market, frozenset[str]]:
        """Return the market of some facts: its own prices stand in place of spot."""
        if scale not in self._spot:
            self._spot[scale] = scaled(self.prices, scale)
        spot = self._spot[scale]
        oracle = scaled(facts.prices, scale)
        prices = spot.prices
        if facts.prices:
            beneath = {name: quote for name, quote in prices.items() if name not in facts.prices}
            prices = {**beneath, **oracle.prices}
        rounded = (spot.rounded - facts.prices.keys()) | oracle.rounded
        market = Market(at=self.at, prices=prices, state=facts.state, pegged=self.pegged)
        return market, rounded

    def unplaced(self, whose: MarketId) -> tuple[str, ...]:
        """Return the state that a market lacks and that stands in the store without a market."""
        beneath = self.markets.get(UNPLACED, NO_FACTS).state
        if not beneath:
            return ()
        state, names = self.markets.get(whose, NO_FACTS).state, state_names(whose.venue)
        return tuple(n for n in beneath if n not in state and names.subject(n) is not None)

    @property
    def candles(self) -> Mapping[str, Candles]:
        """Return the spot candles by asset."""
        return self.market_tables.candles

    def terms_of(self, book: Rulebook[Any], whose: MarketId) -> tuple[Any, datetime | None] | None:
        """Return the stated terms of a market, read once for all accounts; None where not stated.

        Raises
        ------
        InvalidInput
            When they are unusable, or the store holds some that may be of another venue.
        """
        facts = self.markets.get(whose)
        if facts is None or facts.terms is None:
            if MarketId("", whose.market) in self.markets and whose.market:
                raise InvalidInput([Fault("/store/terms", UNPLACED_TERMS.format(whose.market))])
            return None
        raw, since = facts.terms
        key = (book.venue, book.version, whose)
        if key not in self._parsed:
            where = f"/market/terms/{escape(whose.market)}"
            self._parsed[key] = terms_of(raw, book, where)
        return self._parsed[key], since


NO_FACTS = Facts()
UNPLACED_TERMS = (
    "the store holds terms of {} that name no venue and may be of several: push them again"
)


def snapshot(
    body: requests.Envelope,
    *,
    now: datetime,
    stored: MarketSnapshot | None,
    accounts: Iterable[requests.AccountBody],
) -> MarketSnapshot:
    """Return the market of a request: its own facts over those of the store.

    Parameters
    ----------
    accounts
        Those asked about, as far as they could be read.

    Raises
    ------
    InvalidInput
        When a price was not known yet at the moment of the question, and where a name of state
        or terms is read by several markets or by no rulebook.
    """
    at = body.as_of or (stored.at if stored else now)
    stated, faults = _facts(body.market, readers(accounts))
    faults = [*_future(body.market, at), *faults]
    if faults:
        raise InvalidInput(faults)
    prices = {asset: price(part) for asset, part in body.market.prices.items()}
    pegged = frozenset(body.market.pegged)
    beneath = Tables(candles={}, events=no_events()) if stored is None else stored.market_tables
    market_tables = market_history.laid_over(beneath, body.market)
    if stored is None:
        return MarketSnapshot(
            at=at, prices=prices, markets=stated, market_tables=market_tables, pegged=pegged
        )
    laid = {market: facts.over(stored.markets.get(market)) for market, facts in stated.items()}
    return MarketSnapshot(
        at=at,
        prices={**stored.prices, **prices},
        markets={**stored.markets, **laid},
        market_tables=market_tables,
        simulated=stored.simulated,
        pegged=stored.pegged | pegged,
        mismatches=stored.mismatches,
        unread=stored.unread,
    )


def _facts(body: MarketBody, among: Readers) -> tuple[dict[MarketId, Facts], list[Fault]]:
    """Return what is stated of each market, and the faults of its names."""
    state, faults = placed(body.state, among, where="/market/state")
    terms, more = placed_terms(body.terms, among, where="/market/terms")
    faults += more
    facts = {
        market: Facts(
            state=state.get(market, {}), terms=(terms[market], None) if market in terms else None
        )
        for market in {*state, *terms}
    }
    named: dict[MarketId, int] = {}
    for i, part in enumerate(body.markets):
        where, market = f"/market/markets/{i}", MarketId(part.venue, part.market, part.chain or "")
        if named.setdefault(market, i) != i:
            faults.append(
                Fault(where, f"{market} stands at /market/markets/{named[market]} already")
            )
        faults += venue_faults(part.venue, where=f"{where}/venue") or state_faults(
            market, part.state, where=f"{where}/state"
        )
        entry = Facts(
            prices={asset: price(each) for asset, each in part.prices.items()},
            state=part.state,
            terms=None if part.terms is None else (part.terms, None),
        )
        faults += _twice(entry, facts.get(market), where)
        facts[market] = entry.over(facts.get(market))
    return facts, faults


def _twice(entry: Facts, bare: Facts | None, where: str) -> Iterator[Fault]:
    """Yield what is stated of a market by name alone and in its own entry."""
    if bare is None:
        return
    for name in entry.state.keys() & bare.state.keys():
        place = f"{where}/state/{escape(name)}"
        yield Fault(place, f"{name} stands at /market/state/{escape(name)} as well")
    if entry.terms is not None and bare.terms is not None:
        yield Fault(f"{where}/terms", "the terms of this market stand at /market/terms as well")


def _future(body: MarketBody, at: datetime) -> Iterator[Fault]:
    """Yield prices later than the question: a value counts from the moment it was known."""
    places = [("/market", body.prices)]
    places += [(f"/market/markets/{i}", part.prices) for i, part in enumerate(body.markets)]
    for where, prices in places:
        for asset, part in prices.items():
            if part.observed_at > at:
                yield Fault(
                    f"{where}/prices/{escape(asset)}/observed_at",
                    f"{part.observed_at.isoformat()} is later than as_of {at.isoformat()}",
                )


def scaled(prices: Mapping[str, Price], scale: Scale) -> Scaled:
    """Return prices at a rulebook's scale."""
    decimals, is_exact = scale
    moved = {
        name: refined(stated) if is_exact else at_scale(stated, decimals)
        for name, stated in prices.items()
    }
    return Scaled(
        {name: stated for name, stated in moved.items() if stated is not None},
        frozenset(name for name, stated in moved.items() if stated is None),
    )


def price(body: PriceBody) -> Price:
    """Return a price with its numbers as integers at one scale."""
    stated = {name: getattr(body, name) for name in ("value", "bid", "ask", "next_value")}
    digits = max(_digits(value) for value in stated.values() if value is not None)
    scaled = {
        name: None if value is None else int(value * 10**digits) for name, value in stated.items()
    }
    return Price(
        value=scaled["value"] or 0,
        decimals=body.decimals + digits,
        observed_at=body.observed_at,
        source=body.source,
        bid=scaled["bid"],
        ask=scaled["ask"],
        next_value=scaled["next_value"],
        next_at=body.next_at,
        stale_after=body.stale_after,
        disputed=body.disputed,
    )


def _digits(value: Fraction) -> int:
    """Return the decimal places of a terminating fraction."""
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
    return places


def refined(stated: Price) -> Price | None:
    """Return a price with as many digits as `DIGITS`, zeros at its end, for exact rules.

    A trigger is then as exact however few decimals the price was stated with.
    """
    return at_scale(stated, stated.decimals + max(DIGITS - len(str(stated.value)), 0))


def at_scale(stated: Price, decimals: int | None) -> Price | None:
    """Return a price at a rulebook's scale; None when that would round it."""
    if decimals is None or decimals == stated.decimals:
        return stated
    factor = Fraction(10) ** (decimals - stated.decimals)
    moved: dict[str, int | None] = {}
    for name in ("value", "bid", "ask", "next_value"):
        value = getattr(stated, name)
        scaled = None if value is None else value * factor
        if scaled is not None and scaled.denominator != 1:
            return None
        moved[name] = None if scaled is None else int(scaled)
    return dataclasses.replace(stated, decimals=decimals, **moved)  # type: ignore[arg-type]


def account_input(body: requests.AccountBody, place: str, around: MarketSnapshot) -> AccountInput:
    """Return a case of one account.

    Raises
    ------
    InvalidInput
        Listing an unknown venue, unusable terms, amounts that the rulebook cannot take, events
        that contradict the legs, and prices of an unusable scale.
    """
    faults: list[Fault] = []
    shared = around.input_of(body)
    book = (
        _collect(faults, rulebook, body.venue, body.version, place)
        if shared is None
        else shared.rulebook
    )
    account_legs = _collect(faults, legs, body.legs, f"{place}/legs", book)
    if book is not None and body.options:
        faults += option_faults(book.venue, body.options, where=place)
    happened = (
        None if body.events is None else _collect(faults, owner_events, body, place, at=around.at)
    )
    if shared is None:
        shared = _market_input(body, place, around, book, faults)
    if account_legs is not None and shared is not None:
        faults += unread_legs(account_legs, f"{place}/legs", shared)
    if faults or shared is None or account_legs is None:
        raise InvalidInput(faults)
    account = Account(
        id=body.id,
        venue=shared.rulebook.venue,
        version=shared.rulebook.version,
        market=body.market,
        chain=body.chain or "",
        legs=account_legs,
        options=body.options,
    )
    return _placed_in(shared, around, account, place, opened_at=body.opened_at, events=happened)


def renewed(
    before: AccountInput, body: requests.AccountBody, around: MarketSnapshot
) -> AccountInput:
    """Return a case in later surroundings: what the account holds and did was read before.

    Raises
    ------
    InvalidInput
        As `account_input` does, for terms and prices.
    """
    shared = around.input_of(body)
    if shared is None:
        faults: list[Fault] = []
        book = rulebook(body.venue, body.version, before.place)
        shared = _market_input(body, before.place, around, book, faults)
        if shared is None:
            raise InvalidInput(faults)
    return _placed_in(
        shared,
        around,
        before.account,
        before.place,
        opened_at=before.opened_at,
        events=before.events,
    )


def _placed_in(
    shared: MarketInput,
    around: MarketSnapshot,
    account: Account,
    place: str,
    *,
    opened_at: datetime | None,
    events: tuple[OwnerEvent, ...] | None,
) -> AccountInput:
    """Return a case of an account in its market."""
    return AccountInput(
        place=place,
        account=account,
        rulebook=shared.rulebook,
        market=shared.market,
        terms=shared.terms,
        terms_valid_from=shared.terms_valid_from,
        opened_at=opened_at,
        events=events,
        unplaced=shared.unplaced,
        ahead=around.ahead,
        mismatch=around.mismatches.get(account.id),
        unread_since=around.unread.get(account.id),
    )


def _market_input(
    body: requests.AccountBody,
    place: str,
    around: MarketSnapshot,
    book: Rulebook[Any] | None,
    faults: list[Fault],
) -> MarketInput | None:
    """Return what an account is judged by, or None after noting the faults."""
    market = _collect(faults, _market, around, body, place, book)
    agreed = None if book is None else _collect(faults, _terms, body, place, around, book)
    if book is None or market is None or agreed is None:
        return None
    shared = MarketInput(
        rulebook=around.remembering(book),
        market=market,
        terms=agreed[0],
        terms_valid_from=agreed[1],
        unplaced=around.unplaced(market_of(body)),
    )
    around.remember(body, shared)
    return shared


def _collect(
    faults: list[Fault], step: Callable[P, T], *arguments: P.args, **named: P.kwargs
) -> T | None:
    """Return a step's result, or None after noting its faults."""
    try:
        return step(*arguments, **named)
    except InvalidInput as error:
        faults.extend(error.faults)
        return None


def rulebook(venue: str, version: str | None, place: str) -> Rulebook[Any]:
    """Return the rulebook of a venue; its only version where none is named.

    Raises
    ------
    InvalidInput
        When the venue or version is not known, or the venue has several versions.
    """
    versions = _versions().get(venue, ())
    if version is None and len(versions) > 1:
        raise InvalidInput([Fault(f"{place}/version", f"one of {', '.join(versions)} is needed")])
    chosen = version or (versions[0] if versions else "")
    try:
        return load(venue, chosen)
    except UnknownRulebook as error:
        field = "version" if versions else "venue"
        raise InvalidInput([Fault(f"{place}/{field}", str(error))]) from None


@cache
def _versions() -> Mapping[str, tuple[str, ...]]:
    """Return the versions of every venue, in order."""
    venues = {venue for venue, _ in load_all()}
    return {v: tuple(sorted(version for name, version in load_all() if name == v)) for v in venues}


def legs(
    stated: Sequence[requests.LegBody], place: str, book: Rulebook[Any] | None
) -> tuple[Leg, ...]:
    """Return the legs in the rulebook's numbers.

    Parameters
    ----------
    place
        Of the list, as a pointer.

    Raises
    ------
    InvalidInput
        Listing the quantities that the rulebook cannot take.
    """
    faults: list[Fault] = []
    parsed: list[Leg] = []
    whole = book is not None and book.price_decimals is not None
    for i, leg in enumerate(stated):
        where = f"{place}/{i}/quantity"
        quantity: Exact = leg.quantity
        if leg.quantity.denominator == 1:
            quantity = leg.quantity.numerator
        elif whole:
            faults.append(Fault(where, f"{leg.quantity} is not a whole number of smallest units"))
        if book is not None and book.venue == "maker" and _is_beyond_vaults(quantity):
            faults.append(Fault(where, f"{leg.quantity} wad is 10^12 units or more"))
        parsed.append(
            Leg(
                kind=LegKind(leg.kind),
                asset=leg.asset,
                quantity=quantity,
                entry=leg.entry,
                key=leg.key,
                pledged=leg.pledged,
            )
        )
    if faults:
        raise InvalidInput(faults)
    return tuple(parsed)


def unread_legs(
    parsed: Sequence[Leg], place: str, judged_by: MarketInput | AccountInput
) -> list[Fault]:
    """Return what is stated of an account that its rules would leave out or take for another."""
    read = judged_by.rulebook.reads(judged_by.terms)
    return [Fault(f"{place}/{i}", message) for i, message in leg_faults(parsed, read)]


def _is_beyond_vaults(quantity: Exact) -> bool:
    """Whether a quantity is more than any vault can hold."""
    return not -MOST_VAULT_UNITS < quantity < MOST_VAULT_UNITS


def _market(
    around: MarketSnapshot, body: requests.AccountBody, place: str, book: Rulebook[Any] | None
) -> Market:
    """Return the market with its prices at the rulebook's scale.

    A price that would have to be rounded is a fault where the account holds that asset.
    """
    market, rounded = around.market_of(market_of(body), book)
    if not rounded:
        return market
    assets = {leg.asset for leg in body.legs}
    faults = [
        Fault(
            f"/market/prices/{escape(name)}/value",
            f"has more than the {book.price_decimals} decimals that {book.venue} reads ({place})",
        )
        for name in sorted(rounded)
        if book is not None and name in assets
    ]
    if faults:
        raise InvalidInput(faults)
    return market


def _terms(
    body: requests.AccountBody, place: str, around: MarketSnapshot, book: Rulebook[Any]
) -> tuple[Any, datetime | None]:
    """Return the terms of an account and since when they hold.

    What the account states comes first, then what the request or the store states for its
    market, then the terms in force by the record that ships.
    """
    if isinstance(body.terms, dict):
        return terms_of(body.terms, book, f"{place}/terms"), None
    stated = around.terms_of(book, terms_market(body))
    if stated is not None:
        return stated
    try:
        record = terms_in_force(book.venue, book.version, terms_market(body).market, around.at)
    except ForewarnError as error:
        names = ", ".join(field.name for field in dataclasses.fields(book.terms))
        detail = f"terms are needed ({names}): {error}"
        raise InvalidInput([Fault(f"{place}/terms", detail)]) from None
    return record.terms, record.valid_from
