"""What happened to an account, with what it held before: going back from its legs."""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from models.errors import Fault, InvalidInput
from models.events import EVENT_KINDS, EventKind
from serving.schemas.requests import AccountBody, EventBody


class OwnerEvent(NamedTuple):
    """An event of an account with the holdings just before it, in the units of its legs."""

    at: datetime
    kind: EventKind
    collateral_before: int
    debt_before: int


def owner_events(body: AccountBody, place: str, *, at: datetime) -> tuple[OwnerEvent, ...] | None:
    """Return the events, oldest first; None where they are not known.

    Raises
    ------
    InvalidInput
        Listing events later than the question, or telling that they contradict the legs.
    """
    if body.events is None:
        return None
    events: Sequence[EventBody] = body.events
    in_order = sorted(events, key=attrgetter("at"))
    if in_order and in_order[-1].at > at:
        raise InvalidInput(
            [
                Fault(f"{place}/events/{i}/at", f"{event.at.isoformat()} is later than as_of")
                for i, event in enumerate(events)
                if event.at > at
            ]
        )
    now = {"collateral": 0, "debt": 0, "position": 0}
    for leg in body.legs:
        now[leg.kind] += int(leg.quantity)
    happened = going_back(in_order, ink=now["collateral"], art=now["debt"])
    for event in happened:
        if event.collateral_before < 0 or event.debt_before < 0:
            left = f"{event.collateral_before} collateral and {event.debt_before} debt"
            raise InvalidInput(
                [Fault(f"{place}/events", f"going back from the legs leaves {left}")]
            )
    return happened


def going_back(events: Sequence[EventBody], *, ink: int, art: int) -> tuple[OwnerEvent, ...]:
    """Return events with the holdings before each, by undoing them from the newest back.

    Parameters
    ----------
    events
        Oldest first.
    ink, art
        Collateral and debt held now.
    """
    undone = []
    for event in reversed(events):
        moved, owed = int(event.collateral), int(event.debt)
        kind = EVENT_KINDS[event.kind]
        ink += -moved if kind.adds_to == "collateral" else moved
        art += -owed if kind.adds_to == "debt" else owed
        undone.append(OwnerEvent(event.at, kind, ink, art))
    return tuple(reversed(undone))
