"""Pure: what an account holds after something happened to it, exactly."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal
from typing import Any, get_args

from models.errors import Fault, InvalidInput
from models.events import EVENT_KINDS, LegName

Leg = Mapping[str, Any]
Row = Mapping[str, Any]
_EXACT = Context(prec=400)


def replay(stated: Sequence[Row], events: Iterable[Row]) -> dict[Any, Row]:
    """Return what an account held after each moment at which something happened.

    Each event applies to the version in force. An event at or before the time of a
    stated version is in it; events before the first one apply to nothing.

    Parameters
    ----------
    stated
        Versions with `at` and `legs`, oldest first.
    events
        On the clock of `stated`, with `account`, `key`, `at` and what `after` reads, oldest first.

    Returns
    -------
    dict
        Versions by time: the one in force with its legs replaced.

    Raises
    ------
    InvalidInput
        When an event cannot apply to what is held; its place is `/account/key`.
    """
    following = list(stated)
    version: Row | None = None
    versions: dict[Any, Row] = {}
    for event in events:
        at = event["at"]
        while following and following[0]["at"] <= at:
            version = following.pop(0)
        if version is None or (at == version["at"] and at not in versions):
            continue
        legs = after(version["legs"], event, where=f"/{event['account']}/{event['key']}")
        version = versions[at] = {**version, "at": at, "legs": legs}
    return versions


def after(legs: Sequence[Leg], event: Mapping[str, Any], *, where: str) -> list[dict[str, Any]]:
    """Return the legs after an event.

    A deposit adds to the collateral leg and a borrow to the debt leg; whatever else moves an
    amount takes it away. A leg that falls to nothing stays with a quantity of 0.

    Parameters
    ----------
    legs
        As in a request: quantities are decimal text in the units of the leg.
    event
        `kind`; `collateral` and `debt` unsigned, in the units of the legs; `collateral_asset`
        and `debt_asset`, or None for the account's only such leg.
    where
        Place of the event, for faults.

    Raises
    ------
    InvalidInput
        When an amount belongs to no leg or to several, or exceeds what is held.
    """
    moved = [dict(leg) for leg in legs]
    faults: list[Fault] = []
    grows = EVENT_KINDS[event["kind"]].adds_to
    for kind in get_args(LegName):
        amount = Decimal(int(event[kind]))
        if amount:
            signed = amount if kind == grows else -amount
            faults.extend(_move(moved, kind, event.get(f"{kind}_asset"), signed, where=where))
    if faults:
        raise InvalidInput(faults)
    return moved


def _move(
    legs: list[dict[str, Any]], kind: str, asset: str | None, signed: Decimal, *, where: str
) -> list[Fault]:
    """Change one leg in place and return what is wrong with that."""
    matches = [leg for leg in legs if leg["kind"] == kind and asset in (None, leg["asset"])]
    if not matches and asset is not None:
        legs.append({"kind": kind, "asset": asset, "quantity": "0"})
        matches = legs[-1:]
    if len(matches) != 1:
        detail = f"{len(matches)} {kind} legs could be meant: name the {kind}_asset"
        return [Fault(f"{where}/{kind}_asset", detail)]
    quantity = Decimal(matches[0]["quantity"])
    left = _EXACT.add(quantity, signed)
    if left < 0:
        return [
            Fault(f"{where}/{kind}", f"takes {-signed} of {quantity} {matches[0]['asset']} held")
        ]
    matches[0]["quantity"] = f"{left:f}"
    return []
