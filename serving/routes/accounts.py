"""Accounts of the store: written, searched, looked back on and assessed."""

from dataclasses import fields, replace
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, TypeAdapter

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
from serving.routes.market import MOST_PUSHED, parsed, refuse_future
from serving.schemas import problems, requests
from serving.schemas.accounts import AccountAnswer, AccountsPage, History, Upserted
from serving.schemas.assessment import Assessment, Batch, exact_text
from serving.schemas.fields import Body, Name, Time
from serving.schemas.market_names import option_faults
from serving.schemas.problems import encode
from serving.schemas.stored import AccountSummary
from serving.store import Transaction, accounts, assessments, market
from serving.store.assessments import AccountFilter

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
    least_level: Literal["watch", "warning", "critical", "liquidated"] | None = Field(
        default=None, description="lowest level of the alert that the account is on"
    )
    search: Name | None = Field(
        default=None, description="part of the account's or its owner's name, in any case"
    )

    def wanted(self) -> AccountFilter:
        """Return the filters as the store takes them."""
        return AccountFilter(**{one.name: getattr(self, one.name) for one in fields(AccountFilter)})


class PageQuery(AccountsQuery):
    """Filters, order and page of `GET /v1/accounts`."""

    order: Literal["account", "ratio", "expected_24h", "rank"] = Field(
        default="account",
        description="ratio ascending, expected_24h descending, rank the riskiest first: what the "
        "rule breaches or cannot judge, then the likeliest within a day",
    )
    cursor: Cursor | None = Field(default=None, description="`next` of the page before")
    limit: Limit = 100


class HistoryQuery(Query):
    """The page of `GET /v1/accounts/{account}/assessments`."""

    cursor: Cursor | None = Field(default=None, description="`next` of the page before")
    limit: Limit = 100


def upsert(desk: ScoringService, call: Call) -> Answer:
    """Answer `PUT /v1/accounts`."""
    asked = parsed(call.body, AccountsBody)
    now = desk.clock()
    at = asked.as_of or now
    refuse_future({"/as_of": at}, now)
    bodies = _bodies(asked)

    def act(transaction: Transaction) -> Upserted:
        accounts.upsert(transaction, bodies, at=at, now=now)
        telemetry.instruments().written.labels(table="accounts").inc(len(bodies))
        return Upserted(request_id=call.request_id, written=len(bodies))

    return written(desk, call, action="upsert accounts", subject=f"{len(bodies)} accounts", act=act)


def _bodies(asked: AccountsBody) -> list[dict[str, Any]]:
    """Return the accounts as the store takes them, with the version of their rulebook.

    Raises
    ------
    InvalidInput
        Listing unknown venues, unusable terms and keys that stand twice.
    """
    faults: list[Fault] = []
    bodies: dict[str, dict[str, Any]] = {}
    for place, one in enumerate(asked.accounts):
        where = f"/accounts/{place}"
        if one.id in bodies:
            faults.append(Fault(f"{where}/id", f"{one.id[:80]!r} stands twice"))
        try:
            book = inputs.rulebook(one.venue, one.version, where)
            if isinstance(one.terms, dict):
                terms_of(one.terms, book, f"{where}/terms")
            faults += option_faults(book.venue, one.options, where=where)
        except InvalidInput as error:
            faults.extend(error.faults)
            continue
        bodies[one.id] = {**_stated(one), "version": book.version}
    if faults:
        raise InvalidInput(faults)
    return list(bodies.values())


def _stated(one: StoredAccount) -> dict[str, Any]:
    """Return an account with its amounts as exact text."""
    unsaid = set(accounts.CARRIED_FORWARD) - one.model_fields_set
    told = one.model_dump(exclude={"legs", "events", *unsaid})
    return {**told, "legs": [_leg(leg) for leg in one.legs]}


def _leg(leg: requests.LegBody) -> dict[str, Any]:
    """Return a leg with its amounts as exact text; both end, as they came as decimals."""
    told = leg.model_dump(exclude_none=True)
    return {
        name: exact_text(value, 0) if name in {"quantity", "entry"} else value
        for name, value in told.items()
    }


def page(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/accounts`."""
    asked = read_query(call.query, PageQuery)
    after = None if asked.cursor is None else _place(of_cursor(asked.cursor))
    with opened(desk).read() as transaction:
        found = assessments.explore(
            transaction, asked.wanted(), order=asked.order, after=after, limit=asked.limit + 1
        )
    told = tuple(_short(one) for one in found[: asked.limit])
    more = len(found) > asked.limit
    ended = to_cursor(_ended(told[-1], asked.order)) if more else None
    return json_answer(AccountsPage(request_id=call.request_id, accounts=told, next=ended))


def _place(told: Any) -> tuple[float | None, str]:
    """Return where a page ended.

    Raises
    ------
    InvalidInput
        When the cursor is of another kind.
    """
    try:
        return msgspec.convert(told, tuple[float | None, str])
    except msgspec.ValidationError as error:
        raise InvalidInput([Fault("?cursor", str(error))]) from None


def _ended(last: AccountSummary, order: str) -> tuple[float | None, str]:
    """Return the value that a page is sorted by, and the account, of its last item."""
    value = None if order == "account" else getattr(last.assessed, order, None)
    return value, last.account


def _short(found: AccountSummary) -> AccountSummary:
    """Return an account without the whole of its assessment."""
    if found.assessed is None:
        return found
    return replace(found, assessed=replace(found.assessed, body=None))


def show(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/accounts/{account}`."""
    key = call.path["account"]
    with opened(desk).read() as transaction:
        body = known(transaction, key)
        told = assessments.latest(transaction, key)
    shown = {**body, "options": {n: _number(value) for n, value in body["options"].items()}}
    return json_answer(AccountAnswer(request_id=call.request_id, account=shown, assessed=told))


def _number(value: int) -> int | str:
    """Return a whole number as JSON's readers keep it: as text beyond what a double holds."""
    return value if abs(value) <= DOUBLE else str(value)


def known(transaction: Transaction, key: str) -> dict[str, Any]:
    """Return an account of the store.

    Raises
    ------
    UnknownAccounts
        When there is none of this key.
    """
    found = accounts.read(transaction, [key])
    if key not in found:
        detail = f"the store knows no account {key[:80]!r}"
        raise UnknownAccounts([Fault("/path/account", detail)])
    return found[key]


def history(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/accounts/{account}/assessments`."""
    asked = read_query(call.query, HistoryQuery)
    before = None if asked.cursor is None else _time(of_cursor(asked.cursor))
    key = call.path["account"]
    with opened(desk).read() as transaction:
        known(transaction, key)
        found = assessments.history(transaction, key, before=before, limit=asked.limit + 1)
    page = found[: asked.limit]
    ended = to_cursor(page[-1].at.isoformat()) if len(found) > asked.limit else None
    told = tuple(
        replace(one, body=None if one.body is None else shown(one.body, call.principal))
        for one in page
    )
    return json_answer(History(request_id=call.request_id, assessments=told, next=ended))


def _time(told: Any) -> datetime:
    """Return the time at which a page ended; raises as `_place` does."""
    try:
        found: datetime = TypeAdapter(Time).validate_python(told)
    except ValueError:
        raise InvalidInput([Fault("?cursor", "is the cursor of another list")]) from None
    return found


def assess_and_keep(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/assessments`: as `/v1/score` does, and keep what was said."""
    asked = parsed(call.body, AssessBody)
    opened(desk)
    told = desk.answer(encode({"accounts": asked.accounts}), call.request_id)
    batch = told if isinstance(told, Batch) else _one(told)
    sound = [one for one in batch.assessments if isinstance(one, Assessment)]
    telemetry.record(sound)

    def act(transaction: Transaction) -> Batch:
        now = market.clock(transaction, now=desk.clock())
        assessments.write(transaction, [record(one) for one in sound], now=now)
        return shown(batch, call.principal)

    subject = f"{len(sound)} of {len(asked.accounts)} accounts"
    return written(desk, call, action="assess accounts", subject=subject, act=act)


def _one(told: Assessment) -> Batch:
    """Return one assessment as a batch."""
    return Batch(
        request_id=told.request_id,
        as_of=told.as_of,
        simulated=told.simulated,
        assessments=(told,),
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
