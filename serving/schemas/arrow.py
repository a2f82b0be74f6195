"""Arrow IPC streams from strangers: read only when plain, small and sound.

A compressed buffer states its own length, a column of nulls or a list of empty structs needs no
buffer at all, and columns may share one buffer, so a short body could ask for any amount of memory.
Each is refused before anything is laid out. The layout of these headers is that of `Message.fbs`
and of FlatBuffers' tables (https://arrow.apache.org/docs/format/Columnar.html, read 2026-11-22).
"""

import struct
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyarrow import ipc, types

from serving.schemas import problems
from serving.schemas.problems import Refused

STREAM = "application/vnd.apache.arrow.stream"
MOST_COLUMNS = 1000
MOST_NESTED = 2_000_000
"""Values within lists, structs and maps, each level counted."""

_HEADER = 2
"""Field of a message that holds its record batch."""

_LENGTH, _COMPRESSION = 0, 3
"""Fields of a record batch: its rows, and how its buffers are compressed."""


def read_stream(body: bytes, *, most_rows: int) -> pa.Table:
    """Return the table of an IPC stream.

    Raises
    ------
    Refused
        When it is no stream, is compressed or dictionary-encoded, holds more rows than allowed
        or types that are not read, or contradicts itself.
    """
    try:
        rows = sum(_rows(message) for message in _messages(body))
        if rows > most_rows:
            raise Refused(problems.TOO_LARGE, f"{rows} rows, at most {most_rows}")
        reader = ipc.open_stream(body)
        _refuse_types(reader.schema)
        table = reader.read_all()
        table.validate(full=True)
    except (pa.ArrowException, struct.error, EOFError, OSError, UnicodeError, ValueError) as error:
        raise Refused(problems.NOT_ARROW, f"not an Arrow IPC stream: {_said(error)}") from None
    _refuse_bombs(table, body)
    return table


def laid_out(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a table that `read_stream` has read.

    Raises
    ------
    Refused
        When it holds a time beyond the year 9999 or in a zone that is not known.
    """
    try:
        rows: list[dict[str, Any]] = table.to_pylist()
    except (pa.ArrowException, ArithmeticError, UnicodeError, ValueError) as error:
        raise Refused(problems.NOT_ARROW, f"a value cannot be read: {_said(error)}") from None
    return rows


def _said(error: Exception) -> str:
    """Return the beginning of an error's text, on one line."""
    return " ".join(str(error).split())[:200]


def _refuse_bombs(table: pa.Table, body: bytes) -> None:
    """Refuse a table that would be far larger than its stream once it is laid out."""
    nested = sum(
        _nested(chunk)
        for place, kind in enumerate(table.schema.types)
        if types.is_nested(kind)
        for chunk in table.column(place).chunks
    )
    if nested > MOST_NESTED:
        detail = f"{nested} values in lists, structs and maps, at most {MOST_NESTED}"
        raise Refused(problems.TOO_LARGE, detail)
    if table.nbytes > len(body):
        raise Refused(problems.NOT_ARROW, "buffers overlap: write every column its own")


def _nested(array: pa.Array) -> int:
    """Return how many values an array's lists, structs and maps hold, each level counted."""
    kind = array.type
    if types.is_struct(kind):
        parts = array.flatten()
    elif types.is_list(kind) or types.is_large_list(kind):
        parts = [_within(array)]
    elif types.is_map(kind):
        parts = [array.keys, array.items]
    else:
        return 0
    return sum(len(part) + _nested(part) for part in parts)


def _within(array: pa.Array) -> pa.Array:
    """Return the values that the lists of an array lie in, those of null lists included."""
    first, last = array.offsets[0].as_py(), array.offsets[-1].as_py()
    return array.values.slice(first, last - first)


def write_stream(table: pa.Table) -> bytes:
    """Return a table as an IPC stream."""
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _messages(body: bytes) -> Iterator["ipc.Message"]:
    """Yield the messages of a stream."""
    reader = ipc.MessageReader.open_stream(body)
    while True:
        try:
            yield reader.read_next_message()
        except StopIteration:
            return


def _rows(message: "ipc.Message") -> int:
    """Return the rows that a message brings.

    Raises
    ------
    Refused
        When it is compressed or no plain record batch.
    """
    if message.type == "schema":
        return 0
    if message.type != "record batch":
        raise Refused(problems.NOT_ARROW, f"a {message.type} message is not read: write it plain")
    header = message.metadata.to_pybytes()
    batch = _table(header, _field(header, _table(header, 0), _HEADER))
    if _field(header, batch, _COMPRESSION):
        raise Refused(problems.NOT_ARROW, "compressed buffers are not read: write them plain")
    at = _field(header, batch, _LENGTH)
    return int(struct.unpack_from("<q", header, at)[0]) if at else 0


def _table(buffer: bytes, at: int) -> int:
    """Return the place of the table that the offset at a place leads to."""
    return at + int(struct.unpack_from("<I", buffer, at)[0])


def _field(buffer: bytes, table: int, number: int) -> int:
    """Return the place of a table's field; 0 where it is left out."""
    names = table - int(struct.unpack_from("<i", buffer, table)[0])
    size = int(struct.unpack_from("<H", buffer, names)[0])
    slot = 4 + 2 * number
    if slot >= size:
        return 0
    offset = int(struct.unpack_from("<H", buffer, names + slot)[0])
    return table + offset if offset else 0


def _refuse_types(schema: pa.Schema) -> None:
    """Refuse columns that repeat, are too many or of types that are not read."""
    if len(schema.names) > MOST_COLUMNS:
        raise Refused(problems.NOT_ARROW, f"{len(schema.names)} columns, at most {MOST_COLUMNS}")
    if len(set(schema.names)) != len(schema.names):
        raise Refused(problems.NOT_ARROW, "a column stands twice")
    unread = {kind for kind in set(schema.types) if not _is_read(kind)}
    for field in schema if unread else ():
        if field.type in unread:
            detail = f"column {field.name[:80]!r} is {field.type!s:.80}, which is not read"
            raise Refused(problems.NOT_ARROW, detail)


def _is_read(kind: pa.DataType) -> bool:
    """Return whether values of a type are read."""
    if types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        # Asking for a name decodes it: one that is not UTF-8 is refused here, not later.
        is_once = len({field.name for field in fields}) == len(fields)
        return is_once and all(f.name.isprintable() and _is_read(f.type) for f in fields)
    if types.is_list(kind) or types.is_large_list(kind):
        return _is_read(kind.value_type)
    if types.is_map(kind):
        return types.is_string(kind.key_type) and _is_read(kind.item_type)
    return any(
        is_kind(kind)
        for is_kind in (
            types.is_string,
            types.is_large_string,
            types.is_integer,
            types.is_floating,
            types.is_boolean,
            types.is_timestamp,
            types.is_decimal,
        )
    )
