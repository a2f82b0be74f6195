"""From a request's text to the domain's values, with every fault that meaning adds."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from functools import cache
from typing import Any, TypeVar

from features.inputs import Candles, Tables, no_events
from models.domain import Account, Exact, Leg, LegKind, Market, Price
from models.errors import Fault, ForewarnError, InvalidInput, UnknownRulebook
from models.margin.rulebook import Rulebook, load, load_all, with_next_prices
from models.terms import terms_in_force
from serving.asked import series_stated, wire
from serving.asked.market_wire import PriceBody
from serving.asked.owner_events import OwnerEvent, owner_events
from serving.asked.reading import escape
from serving.asked.remembered import Remembered
from serving.asked.sound import SoundLeg
from serving.asked.stated_terms import terms_of

T = TypeVar("T")
DIGITS = 13
"""Least digits of a price that rules read as an exact number."""

MOST_VAULT_UNITS = 10**12 * 10**18
"""Collateral or debt that no vault can hold, wad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
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
    ahead
        From a market to the same at the next prices of delayed oracles.
    """

    place: str
    account: Account
    rulebook: Rulebook[Any]
    market: Market
    terms: Any
    terms_valid_from: datetime | None = None
    opened_at: datetime | None = None
    events: tuple[OwnerEvent, ...] | None = None
    ahead: Callable[[Market], Market] = with_next_prices


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the accounts of a request share.

    Parameters
    ----------
    at
        Moment of the question.
    prices
        By asset, as stated.
    state
        Accumulators by the rulebook's names.
    terms
        Raw terms by market; with the time from which they hold, where known.
    known
        What features read beside the accounts: candles, funding, rounds, reserves; no events.
    simulated
        Whether anything of it is drawn from a generator.
    pegged
        Assets stated to keep their price when the whole market moves.
    """

    at: datetime
    prices: Mapping[str, Price]
    state: Mapping[str, int]
    terms: Mapping[str, tuple[Mapping[str, Any], datetime | None]]
    known: Tables
    simulated: bool = False
    pegged: frozenset[str] = frozenset()
    _parsed: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    _markets: dict[tuple[int | None, bool], tuple[Market, tuple[str, ...]]] = field(
        default_factory=dict, init=False
    )
    _books: dict[tuple[str, str], Rulebook[Any]] = field(default_factory=dict, init=False)
    _ahead: Remembered[Market] = field(
        default_factory=lambda: Remembered(with_next_prices), init=False
    )

    @property
    def ahead(self) -> Callable[[Market], Market]:
        """Return `with_next_prices`, worked out once for all accounts."""
        return self._ahead

    def remembering(self, book: Rulebook[Any]) -> Rulebook[Any]:
        """Return a rulebook that carries a market to a moment once for all accounts."""
        key = (book.venue, book.version)
        if key not in self._books:
            accrue = None if book.accrue is None else Remembered(book.accrue)
            self._books[key] = dataclasses.replace(book, accrue=accrue)
        return self._books[key]

    def market_of(self, book: Rulebook[Any] | None) -> tuple[Market, tuple[str, ...]]:
        """Return the market with its prices at a rulebook's scale, made once for all accounts.

        Returns
        -------
        tuple
            The market, and the assets left out of it because the scale would round them.
        """
        key = (None, False) if book is None else (book.price_decimals, book.is_exact)
        if key not in self._markets:
            decimals, is_exact = key
            scaled = {
                name: refined(stated) if is_exact else at_scale(stated, decimals)
                for name, stated in self.prices.items()
            }
            kept = {name: stated for name, stated in scaled.items() if stated is not None}
            rounded = tuple(name for name, stated in scaled.items() if stated is None)
            market = Market(at=self.at, prices=kept, state=self.state, pegged=self.pegged)
            self._markets[key] = (market, rounded)
        return self._markets[key]

    @property
    def candles(self) -> Mapping[str, Candles]:
        """Return the spot candles by asset."""
        return self.known.candles

    def terms_of(self, book: Rulebook[Any], market: str) -> Any:
        """Return the stated terms of a market, read once for all accounts.

        Raises
        ------
        InvalidInput
            When they are unusable.
        """
        key = (book.venue, book.version, market)
        if key not in self._parsed:
            where = f"/market/terms/{escape(market)}"
            self._parsed[key] = terms_of(self.terms[market][0], book, where)
        return self._parsed[key]


def surroundings(
    body: wire.Envelope, *, now: datetime, stored: Surroundings | None
) -> Surroundings:
    """Return what a request states, laid over what the store holds.

    Raises
    ------
    InvalidInput
        When a price was not known yet at the moment of the question.
    """
    at = body.as_of or (stored.at if stored else now)
    faults = list(_future(body, at))
    if faults:
        raise InvalidInput(faults)
    prices = {asset: price(part) for asset, part in body.market.prices.items()}
    terms = {name: (part, None) for name, part in body.market.terms.items()}
    pegged = frozenset(body.market.pegged)
    beneath = Tables(candles={}, events=no_events()) if stored is None else stored.known
    known = series_stated.laid_over(beneath, body.market)
    if stored is None:
        return Surroundings(
            at=at,
            prices=prices,
            state=body.market.state,
            terms=terms,
            known=known,
            pegged=pegged,
        )
    return Surroundings(
        at=at,
        prices={**stored.prices, **prices},
        state={**stored.state, **body.market.state},
        terms={**stored.terms, **terms},
        known=known,
        simulated=stored.simulated,
        pegged=stored.pegged | pegged,
    )


def _future(body: wire.Envelope, at: datetime) -> Iterator[Fault]:
    """Yield prices later than the question: a value counts from the moment it was known."""
    for asset, part in body.market.prices.items():
        if part.observed_at > at:
            yield Fault(
                f"/market/prices/{escape(asset)}/observed_at",
                f"{part.observed_at.isoformat()} is later than as_of {at.isoformat()}",
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


def case(body: wire.AnyAccount, place: str, around: Surroundings) -> Case:
    """Return a case of one account.

    Raises
    ------
    InvalidInput
        Listing an unknown venue, unusable terms, amounts that the rulebook cannot take, events
        that contradict the legs, and prices of an unusable scale.
    """
    faults: list[Fault] = []
    book = _collect(faults, lambda: rulebook(body.venue, body.version, place))
    held = _collect(faults, lambda: legs(body.legs, place, book))
    happened = _collect(faults, lambda: owner_events(body, place, at=around.at))
    market = _collect(faults, lambda: _market(around, body, place, book))
    found: tuple[Any, datetime | None] | None = None
    if book is not None:
        chosen = book
        found = _collect(faults, lambda: _terms(body, place, around, chosen))
    if faults or book is None or held is None or market is None or found is None:
        raise InvalidInput(faults)
    book = around.remembering(book)
    account = Account(
        id=body.id,
        venue=book.venue,
        version=book.version,
        market=body.market,
        legs=held,
        options=body.options,
    )
    return Case(
        place=place,
        account=account,
        rulebook=book,
        market=market,
        terms=found[0],
        terms_valid_from=found[1],
        opened_at=body.opened_at,
        events=happened,
        ahead=around.ahead,
    )


def renewed(before: Case, body: wire.AnyAccount, around: Surroundings) -> Case:
    """Return a case in later surroundings: what the account holds and did was read before.

    Raises
    ------
    InvalidInput
        As `case` does, for terms and prices.
    """
    book = around.remembering(rulebook(body.venue, body.version, before.place))
    market = _market(around, body, before.place, book)
    terms_now, since = _terms(body, before.place, around, book)
    return dataclasses.replace(
        before,
        rulebook=book,
        market=market,
        terms=terms_now,
        terms_valid_from=since,
        ahead=around.ahead,
    )


def _collect(faults: list[Fault], step: Callable[[], T]) -> T | None:
    """Return a step's result, or None after noting its faults."""
    try:
        return step()
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
    return {v: tuple(sorted(known for name, known in load_all() if name == v)) for v in venues}


def legs(
    stated: Sequence[wire.LegBody | SoundLeg], place: str, book: Rulebook[Any] | None
) -> tuple[Leg, ...]:
    """Return the legs in the rulebook's numbers.

    Raises
    ------
    InvalidInput
        Listing the quantities that the rulebook cannot take.
    """
    faults: list[Fault] = []
    found: list[Leg] = []
    whole = book is not None and book.price_decimals is not None
    for i, leg in enumerate(stated):
        where = f"{place}/legs/{i}/quantity"
        quantity: Exact = leg.quantity
        if leg.quantity.denominator == 1:
            quantity = leg.quantity.numerator
        elif whole:
            faults.append(Fault(where, f"{leg.quantity} is not a whole number of smallest units"))
        if book is not None and book.venue == "maker" and _is_beyond_vaults(quantity):
            faults.append(Fault(where, f"{leg.quantity} wad is 10^12 units or more"))
        found.append(
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
    return tuple(found)


def _is_beyond_vaults(quantity: Exact) -> bool:
    """Whether a quantity is more than any vault can hold."""
    return not -MOST_VAULT_UNITS < quantity < MOST_VAULT_UNITS


def _market(
    around: Surroundings, body: wire.AnyAccount, place: str, book: Rulebook[Any] | None
) -> Market:
    """Return the market with its prices at the rulebook's scale.

    A price that would have to be rounded is a fault where the account holds that asset.
    """
    market, rounded = around.market_of(book)
    held = {leg.asset for leg in body.legs}
    faults = [
        Fault(
            f"/market/prices/{escape(name)}/value",
            f"has more than the {book.price_decimals} decimals that {book.venue} reads ({place})",
        )
        for name in rounded
        if book is not None and name in held
    ]
    if faults:
        raise InvalidInput(faults)
    return market


def _terms(
    body: wire.AnyAccount, place: str, around: Surroundings, book: Rulebook[Any]
) -> tuple[Any, datetime | None]:
    """Return the terms of an account and since when they hold.

    What the account states comes first, then what the request or the store states for its
    market, then the terms in force by the record that ships.
    """
    if isinstance(body.terms, dict):
        return terms_of(body.terms, book, f"{place}/terms"), None
    market = body.terms or body.market
    if market in around.terms:
        return around.terms_of(book, market), around.terms[market][1]
    try:
        found = terms_in_force(book.venue, book.version, market, around.at)
    except ForewarnError as error:
        wanted = ", ".join(field.name for field in dataclasses.fields(book.terms))
        detail = f"terms are needed ({wanted}): {error}"
        raise InvalidInput([Fault(f"{place}/terms", detail)]) from None
    return found.terms, found.valid_from
