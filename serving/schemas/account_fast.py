"""Accounts in which nothing is wrong, read at a fifth of what naming faults costs.

What is taken here is taken by the schema of `serving.schemas.requests` too, and means the same;
whatever is doubtful is left to that schema, which finds and names the faults.
"""

from datetime import UTC, datetime
from fractions import Fraction
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from models.events import EventName
from serving.schemas.fields import FIRST, LAST, MOST_UNITS, exact
from serving.schemas.market_names import MOST_CHAIN

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Chain = Annotated[str, Meta(min_length=1, max_length=MOST_CHAIN)]
Whole = Annotated[str, Meta(pattern=r"^[0-9]{1,77}\Z")]
Time = Annotated[datetime, Meta(tz=True)]


class FastLeg(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A leg, as `serving.schemas.requests.LegBody`."""

    kind: Literal["collateral", "debt", "position"]
    asset: Name
    quantity: Fraction
    entry: Fraction | None = None
    key: Name | None = None
    pledged: bool = True

    def __post_init__(self) -> None:
        """Leave to the schema what must not be negative."""
        is_owed = self.quantity.numerator < 0 and self.kind != "position"
        if is_owed or (self.entry is not None and self.entry.numerator <= 0):
            raise ValueError("an amount is not above 0")


class FastEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event, as `serving.schemas.requests.EventBody`; amounts are digits."""

    at: Time
    kind: EventName
    collateral: Whole = "0"
    debt: Whole = "0"


class FastAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account, as `serving.schemas.requests.AccountBody`."""

    id: Name
    venue: Name
    market: Name
    legs: Annotated[list[FastLeg], Meta(max_length=500)]
    version: Name | None = None
    chain: Chain | None = None
    options: Annotated[dict[Name, int], Meta(max_length=100)] = {}
    opened_at: Time | None = None
    events: Annotated[list[FastEvent], Meta(max_length=10_000)] | None = None
    terms: dict[str, Any] | str | None = None


def account(item: Any) -> FastAccount | None:
    """Return an account that is beyond doubt; None for every other."""
    try:
        decoded = msgspec.convert(item, FastAccount, dec_hook=_exact)
    except msgspec.ValidationError:
        return None
    is_sound = decoded.opened_at is None or _is_plain(decoded.opened_at)
    return (
        decoded if is_sound and all(_is_plain(event.at) for event in decoded.events or ()) else None
    )


def _exact(kind: type, value: Any) -> Fraction:  # noqa: ARG001 - there is one such kind
    """Return an exact amount."""
    is_short = isinstance(value, str) and len(value) < _DIGITS
    if is_short and value.isascii() and value.isdecimal():
        return Fraction(int(value))
    return exact(value)


_DIGITS = len(str(MOST_UNITS))
"""Fewer digits than these are an amount below the most."""


def _is_plain(moment: datetime) -> bool:
    """Return whether a moment is told in UTC, in whole seconds, within sane years."""
    return moment.tzinfo is UTC and not moment.microsecond and FIRST <= moment < LAST
