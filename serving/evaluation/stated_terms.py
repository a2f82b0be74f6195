"""Risk parameters as a request or a store states them, read as the rulebook's own."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from models.errors import Fault, InvalidInput
from models.margin.rulebook import Rulebook
from models.terms import decode
from serving.schemas.strict_json import escape

MOST_DIGITS = 78
"""Digits of 2^256."""

MOST_DECIMALS = 77
"""Power of ten within 2^256."""


def terms_of(raw: Mapping[str, Any], book: Rulebook[Any], where: str) -> Any:
    """Return terms as the rulebook's own dataclass.

    Raises
    ------
    InvalidInput
        When a parameter is missing, unknown, not exact or negative.
    """
    faults = list(_unusable(raw, where))
    parsed: Any = None
    try:
        parsed = decode(book.terms, raw, where=where)
    except InvalidInput as error:
        reported = {fault.where for fault in faults}
        faults.extend(fault for fault in error.faults if fault.where not in reported)
    if faults:
        raise InvalidInput(faults)
    return parsed


def _unusable(raw: Any, where: str) -> Iterator[Fault]:
    """Yield floats, booleans for numbers, negatives and numbers beyond a uint256."""
    for place, value in _leaves(raw, where):
        if place.endswith("decimals") and not _is_scale(value):
            yield Fault(place, f"{str(value)[:40]!r} is not a scale of 0 to {MOST_DECIMALS}")
        elif place.endswith("atomic_resolution"):
            if not _is_scale(str(value).removeprefix("-")):
                yield Fault(place, f"{str(value)[:40]!r} is beyond {MOST_DECIMALS} digits")
        elif isinstance(value, float):
            yield Fault(place, f"{value} is a float; exact amounts are integers or strings")
        elif isinstance(value, int) and not 0 <= value < 2**256:
            yield Fault(place, f"{str(value)[:90]} is outside [0, 2^256)")
        elif isinstance(value, str) and (len(value) > MOST_DIGITS or _is_negative(value, place)):
            yield Fault(place, f"{value[:40]} is negative or longer than {MOST_DIGITS} digits")


def _is_negative(value: str, place: str) -> bool:
    """Return whether a text is below 0 where nothing is: only moves of a scenario are signed."""
    return "-" in value[:2] and not _SIGNED.search(place)


_SIGNED = re.compile(r"/(move|delta|profit/[0-9]+)$")


def _is_scale(value: Any) -> bool:
    """Return whether a power of ten by this exponent can be reckoned with."""
    digits = str(value)
    return (
        digits.isdecimal()
        and len(digits) <= len(str(MOST_DECIMALS))
        and int(digits) <= MOST_DECIMALS
    )


def _leaves(tree: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Yield every value of a tree with its place."""
    if isinstance(tree, Mapping):
        for name, part in tree.items():
            yield from _leaves(part, f"{where}/{escape(name)}")
    elif isinstance(tree, list | tuple):
        for i, part in enumerate(tree):
            yield from _leaves(part, f"{where}/{i}")
    else:
        yield where, tree
