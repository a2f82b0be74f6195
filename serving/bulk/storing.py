"""The results of a book laid into a store that knows its accounts."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from pyarrow import parquet as pq

from features.places import place
from models.errors import Fault, InvalidTable
from serving.bulk.results import STANDING
from serving.bulk.run import Ready
from serving.evaluation.records import record, record_of_nothing
from serving.schemas.assessment import Assessment
from serving.schemas.stored import Assessed
from serving.store import Store, Transaction, accounts, assessments, open_store

REFUSED = "not_evaluable"
"""Why nothing is known of a row that could not be judged, as the watch says it too."""

UNKEPT = {"features": None, "request_id": "", "reasons": ()}
"""What the numbers of an assessment do not rest on."""


def keep(ready: Ready, url: str, *, now: datetime) -> None:
    """Write the assessments of a scored book into a store, part by part; again is the same.

    Raises
    ------
    InvalidTable
        Listing the accounts of a part that the store does not know; parts before it are written.
    StoreRefused, StoreFailed
        When the store cannot be opened, or fails.
    """
    store: Store = open_store(url)
    try:
        for part in ready.parts:
            rows = pq.read_table(ready.job.out / part.name).to_pylist()
            with store.begin() as transaction:
                _refuse_unknown(transaction, rows)
                assessed = [_assessed(row, ready.job.around.at) for row in rows]
                assessments.write(transaction, assessed, now=now)
    finally:
        store.close()


def _refuse_unknown(transaction: Transaction, rows: list[dict[str, Any]]) -> None:
    """Refuse rows of accounts that the store does not know.

    Raises
    ------
    InvalidTable
        Listing every one.
    """
    stored = accounts.owners(transaction, [row["account"] for row in rows if row["account"]])
    faults = [
        Fault(
            place(row["file"], "account", row["row"] - 1),
            f"the store knows no account {row['account']!r:.80}",
        )
        for row in rows
        if row["account"] not in stored
    ]
    if faults:
        raise InvalidTable(faults)


def _assessed(row: dict[str, Any], at: datetime) -> Assessed:
    """Return a row as the store keeps it, without the whole answer."""
    if row["errors"] is not None:
        return record_of_nothing(row["account"], at=at, reason=REFUSED)
    names = Assessment.__struct_fields__
    said = {name: row[name] for name in names if name in row} | UNKEPT
    stands = {name: row[name] for name in STANDING.names}
    return replace(record(msgspec.convert(said, Assessment)), body=None, **stands)
