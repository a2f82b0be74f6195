"""Arrow IPC streams from strangers: read only when plain, small and sound.

A compressed buffer states its own length, and a column of nulls needs no buffer at all, so a
short body could ask for any amount of memory. Both are refused from the messages' headers
before anything is laid out. The layout of these headers is that of `Message.fbs` and of
FlatBuffers' tables (https://arrow.apache.org/docs/format/Columnar.html, read 2026-11-22).
"""

import struct
from collections.abc import Iterator

import pyarrow as pa
from pyarrow import ipc, types

from serving.http import problems
from serving.http.problems import Refused

STREAM = "application/vnd.apache.arrow.stream"
MOST_COLUMNS = 1000
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
        table = ipc.open_stream(body).read_all()
        table.validate(full=True)
        _refuse_types(table.schema)
    except (pa.ArrowException, struct.error, EOFError, OSError, UnicodeError, ValueError) as error:
        detail = " ".join(str(error).split())[:200]
        raise Refused(problems.NOT_ARROW, f"not an Arrow IPC stream: {detail}") from None
    return table


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
    for field in schema:
        if not _is_read(field.type):
            detail = f"column {field.name[:80]!r} is {field.type!s:.80}, which is not read"
            raise Refused(problems.NOT_ARROW, detail)


def _is_read(kind: pa.DataType) -> bool:
    """Return whether values of a type are read."""
    if types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        # Asking for a name decodes it: one that is not UTF-8 is refused here, not later.
        return all(field.name.isprintable() and _is_read(field.type) for field in fields)
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
