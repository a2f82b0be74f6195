"""Accounts and answers by columns: JSON for anyone, Arrow for data frames.

In: `columns` holds one list per field of an account, `legs` and `events` beneath it are columns of
their own whose `account` is the row, from 0. An Arrow table has one row per account, lists of
structs for legs and events, and the rest of the envelope as JSON in the schema's metadata under
`forewarn`. Out: one list per field of the answer. Faults name row i as `/accounts/i`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import pyarrow as pa

from models.errors import Fault, InvalidInput
from models.horizons import HEADS, LABELS
from serving.http.routing import JSON, Answer, Call, json_answer
from serving.schemas import problems, requests
from serving.schemas.arrow import STREAM, laid_out, read_stream, write_stream
from serving.schemas.assessment import Assessment, Batch, FaultyItem
from serving.schemas.margin import MarginAnswer, MarginBatch
from serving.schemas.problems import Refused
from serving.schemas.strict_json import escape, read

COLUMNS = "application/vnd.forewarn.columns+json"
FORMS = (COLUMNS, STREAM)
METADATA = b"forewarn"
NESTED = ("legs", "events")
E = TypeVar("E", bound=requests.Envelope)
Row = dict[str, Any]


def envelope(call: Call, kind: type[E]) -> tuple[E, list[Fault]]:
    """Return the envelope of a body in any form, and the faults of single accounts.

    Raises
    ------
    NotJson, Refused
        When the body is not of the form that it claims.
    InvalidInput
        Listing the faults of the whole body when its envelope is broken.
    """
    if call.media_type == JSON:
        return requests.parse(call.body, kind)
    if call.media_type == STREAM:
        tree, faults = _of_arrow(call.body)
    else:
        tree, faults = read(call.body)
        tree = _with_rows(tree)
    return requests.of_tree(tree, kind, faults)


def answered(content: Any, call: Call) -> Answer:
    """Return an answer in the form asked for: that of `Accept`, or else that of the body.

    Raises
    ------
    Refused
        406 where the answer has no such form.
    """
    form = _form(call)
    if form == JSON:
        return json_answer(content)
    items = _items(content)
    rows = [_flat(item) for item in items]
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    shared = {
        "request_id": content.request_id,
        "as_of": content.as_of.isoformat(),
        "simulated": content.simulated,
    }
    if form == COLUMNS:
        answer = json_answer({**shared, "rows": len(rows), "columns": columns})
        return Answer(body=answer.body, media_type=COLUMNS)
    marks = {name: str(value) for name, value in shared.items()}
    table = pa.table(columns).replace_schema_metadata(marks)
    return Answer(body=write_stream(table), media_type=STREAM)


def _form(call: Call) -> str:
    """Return the media type of the answer."""
    default = call.media_type if call.media_type in FORMS else JSON
    stated = call.headers.get("accept", "*/*")
    ranges = [part.partition(";")[0].strip().lower() for part in stated.split(",")]
    if not stated.strip() or any(media_type in {"*/*", "application/*"} for media_type in ranges):
        named = [media_type for media_type in ranges if media_type in FORMS]
        return named[0] if named else default
    for media_type in ranges:
        if media_type in {JSON, *FORMS}:
            return media_type
    detail = f"Accept {stated[:80]!r} is none of {', '.join((JSON, *FORMS))}"
    raise Refused(problems.NOT_ACCEPTABLE, detail)


def _with_rows(tree: Any) -> Any:
    """Return a tree with its columns turned into accounts.

    Raises
    ------
    InvalidInput
        Listing columns of unlike lengths and rows that are not there.
    """
    if not isinstance(tree, dict) or not isinstance(tree.get("columns"), dict):
        raise InvalidInput([Fault("/columns", "an object of columns is needed")])
    columns = tree["columns"]
    plain = {name: column for name, column in columns.items() if name not in NESTED}
    rows = _rows(plain, "/columns")
    for name in NESTED:
        if name in columns:
            _nest(rows, name, columns[name])
    return {**{name: part for name, part in tree.items() if name != "columns"}, "accounts": rows}


def _nest(rows: Sequence[Row], name: str, columns: Any) -> None:
    """Put legs or events into the accounts that they belong to.

    Raises
    ------
    InvalidInput
        When they are no columns, or name a row that is not there.
    """
    place = f"/columns/{name}"
    if not isinstance(columns, dict) or "account" not in columns:
        raise InvalidInput([Fault(place, "an object of columns with `account` is needed")])
    parts = _rows(columns, place)
    for row in rows:
        row[name] = []
    for i, part in enumerate(parts):
        owner = part.pop("account", None)
        if isinstance(owner, bool) or not isinstance(owner, int) or not 0 <= owner < len(rows):
            detail = f"{owner!r:.40} is no row from 0 to {len(rows) - 1}"
            raise InvalidInput([Fault(f"{place}/account/{i}", detail)])
        rows[owner][name].append(part)


def _rows(columns: Mapping[str, Any], place: str) -> list[Row]:
    """Return columns of one length as rows; null means that nothing is stated.

    Raises
    ------
    InvalidInput
        Listing columns that are no lists, or of unlike lengths.
    """
    sizes = {name: len(c) if isinstance(c, list) else -1 for name, c in columns.items()}
    most = max(sizes.values(), default=0)
    faults = [
        Fault(f"{place}/{escape(name)}", "a list as long as the others is needed")
        for name, size in sizes.items()
        if size != most
    ]
    if faults:
        raise InvalidInput(faults)
    named = list(columns)
    return [
        {name: value for name, value in zip(named, values, strict=True) if value is not None}
        for values in zip(*columns.values(), strict=True)
    ]


def _of_arrow(body: bytes) -> tuple[Any, list[Fault]]:
    """Return the tree of a table with its envelope in the metadata."""
    table = read_stream(body, most_rows=requests.MOST_ACCOUNTS)
    stated = (table.schema.metadata or {}).get(METADATA, b"{}")
    tree, faults = read(stated)
    if not isinstance(tree, dict):
        raise InvalidInput([Fault("", "the metadata `forewarn` is a JSON object")])
    return {**tree, "accounts": [_stated(row) for row in laid_out(table)]}, faults


def _stated(value: Any) -> Any:
    """Return a value as JSON would hold it; null means that nothing is stated.

    Raises
    ------
    Refused
        For a text that no database keeps.
    """
    if isinstance(value, dict):
        return {name: _stated(part) for name, part in value.items() if part is not None}
    if isinstance(value, list):
        # A map column comes as pairs.
        if value and all(isinstance(part, tuple) for part in value):
            return {name: _stated(part) for name, part in value}
        return [_stated(part) for part in value]
    if isinstance(value, str) and "\0" in value:
        raise Refused(problems.NOT_ARROW, "a text holds U+0000")
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def _items(content: Any) -> Sequence[Any]:
    """Return the items of an answer on one account or many."""
    if isinstance(content, Batch):
        return content.assessments
    return content.margins if isinstance(content, MarginBatch) else [content]


def _flat(item: Assessment | MarginAnswer | FaultyItem) -> Row:
    """Return one item as a row."""
    if isinstance(item, FaultyItem):
        text = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in item.errors)
        return {"account": item.account, "errors": text}
    shared = {
        "account": item.account,
        "errors": None,
        "degraded": item.degraded,
        "degraded_reasons": " ".join(notice.code for notice in item.degraded_reasons),
    }
    specific = _flat_assessment(item) if isinstance(item, Assessment) else _flat_margin(item)
    return {**shared, **specific}


def _flat_assessment(assessment: Assessment) -> Row:
    """Return the columns of an assessment beside those of every item."""
    rule = assessment.rule
    chances = {
        f"{head}_{entry.horizon}": getattr(entry, head)
        for entry in assessment.forecast
        for head in HEADS
    }
    unknown = {f"{head}_{h}": None for h in LABELS for head in HEADS}
    return {
        "verdict": rule.verdict,
        "reason": rule.reason,
        "ratio_name": None if rule.ratio is None else rule.ratio.name,
        "ratio": None if rule.ratio is None else rule.ratio.value,
        "surplus": rule.surplus,
        "trigger_asset": None if rule.trigger is None else rule.trigger.asset,
        "trigger_direction": None if rule.trigger is None else rule.trigger.direction,
        "trigger_price": None if rule.trigger is None else rule.trigger.price,
        "shock_trigger": None if rule.shock_trigger is None else rule.shock_trigger.shock,
        "next_verdict": None if rule.next_verdict is None else rule.next_verdict.verdict,
        **unknown,
        **chances,
        "oldest_price_age_seconds": assessment.oldest_price_age_seconds,
        "model_version": assessment.model_version,
    }


def _flat_margin(margin: MarginAnswer) -> Row:
    """Return the columns of a margin beside those of every item."""
    standing = margin.standing
    side = standing.maintenance
    return {
        "verdict": standing.verdict,
        "reason": standing.reason,
        "ratio_name": None if standing.ratio is None else standing.ratio.name,
        "ratio": None if standing.ratio is None else standing.ratio.value,
        "credit": None if side is None else side.credit,
        "requirement": None if side is None else side.requirement,
        "surplus": None if side is None else side.surplus,
        "next_verdict": None if margin.next_verdict is None else margin.next_verdict.verdict,
    }
