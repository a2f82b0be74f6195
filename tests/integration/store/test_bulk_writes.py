"""Many rows at once: on PostgreSQL by COPY, and the same rows as one statement at a time writes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from serving.schemas.stored import Assessed
from serving.store import Store, StoreFailed, accounts, assessments, rows
from serving.store.schema import ACCOUNTS, ASSESSMENTS, LATEST_ASSESSMENTS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MANY = 1500


def vault(place: int, owner: str) -> dict[str, Any]:
    """Return an account whose texts are hard to carry."""
    legs = [{"kind": "collateral", "asset": "ETH", "quantity": str(10**30 + place)}]
    name = f"a\t{place}\\N\n'\"🙂"
    return {"id": name, "venue": "maker", "market": "ETH-B", "owner": owner, "legs": legs}


def said(place: int, hour: int) -> Assessed:
    """Return an assessment with and without figures."""
    return Assessed(
        account=vault(place, "")["id"],
        at=NOW + timedelta(hours=hour),
        verdict="safe",
        ratio=None if place % 7 == 0 else 1 / (place + 1),
        degraded=("price_stale",) if place % 3 == 0 else (),
        body={"text": "tab\t, back \\ and 🙂", "place": place, "none": None},
    )


def written(store: Store, monkeypatch: pytest.MonkeyPatch, *, bulk: int) -> list[list[Any]]:
    """Return the rows of a book that was written, and in part written over, from `bulk` rows on."""
    monkeypatch.setattr(rows, "BULK", bulk)
    copies: list[str] = []
    inner = rows._copy  # noqa: SLF001 - what is counted

    def counted(*asked: Any) -> None:
        copies.append(asked[1].name)
        inner(*asked)

    monkeypatch.setattr(rows, "_copy", counted)
    with store.begin() as transaction:
        for owner in ("ann", "bob"):  # twice in one transaction: the second is written over
            bodies = [vault(place, owner) for place in range(MANY)]
            accounts.upsert(transaction, bodies, at=NOW, now=NOW)
        for hour in (1, 0, 2):
            part = [said(place, hour) for place in range(hour, MANY)]
            assessments.write(transaction, part, now=NOW + timedelta(hours=3))
    monkeypatch.undo()
    is_copied = bulk <= MANY and store.dialect == "postgresql"
    assert bool(copies) == is_copied
    assert not is_copied or {"accounts", "assessments", "latest_assessments"} <= set(copies)
    with store.read() as transaction:
        return [
            sorted(map(tuple, transaction.execute(sa.select(table))), key=repr)
            for table in (ACCOUNTS, ASSESSMENTS, LATEST_ASSESSMENTS)
        ]


def test_rows_written_in_bulk_are_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, whatever their texts hold; what gives way to nothing stays."""
    copied = written(store, monkeypatch, bulk=MANY - 10)
    with store.begin() as transaction:
        for table in (LATEST_ASSESSMENTS, ASSESSMENTS):
            transaction.execute(sa.delete(table))
    plain = written(store, monkeypatch, bulk=10 * MANY)
    assert copied == plain
    assert [len(part) for part in copied] == [MANY, 3 * MANY - 3, MANY]
    names = LATEST_ASSESSMENTS.c.keys()
    newest = {row[names.index("account")]: row[names.index("at")] for row in copied[2]}
    assert newest[vault(1, "")["id"]] == NOW + timedelta(hours=1)
    assert newest[vault(2, "")["id"]] == NOW + timedelta(hours=2)


def test_a_bulk_that_fails_leaves_nothing(store: Store) -> None:
    """A row that the table refuses undoes all of them, and the store goes on."""
    with pytest.raises(StoreFailed), store.begin() as transaction:
        rows.put(
            transaction,
            ACCOUNTS,
            [{"account": f"a/{place}", "venue": None, "market": "m"} for place in range(MANY)],
        )
    with store.begin() as transaction:
        assert accounts.keys(transaction) == []
        accounts.upsert(transaction, [vault(1, "ann")], at=NOW, now=NOW)
