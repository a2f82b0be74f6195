"""What the newest forecast of the whole book says, as alerts and breakers look at it."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from models.alerting.signals import BookFigures
from models.book.scenarios import Method
from serving.store import Transaction, book_forecasts
from serving.store.book_forecasts import BookForecastRow

FRESH = timedelta(hours=26)
"""Age beyond which a forecast says nothing of now: one a day, and time to run it."""


def book_figures(transaction: Transaction, *, at: datetime) -> BookFigures | None:
    """Return what is forecast of the whole book; None where no forecast is fresh."""
    row = _newest(transaction, at=at)
    if row is None or row.body is None:
        return None
    return BookFigures(
        losses=dict(_losses(row.body["horizons"])),
        reproduction=tuple((-point["shock"], point["reproduction"]) for point in row.body["curve"]),
    )


def liquidated_since(transaction: Transaction, *, at: datetime) -> float:
    """Return USD that accounts liquidated since the newest forecast owed at it; 0 without one."""
    row = _newest(transaction, at=at)
    if row is None or row.body is None:
        return 0.0
    fell = book_forecasts.liquidated(transaction, after=row.at, until=at)
    return sum(row.body["debts"].get(account, 0.0) for account in fell)


def _newest(transaction: Transaction, *, at: datetime) -> BookForecastRow | None:
    rows = book_forecasts.newest(transaction, limit=1, since=at - FRESH, until=at)
    return rows[0] if rows else None


def _losses(
    horizons: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[tuple[str, str, str, str], float]]:
    """Yield every loss of the method that counts, by what it is."""
    for horizon, methods in horizons.items():
        for owners, answer in methods[Method.STRESSED.value].items():
            for kind, name in (("lar", "liquidated"), ("bad_debt", "bad_debt")):
                yield (kind, horizon, owners, "mean"), answer[f"mean_{name}"]
                for item in answer[name]:
                    yield (kind, horizon, owners, f"{item['level']:g}"), item["value"]
