"""What risk parameters mean, and where rules come from: read from where both are written down."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from inspect import cleandoc
from typing import Any, get_args, get_type_hints

from models.margin import venues
from models.margin.rulebook import Rulebook

_ENTRY = re.compile(r"^(\S.*)\n((?:[ ]{4}.*\n?|\n(?=[ ]{4}))+)", re.MULTILINE)
_FIXED = re.compile(r"(?:, | in )(wad|ray|rad)\b")
SECTION = re.compile(r"\n\n\w+\n-{3,}\n")


def meanings(kind: type) -> Mapping[str, str]:
    """Return what each field of a dataclass of parameters means, with its unit.

    Parameters
    ----------
    kind
        A rulebook's terms. Of what they hold by name or in a row, fields stand behind a dot:
        `reserves.threshold`.
    """
    return dict(_meanings(kind, ""))


def fixed_points(kind: type) -> Mapping[str, str]:
    """Return the unit of each field of parameters that is a whole number in fixed point.

    Parameters
    ----------
    kind
        As `meanings` takes it.
    """
    units = {name: _FIXED.search(meaning) for name, meaning in meanings(kind).items()}
    return {name: unit[1] for name, unit in units.items() if unit is not None}


def _meanings(kind: type, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield name and meaning of every field, and of the fields of what it holds."""
    stated, hints = _parameters(kind.__doc__ or ""), get_type_hints(kind)
    for field in fields(kind):
        inner = list(_inner_types(hints[field.name]))
        if field.name in stated or not inner:
            yield f"{prefix}{field.name}", stated.get(field.name, "")
        for part in inner:
            yield from _meanings(part, f"{prefix}{field.name}.")


def _parameters(doc: str) -> dict[str, str]:
    """Return the Parameters of a docstring by name."""
    block = re.split(r"(?:Parameters|Attributes)\n-{3,}\n", cleandoc(doc) + "\n", maxsplit=1)
    if len(block) == 1:
        return {}
    text = SECTION.split(block[1], maxsplit=1)[0] + "\n"
    return {
        name: " ".join(meaning.split()).rstrip(".")
        for names, meaning in _ENTRY.findall(text)
        for name in names.split(", ")
    }


def _inner_types(hint: Any) -> Iterator[type]:
    """Yield the dataclasses that a field holds, alone, by name or in a row."""
    if isinstance(hint, type) and is_dataclass(hint):
        yield hint
    for part in get_args(hint):
        yield from _inner_types(part)


@cache
def _modules() -> Mapping[tuple[str, str], str]:
    """Return the documentation of the module that states each rulebook, by (venue, version)."""
    stated: dict[tuple[str, str], str] = {}
    for info in pkgutil.iter_modules(venues.__path__):
        module = importlib.import_module(f"{venues.__name__}.{info.name}")
        for book in getattr(module, "RULEBOOKS", ()):
            stated[book.venue, book.version] = cleandoc(module.__doc__ or "")
    return stated


def source(book: Rulebook[Any]) -> str:
    """Return where a rulebook's rules were read; of one without references what it says itself."""
    text = _modules()[book.venue, book.version]
    before, _, references = re.sub(r"References\n-{3,}\n", "\0", text).partition("\0")
    return " ".join((SECTION.split(references)[0] or before.split("\n\n")[0]).split())
