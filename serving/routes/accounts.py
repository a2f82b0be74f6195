"""Accounts of the store: written, searched, looked back on, assessed and exported."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa
from pyarrow import csv, parquet
from pydantic import Field, TypeAdapter

from models.errors import Fault, InvalidInput
from serving import cases, problems, telemetry, wire
from serving.answers import Assessment, Batch, exact_text
from serving.arrow import STREAM, write_stream
from serving.desk import Desk, UnknownAccounts
from serving.history import kept
from serving.keys import Scope
from serving.operations import Answer, Call, Operation, Parameter, json_answer
from serving.problems import encode
from serving.queries import Cursor, Limit, Query, of_cursor, parameters, read_query, to_cursor
from serving.routes.market import MOST_PUSHED, parsed, refuse_future
from serving.store import Transaction, accounts, assessments, market
from serving.store.assessments import Assessed, Found, Wanted
from serving.writing import IDEMPOTENCY, opened, written

CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
PAGE = 1000
ACCOUNT = Parameter(
    name="account",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": 200},
    meaning="key of an account in the store, percent-encoded",
)


class StoredAccount(wire.AccountBody):
    """An account to be kept; what happened to it is pushed to `/v1/events`."""

    owner: wire.Name | None = None
    events: None = None


class AccountsBody(wire.Body):
    """The body of `PUT /v1/accounts`."""

    as_of: wire.Time | None = Field(
        default=None, description="since when the accounts stand so; now if left out"
    )
    accounts: Annotated[list[StoredAccount], Field(min_length=1, max_length=MOST_PUSHED)]


class AssessBody(wire.Body):
    """The body of `POST /v1/assessments`: keys of accounts in the store."""

    accounts: Annotated[list[wire.Name], Field(min_length=1, max_length=wire.MOST_ACCOUNTS)]


class AccountsQuery(Query):
    """Filters of `GET /v1/accounts`; what is left out does not restrict."""

    venue: wire.Name | None = None
    market: wire.Name | None = None
    owner: wire.Name | None = None
    asset: wire.Name | None = Field(default=None, description="held in any leg")
    verdict: wire.Name | None = None
    most_ratio: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None, description="highest ratio of the venue"
    )
    least_expected_24h: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="lowest probability of liquidation within a day"
    )

    def wanted(self) -> Wanted:
        """Return the filters as the store takes them."""
        return Wanted(**{one.name: getattr(self, one.name) for one in fields(Wanted)})


class PageQuery(AccountsQuery):
    """Filters, order and page of `GET /v1/accounts`."""

    order: Literal["account", "ratio", "expected_24h"] = Field(
        default="account", description="ratio ascending, expected_24h descending"
    )
    cursor: Cursor | None = Field(default=None, description="`next` of the page before")
    limit: Limit = 100


class ExportQuery(AccountsQuery):
    """Filters and form of `GET /v1/export/accounts`."""

    format: Literal["csv", "parquet", "arrow"] = "csv"


class HistoryQuery(Query):
    """The page of `GET /v1/accounts/{account}/assessments`."""

    cursor: Cursor | None = Field(default=None, description="`next` of the page before")
    limit: Limit = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Upserted:
    """How many accounts were written."""

    request_id: str
    written: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsPage:
    """A page of accounts, each with its newest assessment in short.

    Parameters
    ----------
    next
        Cursor of the next page; null on the last one.
    """

    request_id: str
    accounts: tuple[Found, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Past assessments of an account, newest first."""

    request_id: str
    assessments: tuple[Assessed, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountAnswer:
    """An account as the store holds it, with its newest assessment in short."""

    request_id: str
    account: dict[str, Any]
    assessed: Assessed | None


def upsert(desk: Desk, call: Call) -> Answer:
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
            book = cases.rulebook(one.venue, one.version, where)
            if isinstance(one.terms, dict):
                cases.terms(one.terms, book, f"{where}/terms")
        except InvalidInput as error:
            faults.extend(error.faults)
            continue
        bodies[one.id] = {**_stated(one), "version": book.version}
    if faults:
        raise InvalidInput(faults)
    return list(bodies.values())


def _stated(one: StoredAccount) -> dict[str, Any]:
    """Return an account with its amounts as exact text."""
    told = one.model_dump(exclude={"legs", "events"})
    return {**told, "legs": [_leg(leg) for leg in one.legs]}


def _leg(leg: wire.LegBody) -> dict[str, Any]:
    """Return a leg with its amounts as exact text; both end, as they came as decimals."""
    told = leg.model_dump(exclude_none=True)
    return {
        name: exact_text(value, 0) if name in {"quantity", "entry"} else value
        for name, value in told.items()
    }


def page(desk: Desk, call: Call) -> Answer:
    """Answer `GET /v1/accounts`."""
    asked = read_query(call.query, PageQuery)
    after = None if asked.cursor is None else _place(of_cursor(asked.cursor))
    with opened(desk).read() as transaction:
        found = assessments.explore(
            transaction, asked.wanted(), order=asked.order, after=after, limit=asked.limit + 1
        )
    shown = tuple(_short(one) for one in found[: asked.limit])
    more = len(found) > asked.limit
    ended = to_cursor(_ended(shown[-1], asked.order)) if more else None
    return json_answer(AccountsPage(request_id=call.request_id, accounts=shown, next=ended))


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


def _ended(last: Found, order: str) -> tuple[float | None, str]:
    """Return the value that a page is sorted by, and the account, of its last item."""
    value = None if order == "account" else getattr(last.assessed, order, None)
    return value, last.account


def _short(found: Found) -> Found:
    """Return an account without the whole of its assessment."""
    if found.assessed is None:
        return found
    return replace(found, assessed=replace(found.assessed, body=None))


def show(desk: Desk, call: Call) -> Answer:
    """Answer `GET /v1/accounts/{account}`."""
    key = call.path["account"]
    with opened(desk).read() as transaction:
        body = _known(transaction, key)
        found = assessments.history(transaction, key, limit=1)
    told = replace(found[0], body=None) if found else None
    return json_answer(AccountAnswer(request_id=call.request_id, account=body, assessed=told))


def _known(transaction: Transaction, key: str) -> dict[str, Any]:
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


def history(desk: Desk, call: Call) -> Answer:
    """Answer `GET /v1/accounts/{account}/assessments`."""
    asked = read_query(call.query, HistoryQuery)
    before = None if asked.cursor is None else _time(of_cursor(asked.cursor))
    key = call.path["account"]
    with opened(desk).read() as transaction:
        _known(transaction, key)
        found = assessments.history(transaction, key, before=before, limit=asked.limit + 1)
    shown = tuple(found[: asked.limit])
    ended = to_cursor(shown[-1].at.isoformat()) if len(found) > asked.limit else None
    return json_answer(History(request_id=call.request_id, assessments=shown, next=ended))


def _time(told: Any) -> datetime:
    """Return the time at which a page ended; raises as `_place` does."""
    try:
        found: datetime = TypeAdapter(wire.Time).validate_python(told)
    except ValueError:
        raise InvalidInput([Fault("?cursor", "is the cursor of another list")]) from None
    return found


def assess_and_keep(desk: Desk, call: Call) -> Answer:
    """Answer `POST /v1/assessments`: as `/v1/score` does, and keep what was said."""
    asked = parsed(call.body, AssessBody)
    opened(desk)
    told = desk.answer(encode({"accounts": asked.accounts}), call.request_id)
    batch = told if isinstance(told, Batch) else _one(told)
    sound = [one for one in batch.assessments if isinstance(one, Assessment)]
    telemetry.record(sound)

    def act(transaction: Transaction) -> Batch:
        assessments.write(transaction, [kept(one) for one in sound])
        return batch

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


def export(desk: Desk, call: Call) -> Answer:
    """Answer `GET /v1/export/accounts`."""
    asked = read_query(call.query, ExportQuery)
    with opened(desk).read() as transaction:
        rows = [_flat(one) for one in _every(transaction, asked.wanted())]
        simulated = market.notes(transaction).get("simulated") == "yes"
    table = pa.Table.from_pylist(rows, schema=_SCHEMA)
    body, media = _written(table, asked.format)
    headers = {
        "Content-Disposition": f'attachment; filename="accounts.{asked.format}"',
        "X-Simulated": "yes" if simulated else "no",
    }
    return Answer(body=body, media_type=media, headers=headers)


def _every(transaction: Transaction, wanted: Wanted) -> Iterator[Found]:
    """Yield every account that the filters let through."""
    after: tuple[float | None, str] | None = None
    while True:
        found = assessments.explore(transaction, wanted, after=after, limit=PAGE)
        yield from found
        if len(found) < PAGE:
            return
        after = (None, found[-1].account)


_IDENTITY = ("account", "venue", "version", "market", "owner")
_CHANCES = tuple(
    one.name for one in fields(Assessed) if one.name.startswith(("unattended", "expected"))
)
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _IDENTITY),
        ("at", pa.timestamp("us", tz="UTC")),
        ("verdict", pa.string()),
        ("next_verdict", pa.string()),
        ("ratio", pa.float64()),
        *((name, pa.float64()) for name in _CHANCES),
        ("model_version", pa.string()),
        ("degraded", pa.string()),
    ]
)


def _flat(found: Found) -> dict[str, Any]:
    """Return an account and its newest assessment as one row."""
    row = {name: getattr(found, name) for name in _IDENTITY}
    told = found.assessed
    if told is None:
        return row
    names = ("at", "verdict", "next_verdict", "ratio", "model_version", *_CHANCES)
    row.update({name: getattr(told, name) for name in names})
    return {**row, "degraded": " ".join(told.degraded)}


def _written(table: pa.Table, form: str) -> tuple[bytes, str]:
    """Return a table in a form, and its media type."""
    if form == "arrow":
        return write_stream(table), STREAM
    sink = pa.BufferOutputStream()
    if form == "parquet":
        parquet.write_table(table, sink)
    else:
        csv.write_csv(table, sink)
    return sink.getvalue().to_pybytes(), PARQUET if form == "parquet" else CSV


OPERATIONS = (
    Operation(
        name="upsert_accounts",
        method="PUT",
        path="/v1/accounts",
        scope=Scope.WRITE,
        work=upsert,
        summary="Write accounts and what they hold, all or none",
        meaning="How many were written",
        asked=AccountsBody,
        told=(Upserted,),
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
        told=(AccountsPage,),
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
        told=(AccountAnswer,),
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
        told=(History,),
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
        asked=AssessBody,
        told=(Batch,),
        parameters=(IDEMPOTENCY,),
        refusals=(problems.CONFLICT,),
    ),
    Operation(
        name="export_accounts",
        method="GET",
        path="/v1/export/accounts",
        scope=Scope.READ,
        work=export,
        summary="Every account with its newest assessment, as a file",
        meaning="A table",
        gives=(CSV, PARQUET, STREAM),
        parameters=parameters(ExportQuery),
        refusals=(problems.INVALID,),
    ),
)
