"""Lists of numbers out of a body's bytes into float64, without an object per number.

A list that JSON has been checked for is read digit by digit into the nearest float64, by the
method of Lemire ("Number parsing at a gigabyte per second", Software: Practice and Experience
51, 2021): 64 digits' bits times a power of five of 128 bits, exact but where it says that it
cannot know. What it does not know is left to the caller's slower way, never guessed.
"""

from collections.abc import Sequence
from functools import cache

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Powers = npt.NDArray[np.uint64]

LEAST_POWER, MOST_POWER = -290, 290
"""Powers of ten within which no float64 is subnormal or infinite."""

MOST_DIGITS = 19
"""Digits that always fit 64 bits."""

UNKNOWN = -1
BITS = 128
_PLUS, _MINUS, _COMMA, _POINT = 43, 45, 44, 46
_ZERO, _NINE, _BIG_E, _SMALL_E, _NULL, _CLOSE = 48, 57, 69, 101, 110, 93
_BLANKS = 32
_LOW = np.uint64(0xFFFFFFFF)
_NAN = np.uint64(0x7FF8000000000000)
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_FOREIGN = 64


def listed(texts: Sequence[bytes]) -> Floats | None:
    """Return the numbers of sound JSON lists, NaN for null, shape (lists, numbers).

    Parameters
    ----------
    texts
        JSON values from their first byte to their last, already known to be JSON.

    Returns
    -------
    numpy.ndarray | None
        None where they may hold anything else, or are of unlike lengths.
    """
    raw = np.frombuffer(b"".join(texts), dtype=np.uint8)
    ends = np.cumsum([len(text) for text in texts])
    bits = np.empty((len(texts), texts[0].count(b",") + 1), dtype=np.uint64)
    is_read = _read_all(raw, ends, _powers(), bits)
    return bits.view(np.float64) if is_read else None


def of_base64(texts: Sequence[bytes]) -> Floats | None:
    """Return the little-endian float64 of padded base64 texts, shape (texts, numbers).

    Returns
    -------
    numpy.ndarray | None
        None where they are anything else, or of unlike lengths.
    """
    length = len(texts[0])
    padding = texts[0][-2:].count(b"=")
    size = length // 4 * 3 - padding
    is_even = all(len(text) == length and text[-2:].count(b"=") == padding for text in texts)
    if length % 4 or size % 8 or not length or not is_even:
        return None
    raw = np.frombuffer(b"".join(texts), dtype=np.uint8).reshape(len(texts), length)
    out = np.empty((len(texts), size), dtype=np.uint8)
    is_known = _decode_all(raw[:, : length - padding], _sextets(), out)
    return out.view("<f8") if is_known else None


@cache
def _powers() -> Powers:
    """Return 5^q from LEAST_POWER on as its leading 128 bits, shape (Q, 2), high word first.

    Rounded down above 0 and up below, as the method's proof wants them.
    """
    found = [_leading(q) for q in range(LEAST_POWER, MOST_POWER + 1)]
    return np.array([(bits >> 64, bits & (2**64 - 1)) for bits in found], dtype=np.uint64)


def _leading(power: int) -> int:
    """Return the leading 128 bits of 5^power."""
    if power < 0:
        whole = 5**-power
        bits = 2 ** (whole.bit_length() + BITS) // whole + 1
        return bits >> (bits.bit_length() - BITS)
    whole = 5**power
    return whole << BITS >> whole.bit_length()


@cache
def _sextets() -> Bytes:
    """Return the value of every byte in base64, `_FOREIGN` where it has none."""
    table = np.full(256, _FOREIGN, dtype=np.uint8)
    table[np.frombuffer(_ALPHABET, dtype=np.uint8)] = np.arange(64, dtype=np.uint8)
    return table


@numba.njit(cache=True, nogil=True)
def _read_all(raw: Bytes, ends: Ints, powers: Powers, out: Powers) -> bool:
    """Write the bits of every list's numbers; return whether all are known and as many."""
    begin = 0
    for row in range(len(ends)):
        if _read(raw[begin : ends[row]], powers, out[row]) != out.shape[1]:
            return False
        begin = ends[row]
    return True


@numba.njit(cache=True, nogil=True)
def _read(raw: Bytes, powers: Powers, out: Powers) -> int:
    """Write the bits of a list's numbers and return how many; UNKNOWN where one is not known."""
    at, count, end = 1, 0, len(raw) - 1
    if raw[end] != _CLOSE:
        return UNKNOWN
    while at < end and count < len(out):
        byte = raw[at]
        if byte == _COMMA or byte <= _BLANKS:
            at += 1
        elif byte == _NULL:
            out[count] = _NAN
            at, count = at + 4, count + 1
        else:
            out[count], at = _number(raw, at, powers)
            if at == UNKNOWN:
                return UNKNOWN
            count += 1
    while at < end:
        if raw[at] != _COMMA and raw[at] > _BLANKS:
            return UNKNOWN
        at += 1
    return count


@numba.njit(inline="always")
def _digit(byte: np.uint8) -> np.uint64:
    """Return the value of a decimal digit, beyond 9 for any other byte."""
    return np.uint64(byte) - np.uint64(_ZERO)


@numba.njit(inline="always")
def _pair(raw: Bytes, at: int) -> tuple[np.uint64, np.bool]:
    """Return the value of two bytes as digits, and whether they are."""
    tens, ones = _digit(raw[at]), _digit(raw[at + 1])
    return tens * np.uint64(10) + ones, (tens < np.uint64(10)) & (ones < np.uint64(10))


@numba.njit(inline="always")
def _eight(raw: Bytes, at: int) -> tuple[np.uint64, np.bool]:
    """Return the value of eight bytes as digits, and whether they are; without a branch."""
    (a, is_a), (b, is_b) = _pair(raw, at), _pair(raw, at + 2)
    (c, is_c), (d, is_d) = _pair(raw, at + 4), _pair(raw, at + 6)
    upper, lower = a * np.uint64(100) + b, c * np.uint64(100) + d
    return upper * np.uint64(10_000) + lower, is_a & is_b & is_c & is_d


@numba.njit(inline="always")
def _number(raw: Bytes, at: int, powers: Powers) -> tuple[np.uint64, int]:
    """Return a number's bits and the place behind it; UNKNOWN as place where it is not known."""
    sign = np.uint64(raw[at] == _MINUS)
    at += int(sign)
    digits, begin, ten = np.uint64(0), at, 0
    while _digit(raw[at]) < np.uint64(10):
        digits = digits * np.uint64(10) + _digit(raw[at])
        at += 1
    if at == begin:
        return digits, UNKNOWN
    if raw[at] == _POINT:
        at, ten = at + 1, at + 1
        while at + 8 < len(raw):
            eight, is_whole = _eight(raw, at)
            if not is_whole:
                break
            digits, at = digits * np.uint64(10**8) + eight, at + 8
        while _digit(raw[at]) < np.uint64(10):
            digits = digits * np.uint64(10) + _digit(raw[at])
            at += 1
        ten -= at
    if at - begin > MOST_DIGITS and _size(raw, begin, at) > MOST_DIGITS:
        return digits, UNKNOWN
    if raw[at] == _BIG_E or raw[at] == _SMALL_E:
        shown, at = _exponent(raw, at + 1)
        ten += shown
    bits, is_known = _nearest(digits, ten, powers)
    return bits | sign << np.uint64(63), (at if is_known else UNKNOWN)


@numba.njit(cache=True, nogil=True)
def _size(raw: Bytes, at: int, end: int) -> int:
    """Return how many digits a number has after the zeros it begins with."""
    points = 0
    while at < end and (raw[at] == _ZERO or raw[at] == _POINT):
        at += 1
    for place in range(at, end):
        points += raw[place] == _POINT
    return end - at - points


@numba.njit(cache=True, nogil=True)
def _exponent(raw: Bytes, at: int) -> tuple[int, int]:
    """Return an exponent, beyond every power where it is long, and the place behind it."""
    is_negative = raw[at] == _MINUS
    if is_negative or raw[at] == _PLUS:
        at += 1
    size = 0
    while _digit(raw[at]) < np.uint64(10):
        size = min(size * 10 + int(_digit(raw[at])), 10 * MOST_POWER)
        at += 1
    return (-size if is_negative else size), at


@numba.njit(inline="always")
def _nearest(digits: np.uint64, ten: int, powers: Powers) -> tuple[np.uint64, bool]:
    """Return the bits of the float64 nearest to digits · 10^ten, and whether it is known to be."""
    if digits == np.uint64(0):
        return digits, True
    if not LEAST_POWER <= ten <= MOST_POWER:
        return digits, False
    shift = _zeros(digits)
    place = ten - LEAST_POWER
    high, low = _product(digits << np.uint64(shift), powers[place, 0], powers[place, 1])
    if low == ~np.uint64(0) and not -27 <= ten <= 55:  # noqa: PLR2004 - powers that fit 128 bits
        return digits, False
    top = high >> np.uint64(63)
    kept = high >> (top + np.uint64(9))
    exponent = ((217706 * ten) >> 16) + 63 + int(top) - shift + 1023
    # A tie between two float64 can only be met with powers that divide without a rest.
    is_tie = low <= np.uint64(1) and -4 <= ten <= 23 and (kept & np.uint64(3)) == np.uint64(1)  # noqa: PLR2004
    if is_tie and kept << (top + np.uint64(9)) == high:
        kept ^= np.uint64(1)
    whole = (kept + (kept & np.uint64(1))) >> np.uint64(1)
    # A mantissa that rounds up to the next power of two carries into the exponent.
    return whole + (np.uint64(exponent - 1) << np.uint64(52)), True


@numba.njit(inline="always")
def _product(digits: np.uint64, upper: np.uint64, lower: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return the leading 128 bits of digits times a power's two words, as far as they decide."""
    high, low = _times(digits, upper)
    if high & np.uint64(0x1FF) == np.uint64(0x1FF):
        more, _ = _times(digits, lower)
        low += more
        if low < more:
            high += np.uint64(1)
    return high, low


@numba.njit(inline="always")
def _times(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return the high and the low word of a product of two words."""
    half = np.uint64(32)
    a1, a0, b1, b0 = a >> half, a & _LOW, b >> half, b & _LOW
    middle = a1 * b0 + ((a0 * b0) >> half)
    rest = a0 * b1 + (middle & _LOW)
    return a1 * b1 + (middle >> half) + (rest >> half), a * b


@numba.njit(inline="always")
def _zeros(word: np.uint64) -> int:
    """Return the zeros before the first one of a word that is not 0."""
    count = 0
    for step in (32, 16, 8, 4, 2, 1):
        if word >> np.uint64(64 - step) == np.uint64(0):
            count += step
            word <<= np.uint64(step)
    return count


@numba.njit(cache=True, nogil=True)
def _decode_all(raw: Bytes, sextets: Bytes, out: Bytes) -> bool:
    """Write the bytes of every unpadded text; return whether every byte of them has a value."""
    is_known = True
    for row in range(len(raw)):
        is_known &= _decode(raw[row], sextets, out[row])
    return is_known


@numba.njit(cache=True, nogil=True)
def _decode(raw: Bytes, sextets: Bytes, out: Bytes) -> bool:
    """Write the bytes of unpadded base64; return whether every byte of it has a value."""
    foreign = np.uint8(0)
    for group in range(len(raw) // 4):
        a, b = sextets[raw[4 * group]], sextets[raw[4 * group + 1]]
        c, d = sextets[raw[4 * group + 2]], sextets[raw[4 * group + 3]]
        foreign |= a | b | c | d
        out[3 * group] = a << 2 | b >> 4
        out[3 * group + 1] = b << 4 | c >> 2
        out[3 * group + 2] = c << 6 | d
    rest = len(raw) % 4
    last = 3 * (len(raw) // 4)
    if rest:
        a, b = sextets[raw[len(raw) - rest]], sextets[raw[len(raw) - rest + 1]]
        c = sextets[raw[len(raw) - 1]] if rest == 3 else np.uint8(0)  # noqa: PLR2004 - one pad
        foreign |= a | b | c
        out[last] = a << 2 | b >> 4
        out[last + 1] = b << 4 | c >> 2
    return bool(foreign < _FOREIGN)
