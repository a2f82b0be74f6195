"""Which market a name without one speaks of, and what is wrong with names that nothing reads.

A request may state state and terms by name alone where the accounts it asks about leave one
market that reads the name. What two of them read must say which it means.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from models.domain import MarketId
from models.errors import Fault
from models.margin.rulebook import state_names, venue_names
from models.margin.variables import Subject
from serving.schemas import requests
from serving.schemas.market_names import MOST_ADVISED, is_read, several_markets, unread
from serving.schemas.strict_json import escape

SCOPED = "state it in /market/markets with its venue, market and chain"


def market_of(body: requests.AccountBody) -> MarketId:
    """Return the market of an account."""
    return MarketId(body.venue, body.market, body.chain or "")


def terms_market(body: requests.AccountBody) -> MarketId:
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
        return _grouped((market.venue, market) for market in self.assets)

    @cached_property
    def by_name(self) -> Mapping[tuple[str, str], list[MarketId]]:
        """Return the markets of each venue and name: one per chain."""
        return _grouped(((market.venue, market.market), market) for market in self.assets)

    @cached_property
    def by_asset(self) -> Mapping[tuple[str, str], list[MarketId]]:
        """Return the markets of each venue in which an asset is held."""
        return _grouped(
            ((market.venue, asset), market)
            for market, assets in self.assets.items()
            for asset in assets
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
            for market in chosen:
                yield market, subject


def _grouped(pairs: Iterable[tuple[Any, MarketId]]) -> dict[Any, list[MarketId]]:
    """Return markets by their keys."""
    groups: dict[Any, list[MarketId]] = {}
    for key, market in pairs:
        groups.setdefault(key, []).append(market)
    return groups


def readers(bodies: Iterable[requests.AccountBody]) -> Readers:
    """Return the markets of accounts; one of an unknown venue reads nothing."""
    assets: dict[MarketId, set[str]] = {}
    named: dict[str, set[MarketId]] = {}
    alike: dict[tuple[str | None, ...], set[str]] = {}
    venues = set(venue_names())
    for body in bodies:
        terms = "" if isinstance(body.terms, dict) else body.terms
        kind = body.venue, body.market, body.chain, terms
        market_assets = alike.get(kind)
        if market_assets is None:
            if body.venue not in venues:
                continue
            market_assets = alike[kind] = assets.setdefault(market_of(body), set())
            if not isinstance(body.terms, dict):
                lookup = terms_market(body)
                named.setdefault(lookup.market, set()).add(lookup)
        market_assets.update([leg.asset for leg in body.legs])
    return Readers(assets, named)


def placed(
    state: Mapping[str, int], among: Readers, *, where: str
) -> tuple[dict[MarketId, dict[str, int]], list[Fault]]:
    """Return state by market, and the names that mean several markets or none.

    A name that only other venues read is left out: nothing asked about reads it.
    """
    by_market: dict[MarketId, dict[str, int]] = {}
    faults: list[Fault] = []
    for name, value in state.items():
        meant = list(among.of(name))
        if len(meant) == 1:
            by_market.setdefault(meant[0][0], {})[name] = value
        elif meant:
            place = f"{where}/{escape(name)}"
            faults.append(
                Fault(place, f"{name} {several_markets(market for market, _ in meant)}: {SCOPED}")
            )
        elif not is_read(name):
            advised = len(faults) < MOST_ADVISED
            venues = among.by_venue or venue_names()
            faults.append(unread(name, venues, where=where, is_advised=advised))
    return by_market, faults


def placed_terms(
    terms: Mapping[str, Mapping[str, Any]], among: Readers, *, where: str
) -> tuple[dict[MarketId, Mapping[str, Any]], list[Fault]]:
    """Return terms by market, and the names that mean several markets.

    Terms that no account looks for are left out.
    """
    by_market: dict[MarketId, Mapping[str, Any]] = {}
    faults: list[Fault] = []
    for name, body in terms.items():
        meant = sorted(among.terms.get(name, ()))
        if len(meant) == 1:
            by_market[meant[0]] = body
        elif meant:
            faults.append(
                Fault(f"{where}/{escape(name)}", f"{name} {several_markets(meant)}: {SCOPED}")
            )
    return by_market, faults
