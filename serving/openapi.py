"""The OpenAPI document, written from the types that requests and answers really have."""

from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
from pydantic import TypeAdapter

from serving import answers, margin_answers, margin_wire, problems, wire

_REFERENCE = "#/components/schemas/{model}"
_SCORE_PROBLEMS = (
    problems.NOT_JSON,
    problems.UNKNOWN_ACCOUNT,
    problems.METHOD_NOT_ALLOWED,
    problems.TOO_LARGE,
    problems.INVALID,
    problems.TOO_MANY,
    problems.INTERNAL,
    problems.UNAVAILABLE,
    problems.TIMEOUT,
)


MARGIN_BODIES = (
    margin_wire.MarginBody,
    margin_wire.RiskBody,
    margin_wire.LinkBody,
    margin_wire.ComposedBody,
    margin_wire.TriggerBody,
    margin_wire.LiquidationBody,
    margin_wire.LiquidationAccountBody,
)
MARGIN_ANSWERS = (
    margin_answers.MarginAnswer,
    margin_answers.MarginBatch,
    margin_answers.TriggersAnswer,
    margin_answers.TriggerBatch,
    margin_answers.LiquidationAnswer,
    margin_answers.LiquidationBatch,
)


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    schemas: dict[str, Any] = {}
    for reading in (wire.ScoreBody, wire.AccountBody, *MARGIN_BODIES):
        _add(schemas, reading, mode="validation")
    for telling in (answers.Assessment, answers.Batch, problems.Problem, *MARGIN_ANSWERS):
        _add(schemas, telling, mode="serialization")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Forewarn",
            "version": _version(),
            "description": (wire.__doc__ or "").strip(),
        },
        "paths": {
            "/v1/score": {"post": _score()},
            "/v1/margin": {"post": _margin()},
            "/v1/trigger": {"post": _trigger()},
            "/v1/liquidation": {"post": _liquidation()},
            "/livez": {"get": _plain("The process answers.")},
            "/readyz": {"get": _ready()},
            "/metrics": {"get": _plain("Prometheus metrics.", media="text/plain")},
            "/openapi.json": {"get": _plain("This document.", media="application/json")},
            "/docs": {"get": _plain("This document, for reading.", media="text/html")},
        },
        "components": {"schemas": schemas},
    }


def _add(schemas: dict[str, Any], kind: type[Any], *, mode: Any) -> None:
    """Add the schema of a type and of all it refers to."""
    schema = TypeAdapter(kind).json_schema(mode=mode, ref_template=_REFERENCE)
    schemas.update(_linked(schema.pop("$defs", {})))
    schemas[kind.__name__] = _linked(schema)


def _linked(tree: Any) -> Any:
    """Return a schema with its placeholders made references."""
    if isinstance(tree, list):
        return [_linked(part) for part in tree]
    if not isinstance(tree, dict):
        return tree
    if wire.LINK in tree:
        return _reference(tree[wire.LINK])
    return {name: _linked(part) for name, part in tree.items()}


def _version() -> str:
    """Return the version of the installed package."""
    try:
        return version("forewarn")
    except PackageNotFoundError:
        return "0"


def _reference(name: str) -> dict[str, str]:
    """Return a reference to a schema."""
    return {"$ref": _REFERENCE.format(model=name)}


def _score() -> dict[str, Any]:
    """Return the operation that scores."""
    return _operation(
        "score",
        "Judge accounts by their venue's rules and forecast their liquidation",
        asked="ScoreBody",
        told=("Assessment", "Batch"),
        meaning="What the rules and the model say",
    )


def _margin() -> dict[str, Any]:
    """Return the operation that judges."""
    return _operation(
        "margin",
        "Credit, requirement, surplus, the venue's ratio and its verdict, exact",
        asked="MarginBody",
        told=("MarginAnswer", "MarginBatch"),
        meaning="What the venue's rules say",
    )


def _trigger() -> dict[str, Any]:
    """Return the operation that seeks triggers."""
    return _operation(
        "trigger",
        "The prices, the common shock and the time at which the verdict flips",
        asked="TriggerBody",
        told=("TriggersAnswer", "TriggerBatch"),
        meaning="Where and when the verdict flips",
    )


def _liquidation() -> dict[str, Any]:
    """Return the operation that tries a liquidation."""
    return _operation(
        "liquidation",
        "What a liquidation would seize, or the venue's refusal",
        asked="LiquidationBody",
        told=("LiquidationAnswer", "LiquidationBatch"),
        meaning="The liquidation, or its refusal: that is an answer too",
    )


def _operation(
    name: str, summary: str, *, asked: str, told: tuple[str, str], meaning: str
) -> dict[str, Any]:
    """Return an operation on one account or many."""
    one, many = told
    return {
        "operationId": name,
        "summary": summary,
        "description": (
            f"`account` is answered with one {one}, `accounts` with a {many}: one item each "
            "in the order asked, an item with `errors` where that account could not be judged."
        ),
        "parameters": [
            {
                "name": "X-Request-Id",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,100}$"},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _reference(asked)}},
        },
        "responses": {
            "200": {
                "description": meaning,
                "headers": {"X-Request-Id": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"oneOf": [*map(_reference, told)]}}},
            },
            **_refusals(),
        },
    }


def _refusals() -> dict[str, Any]:
    """Return every documented refusal by status."""
    content = {problems.MEDIA_TYPE: {"schema": _reference("Problem")}}
    return {
        str(kind.status): {"description": f"{kind.title} (`{kind.type}`)", "content": content}
        for kind in _SCORE_PROBLEMS
    }


def _plain(description: str, *, media: str = "application/json") -> dict[str, Any]:
    """Return an operation without parameters."""
    return {"responses": {"200": {"description": description, "content": {media: {}}}}}


def _ready() -> dict[str, Any]:
    """Return the readiness operation."""
    return {
        "responses": {
            "200": {"description": "Requests are answered; `status` is `ready` or `degraded`."},
            "503": {
                "description": "Not ready; `reasons` says why.",
                "content": {problems.MEDIA_TYPE: {"schema": _reference("Problem")}},
            },
        }
    }


@cache
def page() -> str:
    """Return the document as one HTML page that loads nothing from elsewhere."""
    told = document()
    paths = "".join(_path(path, operations) for path, operations in told["paths"].items())
    schemas = "".join(
        f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>"
        f"<pre>{_pretty(schema)}</pre></details>"
        for name, schema in sorted(told["components"]["schemas"].items())
    )
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Forewarn API</title>"
        "<style>body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "pre{background:#f4f4f4;padding:1rem;overflow:auto}summary{cursor:pointer}</style>"
        f"<h1>Forewarn {escape(told['info']['version'])}</h1>"
        f"<pre>{escape(told['info']['description'])}</pre>"
        "<p><a href='/openapi.json'>openapi.json</a></p>"
        f"<h2>Paths</h2>{paths}<h2>Schemas</h2>{schemas}</html>"
    )


def _path(path: str, operations: Mapping[str, Any]) -> str:
    """Return one path as HTML."""
    return "".join(
        f"<details><summary><code>{verb.upper()} {escape(path)}</code></summary>"
        f"<pre>{_pretty(operation)}</pre></details>"
        for verb, operation in operations.items()
    )


def _pretty(value: Any) -> str:
    """Return indented JSON, safe inside HTML."""
    return escape(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
