"""What can happen to an account: declared here alone, everything else is derived from it."""

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

LegName: TypeAlias = Literal["collateral", "debt"]


class EventKind(IntEnum):
    """What happened to an account; a kind is written by its number and the leg that it adds to.

    Whatever else an event moves, it takes away. Numbers are stored in files of events.
    """

    adds_to: LegName | None

    def __new__(cls, number: int, adds_to: LegName | None = None) -> Self:
        """Return the kind of a number."""
        kind = int.__new__(cls, number)
        kind._value_ = number
        kind.adds_to = adds_to
        return kind

    DEPOSIT = 0, "collateral"
    WITHDRAW = 1
    BORROW = 2, "debt"
    REPAY = 3
    LIQUIDATE = 4


EVENT_KINDS: Mapping[str, EventKind] = {kind.name.lower(): kind for kind in EventKind}
"""Kinds of events by the name they have in requests, files and stores."""

if TYPE_CHECKING:
    EventName: TypeAlias = str
else:
    EventName = Literal[tuple(EVENT_KINDS)]
