"""What a caller without the scope `weights` is not told: how much each reason weighs."""

from collections.abc import Iterable
from typing import Any, TypeVar

from msgspec.structs import replace

from serving.http.keys import Principal, Scope
from serving.schemas.assessment import Assessment, Batch

Shown = TypeVar("Shown", Assessment, Batch, Assessment | Batch, dict[str, Any])

OF_A_REASON = ("impact",)
OF_AN_ATTRIBUTION = ("start", "others")


def shown(answer: Shown, principal: Principal) -> Shown:
    """Return an answer as a caller may see it.

    Parameters
    ----------
    answer
        One assessment, a batch of them, or one as the store kept it: its JSON as a tree.
    """
    if principal.may(Scope.WEIGHTS):
        return answer
    if isinstance(answer, Batch):
        items = answer.assessments
        masked = (
            shown(item, principal) if isinstance(item, Assessment) else item for item in items
        )
        return replace(answer, assessments=tuple(masked))
    if isinstance(answer, Assessment):
        reasons, attribution = answer.reasons, answer.attribution
        return replace(
            answer,
            reasons=tuple(_without(reason, OF_A_REASON) for reason in reasons),
            attribution=None if attribution is None else _without(attribution, OF_AN_ATTRIBUTION),
        )
    reasons, attribution = answer.get("reasons") or (), answer.get("attribution")
    return {
        **answer,
        "reasons": [_without(reason, OF_A_REASON) for reason in reasons],
        "attribution": None if attribution is None else _without(attribution, OF_AN_ATTRIBUTION),
    }


def _without(part: Any, names: Iterable[str]) -> Any:
    """Return a struct, or a tree, with null under some names."""
    nothing = dict.fromkeys(names)
    return {**part, **nothing} if isinstance(part, dict) else replace(part, **nothing)
