"""The whole book at once: what a price move would liquidate, and where the risk sits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Annotated, Any

from pydantic import Field

from models.errors import InvalidInput
from models.horizons import LABELS
from models.margin.result import Margin
from serving.application.scoring import ScoringService
from serving.application.stored_market import stored_snapshot
from serving.evaluation import inputs, rules
from serving.evaluation.inputs import AccountInput, MarketSnapshot
from serving.evaluation.stress import (
    SHOCKS,
    Sum,
    band_answer,
    by_band,
    by_shock,
    shock_answer,
    unevaluable,
)
from serving.http.idempotency import opened
from serving.http.keys import Scope
from serving.http.query import Query, parameters, read_query
from serving.http.routing import Answer, Call, Operation, json_answer
from serving.routes.export import PAGE
from serving.schemas import problems, requests
from serving.schemas.book import BandAnswer, BookAnswer, ExpectedAnswer, ShockAnswer
from serving.schemas.fields import Name
from serving.schemas.problems import Refused
from serving.schemas.stored import Assessed
from serving.store import Transaction, accounts, assessments, book_totals, market
from serving.store.assessments import AccountFilter

MOST_JUDGED = 50_000
SMALL = 2_000
"""Accounts of a book that is added up when it is asked for, whoever watches it."""


class BookQuery(Query):
    """Which accounts `GET /v1/book` adds up."""

    venue: Name | None = None
    market: Name | None = None
    owner: Name | None = None
    asset: Annotated[Name | None, Field(description="held in any leg")] = None


def aggregates(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/book`: from what the watch keeps, or by judging the accounts now."""
    query = read_query(call.query, BookQuery)
    with opened(desk).read() as transaction:
        stored = None if _is_narrow(query) else book_totals.read(transaction)
        if stored is not None and book_totals.size(transaction) > SMALL:
            is_simulated = market.notes(transaction).get("simulated") == "yes"
            at, sums = stored
            return json_answer(_from_sums(call, sums, query.venue, at, is_simulated=is_simulated))
    return _judged_now(desk, call, query)


def _is_narrow(query: BookQuery) -> bool:
    """Return whether a part of the book is asked for that nobody keeps sums of."""
    return any(part is not None for part in (query.market, query.owner, query.asset))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summed:
    """The parts of an answer that come from kept sums."""

    shocks: tuple[ShockAnswer, ...]
    bands: tuple[BandAnswer, ...]
    expected: tuple[ExpectedAnswer, ...]
    without_forecast: int


def _from_sums(
    call: Call, sums: Mapping[str, Any], venue: str | None, at: datetime, *, is_simulated: bool
) -> BookAnswer:
    """Return the book as the watch added it up, or one venue of it."""
    totals = summed(sums, venue)
    return BookAnswer(
        request_id=call.request_id,
        as_of=at,
        simulated=is_simulated,
        accounts=sum(band.accounts for band in totals.bands),
        unjudged=tuple(sums["unjudged"]),
        unjudged_count=sums["unjudged_count"],
        shocks=totals.shocks,
        bands=totals.bands,
        expected=totals.expected,
        without_forecast=totals.without_forecast,
        oldest_forecast_at=datetime.fromisoformat(sums["oldest_at"]),
    )


def summed(sums: Mapping[str, Any], venue: str | None) -> Summed:
    """Return kept sums as they are answered, of one venue or of all."""
    shocks: dict[tuple[str, str, Fraction], Sum] = {}
    for name, decimals, asset, place, *amounts in sums["shocks"]:
        if venue in {None, name}:
            key = (name, asset, SHOCKS[place])
            shocks[key] = shocks.get(key, Sum()) + _stored_sum(amounts, decimals)
    bands: dict[tuple[str, int], Sum] = {}
    for name, decimals, place, *amounts in sums["bands"]:
        if venue in {None, name}:
            bands[name, place] = bands.get((name, place), Sum()) + _stored_sum(amounts, decimals)
    chances = [venue_sums for name, venue_sums in sums["chances"].items() if venue in {None, name}]
    return Summed(
        shocks=tuple(shock_answer(*key, total) for key, total in sorted(shocks.items())),
        bands=tuple(band_answer(*key, total) for key, total in sorted(bands.items())),
        expected=tuple(
            ExpectedAnswer(
                horizon=label,
                unattended=sum(venue_sums[f"unattended_{label}"] for venue_sums in chances),
                expected=sum(venue_sums[f"expected_{label}"] for venue_sums in chances),
            )
            for label in LABELS
        ),
        without_forecast=sum(venue_sums["without_forecast"] for venue_sums in chances),
    )


def _stored_sum(amounts: Sequence[Any], decimals: int) -> Sum:
    """Return a kept sum, its amounts in quote units."""
    accounts, credit, requirement, collateral_value, debt, unvalued = amounts
    scale = 10**decimals
    return Sum(
        accounts=accounts,
        credit=Fraction(credit) / scale,
        requirement=Fraction(requirement) / scale,
        collateral_value=Fraction(collateral_value) / scale,
        debt=Fraction(debt) / scale,
        unvalued=unvalued,
    )


def _judged_now(desk: ScoringService, call: Call, query: BookQuery) -> Answer:
    """Return the book, or a part of it, judged for this request."""
    with opened(desk).read() as transaction:
        at = market.clock(transaction, now=desk.clock())
        chosen = _chosen(transaction, AccountFilter(**query.model_dump()))
        bodies = accounts.read(transaction, list(chosen), at=at)
        around = stored_snapshot(transaction, at=at, assets=())
    judged, unjudged = _judged(bodies, around)
    assessed = {key: entry for key, entry in chosen.items() if entry is not None}
    forecast = [entry for entry in assessed.values() if entry.expected_24h is not None]
    chances = {entry.account: entry.expected_24h for entry in forecast}
    return json_answer(
        BookAnswer(
            request_id=call.request_id,
            as_of=at,
            simulated=around.simulated,
            accounts=len(judged),
            unjudged=tuple(unjudged[:100]),
            unjudged_count=len(unjudged),
            shocks=tuple(by_shock(judged)),
            bands=tuple(by_band(judged, chances)),
            expected=tuple(_expected(label, forecast) for label in LABELS),
            without_forecast=len(chosen) - len(forecast),
            oldest_forecast_at=min((entry.at for entry in forecast), default=None),
        )
    )


def _chosen(transaction: Transaction, criteria: AccountFilter) -> dict[str, Assessed | None]:
    """Return the newest assessment by account.

    Raises
    ------
    Refused
        When more accounts are chosen than are added up in one request.
    """
    chosen: dict[str, Assessed | None] = {}
    after: tuple[float | None, str] | None = None
    while len(chosen) <= MOST_JUDGED:
        part = assessments.explore(transaction, criteria, after=after, limit=PAGE)
        chosen.update({summary.account: summary.assessed for summary in part})
        if len(part) < PAGE:
            return chosen
        after = (None, part[-1].account)
    detail = f"more than {MOST_JUDGED} accounts are chosen: ask by venue, market, owner or asset"
    raise Refused(problems.TOO_LARGE, detail)


def _judged(
    bodies: Mapping[str, dict[str, Any]], around: MarketSnapshot
) -> tuple[list[tuple[AccountInput, Margin]], list[str]]:
    """Return cases with their margin now, and the keys of those that cannot be judged."""
    judged: list[tuple[AccountInput, Margin]] = []
    unjudged: list[str] = []
    for key, body in bodies.items():
        try:
            case = inputs.account_input(requests.account({**body, "events": None}, ""), "", around)
            judged.append((case, rules.evaluated(case, _margin)))
        except InvalidInput:
            unjudged.append(key)
    silent = set(unevaluable(judged))
    return [pair for pair in judged if pair[0].account.id not in silent], unjudged + sorted(silent)


def _margin(case: AccountInput) -> Margin:
    """Return what the rules say of a case now."""
    return case.rulebook.margin(case.account, case.market, case.terms)


def _expected(label: str, forecast: list[Assessed]) -> ExpectedAnswer:
    """Return the sums of one horizon."""
    return ExpectedAnswer(
        horizon=label,
        unattended=sum(getattr(entry, f"unattended_{label}") or 0.0 for entry in forecast),
        expected=sum(getattr(entry, f"expected_{label}") or 0.0 for entry in forecast),
    )


OPERATIONS = (
    Operation(
        name="book",
        method="GET",
        path="/v1/book",
        scope=Scope.READ,
        work=aggregates,
        summary="Collateral at risk by price shock, accounts by risk band, expected liquidations",
        meaning="The book in sum",
        answer_types=(BookAnswer,),
        parameters=parameters(BookQuery),
        refusals=(problems.INVALID, problems.TOO_LARGE),
    ),
)
