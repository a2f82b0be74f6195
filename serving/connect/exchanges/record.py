"""From readings of an exchange to the store: one transaction a reading, nothing written twice."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from models.domain import MarketId, Price
from serving.connect.exchanges.checks import Judged, body_of
from serving.connect.exchanges.reading import STALE_SECONDS, Snapshot, market_of, price
from serving.store import Store, Transaction, accounts, connections, market, venue_accounts
from serving.store.connections import StoredBlock
from serving.store.venue_accounts import VenueAccount

STALE_AFTER = timedelta(seconds=STALE_SECONDS)
RENEWED_EVERY = timedelta(seconds=60)
"""After which a mark that did not move is written again, as one that was read again."""

LEAST_MOVE = Fraction(1, 1000)
"""Share by which a figure of a market's state moves before it is written again."""

Quotes = dict[tuple[MarketId, str], Price]
Marked = dict[tuple[str, str], tuple[Fraction, datetime]]
"""Marks by quote and instrument, each with the time at which it was told."""


def write(
    store: Store,
    name: str,
    venue: str,
    snapshot: Snapshot,
    judged: Sequence[Judged],
    status: Mapping[str, Any],
    *,
    now: datetime,
) -> None:
    """Write a reading, all of it or nothing.

    What a connection had and the exchange no longer tells of is closed: it holds nothing.
    """
    with store.begin() as transaction:
        for quote, body in snapshot.terms.items():
            _write_terms(transaction, market_of(name, quote, venue), body, at=snapshot.at)
        for quote, values in snapshot.state.items():
            _write_state(transaction, market_of(name, quote, venue), values, at=snapshot.at)
        before = {each.account for each in venue_accounts.of_connection(transaction, name)}
        present = {each.account.id for each in judged}
        _write_accounts(transaction, judged, sorted(before - present), at=snapshot.at, now=now)
        rows = [
            VenueAccount(
                account=each.account.id,
                connection=name,
                read_at=snapshot.at,
                refused=each.refused,
                figures=[asdict(figure) for figure in each.figures],
            )
            for each in judged
        ]
        closed = [
            VenueAccount(
                account=account, connection=name, read_at=snapshot.at, refused=None, figures=[]
            )
            for account in before - present
        ]
        venue_accounts.write(transaction, [*rows, *closed])
        checks = {each.account.id: each.differences for each in judged}
        checks.update({account: [] for account in before - present})
        connections.write_checks(transaction, name, checks, block=moment(snapshot.at))
        connections.note_status(transaction, name, status, now=now)


def moment(at: datetime) -> StoredBlock:
    """Return a reading in the place of a block: numbered by its milliseconds since 1970."""
    return StoredBlock(number=int(at.timestamp() * 1000), hash="", parent="", at=at)


def _write_terms(
    transaction: Transaction, whose: MarketId, body: Mapping[str, Any], *, at: datetime
) -> None:
    """Write terms where they changed; of an instrument no longer held they stay."""
    standing = market.terms(transaction, at=at).get(whose)
    before: Mapping[str, Any] = {} if standing is None else standing[0]
    laid = {
        name: {**before.get(name, {}), **part} if isinstance(part, dict) else part
        for name, part in body.items()
    }
    if before != laid:
        market.push_terms(transaction, whose, laid, valid_from=at)


def _write_state(
    transaction: Transaction, whose: MarketId, values: Mapping[str, int], *, at: datetime
) -> None:
    """Write of a market's state what moved by more than it may."""
    before = market.state(transaction, at=at, markets=[whose]).get(whose, {})
    moved = {
        name: value
        for name, value in values.items()
        if name not in before or abs(value - before[name]) > before[name] * LEAST_MOVE
    }
    market.push_state(transaction, whose, moved, at=at)


def _write_accounts(
    transaction: Transaction,
    judged: Sequence[Judged],
    closed: Sequence[str],
    *,
    at: datetime,
    now: datetime,
) -> None:
    """Write what accounts hold where it changed."""
    names = [each.account.id for each in judged]
    stored = accounts.read(transaction, [*names, *closed])
    bodies = []
    for each in judged:
        body = body_of(each.account, each.owner)
        before = stored.get(each.account.id)
        if before is None or any(before[part] != body[part] for part in ("legs", "options")):
            bodies.append(body)
    for name in closed:
        before = stored.get(name)
        if before is not None and before["legs"]:
            identity = {part: before[part] for part in ("id", "venue", "version", "market")}
            bodies.append({**identity, "chain": before.get("chain", ""), "legs": [], "options": {}})
    accounts.upsert(transaction, bodies, at=at, now=now)


def quotes_of(marks: Marked, name: str, venue: str) -> Quotes:
    """Return marks by market and instrument as the store takes them.

    Each keeps the time at which it was told: one that is not told anew grows old.
    """
    return {
        (market_of(name, quote, venue), instrument): price(
            mark, at=at, source=f"{venue} mark", stale_after=STALE_AFTER
        )
        for (quote, instrument), (mark, at) in marks.items()
    }


def is_due(before: Price | None, now: Price) -> bool:
    """Return whether a mark is to be written: it moved, or was written long ago."""
    if before is None or before.exact != now.exact:
        return True
    return now.observed_at - before.observed_at >= RENEWED_EVERY


def write_quotes(store: Store, quotes: Quotes, *, now: datetime) -> None:
    """Write marks."""
    if quotes:
        with store.begin() as transaction:
            market.push_quotes(
                transaction,
                [(whose, asset, each) for (whose, asset), each in quotes.items()],
                now=now,
            )
