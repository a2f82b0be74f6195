"""What a field of a body may hold: exact amounts, times and names."""

import re
from datetime import UTC, datetime
from fractions import Fraction
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from serving.schemas.market_names import MOST_CHAIN

MOST_UNITS = 10**48
"""Smallest units an amount must stay below: 10^30 whole units of 18 decimals."""


_WORD = 2**256
_DECIMAL = re.compile(r"[+-]?[0-9]{1,80}(?:\.[0-9]{1,40})?")
_INTEGER = re.compile(r"-?[0-9]{1,120}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
    r"([Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(2200, 1, 1, tzinfo=UTC)


def exact(value: object) -> Fraction:
    """Return an exact amount of an integer or a decimal string."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        type_name = type(value).__name__
        raise ValueError(  # noqa: TRY004 - pydantic collects ValueError
            f"an exact amount is a decimal string or an integer, not {type_name}"
        )
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise ValueError(f"{value[:40]!r} is not a decimal of at most 80 and 40 digits")
    amount = Fraction(int(value) if isinstance(value, int) or value.isdecimal() else value)
    if abs(amount.numerator) >= MOST_UNITS * amount.denominator:
        raise ValueError(f"{str(value)[:60]} is beyond 10^30 whole units of 18 decimals")
    return amount


def _positive(value: Fraction) -> Fraction:
    """Refuse a price that is not positive: a missing price is left out, never 0."""
    if value.numerator <= 0:
        raise ValueError(f"{value} is not above 0")
    return value


def _signed(value: object) -> int:
    """Return a whole number of an integer or a string of digits."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        type_name = type(value).__name__
        raise ValueError(  # noqa: TRY004 - pydantic collects ValueError
            f"an exact integer is a string of digits or an integer, not {type_name}"
        )
    if isinstance(value, str) and not _INTEGER.fullmatch(value):
        raise ValueError(f"{value[:40]!r} is not an integer")
    whole = int(value)
    if not -_WORD < whole < _WORD:
        raise ValueError(f"{str(whole)[:90]} is outside (-2^256, 2^256)")
    return whole


def _integer(value: object) -> int:
    """Return a whole number of an integer or a string of digits, within a uint256."""
    whole = _signed(value)
    if whole < 0:
        raise ValueError(f"{str(whole)[:90]} is outside [0, 2^256)")
    return whole


def _text_time(value: object) -> object:
    """Refuse times that are not ISO 8601 text: a number, or digits alone, say no unit."""
    if not isinstance(value, str):
        raise ValueError(f"a time is ISO 8601 text, not {type(value).__name__}")  # noqa: TRY004
    if not _TIME.fullmatch(value):
        raise ValueError(f"{value[:40]!r} is no time such as 2026-01-31T23:59:59Z")
    return value


def _utc(value: datetime) -> datetime:
    """Return a time in UTC, within sane years."""
    if not FIRST <= value < LAST:
        raise ValueError(f"{value.isoformat()} is outside [1970, 2200)")
    return value.astimezone(UTC)


_AMOUNT = {"type": "string", "pattern": r"^[+-]?[0-9]{1,80}(\.[0-9]{1,40})?$"}
_WHOLE = {"type": "string", "pattern": r"^[0-9]{1,78}$"}
MOST_PLACES = 40
"""Digits behind the point of an exact amount."""


def _decimal(value: Fraction) -> str:
    """Return an exact amount as it is taken: a decimal, in which every one of them ends."""
    digits = f"{abs(value * 10**MOST_PLACES).numerator:0{MOST_PLACES + 1}}"
    whole, rest = digits[:-MOST_PLACES], digits[-MOST_PLACES:].rstrip("0")
    return f"{'-' if value < 0 else ''}{whole}{'.' if rest else ''}{rest}"


Exact = Annotated[
    Fraction,
    BeforeValidator(exact),
    PlainSerializer(_decimal, when_used="json"),
    WithJsonSchema(_AMOUNT),
]
Positive = Annotated[
    Exact, AfterValidator(_positive), WithJsonSchema({**_AMOUNT, "description": "> 0"})
]
Whole = Annotated[int, BeforeValidator(_integer), WithJsonSchema(_WHOLE)]
_SIGNED = {
    "anyOf": [{"type": "string", "pattern": r"^-?[0-9]{1,78}$"}, {"type": "integer"}],
}
Integer = Annotated[int, BeforeValidator(_signed), WithJsonSchema(_SIGNED)]
"""A whole number with a sign: a string, or a bare integer where a double holds it."""

Time = Annotated[AwareDatetime, BeforeValidator(_text_time), AfterValidator(_utc)]
Name = Annotated[str, Field(min_length=1, max_length=200, strict=True)]
Chain = Annotated[str, Field(min_length=1, max_length=MOST_CHAIN, strict=True)]
Decimals = Annotated[int, Field(ge=0, le=36, strict=True)]
Strict = Annotated[bool, Field(strict=True)]


TEXT, OBJECT, LIST = "[text]", "[object]", "[list]"
BRANCHES = frozenset({TEXT, OBJECT, LIST, "[key]"})
"""What pydantic puts into places beside the body's own names: no part of a pointer."""


def text_or(tag: str) -> Discriminator:
    """Return what tells the two branches of a union apart: an object or a list, else text.

    So that the faults of the branch that was meant are told, and no others.
    """
    kinds = {OBJECT: dict | BaseModel, LIST: list | tuple}[tag]
    return Discriminator(lambda value: tag if isinstance(value, kinds) else TEXT)


class Body(BaseModel):
    """Unknown fields are faults: a misspelt option must not be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)
