"""Bytes to JSON, with what a careful reader refuses."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from serving.schemas.fields import Time
from serving.schemas.strict_json import NotJson, escape, read

TEXTS = st.text(alphabet='ab"\\\\[{]}\\n\\u00fc\U0001f642', max_size=6)


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


@given(st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS, max_size=3), max_size=4))
def test_escapes_hide_nothing(tree: dict[str, Any]) -> None:
    """Quotes, backslashes and brackets within texts are read as what they stand for."""
    assert read(json.dumps(tree).encode()) == (tree, [])


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "\\u0061": 2}',
        b'{"\\\\": 1, "\\u005c": 2}',
        b'{"q\\"": 1, "q\\u0022": 2}',
        b'{"\\u0022\\u0022": "\\u0022", "a": 1, "a": 2}',
    ],
)
def test_a_key_that_stands_twice_is_told_however_it_is_written(body: bytes) -> None:
    """An escape writes the same key in other bytes."""
    assert [fault.message for fault in read(body)[1]] == ["the key stands twice"]


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
