"""One table of words per language: `en.toml` is whole, the others may lack what English tells.

A language more is one file, beside these or in the directory that `FOREWARN_WORDS` names.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, ROUND_UP, Decimal, localcontext
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

HERE = Path(__file__).parent
FALLBACK = "en"
DIRECTORY = "FOREWARN_WORDS"
"""Names a directory of further tables; one of a language that ships takes its place."""

UNKNOWN = "–"
ALMOST = 0.9995
CERTAINLY = 0.995
DIGITS = 6
"""Significant digits of an amount."""

MONEY = 2
"""Decimals that an amount has at least."""

_SHORT = re.compile(r"-?\d{1,5}(\.\d{1,5})?\Z")
_LABEL = re.compile(r"(\d+)([a-z]+)\Z")
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "min": 60, "s": 1}

PERCENT_RATIOS = frozenset(
    {
        "Margin Ratio",
        "collateralization",
        "collateralization_ratio",
        "equity/notional",
        "equity_percentage",
        "icr",
        "maintenance margin / account value",
        "remainingCollateralUsd/sizeInUsd",
    }
)
"""Ratios of venues that people say in per cent."""

MOST_SENTENCES = 2**12
"""Whose table is looked up once: more than every language's table holds together."""

Exact = int | str | Fraction
THOUSAND = 3
"""Characters of a whole number in which no mark parts thousands."""


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """How one language says things; one object per table, so that what it said can be kept.

    Parameters
    ----------
    language
        Two letters.
    table, fallback
        Its words by group and name, and the English ones.
    decimal, thousands
        The marks in its numbers.
    """

    language: str
    table: Mapping[str, Any]
    fallback: Mapping[str, Any]
    decimal: str
    thousands: str

    def say(self, key: str, /, **values: object) -> str:
        """Return a sentence with its gaps filled.

        Parameters
        ----------
        key
            Group and name, such as `plan.best`.
        """
        return _sentence(self, key).format_map(values)

    def word(self, group: str, code: str) -> str:
        """Return what a code means; one without a word is read as it is written."""
        for table in (self.table, self.fallback):
            meaning = table.get(group, {}).get(code)
            if meaning is not None:
                return str(meaning)
        return code.replace("_", " ")

    def has(self, group: str, code: str) -> bool:
        """Return whether this language, not English in its place, has a word for a code."""
        return code in self.table.get(group, {})

    def knows(self, group: str, name: str) -> bool:
        """Return whether a sentence can be said, in English if need be."""
        return name in self.fallback.get(group, {})

    def ratio(self, name: str, value: Exact | float) -> str:
        """Return a venue's ratio, as a percentage where people say it so.

        >>> english().ratio("Margin Ratio", "37429/955250"), english().ratio("health", "1.2011")
        ('3.9182 %', '1.2011')
        """
        exact = value if isinstance(value, float) else float(Fraction(value))
        if name in PERCENT_RATIOS:
            return f"{self.number(100.0 * exact)} %"
        return self.number(exact)

    def amount(self, value: Exact, *, up: bool = False) -> str:
        """Return a number with thousands parted, two decimals at least and six digits.

        Parameters
        ----------
        up
            Whether it is rounded away from zero: what must be paid at least is not told short.

        >>> english().amount("2152.141777"), english().amount("0.000512346789", up=True)
        ('2,152.14', '0.000512347')
        """
        exact = Fraction(value)
        with localcontext(prec=120):
            decimal = Decimal(exact.numerator) / Decimal(exact.denominator)
            places = max(MONEY, DIGITS - 1 - decimal.adjusted()) if decimal else MONEY
            step = Decimal(1).scaleb(-places)
            rounded = decimal.quantize(step, rounding=ROUND_UP if up else ROUND_HALF_EVEN)
        whole, _, rest = f"{rounded:,.{places}f}".partition(".")
        return self._written(whole, rest[:MONEY] + rest[MONEY:].rstrip("0"))

    def number(self, value: float | str) -> str:
        """Return a number with five significant digits, or fewer where text has fewer."""
        text = value if isinstance(value, str) and _SHORT.match(value) else _five(value)
        if "e" in text:
            return text
        whole, _, rest = text.partition(".")
        if len(whole) > THOUSAND:
            whole, _, rest = f"{Decimal(text):,f}".partition(".")
        return self._written(whole, rest)

    def whole(self, value: float) -> str:
        """Return a number without its decimals, thousands parted."""
        return self._written(f"{value:,.0f}", "")

    def percent(self, share: float | None, *, digits: int = 2) -> str:
        """Return a share as a percentage; what is almost certain is not told as certain."""
        if share is None:
            return UNKNOWN
        if ALMOST <= share < 1.0:
            return f"≥ {self.number(100.0 * ALMOST)} %"
        if CERTAINLY <= share <= 1.0:
            return "100 %"
        return f"{self.number(float(f'{100.0 * share:.{digits}g}'))} %"

    def move(self, exact: Exact) -> str:
        """Return how far a price moves, its sign left out, with three digits."""
        return f"{self.number(float(f'{abs(100.0 * float(Fraction(exact))):.3g}'))} %"

    def span(self, length: timedelta) -> str:
        """Return a length of time in its two largest units.

        >>> english().span(timedelta(hours=27, minutes=5))
        '1 day 3 hours'
        """
        seconds = max(0, int(length.total_seconds()))
        parts = (
            ("day", seconds // 86_400),
            ("hour", seconds // 3_600 % 24),
            ("minute", seconds // 60 % 60),
        )
        first = next((place for place, (_, count) in enumerate(parts) if count), None)
        if first is None:
            return self.counted("second", seconds)
        shown = [(unit, count) for unit, count in parts[first : first + 2] if count]
        return " ".join(self.counted(unit, count) for unit, count in shown)

    def label(self, text: str) -> str:
        """Return a horizon or a limit in words: `24h`, `7d`; other text as it is."""
        match = _LABEL.match(text)
        if match is None or match[2] not in _UNITS:
            return text
        seconds = int(match[1]) * _UNITS[match[2]]
        if seconds < 2 * _UNITS["d"]:
            hours, rest = divmod(seconds, _UNITS["h"])
            if hours and not rest:
                return self.counted("hour", hours)
        return self.span(timedelta(seconds=seconds))

    def time(self, at: datetime | str | None, zone: str = "UTC") -> str:
        """Return a moment by a clock, with UTC beside one that is not UTC.

        Text that is no moment is returned as it is.

        >>> english().time("2030-03-17T12:05:31+00:00", "Europe/Berlin")
        '17 March 2030, 13:05 CET (12:05 UTC)'
        """
        if at is None:
            return UNKNOWN
        try:
            moment = datetime.fromisoformat(at) if isinstance(at, str) else at
        except ValueError:
            return str(at)
        utc = moment.astimezone(UTC)
        local = moment.astimezone(ZoneInfo(zone))
        clock = f"{self._day(local)}, {local:%H:%M}"
        if local.utcoffset() == timedelta(0):
            return f"{clock} UTC"
        beside = f"{utc:%H:%M}" if utc.date() == local.date() else f"{self._day(utc)}, {utc:%H:%M}"
        return f"{clock} {local.tzname()} ({beside} UTC)"

    def _day(self, at: datetime) -> str:
        """Return a date."""
        months = self.table.get("format", {}).get("months", self.fallback["format"]["months"])
        return self.say("format.date", day=at.day, month=months[at.month - 1], year=at.year)

    def counted(self, unit: str, count: int) -> str:
        """Return a number of units."""
        name = self.say("unit.one_" + unit) if count == 1 else self.say("unit.many_" + unit)
        return f"{count} {name}"

    def _written(self, whole: str, rest: str) -> str:
        """Return a number with the marks of this language."""
        if "," in whole:
            whole = whole.replace(",", self.thousands)
        return f"{whole}{self.decimal}{rest}" if rest else whole


@lru_cache(maxsize=MOST_SENTENCES)
def _sentence(words: Words, key: str) -> str:
    """Return a sentence with its gaps."""
    group, _, name = key.partition(".")
    for table in (words.table, words.fallback):
        sentence = table.get(group, {}).get(name)
        if sentence is not None:
            return str(sentence)
    raise KeyError(key)


def _five(value: float | str) -> str:
    """Return a number with five significant digits."""
    return f"{value if isinstance(value, float) else float(Fraction(value)):.5g}"


def languages() -> tuple[str, ...]:
    """Return the languages there are tables for."""
    return _languages(_folders())


@cache
def _languages(folders: tuple[Path, ...]) -> tuple[str, ...]:
    """Return the languages there are tables for in some folders, looked for once."""
    return tuple(sorted({file.stem for folder in folders for file in folder.glob("*.toml")}))


def words(language: str) -> Words:
    """Return how a language says things; English where there is no table for it."""
    for folder in _folders():
        if language.isalpha() and (file := folder / f"{language}.toml").is_file():
            return _read(file)
    return english()


@cache
def english() -> Words:
    """Return how English says things: what programs print and the API answers."""
    return _read(HERE / f"{FALLBACK}.toml")


def _folders() -> tuple[Path, ...]:
    """Return where tables are looked for, the first first."""
    more = os.environ.get(DIRECTORY)
    return (Path(more), HERE) if more else (HERE,)


@cache
def _read(file: Path) -> Words:
    """Return the words of a file."""
    fallback = tomllib.loads((HERE / f"{FALLBACK}.toml").read_text(encoding="utf-8"))
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    marks = {**fallback["format"], **table.get("format", {})}
    return Words(file.stem, table, fallback, marks["decimal"], marks["thousands"])
