"""What was last found of each model's drift."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from serving.store.engine import Transaction
from serving.store.rows import put
from serving.store.schema import DRIFT_REPORTS


def write(transaction: Transaction, version: str, body: Mapping[str, Any], *, at: datetime) -> None:
    """Let a report stand for a model."""
    put(transaction, DRIFT_REPORTS, [{"model_version": version, "at": at, "body": dict(body)}])


def read(transaction: Transaction, version: str) -> tuple[datetime, dict[str, Any]] | None:
    """Return the report of a model and when it was made; None before the first."""
    chosen = sa.select(DRIFT_REPORTS).where(DRIFT_REPORTS.c.model_version == version)
    row = transaction.execute(chosen).first()
    return None if row is None else (row.at, row.body)
