"""Parameters behind a path: read, checked, with every fault listed; and cursors."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import Fault, InvalidInput
from serving.http.routing import Parameter
from serving.schemas.strict_json import read

MOST_ITEMS = 1000
MOST_COUNTED = 2**31
"""Beyond what PostgreSQL keeps as a whole number."""

Limit = Annotated[int, Field(ge=1, le=MOST_ITEMS)]
Cursor = Annotated[str, Field(min_length=1, max_length=1000)]


class Query(BaseModel):
    """Unknown parameters are faults: a misspelt filter must not be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Q = TypeVar("Q", bound=Query)


def read_query(stated: Mapping[str, str], kind: type[Q]) -> Q:
    """Return the parameters behind a path.

    Raises
    ------
    InvalidInput
        Listing every fault at `?name`.
    """
    try:
        return kind.model_validate(dict(stated))
    except ValidationError as error:
        faults = [
            Fault(
                f"?{details['loc'][0] if details['loc'] else ''}",
                details["msg"].removeprefix("Value error, "),
            )
            for details in error.errors(include_url=False)
        ]
        raise InvalidInput(faults) from None


def parameters(kind: type[Query]) -> tuple[Parameter, ...]:
    """Return the parameters that a query knows, as the document tells them."""
    schema = kind.model_json_schema()
    named = {f"#/$defs/{name}": part for name, part in schema.get("$defs", {}).items()}
    return tuple(
        Parameter(name=name, schema=_plain(part, named), meaning=str(part.get("description", name)))
        for name, part in schema["properties"].items()
    )


def _plain(part: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema without null: one that is left out is not stated.

    Parameters
    ----------
    named
        Schemas of its types by their reference: a parameter is described where it stands.
    """
    options = [option for option in part.get("anyOf", [part]) if option.get("type") != "null"]
    schema = named.get(options[0].get("$ref", ""), options[0])
    return {name: value for name, value in schema.items() if name not in {"title", "default"}}


def to_cursor(value: Any) -> str:
    """Return an opaque text for where a page ended."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def of_cursor(text: str) -> Any:
    """Return where a page ended.

    Raises
    ------
    InvalidInput
        When it is no cursor of this service.
    """
    try:
        tree, faults = read(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        faults = [Fault("", "")]
    if faults or not _is_kept(tree):
        raise InvalidInput([Fault("?cursor", f"{text[:40]!r} is no cursor")])
    return tree


def _is_kept(part: Any) -> bool:
    """Return whether every number of a tree is one that a database counts with."""
    if isinstance(part, list):
        return all(map(_is_kept, part))
    return not isinstance(part, int) or abs(part) < MOST_COUNTED
