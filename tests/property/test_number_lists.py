"""Numbers read where they lie in a body, against Python's own reading, bit by bit."""

import json
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.schemas.number_lists import Floats, extracted

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
DECIMALS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
)
LIKE_NUMBERS = st.text('0123456789-+.eE nul,[]"', max_size=12)
LISTS = msgspec.json.Decoder(list[float | None])


def read(text: str) -> Floats | None:
    """Return the numbers of one list."""
    found = extracted(text.encode())
    if found is None:
        return None
    rest, values = found
    assert rest == b"[]"
    return values[0]


@settings(deadline=None)
@given(st.lists(FLOATS, min_size=1, max_size=20))
def test_shortest_decimals_give_the_same_bits(values: list[float]) -> None:
    """What JSON writes of a float64 is read as that float64; only far out is it left."""
    found = read(json.dumps(values))
    if found is None:
        assert any(0.0 < abs(value) < 1e-260 or abs(value) > 1e270 for value in values)
    else:
        assert found.tobytes() == np.array(values).tobytes()


@settings(deadline=None)
@given(DECIMALS)
def test_any_decimal_is_read_to_the_nearest(text: str) -> None:
    """Decimals of any length are rounded as Python rounds them, or left to the slower way."""
    found = read(f"[{text}]")
    assert found is None or found.tobytes() == np.array([float(text)]).tobytes()


@settings(deadline=None)
@given(st.integers(2**52, 2**53 - 1), st.integers(0, 9))
def test_ties_between_two_floats_go_to_the_even_one(mantissa: int, shift: int) -> None:
    """A decimal half-way between two float64 is read as Python reads it."""
    text = str((2 * mantissa + 1) << shift)
    found = read(f"[{text}]")
    assert found is not None
    assert found.tobytes() == np.array([float(text)]).tobytes()


@settings(deadline=None, max_examples=500)
@given(LIKE_NUMBERS)
def test_what_is_read_is_json(text: str) -> None:
    """Whatever stands in a list, msgspec reads the same or this leaves it."""
    body = f"[{text}]".encode()
    found = extracted(body)
    if found is not None and found[0] == b"[]":
        wanted = [math.nan if value is None else value for value in LISTS.decode(body)]
        assert found[1].tobytes() == np.array([wanted]).tobytes()


def test_the_rest_stays_as_it_is() -> None:
    """Lists are emptied; brackets within a text are none."""
    found = extracted(b'{"a[1]": [ 1,null ,\n-2.5e-3\t] , "b": "]" ,"c":[-0.0, 1E2,0.1]}')
    assert found is not None
    assert found[0] == b'{"a[1]": [] , "b": "]" ,"c":[]}'
    np.testing.assert_array_equal(found[1], [[1.0, np.nan, -0.0025], [-0.0, 100.0, 0.1]])
    assert np.signbit(found[1][1, 0])


@pytest.mark.parametrize(
    "body",
    [
        b'["1"]',
        b"[true]",
        b"[[1]]",
        b"{}",
        b"1",
        b"[]",
        b"[1",
        b"[1,",
        b"[1,]",
        b"[,1]",
        b"[1 2]",
        b"[01]",
        b"[1.]",
        b"[.5]",
        b"[+1]",
        b"[-]",
        b"[-0]",
        b"[1e]",
        b"[1e+]",
        b"[nul]",
        b"[nan]",
        b"[1e400]",
        b"[1e00000000001]",
        b"[12345678901234567890]",
        b"[5e-324]",
        b"[\x0b1]",
        b"[1\x00]",
        b'{"\\"": [1]}',
        b"[[1], [1, 2]]",
        b'{"a": [1, 2], "b": [1]}',
        b'{"a": [1], "b": [1, 2]}',
    ],
)
def test_what_is_not_known_is_left(body: bytes) -> None:
    """Other values, numbers that need a slower reading and lists of unlike lengths."""
    assert extracted(body) is None
