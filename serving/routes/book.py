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
    asked = read_query(call.query, BookQuery)
    with opened(desk).read() as transaction:
        kept = None if _is_narrow(asked) else book_totals.read(transaction)
        if kept is not None and book_totals.size(transaction) > SMALL:
            is_simulated = market.notes(transaction).get("simulated") == "yes"
            at, sums = kept
            return json_answer(_kept(call, sums, asked.venue, at, is_simulated=is_simulated))
    return _judged_now(desk, call, asked)


def _is_narrow(asked: BookQuery) -> bool:
    """Return whether a part of the book is asked for that nobody keeps sums of."""
    return any(part is not None for part in (asked.market, asked.owner, asked.asset))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summed:
    """The parts of an answer that come from kept sums."""

    shocks: tuple[ShockAnswer, ...]
    bands: tuple[BandAnswer, ...]
    expected: tuple[ExpectedAnswer, ...]
    without_forecast: int


def _kept(
    call: Call, sums: Mapping[str, Any], venue: str | None, at: datetime, *, is_simulated: bool
) -> BookAnswer:
    """Return the book as the watch added it up, or one venue of it."""
    found = summed(sums, venue)
    return BookAnswer(
        request_id=call.request_id,
        as_of=at,
        simulated=is_simulated,
        accounts=sum(one.accounts for one in found.bands),
        unjudged=tuple(sums["unjudged"]),
        unjudged_count=sums["unjudged_count"],
        shocks=found.shocks,
        bands=found.bands,
        expected=found.expected,
        without_forecast=found.without_forecast,
        oldest_forecast_at=datetime.fromisoformat(sums["oldest_at"]),
    )


def summed(sums: Mapping[str, Any], venue: str | None) -> Summed:
    """Return kept sums as they are answered, of one venue or of all."""
    shocks: dict[tuple[str, str, Fraction], Sum] = {}
    for name, decimals, asset, place, *amounts in sums["shocks"]:
        if venue in {None, name}:
            key = (name, asset, SHOCKS[place])
            shocks[key] = shocks.get(key, Sum()) + _kept_sum(amounts, decimals)
    bands: dict[tuple[str, int], Sum] = {}
    for name, decimals, place, *amounts in sums["bands"]:
        if venue in {None, name}:
            bands[name, place] = bands.get((name, place), Sum()) + _kept_sum(amounts, decimals)
    chances = [told for name, told in sums["chances"].items() if venue in {None, name}]
    return Summed(
        shocks=tuple(shock_answer(*key, found) for key, found in sorted(shocks.items())),
        bands=tuple(band_answer(*key, found) for key, found in sorted(bands.items())),
        expected=tuple(
            ExpectedAnswer(
                horizon=label,
                unattended=sum(told[f"unattended_{label}"] for told in chances),
                expected=sum(told[f"expected_{label}"] for told in chances),
            )
            for label in LABELS
        ),
        without_forecast=sum(told["without_forecast"] for told in chances),
    )


def _kept_sum(told: Sequence[Any], decimals: int) -> Sum:
    """Return a kept sum, its amounts in quote units."""
    accounts, credit, requirement, collateral_value, debt, unvalued = told
    scale = 10**decimals
    return Sum(
        accounts=accounts,
        credit=Fraction(credit) / scale,
        requirement=Fraction(requirement) / scale,
        collateral_value=Fraction(collateral_value) / scale,
        debt=Fraction(debt) / scale,
        unvalued=unvalued,
    )


def _judged_now(desk: ScoringService, call: Call, asked: BookQuery) -> Answer:
    """Return the book, or a part of it, judged for this request."""
    with opened(desk).read() as transaction:
        at = market.clock(transaction, now=desk.clock())
        found = _chosen(transaction, AccountFilter(**asked.model_dump()))
        bodies = accounts.read(transaction, list(found), at=at)
        around = stored_snapshot(transaction, at=at, assets=())
    judged, unjudged = _judged(bodies, around)
    told = {key: one for key, one in found.items() if one is not None}
    forecast = [one for one in told.values() if one.expected_24h is not None]
    chances = {one.account: one.expected_24h for one in forecast}
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
            without_forecast=len(found) - len(forecast),
            oldest_forecast_at=min((one.at for one in forecast), default=None),
        )
    )


def _chosen(transaction: Transaction, wanted: AccountFilter) -> dict[str, Assessed | None]:
    """Return the newest assessment by account.

    Raises
    ------
    Refused
        When more accounts are chosen than are added up in one request.
    """
    found: dict[str, Assessed | None] = {}
    after: tuple[float | None, str] | None = None
    while len(found) <= MOST_JUDGED:
        part = assessments.explore(transaction, wanted, after=after, limit=PAGE)
        found.update({one.account: one.assessed for one in part})
        if len(part) < PAGE:
            return found
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
    return [one for one in judged if one[0].account.id not in silent], unjudged + sorted(silent)


def _margin(case: AccountInput) -> Margin:
    """Return what the rules say of a case now."""
    return case.rulebook.margin(case.account, case.market, case.terms)


def _expected(label: str, forecast: list[Assessed]) -> ExpectedAnswer:
    """Return the sums of one horizon."""
    return ExpectedAnswer(
        horizon=label,
        unattended=sum(getattr(one, f"unattended_{label}") or 0.0 for one in forecast),
        expected=sum(getattr(one, f"expected_{label}") or 0.0 for one in forecast),
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
        told=(BookAnswer,),
        parameters=parameters(BookQuery),
        refusals=(problems.INVALID, problems.TOO_LARGE),
    ),
)
