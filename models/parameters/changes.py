"""Changes of terms: read, placed in a rulebook's terms, and applied all together."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from models.domain import MarketId
from models.errors import Fault, InvalidInput
from models.parameters.catalogue import CATALOGUE, Parameter, Role, find
from models.parameters.tiers import read_tiers

_DECIMAL = re.compile(r"[0-9]{1,60}(?:\.[0-9]{1,40})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A change as it is asked for.

    Parameters
    ----------
    market
        Whose terms change.
    asset
        What the parameter belongs to, in any case of letters; None where `parameter` is a whole
        path, such as `categories.1.threshold`, or a parameter of the market itself.
    parameter
        Name within the asset's terms, or path.
    to
        Decimal text: a share of 1 for thresholds, limits, bonuses and rates (`0.90`), the
        venue's whole units for caps; a list of brackets for a table of tiers.
    """

    market: MarketId
    asset: str | None = None
    parameter: str
    to: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change in the rulebook's numbers.

    Parameters
    ----------
    market
        Whose terms change.
    parameter
        What is changed.
    path
        Its place in the terms.
    before, to
        Value that stands and value that is asked for, in the rulebook's numbers.
    """

    market: MarketId
    parameter: Parameter
    path: str
    before: Any
    to: Any

    @property
    def share_before(self) -> Fraction:
        """Value that stands, as a share of 1 or in whole units."""
        return Fraction(self.before) / self.parameter.unit

    @property
    def share_to(self) -> Fraction:
        """Value that is asked for, as a share of 1 or in whole units."""
        return Fraction(self.to) / self.parameter.unit

    @property
    def is_table(self) -> bool:
        """Whether a table is replaced rather than a number."""
        return self.parameter.role is Role.TIERS


def value_at(terms: Any, path: str) -> Any:
    """Return what stands at a place of terms.

    Raises
    ------
    KeyError
        Where nothing stands there.
    """
    result = terms
    for part in path.split("."):
        result = _step(result, part)
    return result


def _step(owner: Any, part: str) -> Any:
    """Return one part of terms: a field, an entry by its key, or a row by its asset."""
    if isinstance(owner, Mapping):
        return owner[_key(owner, part)]
    if isinstance(owner, tuple):
        return owner[_place(owner, part)]
    if dataclasses.is_dataclass(owner) and part in {f.name for f in dataclasses.fields(owner)}:
        return getattr(owner, part)
    raise KeyError(part)


def _key(owner: Mapping[Any, Any], part: str) -> Any:
    """Return the key of a mapping that a text names; keys may be numbers."""
    for key in owner:
        if str(key) == part:
            return key
    raise KeyError(part)


def _place(rows: tuple[Any, ...], part: str) -> int:
    """Return the place of the row of an asset."""
    for place, row in enumerate(rows):
        if getattr(row, "asset", None) == part:
            return place
    raise KeyError(part)


def replaced(terms: Any, path: str, value: Any) -> Any:
    """Return terms with one value in place of another."""
    head, _, rest = path.partition(".")
    inner = value if not rest else replaced(_step(terms, head), rest, value)
    if isinstance(terms, Mapping):
        return {**terms, _key(terms, head): inner}
    if isinstance(terms, tuple):
        place = _place(terms, head)
        return (*terms[:place], inner, *terms[place + 1 :])
    return dataclasses.replace(terms, **{head: inner})


def applied(terms: Any, changes: Iterable[Change]) -> Any:
    """Return terms with every change made at once."""
    for change in changes:
        terms = replaced(terms, change.path, change.to)
    return terms


def resolve(requests: Sequence[Request], terms: Mapping[MarketId, Any]) -> tuple[Change, ...]:
    """Return changes in the rulebooks' numbers.

    Parameters
    ----------
    terms
        Terms in force by market.

    Raises
    ------
    InvalidInput
        Listing every unknown market, parameter or asset, value that the venue cannot express,
        table that is not one, change to what stands already, and parameter changed twice.
    """
    faults: list[Fault] = []
    result: dict[tuple[MarketId, str], Change] = {}
    for place, request in enumerate(requests):
        where = f"/changes/{place}"
        change = _resolved(request, terms, where, faults)
        if change is None:
            continue
        key = (change.market, change.path)
        if key in result:
            faults.append(Fault(where, f"{change.path} of {change.market} is changed twice"))
        result[key] = change
    if not requests:
        faults.append(Fault("/changes", "at least one change is needed"))
    if faults:
        raise InvalidInput(faults)
    return tuple(result.values())


def _resolved(
    request: Request, terms: Mapping[MarketId, Any], where: str, faults: list[Fault]
) -> Change | None:
    """Return one change, or None after noting what is wrong with it."""
    market = request.market
    if market not in terms:
        listed = ", ".join(map(str, sorted(terms))) or "none"
        faults.append(Fault(f"{where}/market", f"no account is in {market}; markets: {listed}"))
        return None
    path = path_of(request, terms[market])
    parameter = None if path is None else find(market.venue, path)
    if path is None or parameter is None:
        faults.append(Fault(f"{where}/parameter", _unknown(request)))
        return None
    before = value_at(terms[market], path)
    try:
        to = _value(request.to, parameter)
    except InvalidInput as error:
        faults += [Fault(f"{where}/to{fault.where}", fault.message) for fault in error.faults]
        return None
    if to == before:
        faults.append(Fault(f"{where}/to", f"{path} is {request.to} already: nothing would change"))
        return None
    return Change(market=market, parameter=parameter, path=path, before=before, to=to)


def path_of(request: Request, terms: Any) -> str | None:
    """Return where in the terms a request points; None where nothing stands there."""
    for path in _paths(request, terms):
        try:
            value_at(terms, path)
        except KeyError:
            continue
        return path
    return None


def _paths(request: Request, terms: Any) -> Iterable[str]:
    """Yield the places that a request may mean."""
    if request.asset is None:
        yield request.parameter
        return
    for parameter in CATALOGUE.get(request.market.venue, ()):
        head, star, tail = parameter.path.partition(".*")
        name = tail.removeprefix(".") or Role.TIERS.value
        if star and name == request.parameter:
            yield f"{head}.{_spelled(request.asset, _step(terms, head))}{tail}"


def _spelled(asset: str, owner: Any) -> str:
    """Return an asset as the terms spell it."""
    names = (
        [str(key) for key in owner]
        if isinstance(owner, Mapping)
        else [item.asset for item in owner]
    )
    if asset in names:
        return asset
    alike = [name for name in names if name.lower() == asset.lower()]
    return alike[0] if len(alike) == 1 else asset


def _unknown(request: Request) -> str:
    """Return that a parameter is not one that may be changed, and which are."""
    paths = [item.path for item in CATALOGUE.get(request.market.venue, ())]
    whole = ".".join(filter(None, (request.asset, request.parameter)))
    listed = ", ".join(paths) or f"none of {request.market.venue}"
    return f"{whole[:200]} is not a parameter that may be changed here; those are: {listed}"


def _value(stated: Any, parameter: Parameter) -> Any:
    """Return a value in the rulebook's numbers.

    Raises
    ------
    InvalidInput
        When it is not one, or 0: a limit is taken away by a change of its own, never by a slip.
    """
    if parameter.role is Role.TIERS:
        return read_tiers(stated)
    if not isinstance(stated, str) or not _DECIMAL.fullmatch(stated):
        raise InvalidInput([Fault("", f"{stated!r:.60} is not a decimal text such as 0.90")])
    value = Fraction(stated) * parameter.unit
    if value.denominator != 1:
        raise InvalidInput([Fault("", f"{stated} is no whole number of 1/{parameter.unit}")])
    if not value:
        raise InvalidInput([Fault("", "0 is refused: it would switch the parameter off")])
    return int(value)


def places(venue: str, terms: Any) -> Iterable[tuple[str, Parameter]]:
    """Yield every place of a venue's terms that may be changed, with its parameter."""
    for parameter in CATALOGUE.get(venue, ()):
        for path in _spread(parameter.path.split("."), terms):
            yield path, parameter


def _spread(parts: Sequence[str], owner: Any) -> Iterable[str]:
    """Yield the places that a pattern stands for within a part of terms."""
    if not parts:
        yield ""
        return
    names = _names(owner) if parts[0] == "*" else [parts[0]]
    for name in names:
        try:
            inner = _step(owner, name)
        except KeyError:
            continue
        for rest in _spread(parts[1:], inner):
            yield f"{name}.{rest}" if rest else name


def _names(owner: Any) -> list[str]:
    """Return the names of the entries of a mapping or of the rows of a table of assets."""
    if isinstance(owner, Mapping):
        return [str(key) for key in owner]
    return [row.asset for row in owner if hasattr(row, "asset")]
