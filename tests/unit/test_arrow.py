"""Arrow streams from strangers: plain ones are read, everything else is refused."""

import random

import pyarrow as pa
import pytest
from pyarrow import ipc

from serving.asked.arrow import read_stream, write_stream
from serving.http.problems import Refused

TABLE = pa.table({"a": [1.5, None], "legs": [[{"asset": "ETH"}], []]})


def stream(table: pa.Table, **options: str) -> bytes:
    """Return a table as a stream written with some options."""
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, table.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_what_is_written_is_read() -> None:
    """A plain stream comes back as it was."""
    assert read_stream(write_stream(TABLE), most_rows=2).equals(TABLE)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "not-arrow"),
        (b"{}", "not-arrow"),
        (b"\xff" * 64, "not-arrow"),
        (write_stream(TABLE)[:90], "not-arrow"),
        (write_stream(TABLE)[:-60], "not-arrow"),
        (stream(TABLE, compression="zstd"), "not-arrow"),
        (stream(TABLE, compression="lz4"), "not-arrow"),
        (write_stream(pa.table({"a": pa.array(["x"]).dictionary_encode()})), "not-arrow"),
        (write_stream(pa.table({"a": pa.nulls(10**9)})), "body-too-large"),
        (write_stream(pa.table({"a": [1, 2, 3]})), "body-too-large"),
        (write_stream(pa.table({"a": pa.array([b"x"])})), "not-arrow"),
        (write_stream(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])), "not-arrow"),
        (write_stream(pa.table({str(i): [1] for i in range(1001)})), "not-arrow"),
    ],
)
def test_what_is_not_plain_is_refused(body: bytes, kind: str) -> None:
    """Bombs, dictionaries, torn streams and strange types never get as far as a table."""
    with pytest.raises(Refused) as caught:
        read_stream(body, most_rows=2)
    assert caught.value.kind.name == kind


def test_damage_never_escapes() -> None:
    """A stream with bytes changed at random is read or refused, nothing else."""
    draw, whole = random.Random(7), write_stream(TABLE)  # noqa: S311 - not a secret
    refused = 0
    for _ in range(2000):
        body = bytearray(whole)
        for _ in range(draw.randint(1, 6)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        try:
            read_stream(bytes(body), most_rows=2).to_pylist()
        except Refused:
            refused += 1
    assert refused > 1000
