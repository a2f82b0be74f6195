"""Results as Parquet: a row per account, in the very words that a request is answered with."""

import os
import types
import typing
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import json as arrow_json
from pyarrow import parquet as pq

from models.errors import Fault
from serving.schemas.assessment import AnswerStruct, Assessment

UNASKED = frozenset({"features", "plan", "plan_absence", "request_id", "values"})
"""What a book is not asked for; and values of reasons and notices, whose names differ: the text
tells them."""

PLAIN = {
    str: pa.string(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us", tz="UTC"),
}


def _arrow(hint: Any) -> pa.DataType:
    """Return the Arrow type of a field of an answer."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in {types.UnionType, typing.Union}:
        (hint,) = (part for part in inner if part is not types.NoneType)
        return _arrow(hint)
    if origin is Literal:
        return pa.string()
    if origin is tuple:
        return pa.list_(_arrow(inner[0]))
    if isinstance(hint, type) and issubclass(hint, AnswerStruct):
        return pa.struct(_fields(hint))
    return PLAIN[hint]


def _fields(kind: type[msgspec.Struct]) -> list[tuple[str, pa.DataType]]:
    """Return the fields of an answer as Arrow has them."""
    hints = get_type_hints(kind)
    return [(name, _arrow(hints[name])) for name in kind.__struct_fields__ if name not in UNASKED]


ERRORS = pa.list_(pa.struct([("where", pa.string()), ("message", pa.string())]))
SAID = pa.schema([*_fields(Assessment), ("errors", ERRORS)])
STANDING = pa.schema(
    [
        ("distance", pa.float64()),
        ("trigger_asset", pa.string()),
        ("trigger_side", pa.string()),
        ("trigger_price", pa.float64()),
        ("collateral_value", pa.float64()),
    ]
)
"""Where an account stands: by the names, and in the units, of what the store keeps of it."""

SCHEMA = pa.schema([("file", pa.string()), ("row", pa.int64()), *SAID, *STANDING])
"""A row per row of the input: an assessment by the API's names, or `errors` in its place."""

_READ = arrow_json.ParseOptions(explicit_schema=SAID, unexpected_field_behavior="ignore")
_ENCODER = msgspec.json.Encoder()
DIGEST = b"forewarn.plan"


class RowFault(AnswerStruct, frozen=True, kw_only=True):
    """One fault of a row: `file:column:row`, and what is wrong."""

    where: str
    message: str


class RowErrors(AnswerStruct, frozen=True, kw_only=True):
    """What stands in the place of an assessment where a row could not be judged."""

    account: str | None
    errors: tuple[RowFault, ...]


def refused(account: str | None, faults: Sequence[Fault]) -> RowErrors:
    """Return what is told of a row that could not be judged."""
    errors = tuple(RowFault(where=fault.where, message=fault.message) for fault in faults)
    return RowErrors(account=account, errors=errors)


def table(
    said: Sequence[Assessment | RowErrors],
    stand: Sequence[Mapping[str, Any]],
    *,
    file: str,
    numbers: Sequence[int],
) -> pa.Table:
    """Return rows as a table of `SCHEMA`.

    They are written as an answer is and read from there, so that both say the same to the bit.

    Parameters
    ----------
    stand
        Of the same rows, values of `STANDING` as far as they are known.
    numbers
        Of the rows in their file, from 0.
    """
    lines = _ENCODER.encode_lines(said)
    options = arrow_json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    read = arrow_json.read_json(BytesIO(lines), options, _READ)
    names = pa.DictionaryArray.from_arrays(np.zeros(len(said), np.int32), [file]).cast(pa.string())
    rows = pa.array(np.array(numbers) + 1)
    places = pa.Table.from_pylist(list(stand), schema=STANDING)
    columns = [names, rows, *(read[name] for name in SAID.names), *places.columns]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def write(tables: Sequence[pa.Table], target: Path, *, digest: str) -> None:
    """Write the results of a part: all of them under their name, or nothing under it.

    Parameters
    ----------
    digest
        Of the plan that they belong to.
    """
    whole = pa.concat_tables(tables).combine_chunks()
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with draft.open("wb") as file:
            marked = whole.replace_schema_metadata({DIGEST: digest.encode()})
            pq.write_table(marked, file, compression="zstd", row_group_size=len(whole))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def is_written(target: Path, *, digest: str, rows: int) -> bool:
    """Return whether a file holds the whole of a part's results, by this plan."""
    try:
        metadata = pq.read_metadata(target)
    except (OSError, pa.ArrowException):
        return False
    return metadata.num_rows == rows and (metadata.metadata or {}).get(DIGEST) == digest.encode()


def faults(target: Path) -> Iterator[list[Fault]]:
    """Yield the faults of each row that the results of a part refuse."""
    column = pq.read_table(target, columns=["errors"])["errors"]
    for errors in column.drop_null().to_pylist():
        yield [Fault(error["where"], error["message"]) for error in errors]


def count(said: Sequence[Assessment | RowErrors]) -> int:
    """Return how many rows could not be judged."""
    return sum(isinstance(each, RowErrors) for each in said)
