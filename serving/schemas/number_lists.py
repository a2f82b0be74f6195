"""Lists of numbers out of a JSON body into float64, without an object per number.

Every list is read digit by digit into the nearest float64, by the method of Lemire ("Number
parsing at a gigabyte per second", Software: Practice and Experience 51, 2021): the digits as 64
bits times a power of five of 128 bits, exact but where it says that it cannot know. What it
does not know, and whatever is no list of plain numbers and nulls, is left to the caller's slower
way, never guessed.
"""

from functools import cache

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

LEAST_POWER, MOST_POWER = -290, 290
"""Powers of ten within which no float64 is subnormal or infinite."""

MOST_DIGITS = 19
"""Digits that always fit 64 bits."""

LONGEST_EXPONENT = 4
UNKNOWN = -1
BITS = 128
_PLUS, _COMMA, _MINUS, _POINT, _ZERO = 43, 44, 45, 46, 48
_BIG_E, _SMALL_E, _OPEN, _CLOSE, _QUOTE, _BACKSLASH = 69, 101, 91, 93, 34, 92
_N, _U, _L = 110, 117, 108
_SPACE, _TAB, _LINE, _RETURN = 32, 9, 10, 13
_LOW = np.uint64(0xFFFFFFFF)
_NAN = np.uint64(0x7FF8000000000000)
_TEN = np.uint64(10)
_BIT = np.uint64(1)


def extracted(body: bytes) -> tuple[bytes, Floats] | None:
    """Return a body with its lists emptied, and the numbers of each, NaN for null.

    Returns
    -------
    tuple or None
        The body with `[]` for every list, and the numbers, shape (lists, numbers). None where a
        list holds anything else, a number that is not known, or not as many as the others, and
        where no list holds any.
    """
    if b"[" not in body:
        return None
    raw = np.frombuffer(body + b"\0", dtype=np.uint8)
    rest = np.empty(len(raw), dtype=np.uint8)
    # Behind every comma and every bracket that opens stands one number at most.
    words = np.empty(np.count_nonzero(raw == _COMMA) + body.count(b"["), dtype=np.uint64)
    size, lists, each = _extract(raw, _powers(), rest, words)
    if lists == 0 or each == 0:
        return None
    return rest[:size].tobytes(), words[: lists * each].view(np.float64).reshape(lists, each)


@cache
def _powers() -> Words:
    """Return 5^q from LEAST_POWER on as its leading 128 bits, shape (Q, 2), high word first.

    Rounded down above 0 and up below, as the method's proof wants them.
    """
    leading = [_leading(power) for power in range(LEAST_POWER, MOST_POWER + 1)]
    return np.array([(bits >> 64, bits & (2**64 - 1)) for bits in leading], dtype=np.uint64)


def _leading(power: int) -> int:
    """Return the leading 128 bits of 5^power."""
    if power < 0:
        whole = 5**-power
        bits = 2 ** (whole.bit_length() + BITS) // whole + 1
        return bits >> (bits.bit_length() - BITS)
    whole = 5**power
    return whole << BITS >> whole.bit_length()


@numba.njit(cache=True, nogil=True)
def _extract(raw: Bytes, powers: Words, rest: Bytes, out: Words) -> tuple[int, int, int]:
    """Copy what stands beside the lists, and write the bits of what stands in them.

    Returns
    -------
    tuple
        Bytes copied, lists, and numbers in each; no lists where there may be a fault.
    """
    at, size, count, lists, each = 0, 0, 0, 0, 0
    end = len(raw) - 1
    is_text = False
    while at < end:
        byte = _byte(raw, at)
        if byte == _BACKSLASH:
            return 0, 0, 0
        if byte == _QUOTE:
            is_text = not is_text
        rest[size] = byte
        at, size = at + 1, size + 1
        if byte == _OPEN and not is_text:
            at, length = _list(raw, at, powers, out[count:])
            if at == UNKNOWN or (lists > 0 and length != each):
                return 0, 0, 0
            each = length
            count, lists = count + length, lists + 1
    return size, lists, each


@numba.njit(cache=True, nogil=True)
def _list(raw: Bytes, at: int, powers: Words, out: Words) -> tuple[int, int]:
    """Return the place of a list's end, UNKNOWN where there is none, and how many it holds."""
    count = 0
    while True:
        at = _behind_blanks(raw, at)
        if _byte(raw, at) == _N:
            if not _is_null(raw, at):
                return UNKNOWN, 0
            out[count] = _NAN
            at += 4
        else:
            out[count], at = _number(raw, at, powers)
            if at == UNKNOWN:
                return UNKNOWN, 0
        count += 1
        at = _behind_blanks(raw, at)
        if _byte(raw, at) == _CLOSE:
            return at, count
        if _byte(raw, at) != _COMMA:
            return UNKNOWN, 0
        at += 1


@numba.njit(cache=True, nogil=True)
def _is_null(raw: Bytes, at: int) -> bool:
    """Return whether what begins with n is null."""
    return bool(raw[at + 1] == _U and raw[at + 2] == _L and raw[at + 3] == _L)


@numba.njit(inline="always")
def _byte(raw: Bytes, at: int) -> np.uint8:
    """Return a byte; a place without a sign is never counted from the end, which saves a test."""
    return raw[np.uint64(at)]


@numba.njit(inline="always")
def _behind_blanks(raw: Bytes, at: int) -> int:
    """Return the place of the first byte that is not blank."""
    while _byte(raw, at) in (_SPACE, _LINE, _RETURN, _TAB):
        at += 1
    return at


@numba.njit(inline="always")
def _digit(byte: np.uint8) -> np.uint64:
    """Return the value of a decimal digit, beyond 9 for any other byte."""
    return np.uint64(byte) - np.uint64(_ZERO)


@numba.njit(inline="always")
def _word(raw: Bytes, at: int) -> np.uint64:
    """Return eight bytes as one word, the first of them lowest: in the end one load."""
    word = np.uint64(_byte(raw, at))
    word |= np.uint64(_byte(raw, at + 1)) << np.uint64(8)
    word |= np.uint64(_byte(raw, at + 2)) << np.uint64(16)
    word |= np.uint64(_byte(raw, at + 3)) << np.uint64(24)
    word |= np.uint64(_byte(raw, at + 4)) << np.uint64(32)
    word |= np.uint64(_byte(raw, at + 5)) << np.uint64(40)
    word |= np.uint64(_byte(raw, at + 6)) << np.uint64(48)
    word |= np.uint64(_byte(raw, at + 7)) << np.uint64(56)
    return word


@numba.njit(inline="always")
def _eight(raw: Bytes, at: int) -> tuple[np.uint64, np.bool]:
    """Return the value of eight bytes as digits, and whether they are; all of them at once."""
    word = _word(raw, at)
    upper = np.uint64(0xF0F0F0F0F0F0F0F0)
    # A digit has 3 as its upper half, and so it has with 6 added.
    is_whole = (word & upper) | (((word + np.uint64(0x0606060606060606)) & upper) >> np.uint64(4))
    word = (word & ~upper) * np.uint64(10 * 2**8 + 1) >> np.uint64(8)
    word = (word & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(100 * 2**16 + 1) >> np.uint64(16)
    word = (word & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(10_000 * 2**32 + 1) >> np.uint64(32)
    return word, is_whole == np.uint64(0x3333333333333333)


@numba.njit(inline="always")
def _number(raw: Bytes, at: int, powers: Words) -> tuple[np.uint64, int]:
    """Return a number's bits and the place behind it; UNKNOWN as place where it is not known."""
    sign = np.uint64(_byte(raw, at) == _MINUS)
    at += int(sign)
    digits, begin, ten = np.uint64(0), at, 0
    while _digit(_byte(raw, at)) < _TEN:
        digits = digits * _TEN + _digit(_byte(raw, at))
        at += 1
    # A whole part of JSON has a digit, and begins with 0 only where that is all.
    if at == begin or (_byte(raw, begin) == _ZERO and at > begin + 1):
        return digits, UNKNOWN
    if _byte(raw, at) == _POINT:
        point = at + 1
        digits, at = _fraction(raw, point, digits)
        if at == point:
            return digits, UNKNOWN
        ten = point - at
    if at - begin > MOST_DIGITS and _size(raw, begin, at) > MOST_DIGITS:
        return digits, UNKNOWN
    if _byte(raw, at) == _BIG_E or _byte(raw, at) == _SMALL_E:
        stated, at = _exponent(raw, at + 1)
        if at == UNKNOWN:
            return digits, UNKNOWN
        ten += stated
    if ten == 0 and digits == np.uint64(0) and sign:  # a whole number, which has no such zero
        return digits, UNKNOWN
    bits, is_known = _nearest(digits, ten, powers)
    return bits | sign << np.uint64(63), (at if is_known else UNKNOWN)


@numba.njit(inline="always")
def _fraction(raw: Bytes, at: int, digits: np.uint64) -> tuple[np.uint64, int]:
    """Return digits with those behind a point, and the place behind them."""
    while at + 8 < len(raw):
        eight, is_whole = _eight(raw, at)
        if not is_whole:
            break
        digits, at = digits * np.uint64(10**8) + eight, at + 8
    while _digit(_byte(raw, at)) < _TEN:
        digits = digits * _TEN + _digit(_byte(raw, at))
        at += 1
    return digits, at


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
    """Return an exponent and the place behind it; UNKNOWN as place where it is none, or long."""
    is_negative = raw[at] == _MINUS
    if is_negative or raw[at] == _PLUS:
        at += 1
    begin, size = at, 0
    while _digit(raw[at]) < _TEN and at - begin <= LONGEST_EXPONENT:
        size = size * 10 + int(_digit(raw[at]))
        at += 1
    is_read = begin < at <= begin + LONGEST_EXPONENT
    return (-size if is_negative else size), (at if is_read else UNKNOWN)


@numba.njit(inline="always")
def _nearest(digits: np.uint64, ten: int, powers: Words) -> tuple[np.uint64, bool]:
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
    mantissa = high >> (top + np.uint64(9))
    exponent = ((217706 * ten) >> 16) + 63 + int(top) - shift + 1023
    # A tie between two float64 can only be met with powers that divide without a rest.
    is_tie = low <= _BIT and -4 <= ten <= 23 and (mantissa & np.uint64(3)) == _BIT  # noqa: PLR2004
    if is_tie and mantissa << (top + np.uint64(9)) == high:
        mantissa ^= _BIT
    whole = (mantissa + (mantissa & _BIT)) >> _BIT
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
            high += _BIT
    return high, low


@numba.njit(inline="always")
def _times(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return the high and the low word of a product of two words."""
    half = np.uint64(32)
    a1, a0, b1, b0 = a >> half, a & _LOW, b >> half, b & _LOW
    middle = a1 * b0 + ((a0 * b0) >> half)
    remainder = a0 * b1 + (middle & _LOW)
    return a1 * b1 + (middle >> half) + (remainder >> half), a * b


@numba.njit(inline="always")
def _zeros(word: np.uint64) -> int:
    """Return the zeros before the first one of a word that is not 0."""
    count = 0
    for step in (32, 16, 8, 4, 2, 1):
        if word >> np.uint64(64 - step) == np.uint64(0):
            count += step
            word <<= np.uint64(step)
    return count
