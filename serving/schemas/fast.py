"""Bodies in which nothing is wrong, read at a fifth of what naming faults costs.

A quick reader is derived from a schema of pydantic's, field by field. What it takes, the schema
takes too, and both mean the same; whatever is doubtful is left to the schema, which finds and
names the faults.
"""

import types
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from serving.schemas.fields import (
    FIRST,
    LAST,
    MOST_UNITS,
    Exact,
    Integer,
    Positive,
    Strict,
    Time,
    Whole,
    exact,
)

B = TypeVar("B", bound=BaseModel)

QUICK: tuple[tuple[Any, Any], ...] = (
    (Exact, Fraction),
    (Positive, Fraction),
    (Whole, Annotated[str, Meta(pattern=r"^[0-9]{1,77}\Z")]),
    (Integer, int),
    (Time, Annotated[datetime, Meta(tz=True)]),
    (Strict, bool),
)
"""Types of `serving.schemas.fields` and what stands for them; whole numbers stay digits."""

_DIGITS = len(str(MOST_UNITS))
"""Fewer digits than these are an amount below the most."""


def reader(schema: type[B]) -> Callable[[Any], B | None]:
    """Return what reads a body quickly, and returns None for every body that is doubtful.

    What is returned has the fields of the schema; whole numbers in it are text, digits.
    """
    struct: Any = _struct(schema)

    def read(tree: Any) -> B | None:
        try:
            return cast("B", msgspec.convert(tree, struct, dec_hook=_exact))
        except msgspec.ValidationError:
            return None

    return read


@cache
def _struct(schema: type[BaseModel]) -> type[msgspec.Struct]:
    """Return the struct with a schema's fields."""
    hints = get_type_hints(schema, include_extras=True)
    return msgspec.defstruct(
        schema.__name__,
        [_field(name, hints[name], info) for name, info in schema.model_fields.items()],
        namespace={"__post_init__": _check(schema, hints)},
        module=schema.__module__,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )


def _field(name: str, hint: Any, info: FieldInfo) -> tuple[str, Any] | tuple[str, Any, Any]:
    """Return a field with its default."""
    if info.default_factory is not None:
        factory = cast("Callable[[], Any]", info.default_factory)
        return name, _quick(hint), msgspec.field(default_factory=factory)
    if info.default is PydanticUndefined:
        return name, _quick(hint)
    is_digits = isinstance(info.default, int) and not isinstance(info.default, bool)
    return name, _quick(hint), str(info.default) if is_digits else info.default


def _quick(hint: Any) -> Any:
    """Return what stands for a type."""
    for slow, quick in QUICK:
        if hint == slow:
            return quick
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        bounds = [entry for entry in hint.__metadata__ if isinstance(entry, FieldInfo)]
        inner = _quick(hint.__origin__)
        return Annotated[inner, _meta(bounds)] if bounds else inner
    if origin in {typing.Union, types.UnionType}:
        return typing.Union[tuple(_quick(part) for part in parts)]  # noqa: UP007 - of many
    if origin in {list, dict}:
        return origin[tuple(_quick(part) for part in parts)]
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return _struct(hint)
    if origin is Literal or hint in {str, Any, types.NoneType}:
        return hint
    raise TypeError(f"no quick reader is known for {hint!r}")


def _meta(bounds: list[FieldInfo]) -> Meta:
    """Return the bounds of a field's length."""
    limits = {}
    for info in bounds:
        for entry in info.metadata:
            for name in ("min_length", "max_length"):
                if hasattr(entry, name):
                    limits[name] = getattr(entry, name)
    return Meta(**limits)


def _check(schema: type[BaseModel], hints: dict[str, Any]) -> Callable[[Any], None]:
    """Return what leaves to the schema whatever its types do not say.

    The schema's own validators are those of its fields' types and of the whole body.
    """
    prices = tuple(name for name in schema.model_fields if _has(hints[name], Positive))
    times = tuple(name for name in schema.model_fields if _has(hints[name], Time))
    rules = [
        decorator.func for decorator in schema.__pydantic_decorators__.model_validators.values()
    ]

    def check(self: Any) -> None:
        for name in prices:
            price = getattr(self, name)
            if price is not None and price.numerator <= 0:
                raise ValueError("a price is not above 0")
        for name in times:
            moment = getattr(self, name)
            if moment is None:
                continue
            # In UTC, in whole seconds, within sane years.
            if moment.tzinfo is not UTC or moment.microsecond or not FIRST <= moment < LAST:
                raise ValueError("a time is not plain")
        for rule in rules:
            rule(self)

    return check


def _has(hint: Any, kind: Any) -> bool:
    """Return whether a type is one, or may be."""
    return hint == kind or any(part == kind for part in get_args(hint))


def _exact(kind: type, value: Any) -> Fraction:  # noqa: ARG001 - there is one such kind
    """Return an exact amount."""
    is_short = isinstance(value, str) and len(value) < _DIGITS
    if is_short and value.isascii() and value.isdecimal():
        return Fraction(int(value))
    return exact(value)
