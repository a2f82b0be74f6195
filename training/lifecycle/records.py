"""Forecasts that were served and what became of their accounts, as the store remembers them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pandas as pd

from models.errors import ForewarnError

GROUP = "forewarn.records"
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class NoRecords(ForewarnError):  # noqa: N818 - named for what is found
    """Nothing that reads a store is installed beside the training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Forecasts and outcomes.

    Parameters
    ----------
    clock
        Up to when the store knows what happened.
    forecasts
        `account`, `at`, `model_version`, `role`, `unattended_1h` … `expected_7d`, `features`.
    liquidations
        `account` and `at` of every liquidation.
    """

    clock: datetime
    forecasts: pd.DataFrame
    liquidations: pd.DataFrame


def read(url: str, *, begin: datetime | None = None) -> Records:
    """Read a store's records from a moment on.

    Raises
    ------
    NoRecords
        When the service is not installed here.
    ForewarnError
        When the store refuses or fails.
    """
    return Records(**_contributed("store")(url, begin=begin or BEGINNING))


def note(url: str, line: Mapping[str, Any]) -> None:
    """Add a line to a store's audit log; raises as `read` does.

    Parameters
    ----------
    line
        `actor`, `action`, `subject`, `detail`.
    """
    _contributed("store")(url, begin=datetime.now(UTC), note=line)


def past(url: str, *, market: str, directory: Path) -> Path:
    """Write a market's past as files of the `events` source and return that of its candles.

    Raises as `read` does.
    """
    return Path(_contributed("past")(url, market=market, directory=directory))


def _contributed(name: str) -> Any:
    """Return a function that the service contributes."""
    entries = entry_points(group=GROUP, name=name)
    if not entries:
        raise NoRecords("no reader of stores is installed beside the training")
    return next(iter(entries)).load()
