"""Numbers read where they lie, against Python's own reading, bit by bit."""

import base64
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.decimals import Floats, listed, of_base64

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
DECIMALS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
)


def one(text: bytes) -> Floats | None:
    """Return the numbers of one list."""
    told = listed([text])
    return None if told is None else told[0]


@settings(deadline=None)
@given(st.lists(FLOATS, min_size=1, max_size=20))
def test_shortest_decimals_give_the_same_bits(values: list[float]) -> None:
    """What JSON writes of a float64 is read as that float64, where it is read at all."""
    told = one(json.dumps(values).encode())
    if told is None:
        assert any(0.0 < abs(value) < 1e-260 or abs(value) > 1e270 for value in values)
    else:
        assert told.tobytes() == np.array(values).tobytes()


@settings(deadline=None)
@given(st.lists(DECIMALS, min_size=1, max_size=20))
def test_any_decimal_is_read_to_the_nearest(texts: list[str]) -> None:
    """Decimals of any length are rounded as Python rounds them, or left to the slower way."""
    told = one(f"[{', '.join(texts)}]".encode())
    wanted = np.array([float(text) for text in texts])
    assert told is None or told.tobytes() == wanted.tobytes()


@settings(deadline=None)
@given(st.integers(2**52, 2**53 - 1), st.integers(0, 9))
def test_ties_between_two_floats_go_to_the_even_one(mantissa: int, shift: int) -> None:
    """A decimal half-way between two float64 is read as Python reads it."""
    text = str((2 * mantissa + 1) << shift)
    told = one(f"[{text}]".encode())
    assert told is not None
    assert told.tobytes() == np.array([float(text)]).tobytes()


def test_nulls_and_blanks() -> None:
    """Null is missing; blanks of any kind count for nothing."""
    told = one(b"[ 1,null ,\n-2.5e-3\t, -0 , 0.000012345678901234567]")
    assert told is not None
    assert math.isnan(told[1])
    assert told[[0, 2, 3, 4]].tolist() == [1.0, -0.0025, 0.0, 1.2345678901234567e-05]
    assert math.copysign(1.0, told[3]) == -1.0


@pytest.mark.parametrize(
    "text",
    [
        b'["1"]',
        b"[true]",
        b"[[1]]",
        b"{}",
        b"1",
        b"[1e400]",
        b"[12345678901234567890]",
        b"[5e-324]",
    ],
)
def test_what_is_not_known_is_left(text: bytes) -> None:
    """Other values, and numbers that need a slower reading, are not guessed."""
    assert listed([text]) is None


def test_lists_of_unlike_lengths_are_left() -> None:
    """A list that is shorter or longer than the first is for the slower way to tell."""
    told = listed([b"[1, 2]", b"[null, 4]"])
    assert told is not None
    assert told[0].tolist() == [1.0, 2.0]
    assert told[1, 1] == 4.0
    assert listed([b"[1, 2]", b"[1]"]) is None
    assert listed([b"[1, 2]", b"[1, 2, 3]"]) is None
    assert listed([b"[]"]) is None
    assert of_base64([b"AAAAAAAAAAA=", b"AAAA"]) is None


@settings(deadline=None)
@given(st.lists(st.floats(), min_size=1, max_size=20))
def test_base64_gives_the_same_bytes(values: list[float]) -> None:
    """Padded base64 of float64 is read to the same bytes."""
    raw = np.array(values).tobytes()
    told = of_base64([base64.b64encode(raw)] * 2)
    assert told is not None
    assert told.tobytes() == raw * 2


@pytest.mark.parametrize(
    "text",
    [b"", b"AAAA", b"AAAA!AAAAAA=", b"AAA=AAAAAAA=", b"AAAAAAAAAA==", b"AAAAAAAAA===", b"=" * 12],
)
def test_what_is_no_base64_of_numbers_is_left(text: bytes) -> None:
    """Foreign bytes, wrong padding and half numbers are not guessed."""
    assert of_base64([text]) is None
