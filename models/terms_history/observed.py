"""What was in force when: dated observations of risk parameters, and how they combine.

Each reader beside this module takes a path and returns what was observed, as plain mappings
of parameter name to integer or rational. A file that is dated by day only counts from the
end of that day, so that nothing is used before it was known.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from models.domain import Exact

Bracket = Mapping[str, Exact]
Values = Mapping[str, Exact | tuple[Bracket, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was in force for one asset of one market.

    Parameters
    ----------
    market, asset
        The venue's own names.
    observed_at
        Aware UTC time from which it may be used.
    values
        Parameter name to value in the venue's scale; what the source leaves open is absent.
    source
        Where it was read.
    """

    market: str
    asset: str
    observed_at: datetime
    values: Values
    source: str


def in_force(history: Iterable[Observed], *, market: str, asset: str, at: datetime) -> Values:
    """Return the values known at `at`, later observations over earlier ones.

    Empty when nothing was known yet.
    """
    earlier = [
        entry
        for entry in history
        if entry.market == market and entry.asset == asset and entry.observed_at <= at
    ]
    merged: dict[str, Exact | tuple[Bracket, ...]] = {}
    for entry in sorted(earlier, key=lambda entry: entry.observed_at):
        merged |= entry.values
    return merged


def end_of_day(day: str | date) -> datetime:
    """Return the moment from which something dated by day only is certainly known."""
    parsed = date.fromisoformat(day) if isinstance(day, str) else day
    midnight = datetime(parsed.year, parsed.month, parsed.day, tzinfo=UTC)
    return midnight + timedelta(days=1)


def exact(text: str) -> Fraction:
    """Return a decimal string as a rational, without a float in between."""
    return Fraction(Decimal(text))


def scaled(text: str, scale: int) -> int:
    """Return a decimal string at an integer scale.

    Raises
    ------
    ValueError
        When the scale cannot hold it.
    """
    value = exact(text) * scale
    if value.denominator != 1:
        raise ValueError(f"{text} has more digits than a scale of {scale} holds")
    return value.numerator


def rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file as text."""
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)
