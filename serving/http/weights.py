"""What a caller without the scope `weights` is not told: how much each reason weighs."""

from collections.abc import Iterable
from typing import Any, TypeVar

from msgspec.structs import replace

from serving.http.keys import Principal, Scope
from serving.schemas.assessment import Assessment, Batch

Told = TypeVar("Told", Assessment, Batch, Assessment | Batch, dict[str, Any])

OF_A_REASON = ("impact",)
OF_AN_ATTRIBUTION = ("start", "others")


def shown(told: Told, principal: Principal) -> Told:
    """Return an answer as a caller may see it.

    Parameters
    ----------
    told
        One assessment, a batch of them, or one as the store kept it: its JSON as a tree.
    """
    if principal.may(Scope.WEIGHTS):
        return told
    if isinstance(told, Batch):
        items = told.assessments
        kept = (shown(one, principal) if isinstance(one, Assessment) else one for one in items)
        return replace(told, assessments=tuple(kept))
    if isinstance(told, Assessment):
        reasons, found = told.reasons, told.attribution
        return replace(
            told,
            reasons=tuple(_without(one, OF_A_REASON) for one in reasons),
            attribution=None if found is None else _without(found, OF_AN_ATTRIBUTION),
        )
    reasons, found = told.get("reasons") or (), told.get("attribution")
    return {
        **told,
        "reasons": [_without(one, OF_A_REASON) for one in reasons],
        "attribution": None if found is None else _without(found, OF_AN_ATTRIBUTION),
    }


def _without(part: Any, names: Iterable[str]) -> Any:
    """Return a struct, or a tree, with null under some names."""
    nothing = dict.fromkeys(names)
    return {**part, **nothing} if isinstance(part, dict) else replace(part, **nothing)
