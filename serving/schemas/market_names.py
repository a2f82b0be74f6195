"""Which market a name speaks of, and what is wrong with names that nothing reads."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from models.domain import MarketId
from models.errors import Fault
from models.margin.refused import refused
from models.margin.rulebook import option_names, state_names, venue_names
from serving.schemas.strict_json import escape

MOST_CHOICES = 5

MOST_ADVISED = 50
"""Unknown names of one body for which the nearest is looked for."""


def several_markets(markets: Iterable[MarketId]) -> str:
    """Return the markets that a name may mean."""
    names = sorted(str(market) for market in markets)
    more = f" or {len(names) - MOST_CHOICES} more" if len(names) > MOST_CHOICES else ""
    return f"may be of {', '.join(names[:MOST_CHOICES])}{more}"


def carried_terms(name: str, markets: Iterable[MarketId], *, where: str) -> MarketId | Fault:
    """Return the one known market of a name, or why its venue must be stated."""
    meant = {market for market in markets if market.market == name}
    if len(meant) == 1:
        return meant.pop()
    hint = several_markets(meant) if meant else "is no market of the store's accounts"
    return Fault(where, f"{name} {hint}: state its venue")


def is_read(name: str) -> bool:
    """Return whether any rulebook reads a name of state."""
    return any(state_names(venue).subject(name) is not None for venue in venue_names())


def unread(name: str, venues: Iterable[str], *, where: str, is_advised: bool = True) -> Fault:
    """Return that no rulebook reads a name, with the nearest that one does."""
    shown = name[:80]
    detail = f"no rulebook reads state called {shown!r}"
    if is_advised:
        near = [nearest for v in venues if (nearest := state_names(v).nearest(shown)) is not None]
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


def carried(name: str, markets: Iterable[MarketId], *, where: str) -> MarketId | Fault:
    """Return the market that a name of state says itself, or why it must be stated beside it.

    Parameters
    ----------
    markets
        The markets of the accounts in a store.
    """
    subjects = [(venue, state_names(venue).subject(name)) for venue in venue_names()]
    reading = {venue: subject for venue, subject in subjects if subject is not None}
    if not reading:
        return unread(name, venue_names(), where=where)
    said = {
        (venue, subject.market) for venue, subject in reading.items() if subject.market is not None
    }
    if len(said) == len(reading):
        meant = [market for market in markets if market[:2] in said] or [
            MarketId(*pair) for pair in said
        ]
        if len(meant) == 1:
            return meant[0]
    else:
        meant = [market for market in markets if market.venue in reading]
    hint = several_markets(meant) if meant else f"is read by {', '.join(reading)}"
    return Fault(f"{where}/{escape(name)}", f"{name} {hint}: state its venue and market")


def venue_faults(venue: str, *, where: str) -> list[Fault]:
    """Return that a venue is not known, with the nearest that is."""
    if venue in venue_names():
        return []
    reason = refused(venue)
    if reason is not None:
        return [Fault(where, f"no rulebook of {reason}")]
    near = get_close_matches(venue, venue_names(), n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(venue_names())}"
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
    state: Iterable[str], market: MarketId, assets: set[str], *, where: str
) -> Iterator[Fault]:
    """Yield the names of state that speak of an asset that nothing else knows."""
    names = state_names(market.venue)
    for name in state:
        subject = names.subject(name)
        if subject is None or subject.asset is None or subject.asset in assets:
            continue
        near = get_close_matches(subject.asset[:80], sorted(assets), n=1)
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


MOST_CHAIN = 40
"""Characters of a chain's name: with market, asset and source it must fit into one index."""
