"""What every bundle in use said of accounts, and what became of them: the gate's evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa

from models.events import EventKind
from serving.store.columns import EPOCH
from serving.store.engine import Transaction
from serving.store.rows import put
from serving.store.schema import EVENTS, FORECASTS, LIQUIDATIONS

LIQUIDATED = EventKind.LIQUIDATE.name.lower()
"""Kind of the event that is a liquidation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedForecast:
    """What one bundle said of one account at one moment, the rule left out.

    Parameters
    ----------
    role
        `champion` or `challenger`, at that moment.
    probabilities
        One per name of `models.horizons.PROBABILITIES`.
    features
        By name; None where another forecast of the same moment has them.
    """

    account: str
    at: datetime
    model_version: str
    role: str
    probabilities: Mapping[str, float]
    features: dict[str, float | None] | None = None


def write(transaction: Transaction, forecasts: Sequence[ServedForecast]) -> None:
    """Write forecasts; the same bundle on the same account and moment is one forecast."""
    put(transaction, FORECASTS, [_row(forecast) for forecast in forecasts])


def _row(forecast: ServedForecast) -> dict[str, Any]:
    """Return a forecast as a row, a column per probability."""
    return {
        "account": forecast.account,
        "at": forecast.at,
        "model_version": forecast.model_version,
        "role": forecast.role,
        **forecast.probabilities,
        "features": forecast.features,
    }


def read(
    transaction: Transaction, *, begin: datetime = EPOCH, end: datetime | None = None
) -> pd.DataFrame:
    """Return the forecasts of [begin, end), a column per probability, oldest first."""
    chosen = sa.select(FORECASTS).where(FORECASTS.c.at >= begin)
    if end is not None:
        chosen = chosen.where(FORECASTS.c.at < end)
    ordered = chosen.order_by(FORECASTS.c.at, FORECASTS.c.account, FORECASTS.c.model_version)
    return _frame(transaction, ordered)


def liquidations(transaction: Transaction) -> pd.DataFrame:
    """Return `account` and `at` of every liquidation, told as events or by a venue's log."""
    selections = [
        sa.select(EVENTS.c.account, EVENTS.c.at).where(EVENTS.c.kind == LIQUIDATED),
        sa.select(LIQUIDATIONS.c.account, LIQUIDATIONS.c.at),
    ]
    return _frame(transaction, sa.union(*selections).order_by("at", "account"))


def _frame(transaction: Transaction, chosen: sa.Executable) -> pd.DataFrame:
    """Return rows as a frame with UTC times."""
    result = transaction.execute(chosen)
    rows: list[Any] = list(result.mappings())
    frame = pd.DataFrame(rows, columns=list(result.keys()))
    return frame.assign(at=pd.to_datetime(frame["at"], utc=True))
