"""The API's description of itself, as OpenAPI and as a page."""

from collections.abc import Callable
from typing import Any

from serving.application.scoring import ScoringService
from serving.http import openapi
from serving.http.routing import Answer, Call, Operation
from serving.schemas.problems import encode

HTML = "text/html; charset=utf-8"


def operations(document: Callable[[], dict[str, Any]]) -> tuple[Operation, ...]:
    """Return the operations that show a document.

    Parameters
    ----------
    document
        Describes every operation, these included; asked when a request comes.
    """

    def described(desk: ScoringService, call: Call) -> Answer:  # noqa: ARG001 - nothing is asked
        return Answer(body=encode(document()))

    def documented(desk: ScoringService, call: Call) -> Answer:  # noqa: ARG001 - nothing is asked
        return Answer(body=openapi.page(document()).encode(), media_type=HTML)

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
        Operation(
            name="docs",
            method="GET",
            path="/docs",
            scope=None,
            work=documented,
            summary="This document, for reading",
            meaning="A page that loads nothing from elsewhere",
            gives=("text/html",),
        ),
    )
