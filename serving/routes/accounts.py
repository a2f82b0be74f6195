"""Accounts of the store: written, searched, looked back on and assessed."""

import math
from dataclasses import fields, replace
from datetime import datetime
from typing import Annotated, Any

import msgspec
from pydantic import Field, TypeAdapter

from models.alerting.policy import LevelName
from models.errors import Fault, InvalidInput
from serving import telemetry
from serving.application.scoring import ScoringService, UnknownAccounts
from serving.evaluation import inputs
from serving.evaluation.records import record
from serving.evaluation.stated_terms import terms_of
from serving.http.idempotency import IDEMPOTENCY, opened, written
from serving.http.keys import Scope
from serving.http.query import Cursor, Limit, Query, of_cursor, parameters, read_query, to_cursor
from serving.http.routing import Answer, Call, Operation, Parameter, json_answer
from serving.http.weights import shown
from serving.routes.market import MOST_PUSHED, parsed, sent_at
from serving.schemas import problems, requests
from serving.schemas.accounts import AccountAnswer, AccountsPage, History, Upserted
from serving.schemas.assessment import Assessment, Batch, exact_text
from serving.schemas.fields import Body, Name, Time
from serving.schemas.market_names import option_faults
from serving.schemas.problems import encode
from serving.schemas.stored import AccountSummary
from serving.store import Transaction, accounts, assessments, market
from serving.store.assessments import AccountFilter, Order

DOUBLE = 2**53
"""Whole numbers up to here are held by a float64 exactly."""

ACCOUNT = Parameter(
    name="account",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": 200},
    meaning="key of an account in the store, percent-encoded",
)


class StoredAccount(requests.AccountBody):
    """An account to be kept; what happened to it is pushed to `/v1/events`."""

    owner: Name | None = None
    events: None = None


class AccountsBody(Body):
    """The body of `PUT /v1/accounts`."""

    as_of: Time | None = Field(
        default=None, description="since when the accounts stand so; now if left out"
    )
    accounts: Annotated[list[StoredAccount], Field(min_length=1, max_length=MOST_PUSHED)]


class AssessBody(Body):
    """The body of `POST /v1/assessments`: keys of accounts in the store."""

    accounts: Annotated[list[Name], Field(min_length=1, max_length=requests.MOST_ACCOUNTS)]


Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Amount = Annotated[float, Field(allow_inf_nan=False)]


class AccountsQuery(Query):
    """Filters of `GET /v1/accounts`; what is left out does not restrict."""

    venue: Name | None = None
    market: Name | None = None
    owner: Name | None = None
    asset: Name | None = Field(default=None, description="held in any leg")
    verdict: Name | None = None
    most_ratio: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None, description="highest ratio of the venue"
    )
    least_expected_24h: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="lowest probability of liquidation within a day"
    )
    least_requirement: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None, description="lowest requirement, in quote units of the venue"
    )
    least_level: LevelName | None = Field(
        default=None, description="lowest level of the alert that the account is on"
    )
    least_distance: Share | None = Field(
        default=None, description="least share by which the price may move to the line"
    )
    most_distance: Share | None = Field(default=None, description="end of that share, excluded")
    least_value: Amount | None = Field(
        default=None, description="lowest collateral at market value, quote units of the venue"
    )
    most_value: Amount | None = Field(default=None, description="end of that value, excluded")
    search: Name | None = Field(
        default=None, description="part of the account's or its owner's name, in any case"
    )

    def criteria(self) -> AccountFilter:
        """Return the filters as the store takes them."""
        return AccountFilter(
            **{field.name: getattr(self, field.name) for field in fields(AccountFilter)}
        )


class PageQuery(AccountsQuery):
    """Filters, order and page of `GET /v1/accounts`."""

    order: Order = Field(
        default="account",
        description="rank the riskiest first: what the rule breaches or cannot judge, then the "
        "likeliest within a day; expected_24h, collateral_value and requirement largest first, "
        "the others ascending",
    )
    as_of: Time | None = Field(
        default=None,
        description="as the accounts were last judged by this moment, from the history; levels "
        "of alerts are not told then; now if left out",
    )
    cursor: Cursor | None = Field(default=None, description="`next` of the page before")
    limit: Limit = 100


class HistoryQuery(Query):
    """The page of `GET /v1/accounts/{account}/assessments`."""

    cursor: Cursor | None = Field(default=None, description="`next` of the page before")
    limit: Limit = 100


def upsert(desk: ScoringService, call: Call) -> Answer:
    """Answer `PUT /v1/accounts`."""
    body = parsed(call.body, AccountsBody)
    return _upserted(desk, call, body, at=body.as_of or desk.clock())


def upsert_dated(desk: ScoringService, call: Call) -> Answer:
    """Write accounts that say since when they stand so: they may be read again, and later.

    Raises
    ------
    InvalidInput
        When they do not say it, and whenever `upsert` does.
    """
    body = parsed(call.body, AccountsBody)
    if body.as_of is None:
        detail = "is needed where messages may be read again: since when the accounts stand so"
        raise InvalidInput([Fault("/as_of", detail)])
    return _upserted(desk, call, body, at=body.as_of)


def _upserted(desk: ScoringService, call: Call, body: AccountsBody, *, at: datetime) -> Answer:
    """Write accounts and say how many."""
    now = sent_at(desk, {"/as_of": at})
    bodies = _bodies(body)

    def act(transaction: Transaction) -> Upserted:
        accounts.upsert(transaction, bodies, at=at, now=now)
        telemetry.instruments().written.labels(table="accounts").inc(len(bodies))
        return Upserted(request_id=call.request_id, written=len(bodies))

    return written(desk, call, action="upsert accounts", subject=f"{len(bodies)} accounts", act=act)


def _bodies(body: AccountsBody) -> list[dict[str, Any]]:
    """Return the accounts as the store takes them, with the version of their rulebook.

    Raises
    ------
    InvalidInput
        Listing unknown venues, unusable terms and keys that stand twice.
    """
    faults: list[Fault] = []
    bodies: dict[str, dict[str, Any]] = {}
    for place, account in enumerate(body.accounts):
        where = f"/accounts/{place}"
        if account.id in bodies:
            faults.append(Fault(f"{where}/id", f"{account.id[:80]!r} stands twice"))
        try:
            book = inputs.rulebook(account.venue, account.version, where)
            if isinstance(account.terms, dict):
                terms_of(account.terms, book, f"{where}/terms")
            faults += option_faults(book.venue, account.options, where=where)
        except InvalidInput as error:
            faults.extend(error.faults)
            continue
        bodies[account.id] = {**_stated(account), "version": book.version}
    if faults:
        raise InvalidInput(faults)
    return list(bodies.values())


def _stated(account: StoredAccount) -> dict[str, Any]:
    """Return an account with its amounts as exact text."""
    unsaid = set(accounts.CARRIED_FORWARD) - account.model_fields_set
    dumped = account.model_dump(exclude={"legs", "events", *unsaid})
    return {**dumped, "legs": [_leg(leg) for leg in account.legs]}


def _leg(leg: requests.LegBody) -> dict[str, Any]:
    """Return a leg with its amounts as exact text; both end, as they came as decimals."""
    dumped = leg.model_dump(exclude_none=True)
    return {
        name: exact_text(value, 0) if name in {"quantity", "entry"} else value
        for name, value in dumped.items()
    }


def page(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/accounts`."""
    query = read_query(call.query, PageQuery)
    after = None if query.cursor is None else _place(of_cursor(query.cursor))
    with opened(desk).read() as transaction:
        summaries = (
            assessments.explore(
                transaction, query.criteria(), order=query.order, after=after, limit=query.limit + 1
            )
            if query.as_of is None
            else _past(transaction, query, query.as_of, after)
        )
    listed = tuple(_short(summary) for summary in summaries[: query.limit])
    more = len(summaries) > query.limit
    ended = to_cursor(_ended(listed[-1], query.order)) if more else None
    return json_answer(AccountsPage(request_id=call.request_id, accounts=listed, next=ended))


def _past(
    transaction: Transaction,
    query: PageQuery,
    at: datetime,
    after: tuple[float | None, str] | None,
) -> list[AccountSummary]:
    """Return one page of accounts as they were at a moment, with one more where there are more.

    Raises
    ------
    InvalidInput
        Where levels of alerts are asked about, which the history does not tell.
    """
    if query.least_level is not None:
        raise InvalidInput([Fault("?least_level", "no level is known of the past: leave it out")])
    summaries = assessments.past(transaction, query.criteria(), at=at)

    def place(summary: AccountSummary) -> tuple[float, str]:
        return _sorted(_ended(summary, query.order)[0], query.order), summary.account

    summaries.sort(key=place)
    if after is not None:
        reached = _sorted(after[0], query.order), after[1]
        summaries = [summary for summary in summaries if place(summary) > reached]
    return summaries[: query.limit + 1]


def _sorted(value: float | None, order: Order) -> float:
    """Return what a page is sorted by, ascending; an account without a value comes last."""
    if value is None:
        return 0.0 if order == "account" else math.inf
    return -value if order in assessments.DESCENDING else value


def _place(cursor: Any) -> tuple[float | None, str]:
    """Return where a page ended.

    Raises
    ------
    InvalidInput
        When the cursor is of another kind.
    """
    try:
        return msgspec.convert(cursor, tuple[float | None, str])
    except msgspec.ValidationError as error:
        raise InvalidInput([Fault("?cursor", str(error))]) from None


def _ended(last: AccountSummary, order: str) -> tuple[float | None, str]:
    """Return the value that a page is sorted by, and the account, of its last item."""
    value = None if order == "account" else getattr(last.assessed, order, None)
    return value, last.account


def _short(summary: AccountSummary) -> AccountSummary:
    """Return an account without the whole of its assessment."""
    if summary.assessed is None:
        return summary
    return replace(summary, assessed=replace(summary.assessed, body=None))


def show(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/accounts/{account}`."""
    key = call.path["account"]
    with opened(desk).read() as transaction:
        body = stored_account(transaction, key)
        assessed = assessments.latest(transaction, key)
    shown = {**body, "options": {n: _number(value) for n, value in body["options"].items()}}
    return json_answer(AccountAnswer(request_id=call.request_id, account=shown, assessed=assessed))


def _number(value: int) -> int | str:
    """Return a whole number as JSON's readers keep it: as text beyond what a double holds."""
    return value if abs(value) <= DOUBLE else str(value)


def stored_account(transaction: Transaction, key: str) -> dict[str, Any]:
    """Return an account of the store.

    Raises
    ------
    UnknownAccounts
        When there is none of this key.
    """
    bodies = accounts.read(transaction, [key])
    if key not in bodies:
        detail = f"the store knows no account {key[:80]!r}"
        raise UnknownAccounts([Fault("/path/account", detail)])
    return bodies[key]


def history(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/accounts/{account}/assessments`."""
    query = read_query(call.query, HistoryQuery)
    before = None if query.cursor is None else _time(of_cursor(query.cursor))
    key = call.path["account"]
    with opened(desk).read() as transaction:
        stored_account(transaction, key)
        entries = assessments.history(transaction, key, before=before, limit=query.limit + 1)
    page = entries[: query.limit]
    ended = to_cursor(page[-1].at.isoformat()) if len(entries) > query.limit else None
    past = tuple(
        replace(entry, body=None if entry.body is None else shown(entry.body, call.principal))
        for entry in page
    )
    return json_answer(History(request_id=call.request_id, assessments=past, next=ended))


def _time(cursor: Any) -> datetime:
    """Return the time at which a page ended; raises as `_place` does."""
    try:
        moment: datetime = TypeAdapter(Time).validate_python(cursor)
    except ValueError:
        raise InvalidInput([Fault("?cursor", "is the cursor of another list")]) from None
    return moment


def assess_and_keep(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/assessments`: as `/v1/score` does, and keep what was said."""
    body = parsed(call.body, AssessBody)
    opened(desk)
    request, faults = requests.parse(encode({"accounts": body.accounts}), requests.ScoreBody)
    answer, judged = desk.with_judged(request, faults, call.request_id)
    batch = answer if isinstance(answer, Batch) else _as_batch(answer)
    sound = [assessment for assessment in batch.assessments if isinstance(assessment, Assessment)]
    telemetry.record(sound)

    def act(transaction: Transaction) -> Batch:
        now = market.clock(transaction, now=desk.clock())
        rows = [record(assessment, judged[assessment.account]) for assessment in sound]
        assessments.write(transaction, rows, now=now)
        return shown(batch, call.principal)

    subject = f"{len(sound)} of {len(body.accounts)} accounts"
    return written(desk, call, action="assess accounts", subject=subject, act=act)


def _as_batch(assessment: Assessment) -> Batch:
    """Return one assessment as a batch."""
    return Batch(
        request_id=assessment.request_id,
        as_of=assessment.as_of,
        simulated=assessment.simulated,
        assessments=(assessment,),
    )


OPERATIONS = (
    Operation(
        name="upsert_accounts",
        method="PUT",
        path="/v1/accounts",
        scope=Scope.WRITE,
        work=upsert,
        summary="Write accounts and what they hold, all or none",
        details="What an account holds is replaced. `owner` and `opened_at` stay as they stand "
        "where they are left out; null ends them.",
        meaning="How many were written",
        request_type=AccountsBody,
        answer_types=(Upserted,),
        parameters=(IDEMPOTENCY,),
        refusals=(problems.CONFLICT,),
    ),
    Operation(
        name="accounts",
        method="GET",
        path="/v1/accounts",
        scope=Scope.READ,
        work=page,
        summary="Search accounts by venue, asset, health and probability",
        meaning="A page of accounts",
        answer_types=(AccountsPage,),
        parameters=parameters(PageQuery),
        refusals=(problems.INVALID,),
    ),
    Operation(
        name="account",
        method="GET",
        path="/v1/accounts/{account}",
        scope=Scope.READ,
        work=show,
        summary="An account of the store",
        meaning="The account with its newest assessment",
        answer_types=(AccountAnswer,),
        parameters=(ACCOUNT,),
        refusals=(problems.UNKNOWN_ACCOUNT,),
    ),
    Operation(
        name="assessments",
        method="GET",
        path="/v1/accounts/{account}/assessments",
        scope=Scope.READ,
        work=history,
        summary="What was said of an account before",
        meaning="Past assessments, newest first",
        answer_types=(History,),
        parameters=(ACCOUNT, *parameters(HistoryQuery)),
        refusals=(problems.UNKNOWN_ACCOUNT, problems.INVALID),
    ),
    Operation(
        name="assess",
        method="POST",
        path="/v1/assessments",
        scope=Scope.WRITE,
        work=assess_and_keep,
        summary="Assess accounts of the store and keep what was said",
        meaning="The assessments, in the order asked",
        request_type=AssessBody,
        answer_types=(Batch,),
        parameters=(IDEMPOTENCY,),
        refusals=(problems.CONFLICT,),
    ),
)
