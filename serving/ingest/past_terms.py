"""Past risk parameters of lending venues, from dated files, as terms of a store.

What a file tells is laid over terms that the user states in full: they say what the file does
not, such as a reserve's place in the pool. An asset is in the terms from when it was first seen.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from models.domain import MarketId
from models.errors import Fault, InvalidInput
from models.terms_history import aave, compound, maker
from models.terms_history.observed import Observed, Values, in_force
from serving.evaluation import inputs
from serving.evaluation.stated_terms import terms_of
from serving.store import market, open_store
from serving.store.rows import Added

Terms = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A kind of dated file.

    Parameters
    ----------
    read
        Returns what a file observed.
    terms
        Takes what was in force by asset and the stated terms; returns the terms of the market.
    """

    read: Callable[[Path], tuple[Observed, ...]]
    terms: Callable[[Mapping[str, Values], Terms], Terms]


RESERVE = {
    "decimals": "decimals",
    "ltv": "ltv",
    "liquidation_threshold": "threshold",
    "liquidation_bonus": "bonus",
}
RESERVE_V3 = {
    "liquidation_protocol_fee": "protocol_fee",
    "supply_cap": "supply_cap",
    "borrow_cap": "borrow_cap",
    "debt_ceiling": "debt_ceiling",
    "is_siloed": "siloed",
    "is_borrowable_in_isolation": "borrowable_in_isolation",
    "borrowing_enabled": "borrowable",
}
FLAGS = {"siloed", "borrowable_in_isolation", "borrowable"}
COLLATERAL = {
    "decimals": "decimals",
    "borrow_collateral_factor": "borrow_factor",
    "liquidate_collateral_factor": "liquidate_factor",
    "liquidation_factor": "liquidation_factor",
    "supply_cap": "supply_cap",
}
MARKET = {"base_borrow_min": "borrow_min", "store_front_price_factor": "store_front_price_factor"}


def _renamed(values: Values, names: Mapping[str, str]) -> dict[str, Any]:
    """Return what is known of some parameters, by the terms' own names."""
    named = {names[name]: value for name, value in values.items() if name in names}
    return {name: bool(value) if name in FLAGS else value for name, value in named.items()}


def _aave(fields: Mapping[str, str]) -> Callable[[Mapping[str, Values], Terms], Terms]:
    """Return how reserves of one version of Aave are laid over the stated ones."""

    def terms(by_asset: Mapping[str, Values], stated: Terms) -> Terms:
        listed = stated.get("reserves", {})
        reserves = {
            asset: {**listed.get(asset, {}), **_renamed(values, fields)}
            for asset, values in by_asset.items()
        }
        return {**stated, "reserves": reserves}

    return terms


def _compound(by_asset: Mapping[str, Values], stated: Terms) -> Terms:
    """Return a Comet's terms; collaterals keep the order in which they are stated, or read."""
    listed = {each["asset"]: each for each in stated.get("collaterals", ())}
    order = [*(asset for asset in listed if asset in by_asset), *by_asset]
    whole = [_renamed(values, MARKET) for values in by_asset.values()]
    collaterals = [
        {**listed.get(asset, {}), "asset": asset, **_renamed(by_asset[asset], COLLATERAL)}
        for asset in dict.fromkeys(order)
    ]
    return {**stated, **whole[-1], "collaterals": collaterals}


def _maker(by_asset: Mapping[str, Values], stated: Terms) -> Terms:
    """Return the terms of a collateral type, which is of one asset."""
    (values,) = by_asset.values()
    return {**stated, **values}


SOURCES: Mapping[str, Source] = {
    "aave-v2": Source(read=aave.reserve_configs, terms=_aave(RESERVE)),
    "aave-v3": Source(read=aave.reserve_configs, terms=_aave({**RESERVE, **RESERVE_V3})),
    "compound-v3": Source(read=compound.parameters, terms=_compound),
    "maker": Source(read=maker.parameters, terms=_maker),
}
"""By venue."""


def dated(
    history: Sequence[Observed], terms_at: Callable[[datetime], Terms]
) -> Iterator[tuple[datetime, Terms]]:
    """Yield from when terms held, and the terms, as often as they changed."""
    before: Terms = {}
    for at in sorted({each.observed_at for each in history}):
        terms = terms_at(at)
        if terms != before:
            yield at, terms
        before = terms


def past_terms(
    file: Path, *, venue: str, of: str, stated: Terms
) -> Iterator[tuple[datetime, Terms]]:
    """Yield from when the terms of a market held, and the terms, as often as they changed.

    Parameters
    ----------
    file
        As the reader of the venue in `models.terms_history` takes it.
    venue
        One of `SOURCES`.
    of
        The market by the file's own name.
    stated
        What the file does not tell.

    Raises
    ------
    InvalidInput
        When there is no reader, the file cannot be read or knows nothing of the market, or two
        snapshots of one time contradict each other.
    """
    source = SOURCES.get(venue)
    if source is None:
        raise InvalidInput([Fault("venue", f"{venue} is not one of {', '.join(SOURCES)}")])
    try:
        observed = source.read(file)
    except (OSError, ValueError, KeyError) as error:
        raise unreadable(file, error) from None
    history = [each for each in observed if each.market == of]
    if not history:
        markets = ", ".join(sorted({each.market for each in observed}))
        raise InvalidInput([Fault(file.name, f"knows nothing of {of}; it knows {markets}")])
    if faults := list(_contradictions(history, file)):
        raise InvalidInput(faults)
    assets = list(dict.fromkeys(each.asset for each in history))

    def terms_at(at: datetime) -> Terms:
        by_asset = {a: in_force(history, market=of, asset=a, at=at) for a in assets}
        return source.terms({a: values for a, values in by_asset.items() if values}, stated)

    yield from dated(history, terms_at)


def unreadable(file: Path, error: Exception) -> InvalidInput:
    """Return why a reader did not take a file."""
    if isinstance(error, KeyError):
        return InvalidInput([Fault(file.name, f"there is no column {error.args[0]}")])
    return InvalidInput([Fault(file.name, str(error))])


def _contradictions(history: Iterable[Observed], file: Path) -> Iterator[Fault]:
    """Yield what is stated otherwise by two entries of one asset and time."""
    first: dict[tuple[str, datetime], Observed] = {}
    for each in history:
        other = first.setdefault((each.asset, each.observed_at), each)
        differing = [
            name
            for name in each.values.keys() & other.values.keys()
            if each.values[name] != other.values[name]
        ]
        if differing:
            when = f"{each.observed_at:%Y-%m-%d}"
            what = f"{each.source} and {other.source} differ in {', '.join(sorted(differing))}"
            yield Fault(f"{file.name}:{when}:{each.asset}", what)


def write(
    changes: Iterable[tuple[datetime, Terms]], whose: MarketId, *, version: str | None, url: str
) -> Added:
    """Write the terms of every change: all of them or none.

    Raises
    ------
    InvalidInput
        When the venue's rules cannot read them, or when the store holds others of the same
        moment.
    StoreRefused, StoreFailed
        When the store cannot be opened, or fails.
    """
    listed = list(changes)
    book = inputs.rulebook(whose.venue, version, "")
    for at, body in listed:
        terms_of(body, book, f"{at:%Y-%m-%dT%H:%M:%SZ}")
    opened = open_store(url)
    try:
        with opened.begin() as transaction:
            added = [
                market.push_terms(transaction, whose, body, valid_from=at) for at, body in listed
            ]
    finally:
        opened.close()
    return Added(
        written=sum(each.written for each in added), repeated=sum(each.repeated for each in added)
    )


def stated_terms(file: Path | None) -> Terms:
    """Return the terms that a user states in a JSON file; none where there is no file.

    Raises
    ------
    InvalidInput
        When it cannot be read, or is no object.
    """
    if file is None:
        return {}
    try:
        stated = json.loads(file.read_text(encoding="utf-8"), parse_float=str)
    except (OSError, ValueError) as error:
        raise InvalidInput([Fault(file.name, str(error))]) from None
    if not isinstance(stated, dict):
        raise InvalidInput([Fault(file.name, "is not an object")])
    return stated
