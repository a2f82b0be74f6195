"""Bytes to JSON, with what a careful reader refuses."""

import pytest

from serving.asked.reading import NotJson, escape, read


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
