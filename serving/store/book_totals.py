"""The whole book in sum, as the watch wrote it with the states that it belongs to."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

import sqlalchemy as sa

from serving.store.engine import Transaction
from serving.store.leases import WHOLE_BOOK, Part, named
from serving.store.rows import put
from serving.store.schema import ACCOUNTS, BOOK_SUMS

WHOLE = "whole"
SUMS = 6
"""Figures at the end of a row of sums: accounts, four amounts as text, accounts without a value."""

MOST_NAMED = 100
"""Accounts without a judgement that are named."""


def write(
    transaction: Transaction, body: Mapping[str, Any], *, at: datetime, part: Part = WHOLE_BOOK
) -> None:
    """Let a sum stand for a part of the book."""
    put(transaction, BOOK_SUMS, [{"name": part.of(WHOLE), "at": at, "body": dict(body)}])


def forget_other_parts(transaction: Transaction, part: Part) -> None:
    """Remove the sums of a book that was divided into another number of parts."""
    is_other = BOOK_SUMS.c.name.not_in(part.names(WHOLE))
    transaction.execute(sa.delete(BOOK_SUMS).where(named(WHOLE, BOOK_SUMS.c.name), is_other))


def read(transaction: Transaction) -> tuple[datetime, dict[str, Any]] | None:
    """Return the sum of the book and when it was written; None before every part has one."""
    rows = transaction.execute(sa.select(BOOK_SUMS).where(named(WHOLE, BOOK_SUMS.c.name))).all()
    if not rows:
        return None
    _, _, of = str(rows[0].name).partition("of")
    if len(rows) != int(of or 1):
        return None
    return min(row.at for row in rows), merged([row.body for row in rows])


def merged(bodies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sum of a book from those of its parts; amounts stay exact."""
    if len(bodies) == 1:
        return dict(bodies[0])
    chances: dict[str, dict[str, Any]] = {}
    for body in bodies:
        for venue, sums in body["chances"].items():
            before = chances.get(venue, dict.fromkeys(sums, 0))
            chances[venue] = {name: before[name] + value for name, value in sums.items()}
    return {
        "oldest_at": min(body["oldest_at"] for body in bodies),
        "unjudged": sorted(name for body in bodies for name in body["unjudged"])[:MOST_NAMED],
        "unjudged_count": sum(body["unjudged_count"] for body in bodies),
        "shocks": _rows(row for body in bodies for row in body["shocks"]),
        "bands": _rows(row for body in bodies for row in body["bands"]),
        "chances": dict(sorted(chances.items())),
    }


def _rows(rows: Iterable[list[Any]]) -> list[list[Any]]:
    """Return rows of sums with those of one key added up."""
    by_key: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        key, (accounts, *amounts, unvalued) = tuple(row[:-SUMS]), row[-SUMS:]
        before = by_key.get(key)
        if before is None:
            by_key[key] = row[-SUMS:]
            continue
        added = [str(Fraction(a) + Fraction(b)) for a, b in zip(before[1:-1], amounts, strict=True)]
        by_key[key] = [before[0] + accounts, *added, before[-1] + unvalued]
    return [[*key, *sums] for key, sums in sorted(by_key.items())]


def size(transaction: Transaction) -> int:
    """Return how many accounts the store knows."""
    return int(transaction.execute(sa.select(sa.func.count()).select_from(ACCOUNTS)).scalar_one())
