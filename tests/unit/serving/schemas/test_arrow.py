"""Arrow streams from strangers: plain ones are read, everything else is refused."""

import random

import pyarrow as pa
import pytest
from pyarrow import ipc

from serving.schemas.arrow import laid_out, read_stream, write_stream
from serving.schemas.problems import Refused

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


MOST = 2**31 - 1
LONG = pa.array([0, MOST], pa.int32())
EMPTY = pa.StructArray.from_buffers(pa.struct([]), MOST, [None])
BITS = pa.array([False] * 2_000_001)


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(pa.ListArray.from_arrays(LONG, EMPTY), id="empty structs"),
        pytest.param(
            pa.LargeListArray.from_arrays(pa.array([0, MOST], pa.int64()), EMPTY), id="large list"
        ),
        pytest.param(
            pa.StructArray.from_arrays([pa.ListArray.from_arrays(LONG, EMPTY)], ["a"]),
            id="within a struct",
        ),
        pytest.param(
            pa.ListArray.from_arrays(
                pa.array([0, 1], pa.int32()), pa.ListArray.from_arrays(LONG, EMPTY)
            ),
            id="within a list",
        ),
        pytest.param(
            pa.MapArray.from_arrays(
                pa.array([0, 1], pa.int32()),
                pa.array(["k"]),
                pa.ListArray.from_arrays(LONG, EMPTY),
            ),
            id="within a map",
        ),
        pytest.param(
            pa.ListArray.from_arrays(pa.array([0, len(BITS)], pa.int32()), BITS), id="bits"
        ),
    ],
)
def test_what_is_nested_is_counted_before_it_is_laid_out(bomb: pa.Array) -> None:
    """Lists of empty structs have a length and no bytes, bits an eighth of one."""
    with pytest.raises(Refused) as caught:
        read_stream(write_stream(pa.table({"a": bomb})), most_rows=2)
    assert caught.value.kind.name == "body-too-large"


def test_two_million_nested_values_are_read() -> None:
    """The bound itself is within it, over all columns."""
    half = pa.ListArray.from_arrays(pa.array([0, 10**6], pa.int32()), BITS.slice(0, 10**6))
    body = write_stream(pa.table({"a": half, "b": half}))
    assert read_stream(body, most_rows=1).num_rows == 1


def test_columns_that_share_a_buffer_are_refused() -> None:
    """Else a thousand columns of one text would be laid out a thousand times."""
    long, short = pa.array(["x" * 10_000]), pa.array(["y"])
    body = bytearray(write_stream(pa.table({"a": long, "b": short})))
    # In the header a buffer is its offset and its length, 8 bytes each; a column of text has
    # three: validity, ends of texts, characters.
    ends = body.index((10_000).to_bytes(8, "little")) - 24
    body[ends + 48 : ends + 80] = body[ends : ends + 32]
    with pytest.raises(Refused, match="buffers overlap"):
        read_stream(bytes(body), most_rows=1)


@pytest.mark.parametrize(
    "times",
    [
        pa.array([2**62], pa.timestamp("s", tz="UTC")),
        pa.array([253_402_300_800 * 10**6], pa.timestamp("us", tz="UTC")),
        pa.array([1], pa.timestamp("us", tz="Mars/Olympus")),
        pa.array([1], pa.timestamp("us", tz="../zone")),
    ],
)
def test_times_that_no_calendar_has_are_refused(times: pa.Array) -> None:
    """Years beyond 9999 and unknown zones, at the top and within lists."""
    nested = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), times)
    for column in (times, nested):
        table = read_stream(write_stream(pa.table({"a": column})), most_rows=1)
        with pytest.raises(Refused) as caught:
            laid_out(table)
        assert caught.value.kind.name == "not-arrow"


def test_a_struct_s_field_that_stands_twice_is_refused() -> None:
    """One of the two would be lost."""
    two = pa.StructArray.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["kind", "kind"])
    legs = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), two)
    with pytest.raises(Refused) as caught:
        read_stream(write_stream(pa.table({"legs": legs})), most_rows=1)
    assert caught.value.kind.name == "not-arrow"


def test_damage_never_escapes() -> None:
    """A stream with bytes changed at random is read or refused, nothing else."""
    draw, whole = random.Random(7), write_stream(TABLE)  # noqa: S311 - not a secret
    refused = 0
    for _ in range(2000):
        body = bytearray(whole)
        for _ in range(draw.randint(1, 6)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        try:
            laid_out(read_stream(bytes(body), most_rows=2))
        except Refused:
            refused += 1
    assert refused > 1000
