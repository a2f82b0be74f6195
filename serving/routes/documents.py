"""The API's description of itself, as OpenAPI."""

from collections.abc import Callable
from typing import Any

from serving.application.scoring import ScoringService
from serving.http.routing import Answer, Call, Operation
from serving.schemas.problems import encode


def operations(document: Callable[[], dict[str, Any]]) -> tuple[Operation, ...]:
    """Return the operations that show a document.

    Parameters
    ----------
    document
        Describes every operation, these included; asked when a request comes.
    """

    def described(desk: ScoringService, call: Call) -> Answer:  # noqa: ARG001 - nothing is asked
        return Answer(body=encode(document()))

    return (
        Operation(
            name="openapi",
            method="GET",
            path="/openapi.json",
            scope=None,
            work=described,
            summary="This document",
            meaning="An OpenAPI 3.1 document",
            gives=("application/json",),
        ),
    )
