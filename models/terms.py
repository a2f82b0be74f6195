"""Risk parameters as dated data: which terms were in force when, and what-if variants.

A terms file names a venue, a rulebook version and a market, and lists `[[terms]]` entries
with `valid_from`, `source`, `retrieved` and `[terms.values]`, the fields of the rulebook's
`Terms` in the venue's scale. An entry holds until the next one begins.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.errors import Fault, InvalidInput, UnknownRulebook
from models.margin.rulebook import load

T = TypeVar("T")

FOLDER = "terms"
ALIKE = 0.8
"""Likeness from which a name is taken for another one misspelt."""


class Entry(BaseModel):
    """One dated entry as written in a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    valid_from: AwareDatetime
    source: str = Field(min_length=1)
    retrieved: date
    values: dict[str, Any]


class TermsFile(BaseModel):
    """A terms file as written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    venue: str
    version: str
    market: str
    terms: tuple[Entry, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedTerms:
    """Terms of one market with the time from which they hold.

    Parameters
    ----------
    venue, version, market
        Which rulebook and which of its markets.
    valid_from
        Aware time from which they hold.
    valid_until
        Aware time at which the next ones begin; None while they are the last known.
    source, retrieved
        Where and when they were read.
    terms
        The rulebook's own `Terms`.
    """

    venue: str
    version: str
    market: str
    valid_from: datetime
    valid_until: datetime | None
    source: str
    retrieved: date
    terms: Any


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return the decoder of one kind of terms; building it costs milliseconds."""
    return TypeAdapter(kind)


def decode(kind: type[T], values: Mapping[str, Any], *, where: str) -> T:
    """Return a rulebook's terms from plain values.

    Parameters
    ----------
    kind
        The rulebook's `Terms`.
    values
        Field to value in the venue's scale; nested mappings for nested dataclasses.
    where
        Place of the values, put before the path of each fault.

    Raises
    ------
    InvalidInput
        With every missing, unknown and unfit field.
    """
    adapter = _adapter(kind)  # type: ignore[arg-type]
    try:
        terms = adapter.validate_python(values)
    except ValidationError as error:
        raise InvalidInput(faults_of(error, where=where, given=values)) from None
    unknown = unknown_fields(values, adapter.dump_python(terms), where=where)
    if unknown:
        raise InvalidInput(unknown)
    return terms


def faults_of(error: ValidationError, *, where: str, given: Any = None) -> list[Fault]:
    """Return what pydantic found, as places with messages.

    Parameters
    ----------
    given
        What was read; where a field is missing, the name in it that may be meant is told.
    """
    return [
        Fault(
            where + "".join(f"/{step}" for step in detail["loc"]),
            detail["msg"] + (_meant(detail["loc"], given) if detail["type"] == "missing" else ""),
        )
        for detail in error.errors(include_url=False, include_context=False)
    ]


def _meant(place: Sequence[str | int], given: Any) -> str:
    """Return a hint at the name that stands where a missing field should."""
    *way, name = place
    for step in way:
        try:
            given = given[step]
        except (KeyError, IndexError, TypeError):
            return ""
    names = [str(key) for key in given] if isinstance(given, Mapping) else []
    near = get_close_matches(str(name), names, n=1, cutoff=ALIKE)
    return f"; is {near[0][:40]!r} it?" if near else ""


def _nearest(name: str, names: Iterable[str]) -> str:
    """Return a hint at the field that a misspelt one is most like."""
    near = get_close_matches(name[:80], list(names), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def unknown_fields(given: Any, parsed: Any, *, where: str) -> list[Fault]:
    """Return the fields of `given` that did not survive decoding."""
    if isinstance(given, Mapping) and isinstance(parsed, Mapping):
        # A file's keys are text; decoded ones may be numbers.
        decoded_by = {str(key): value for key, value in parsed.items()}
        lost = [
            Fault(f"{where}/{key}", f"unknown field{_nearest(str(key), decoded_by)}")
            for key in given
            if str(key) not in decoded_by
        ]
        pairs = [(k, v, decoded_by[str(k)]) for k, v in given.items() if str(k) in decoded_by]
    elif isinstance(given, list | tuple) and isinstance(parsed, list | tuple):
        lost = []
        pairs = [(index, *pair) for index, pair in enumerate(zip(given, parsed, strict=False))]
    else:
        return []
    for key, inner, decoded in pairs:
        lost += unknown_fields(inner, decoded, where=f"{where}/{key}")
    return lost


def parse(text: str, *, name: str) -> tuple[DatedTerms, ...]:
    """Return the entries of one terms file, oldest first.

    Raises
    ------
    InvalidInput
        With every fault: syntax, unknown rulebook, fields, and dates that do not ascend.
    """
    file = _read(text, name=name)
    try:
        kind = load(file.venue, file.version).terms
    except UnknownRulebook as error:
        raise InvalidInput([Fault(f"{name}:/venue", str(error))]) from None
    starts = [entry.valid_from for entry in file.terms]
    faults = [
        Fault(f"{name}:/terms/{index}/valid_from", f"{later} must be after {earlier}")
        for index, (earlier, later) in enumerate(pairwise(starts), start=1)
        if later <= earlier
    ]
    dated = []
    for index, entry in enumerate(file.terms):
        try:
            terms = decode(kind, entry.values, where=f"{name}:/terms/{index}/values")
        except InvalidInput as error:
            faults += error.faults
            continue
        end = starts[index + 1] if index + 1 < len(starts) else None
        dated.append(_dated(file, entry, terms, valid_until=end))
    if faults:
        raise InvalidInput(faults)
    return tuple(dated)


def _read(text: str, *, name: str) -> TermsFile:
    """Return a file as written, its outer shape checked."""
    try:
        return TermsFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput([Fault(f"{name}:", str(error))]) from None
    except ValidationError as error:
        raise InvalidInput(faults_of(error, where=f"{name}:")) from None


def _dated(
    file: TermsFile, entry: Entry, terms: Any, *, valid_until: datetime | None
) -> DatedTerms:
    """Return one entry with the market it belongs to."""
    return DatedTerms(
        venue=file.venue,
        version=file.version,
        market=file.market,
        valid_from=entry.valid_from,
        valid_until=valid_until,
        source=entry.source,
        retrieved=entry.retrieved,
        terms=terms,
    )


def parse_all(files: Mapping[str, str]) -> dict[tuple[str, str, str], tuple[DatedTerms, ...]]:
    """Return the entries of many files by (venue, version, market).

    Parameters
    ----------
    files
        File name to text.

    Raises
    ------
    InvalidInput
        With the faults of all files, a market told by two files among them.
    """
    by_market: dict[tuple[str, str, str], tuple[DatedTerms, ...]] = {}
    faults: list[Fault] = []
    for name, text in sorted(files.items()):
        try:
            entries = parse(text, name=name)
        except InvalidInput as error:
            faults += error.faults
            continue
        place = (entries[0].venue, entries[0].version, entries[0].market)
        if place in by_market:
            faults.append(Fault(f"{name}:/market", f"{'/'.join(place)} is in another file too"))
        by_market[place] = entries
    if faults:
        raise InvalidInput(faults)
    return by_market


@cache
def library() -> Mapping[tuple[str, str, str], tuple[DatedTerms, ...]]:
    """Return the terms that come with the package, by (venue, version, market)."""
    folder = resources.files("models.margin").joinpath(FOLDER)
    files = [file for file in folder.iterdir() if file.name.endswith(".toml")]
    return parse_all({file.name: file.read_text(encoding="utf-8") for file in files})


def terms_in_force(venue: str, version: str, market: str, at: datetime) -> DatedTerms:
    """Return the terms that held for a market at a moment.

    Raises
    ------
    InvalidInput
        When the market has no terms here, `at` has no time zone, or nothing held yet.
    """
    entries = library().get((venue, version, market))
    if entries is None:
        available = ", ".join("/".join(place) for place in sorted(library()))
        message = f"no terms for {venue}/{version}/{market}; known: {available}"
        raise InvalidInput([Fault("/market", message)])
    if at.tzinfo is None:
        raise InvalidInput([Fault("/at", f"{at} has no time zone")])
    started = [entry for entry in entries if entry.valid_from <= at]
    if not started:
        first = entries[0].valid_from
        raise InvalidInput([Fault("/at", f"{at} is before the first terms, of {first}")])
    return started[-1]


def what_if(terms: T, overrides: Mapping[str, Any]) -> T:
    """Return terms with some fields replaced, checked like a file's.

    Parameters
    ----------
    terms
        Terms in force.
    overrides
        Field to value; a nested mapping replaces fields of the nested value only.

    Raises
    ------
    InvalidInput
        With every unknown or unfit field.
    """
    kind = type(terms)
    values = _adapter(kind).dump_python(terms)  # type: ignore[arg-type]
    return decode(kind, merged(values, overrides), where="")


def merged(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with overrides laid over them, mapping by mapping."""
    result = dict(values)
    for key, value in overrides.items():
        current = result.get(key)
        if isinstance(value, Mapping) and isinstance(current, Mapping):
            result[key] = merged(current, value)
        else:
            result[key] = value
    return result
