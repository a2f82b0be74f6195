"""What every bundle in use said of accounts, and what became of them: the gate's evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from models.events import EventKind
from models.horizons import PROBABILITIES
from serving.store.columns import EPOCH
from serving.store.engine import Transaction
from serving.store.rows import put
from serving.store.schema import EVENTS, FORECASTS, LIQUIDATIONS

if TYPE_CHECKING:
    import pandas as pd

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
) -> "pd.DataFrame":
    """Return the forecasts of [begin, end), a column per probability, oldest first."""
    chosen = sa.select(FORECASTS).where(FORECASTS.c.at >= begin)
    if end is not None:
        chosen = chosen.where(FORECASTS.c.at < end)
    ordered = chosen.order_by(FORECASTS.c.at, FORECASTS.c.account, FORECASTS.c.model_version)
    return _frame(transaction, ordered)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What champion and challenger said of the same accounts at the same moments.

    Parameters
    ----------
    pairs
        Accounts and moments of which both said something.
    champion, challenger
        Sums of their probabilities, by name of `models.horizons.PROBABILITIES`.
    apart
        Mean absolute difference between both, likewise.
    """

    pairs: int
    champion: Mapping[str, float]
    challenger: Mapping[str, float]
    apart: Mapping[str, float]


def beside(transaction: Transaction, champion: str, challenger: str, *, begin: datetime) -> Pair:
    """Return what two bundles said from a moment on where both were asked."""
    first, second = FORECASTS.alias("first"), FORECASTS.alias("second")
    same = sa.and_(first.c.account == second.c.account, first.c.at == second.c.at)
    columns = [sa.func.count().label("pairs")]
    for name in PROBABILITIES:
        left, right = first.c[name], second.c[name]
        columns += [
            sa.func.sum(left).label(f"champion {name}"),
            sa.func.sum(right).label(f"challenger {name}"),
            sa.func.avg(sa.func.abs(left - right)).label(f"apart {name}"),
        ]
    chosen = sa.select(*columns).select_from(first.join(second, same))
    chosen = chosen.where(
        first.c.model_version == champion,
        second.c.model_version == challenger,
        first.c.at >= begin,
    )
    row = transaction.execute(chosen).mappings().one()

    def part(what: str) -> dict[str, float]:
        return {name: row[f"{what} {name}"] or 0.0 for name in PROBABILITIES}

    return Pair(
        pairs=row["pairs"],
        champion=part("champion"),
        challenger=part("challenger"),
        apart=part("apart"),
    )


def liquidations(transaction: Transaction) -> "pd.DataFrame":
    """Return `account` and `at` of every liquidation, told as events or by a venue's log."""
    selections = [
        sa.select(EVENTS.c.account, EVENTS.c.at).where(EVENTS.c.kind == LIQUIDATED),
        sa.select(LIQUIDATIONS.c.account, LIQUIDATIONS.c.at),
    ]
    return _frame(transaction, sa.union(*selections).order_by("at", "account"))


def _frame(transaction: Transaction, chosen: sa.Executable) -> "pd.DataFrame":
    """Return rows as a frame with UTC times."""
    import pandas as pd  # noqa: PLC0415 - a service answers without it

    result = transaction.execute(chosen)
    rows: list[Any] = list(result.mappings())
    frame = pd.DataFrame(rows, columns=list(result.keys()))
    return frame.assign(at=pd.to_datetime(frame["at"], utc=True))
