"""Every account with its newest assessment, as a file."""

from collections.abc import Iterator
from typing import Any, Literal

import pyarrow as pa
from pyarrow import compute, csv, parquet

from models.horizons import PROBABILITIES
from serving.application.scoring import ScoringService
from serving.http.idempotency import opened
from serving.http.keys import Scope
from serving.http.query import parameters, read_query
from serving.http.routing import Answer, Call, Operation
from serving.routes.accounts import AccountsQuery
from serving.schemas import problems
from serving.schemas.arrow import STREAM, write_stream
from serving.schemas.stored import AccountSummary
from serving.store import Transaction, assessments, market
from serving.store.assessments import AccountFilter

CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
PAGE = 1000
_FORMULA = r"^([=+\-@\t\r])"


class ExportQuery(AccountsQuery):
    """Filters and form of `GET /v1/export/accounts`."""

    format: Literal["csv", "parquet", "arrow"] = "csv"


def export(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/export/accounts`."""
    query = read_query(call.query, ExportQuery)
    with opened(desk).read() as transaction:
        rows = [_flat(summary) for summary in _every(transaction, query.criteria())]
        simulated = market.notes(transaction).get("simulated") == "yes"
    table = pa.Table.from_pylist(rows, schema=_SCHEMA)
    body, media = _written(table, query.format)
    headers = {
        "Content-Disposition": f'attachment; filename="accounts.{query.format}"',
        "X-Simulated": "yes" if simulated else "no",
    }
    return Answer(body=body, media_type=media, headers=headers)


def _every(transaction: Transaction, criteria: AccountFilter) -> Iterator[AccountSummary]:
    """Yield every account that the filters let through."""
    after: tuple[float | None, str] | None = None
    while True:
        page = assessments.explore(transaction, criteria, after=after, limit=PAGE)
        yield from page
        if len(page) < PAGE:
            return
        after = (None, page[-1].account)


_IDENTITY = ("account", "venue", "version", "market", "owner")
_SIZES = ("requirement", "collateral_value", "distance", "trigger_price")
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _IDENTITY),
        ("at", pa.timestamp("us", tz="UTC")),
        ("verdict", pa.string()),
        ("next_verdict", pa.string()),
        ("ratio", pa.float64()),
        *((name, pa.float64()) for name in _SIZES),
        ("trigger_asset", pa.string()),
        ("trigger_side", pa.string()),
        *((name, pa.float64()) for name in PROBABILITIES),
        ("model_version", pa.string()),
        ("degraded", pa.string()),
    ]
)


def _flat(summary: AccountSummary) -> dict[str, Any]:
    """Return an account and its newest assessment as one row."""
    row = {name: getattr(summary, name) for name in _IDENTITY}
    assessed = summary.assessed
    if assessed is None:
        return row
    names = (
        *("at", "verdict", "next_verdict", "ratio", "model_version"),
        *("trigger_asset", "trigger_side", *_SIZES, *PROBABILITIES),
    )
    row.update({name: getattr(assessed, name) for name in names})
    return {**row, "degraded": " ".join(assessed.degraded)}


def _written(table: pa.Table, form: str) -> tuple[bytes, str]:
    """Return a table in a form, and its media type."""
    if form == "arrow":
        return write_stream(table), STREAM
    sink = pa.BufferOutputStream()
    if form == "parquet":
        parquet.write_table(table, sink)
    else:
        csv.write_csv(_inert(table), sink)
    return sink.getvalue().to_pybytes(), PARQUET if form == "parquet" else CSV


def _inert(table: pa.Table) -> pa.Table:
    """Return a table in which no text is a formula to a spreadsheet.

    References
    ----------
    OWASP, CSV injection, https://owasp.org/www-community/attacks/CSV_Injection, read 2026-11.
    """
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            safe = compute.replace_substring_regex(
                table.column(place), pattern=_FORMULA, replacement=r"'\1"
            )
            table = table.set_column(place, field, safe)
    return table


OPERATIONS = (
    Operation(
        name="export_accounts",
        method="GET",
        path="/v1/export/accounts",
        scope=Scope.READ,
        work=export,
        summary="Every account with its newest assessment, as a file",
        details="In CSV an apostrophe stands before a text that a spreadsheet would take for a "
        "formula.",
        meaning="A table",
        gives=(CSV, PARQUET, STREAM),
        parameters=parameters(ExportQuery),
        refusals=(problems.INVALID,),
    ),
)
