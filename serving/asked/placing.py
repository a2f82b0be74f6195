"""Which market a name without one speaks of, and what is wrong with names that nothing reads.

A request may state state and terms by name alone where the accounts it asks about leave one
market that reads the name. What two of them read must say which it means.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from models.domain import MarketId
from models.errors import Fault
from models.margin.rulebook import option_names, state_names, venues_known
from models.margin.variables import Subject
from serving.asked import wire
from serving.asked.reading import escape

MOST_CHOICES = 5
MOST_ADVISED = 50
"""Unknown names of one body for which the nearest is looked for."""

SCOPED = "state it in /market/markets with its venue, market and chain"


def market_of(body: wire.AnyAccount) -> MarketId:
    """Return the market of an account."""
    return MarketId(body.venue, body.market, body.chain or "")


def terms_market(body: wire.AnyAccount) -> MarketId:
    """Return the market whose terms an account is judged by, where it states none itself."""
    named = body.terms if isinstance(body.terms, str) else body.market
    return MarketId(body.venue, named, body.chain or "")


@dataclass(frozen=True)
class Readers:
    """The markets of the accounts of a request.

    Parameters
    ----------
    assets
        What its accounts hold or owe, by market.
    terms
        Markets by the name under which accounts look for terms.
    """

    assets: Mapping[MarketId, set[str]]
    terms: Mapping[str, set[MarketId]]

    @cached_property
    def by_venue(self) -> Mapping[str, list[MarketId]]:
        """Return the markets of each venue."""
        return _grouped((one.venue, one) for one in self.assets)

    @cached_property
    def by_name(self) -> Mapping[tuple[str, str], list[MarketId]]:
        """Return the markets of each venue and name: one per chain."""
        return _grouped(((one.venue, one.market), one) for one in self.assets)

    @cached_property
    def by_asset(self) -> Mapping[tuple[str, str], list[MarketId]]:
        """Return the markets of each venue in which an asset is held."""
        return _grouped(
            ((one.venue, asset), one) for one, assets in self.assets.items() for asset in assets
        )

    def of(self, name: str) -> Iterator[tuple[MarketId, Subject]]:
        """Yield the markets that a name of state may mean."""
        for venue, markets in self.by_venue.items():
            subject = state_names(venue).subject(name)
            if subject is None:
                continue
            chosen = markets
            if subject.market is not None:
                chosen = self.by_name.get((venue, subject.market), [])
            elif subject.asset is not None:
                chosen = self.by_asset.get((venue, subject.asset), markets)
            for one in chosen:
                yield one, subject


def _grouped(pairs: Iterable[tuple[Any, MarketId]]) -> dict[Any, list[MarketId]]:
    """Return markets by their keys."""
    groups: dict[Any, list[MarketId]] = {}
    for key, one in pairs:
        groups.setdefault(key, []).append(one)
    return groups


def readers(bodies: Iterable[wire.AnyAccount]) -> Readers:
    """Return the markets of accounts; one of an unknown venue reads nothing."""
    assets: dict[MarketId, set[str]] = {}
    named: dict[str, set[MarketId]] = {}
    venues = set(venues_known())
    for body in bodies:
        if body.venue not in venues:
            continue
        held = assets.setdefault(market_of(body), set())
        for leg in body.legs:
            held.add(leg.asset)
        if not isinstance(body.terms, dict):
            lookup = terms_market(body)
            named.setdefault(lookup.market, set()).add(lookup)
    return Readers(assets, named)


def placed(
    state: Mapping[str, int], among: Readers, *, where: str
) -> tuple[dict[MarketId, dict[str, int]], list[Fault]]:
    """Return state by market, and the names that mean several markets or none.

    A name that only other venues read is left out: nothing asked about reads it.
    """
    found: dict[MarketId, dict[str, int]] = {}
    faults: list[Fault] = []
    for name, value in state.items():
        meant = list(among.of(name))
        if len(meant) == 1:
            found.setdefault(meant[0][0], {})[name] = value
        elif meant:
            place = f"{where}/{escape(name)}"
            faults.append(Fault(place, f"{name} {_several(one for one, _ in meant)}: {SCOPED}"))
        elif not is_read(name):
            advised = len(faults) < MOST_ADVISED
            venues = among.by_venue or venues_known()
            faults.append(unread(name, venues, where=where, is_advised=advised))
    return found, faults


def _several(markets: Iterable[MarketId]) -> str:
    """Return the markets that a name may mean."""
    names = sorted(str(one) for one in markets)
    more = f" or {len(names) - MOST_CHOICES} more" if len(names) > MOST_CHOICES else ""
    return f"may be of {', '.join(names[:MOST_CHOICES])}{more}"


def placed_terms(
    terms: Mapping[str, Mapping[str, Any]], among: Readers, *, where: str
) -> tuple[dict[MarketId, Mapping[str, Any]], list[Fault]]:
    """Return terms by market, and the names that mean several markets.

    Terms that no account looks for are left out.
    """
    found: dict[MarketId, Mapping[str, Any]] = {}
    faults: list[Fault] = []
    for name, body in terms.items():
        meant = sorted(among.terms.get(name, ()))
        if len(meant) == 1:
            found[meant[0]] = body
        elif meant:
            faults.append(Fault(f"{where}/{escape(name)}", f"{name} {_several(meant)}: {SCOPED}"))
    return found, faults


def carried_terms(name: str, known: Iterable[MarketId], *, where: str) -> MarketId | Fault:
    """Return the one known market of a name, or why its venue must be stated."""
    meant = {one for one in known if one.market == name}
    if len(meant) == 1:
        return meant.pop()
    hint = _several(meant) if meant else "is no market of the store's accounts"
    return Fault(where, f"{name} {hint}: state its venue")


def is_read(name: str) -> bool:
    """Return whether any rulebook reads a name of state."""
    return any(state_names(venue).subject(name) is not None for venue in venues_known())


def unread(name: str, venues: Iterable[str], *, where: str, is_advised: bool = True) -> Fault:
    """Return that no rulebook reads a name, with the nearest that one does."""
    shown = name[:80]
    detail = f"no rulebook reads state called {shown!r}"
    if is_advised:
        near = [one for v in venues if (one := state_names(v).nearest(shown)) is not None]
        best = get_close_matches(shown, near, n=1)
        detail += f"; did you mean {best[0]}?" if best else "; /v1/rulebooks lists the names"
    return Fault(f"{where}/{escape(name)}", detail)


def state_faults(market: MarketId, state: Mapping[str, int], *, where: str) -> list[Fault]:
    """Return the names of a market's state that its venue does not read."""
    names = state_names(market.venue)
    faults: list[Fault] = []
    for name in state:
        subject = names.subject(name)
        if subject is None:
            advised = len(faults) < MOST_ADVISED
            faults.append(unread(name, [market.venue], where=where, is_advised=advised))
        elif subject.market is not None and subject.market != market.market:
            detail = f"{name} is of market {subject.market}, not of {market}"
            faults.append(Fault(f"{where}/{escape(name)}", detail))
    return faults


def carried(name: str, known: Iterable[MarketId], *, where: str) -> MarketId | Fault:
    """Return the market that a name of state says itself, or why it must be stated beside it.

    Parameters
    ----------
    known
        The markets of the accounts in a store.
    """
    subjects = [(venue, state_names(venue).subject(name)) for venue in venues_known()]
    reading = {venue: one for venue, one in subjects if one is not None}
    if not reading:
        return unread(name, venues_known(), where=where)
    said = {(venue, one.market) for venue, one in reading.items() if one.market is not None}
    if len(said) == len(reading):
        meant = [one for one in known if one[:2] in said] or [MarketId(*one) for one in said]
        if len(meant) == 1:
            return meant[0]
    else:
        meant = [one for one in known if one.venue in reading]
    hint = _several(meant) if meant else f"is read by {', '.join(reading)}"
    return Fault(f"{where}/{escape(name)}", f"{name} {hint}: state its venue and market")


def venue_faults(venue: str, *, where: str) -> list[Fault]:
    """Return that a venue is not known, with the nearest that is."""
    if venue in venues_known():
        return []
    near = get_close_matches(venue, venues_known(), n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(venues_known())}"
    return [Fault(where, f"no rulebook of {venue[:80]!r}{hint}")]


def option_faults(venue: str, options: Mapping[str, int], *, where: str) -> list[Fault]:
    """Return the options of an account that its venue's rules do not read."""
    names = option_names(venue)
    faults = []
    for name in options:
        if names.subject(name) is None:
            near = names.nearest(name[:80])
            hint = f"; did you mean {near}?" if near else ""
            detail = f"the rules of {venue} read no option called {name[:80]!r}{hint}"
            faults.append(Fault(f"{where}/options/{escape(name)}", detail))
    return faults


def symbol_faults(
    state: Iterable[str], market: MarketId, known: set[str], *, where: str
) -> Iterator[Fault]:
    """Yield the names of state that speak of an asset that nothing else knows."""
    names = state_names(market.venue)
    for name in state:
        subject = names.subject(name)
        if subject is None or subject.asset is None or subject.asset in known:
            continue
        near = get_close_matches(subject.asset[:80], sorted(known), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        detail = f"{subject.asset[:80]!r} is no asset of {market}{hint}"
        yield Fault(f"{where}/{escape(name)}", detail)


def words(tree: Any) -> Iterator[str]:
    """Yield every name and text in terms: among them are the assets that they speak of."""
    if isinstance(tree, Mapping):
        for name, part in tree.items():
            yield str(name)
            yield from words(part)
    elif isinstance(tree, str):
        yield tree
    elif isinstance(tree, Sequence):
        for part in tree:
            yield from words(part)
