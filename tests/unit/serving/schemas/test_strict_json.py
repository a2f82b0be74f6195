"""Bytes to JSON, with what a careful reader refuses."""

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from serving.schemas.fields import Time
from serving.schemas.strict_json import NotJson, escape, read


def test_a_sound_body_is_read_as_it_stands() -> None:
    """Nothing is changed and nothing is faulted."""
    assert read(b'{"a": [1, 2.5, null, true, "x"]}') == ({"a": [1, 2.5, None, True, "x"]}, [])


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[1,]", b"[" * 100_000])
def test_what_is_not_json_is_refused_whole(body: bytes) -> None:
    """Nothing can be said about the parts of it."""
    with pytest.raises(NotJson):
        read(body)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"a": NaN}', "/a"),
        (b'{"a": [0, Infinity]}', "/a/1"),
        (b'{"a/b": {"~": -Infinity}}', "/a~1b/~0"),
        (b'{"a": 1e400}', "/a"),
        (b'{"a": ' + b"7" * 121 + b"}", "/a"),
        (b'{"a": 1, "a": 2}', "/a"),
        (b'{"a": "\\ud800"}', "/a"),
        (b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}", "/a" + "/0" * 15),
    ],
)
def test_each_unusable_part_is_named(body: bytes, where: str) -> None:
    """One fault, at its JSON pointer."""
    _, faults = read(body)
    assert [fault.where for fault in faults] == [where]


def test_many_repeated_keys_do_not_take_long() -> None:
    """Counting repeats is linear in the number of keys."""
    pairs = ",".join(f'"{i}": 0' for i in range(200_000))
    _, faults = read(f'{{{pairs}, "7": 1}}'.encode())
    assert [fault.where for fault in faults] == ["/7"]


def test_pointers_are_escaped() -> None:
    """As RFC 6901 says."""
    assert escape("a/b~c") == "a~1b~0c"


@pytest.mark.parametrize(
    "stated", ["20200101", "1577836800000", "1577836800", "2020-01-01", "2020-W01-1T00:00:00Z", ""]
)
def test_digits_alone_are_no_time(stated: str) -> None:
    """They do not say their unit, and a day not its hour."""
    with pytest.raises(ValidationError):
        TypeAdapter(Time).validate_python(stated)


@pytest.mark.parametrize(
    "stated",
    [
        "2020-01-01T01:30:00+01:30",
        "2020-01-01T00:00Z",
        "2020-01-01 00:00:00.000000Z",
        "2020-01-01t00:00:00z",
    ],
)
def test_times_of_iso_8601_are_read(stated: str) -> None:
    """With an offset, without seconds, with a space."""
    assert TypeAdapter(Time).validate_python(stated) == datetime(2020, 1, 1, tzinfo=UTC)
