"""Which rules are known, and which terms are in force."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from pydantic import Field

from models.domain import MarketId
from models.errors import Fault, ForewarnError
from models.margin.descriptions import fixed_points, meanings, source
from models.margin.rulebook import Rulebook, load_all
from models.margin.variables import units
from models.terms import library, terms_in_force
from serving.application.scoring import ScoringService
from serving.evaluation import inputs
from serving.evaluation.stated_terms import terms_of
from serving.http.keys import Scope
from serving.http.query import Query, parameters, read_query
from serving.http.routing import Answer, Call, Operation, Parameter, json_answer
from serving.schemas import problems
from serving.schemas.fields import Chain, Time
from serving.schemas.problems import Refused
from serving.store import market

OPTIONAL = ("liquidate", "accrue", "liquidation_price", "bankruptcy_price", "headroom", "weights")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordShown:
    """Terms of one market that ship.

    Parameters
    ----------
    valid_from
        Since when the newest hold; older ones are asked for with `as_of`.
    entries
        How many there are.
    source, retrieved
        Where and when the newest were read.
    """

    market: str
    valid_from: datetime
    entries: int
    source: str
    retrieved: date


@dataclass(frozen=True, slots=True, kw_only=True)
class RulebookShown:
    """A rulebook.

    Parameters
    ----------
    terms
        Names of the risk parameters it reads.
    parameters
        What each of them means and in which unit; of what stands by name or in a row, fields
        stand behind a dot (`reserves.threshold`).
    fixed_points
        Unit of each of them that is a whole number in fixed point, under the same names: `wad`,
        `ray` or `rad`, 18, 27 or 45 digits behind the point.
    source
        Where the rules were read.
    state
        Unit of each number it reads of a market's state; in a name `{asset}` stands for an asset,
        `{market}` for the market and `{side}` for `long` or `short`.
    options
        Unit of each option of an account that it reads.
    answers
        What it can say beside the margin and its triggers.
    recorded
        Markets whose terms ship.
    """

    venue: str
    version: str
    price_decimals: int | None
    terms: tuple[str, ...]
    parameters: dict[str, str]
    fixed_points: dict[str, str]
    source: str
    state: dict[str, str]
    options: dict[str, str]
    answers: tuple[str, ...]
    recorded: tuple[RecordShown, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RulebooksAnswer:
    """Every rulebook."""

    request_id: str
    rulebooks: tuple[RulebookShown, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsAnswer:
    """The terms of a market in force at a moment.

    Parameters
    ----------
    origin
        `store`, or `record` for the record that ships.
    """

    request_id: str
    venue: str
    version: str
    market: str
    as_of: datetime
    origin: str
    valid_from: datetime
    valid_until: datetime | None
    source: str | None
    terms: dict[str, Any]


class TermsQuery(Query):
    """The parameters of the terms in force."""

    as_of: Time | None = None
    chain: Chain | None = Field(
        default=None, description="where the market lives, as its accounts state it"
    )


def rulebooks(desk: ScoringService, call: Call) -> Answer:  # noqa: ARG001 - rulebooks ship with the code
    """Answer `GET /v1/rulebooks`."""
    books = tuple(_shown(book) for _, book in sorted(load_all().items()))
    return json_answer(RulebooksAnswer(request_id=call.request_id, rulebooks=books))


def _shown(book: Rulebook[Any]) -> RulebookShown:
    """Return one rulebook."""
    return RulebookShown(
        venue=book.venue,
        version=book.version,
        price_decimals=book.price_decimals,
        terms=tuple(field.name for field in dataclasses.fields(book.terms)),
        parameters=dict(meanings(book.terms)),
        fixed_points=dict(fixed_points(book.terms)),
        source=source(book),
        state=units(book.state),
        options=units(book.options),
        answers=tuple(name for name in OPTIONAL if getattr(book, name) is not None),
        recorded=tuple(_recorded(book)),
    )


def _recorded(book: Rulebook[Any]) -> Iterator[RecordShown]:
    """Yield the markets of a rulebook whose terms ship."""
    for (venue, version, market_name), entries in sorted(library().items()):
        if (venue, version) == (book.venue, book.version):
            newest = entries[-1]
            yield RecordShown(
                market=market_name,
                valid_from=newest.valid_from,
                entries=len(entries),
                source=newest.source,
                retrieved=newest.retrieved,
            )


def in_force(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/rulebooks/{venue}/{version}/terms/{market}`."""
    query = read_query(call.query, TermsQuery)
    venue, version, name = (call.path[part] for part in ("venue", "version", "market"))
    if (venue, version) not in load_all():
        raise Refused(problems.UNKNOWN_THING, f"no rulebook {venue[:80]}/{version[:80]}")
    at = query.as_of or _now(desk)
    whose = MarketId(venue, name, query.chain or "")
    answer = _of_store(desk, call, whose, at) or _of_record(call, venue, version, name, at)
    return json_answer(answer)


def _now(desk: ScoringService) -> datetime:
    """Return the time; a simulated book's own stands still."""
    if desk.store is None:
        return desk.clock()
    with desk.store.read() as transaction:
        return market.clock(transaction, now=desk.clock())


def _of_store(
    desk: ScoringService, call: Call, whose: MarketId, at: datetime
) -> TermsAnswer | None:
    """Return the terms that the store holds for a market; None where it holds none."""
    if desk.store is None:
        return None
    with desk.store.read() as transaction:
        terms = market.terms(transaction, at=at)
    if whose not in terms:
        return None
    body, valid_from = terms[whose]
    book = inputs.rulebook(call.path["venue"], call.path["version"], "")
    terms_of(body, book, f"/store/terms/{whose.market}")
    return TermsAnswer(
        request_id=call.request_id,
        venue=book.venue,
        version=book.version,
        market=whose.market,
        as_of=at,
        origin="store",
        valid_from=valid_from,
        valid_until=None,
        source=None,
        terms=body,
    )


def _of_record(call: Call, venue: str, version: str, name: str, at: datetime) -> TermsAnswer:
    """Return the terms of the record that ships.

    Raises
    ------
    Refused
        404 where it has none for this market and moment.
    """
    try:
        record = terms_in_force(venue, version, name, at)
    except ForewarnError as error:
        place = [Fault("/path/market", str(error))]
        raise Refused(problems.UNKNOWN_THING, str(error), faults=place) from None
    return TermsAnswer(
        request_id=call.request_id,
        venue=venue,
        version=version,
        market=name,
        as_of=at,
        origin="record",
        valid_from=record.valid_from,
        valid_until=record.valid_until,
        source=record.source,
        terms=_texts(dataclasses.asdict(record.terms)),
    )


def _texts(tree: Any) -> Any:
    """Return a tree whose exact numbers are text."""
    if isinstance(tree, dict):
        return {str(name): _texts(part) for name, part in tree.items()}
    if isinstance(tree, list | tuple | set | frozenset):
        return [_texts(part) for part in tree]
    if tree is None or isinstance(tree, bool | str):
        return tree
    return str(tree)


def _part(name: str, meaning: str) -> Parameter:
    """Return a parameter of the path."""
    schema = {"type": "string", "minLength": 1}
    return Parameter(name=name, place="path", schema=schema, meaning=meaning)


OPERATIONS = (
    Operation(
        name="rulebooks",
        method="GET",
        path="/v1/rulebooks",
        scope=Scope.READ,
        work=rulebooks,
        summary="Every rulebook with the terms, state and options it reads",
        meaning="Every rulebook",
        answer_types=(RulebooksAnswer,),
    ),
    Operation(
        name="terms",
        method="GET",
        path="/v1/rulebooks/{venue}/{version}/terms/{market}",
        scope=Scope.READ,
        work=in_force,
        summary="The terms of a market in force",
        meaning="The terms, with their source and the time from which they hold",
        answer_types=(TermsAnswer,),
        parameters=(
            _part("venue", "as in `/v1/rulebooks`"),
            _part("version", "as in `/v1/rulebooks`"),
            _part("market", "percent-encoded"),
            *parameters(TermsQuery),
        ),
        refusals=(problems.UNKNOWN_THING, problems.INVALID),
    ),
)
