"""The OpenAPI document, written from the operations and the types they really read and tell."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import TypeAdapter

from serving.http.examples import Example, examples
from serving.http.routing import JSON, Operation, Parameter
from serving.schemas import problems, requests
from serving.schemas.problems import ProblemKind

_REFERENCE = "#/components/schemas/{model}"
_REQUEST_ID = Parameter(
    name="X-Request-Id",
    place="header",
    schema={"type": "string"},
    meaning="chosen by the caller when it matches [A-Za-z0-9._-]{1,100}; else by the service",
)
_LANGUAGE = Parameter(
    name="Accept-Language",
    place="header",
    schema={"type": "string"},
    meaning="language of every `text` in the answer that codes and values tell, of those there are "
    "words in (`en`, `de`, the operator's own); details of problems are English",
)
_ALWAYS = (problems.METHOD_NOT_ALLOWED, problems.INTERNAL, problems.UNAVAILABLE, problems.TIMEOUT)
_WITH_KEY = (problems.UNAUTHORIZED, problems.FORBIDDEN, problems.TOO_MANY)
_WITH_BODY = (
    problems.NOT_JSON,
    problems.TOO_SLOW,
    problems.TOO_LARGE,
    problems.UNSUPPORTED,
    problems.INVALID,
)


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of some operations."""
    schemas: dict[str, Any] = {}
    _add(schemas, requests.AccountBody, mode="validation")
    _add(schemas, problems.Problem, mode="serialization")
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        for reading in () if operation.request_type is None else (operation.request_type,):
            _add(schemas, reading, mode="validation")
            if issubclass(reading, requests.Envelope):
                _add(schemas, reading.item, mode="validation")
        for telling in operation.answer_types:
            _add(schemas, telling, mode="serialization")
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Forewarn",
            "version": _version(),
            "description": (requests.__doc__ or "").strip(),
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "a key of `forewarn keys create`; on loopback none is needed "
                    "while no keys exist",
                }
            },
        },
    }


def _add(schemas: dict[str, Any], kind: type[Any], *, mode: Any) -> None:
    """Add the schema of a type and of all it refers to."""
    schema = TypeAdapter(kind).json_schema(mode=mode, ref_template=_REFERENCE)
    named = {**schema.pop("$defs", {}), kind.__name__: schema}
    for name, part in named.items():
        linked = _linked(part)
        if schemas.setdefault(name, linked) != linked:
            raise ValueError(f"two types of the API are called {name}")


def _linked(tree: Any) -> Any:
    """Return a schema with its placeholders made references."""
    if isinstance(tree, list):
        return [_linked(part) for part in tree]
    if not isinstance(tree, dict):
        return tree
    if requests.LINK in tree:
        return _reference(tree[requests.LINK])
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


def _operation(operation: Operation) -> dict[str, Any]:
    """Return one operation."""
    example = examples().get(operation.name, Example())
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [_tag(operation)],
        "summary": operation.summary,
        "description": operation.details or operation.summary,
        "parameters": [_parameter(part, example) for part in _parameters(operation)],
        "responses": {
            str(operation.status): _success(operation, example),
            **_refusals(operation),
        },
    }
    if operation.scope is not None:
        described["security"] = [{"key": [operation.scope.value]}, {}]
    if operation.media_types:
        described["requestBody"] = {
            "required": operation.request_type is not None,
            "content": _taken(operation, example),
        }
    return described


def _parameters(operation: Operation) -> tuple[Parameter, ...]:
    """Return the parameters of an operation, and those that others share with it."""
    language = (_LANGUAGE,) if operation.answer_types and operation.path.startswith("/v1/") else ()
    return (_REQUEST_ID, *language, *operation.parameters)


def _tag(operation: Operation) -> str:
    """Return the group of an operation: what its path begins with."""
    first, *rest = operation.path.removeprefix("/").split("/")
    return rest[0] if first == "v1" else "desk" if first == "desk" else "service"


def _parameter(part: Parameter, example: Example) -> dict[str, Any]:
    """Return one parameter."""
    named = {"example": example.parameters[part.name]} if part.name in example.parameters else {}
    return {
        **named,
        "name": part.name,
        "in": part.place,
        "required": part.place == "path",
        "description": part.meaning,
        "schema": dict(part.schema),
    }


def _taken(operation: Operation, example: Example) -> dict[str, Any]:
    """Return the forms of the body."""
    shown = {} if example.request is None else {"example": example.request}
    named = (
        {JSON: {"schema": _reference(operation.request_type.__name__), **shown}}
        if operation.request_type is not None
        else {}
    )
    return {**named, **{media: {"schema": _BYTES} for media in operation.takes}}


_BYTES = {"type": "string", "format": "binary"}


def _success(operation: Operation, example: Example) -> dict[str, Any]:
    """Return the answer."""
    names = [_reference(kind.__name__) for kind in operation.answer_types]
    schema = {"schema": names[0] if len(names) == 1 else {"oneOf": names}}
    shown = {} if example.answer is None else {"example": example.answer}
    content: dict[str, Any] = {JSON: {**schema, **shown}} if names else {}
    content.update(
        {media: {} if media == JSON else {"schema": _BYTES} for media in operation.gives}
    )
    return {
        "description": operation.meaning,
        "headers": {
            name: {"schema": {"type": "string"}}
            for name in ("X-Request-Id", *(("Content-Language",) if names else ()))
        },
        **({"content": content} if content else {}),
    }


def refusals(operation: Operation) -> tuple[ProblemKind, ...]:
    """Return every problem that an operation may answer."""
    kinds = [*_ALWAYS, *operation.refusals]
    kinds += _WITH_KEY if operation.scope is not None else ()
    kinds += _WITH_BODY if operation.media_types else ()
    kinds += (problems.BAD_REQUEST,)
    kinds += (
        (problems.INVALID,) if any(part.place != "header" for part in operation.parameters) else ()
    )
    kinds += (problems.UNKNOWN_PATH,) if "{" in operation.path else ()
    return tuple(dict.fromkeys(kinds))


def _refusals(operation: Operation) -> dict[str, Any]:
    """Return every documented refusal by status."""
    content = {problems.MEDIA_TYPE: {"schema": _reference("Problem")}}
    by_status: dict[str, list[ProblemKind]] = {}
    for kind in refusals(operation):
        by_status.setdefault(str(kind.status), []).append(kind)
    return {
        status: {
            "description": "; ".join(f"{kind.title} (`{kind.type}`)" for kind in kinds),
            "content": content,
        }
        for status, kinds in sorted(by_status.items())
    }
