"""Problems as HTTP responses."""

from collections.abc import Mapping, Sequence

from starlette.responses import Response

from models.errors import Fault
from serving.schemas.problems import MEDIA_TYPE, MOST_FAULTS, Problem, ProblemKind, encode, listed


def document(
    kind: ProblemKind, *, request_id: str, detail: str, faults: Sequence[Fault] = ()
) -> Problem:
    """Return a problem document."""
    if len(faults) > MOST_FAULTS:
        detail = f"{detail}; the first {MOST_FAULTS} of {len(faults)} faults are listed"
    return Problem(
        type=kind.type,
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=f"urn:forewarn:request:{request_id}",
        request_id=request_id,
        errors=listed(faults),
    )


def respond(
    kind: ProblemKind,
    *,
    request_id: str,
    detail: str,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as an HTTP response."""
    return Response(
        encode(document(kind, request_id=request_id, detail=detail, faults=faults)),
        status_code=kind.status,
        media_type=MEDIA_TYPE,
        headers={"X-Request-Id": request_id, **(headers or {})},
    )
