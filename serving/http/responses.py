"""Problems as HTTP responses."""

from collections.abc import Mapping, Sequence

from starlette.responses import Response

from models.errors import Fault
from serving.schemas.problems import MEDIA_TYPE, MOST_FAULTS, Problem, ProblemKind, encode, listed


def respond(
    kind: ProblemKind,
    *,
    request_id: str,
    detail: str,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as an HTTP response."""
    if len(faults) > MOST_FAULTS:
        detail = f"{detail}; the first {MOST_FAULTS} of {len(faults)} faults are listed"
    document = Problem(
        type=kind.type,
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=f"urn:forewarn:request:{request_id}",
        request_id=request_id,
        errors=listed(faults),
    )
    return Response(
        encode(document),
        status_code=kind.status,
        media_type=MEDIA_TYPE,
        headers={"X-Request-Id": request_id, **(headers or {})},
    )
