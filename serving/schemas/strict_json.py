"""Bytes to a JSON tree, refusing what JSON or a careful reader would not accept.

Python's reader takes NaN, keeps the last of two equal keys and leaves nesting and the
length of integers to the interpreter; here each of these is a fault with its place. A body in
which none of them can be is read by msgspec, which is an order of magnitude faster.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from models.errors import Fault

DEPTH = 16
DIGITS = 120
_DIGIT = bytes.maketrans(b"123456789", b"0" * 9)
_NUL = rb"\u0000"
_SIGNS = b'"[]{}'
_OTHERS = bytes(set(range(256)) - set(_SIGNS))
_STEP = np.zeros(256, dtype=np.int64)
_STEP[[ord("["), ord("{")]] = 1
_STEP[[ord("]"), ord("}")]] = -1


class NotJson(ValueError):  # noqa: N818 - named for what the body is
    """The body cannot be read as JSON at all; nothing can be said about its parts."""


class _Broken:
    """A number that JSON has no word for or no one means."""

    __slots__ = ("message",)

    def __init__(self, message: str) -> None:
        self.message = message


class _Repeated(dict[str, Any]):
    """An object in which a key stands twice."""

    repeated: tuple[str, ...] = ()


def read(body: bytes) -> tuple[Any, list[Fault]]:
    """Return the JSON tree of a body and the faults found in reading it.

    Returns
    -------
    tuple
        The tree, with unusable numbers replaced by None, and one fault per unusable number,
        repeated key, text that is not Unicode and branch that is nested too deep.

    Raises
    ------
    NotJson
        When the body is not JSON in UTF-8.
    """
    if _is_sound(body, tree := _decoded(body)):
        return tree, []
    try:
        tree = json.loads(
            body.decode("utf-8"),
            parse_constant=lambda name: _Broken(f"{name} is not a number in JSON"),
            parse_int=_whole,
            parse_float=_float,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError as error:
        raise NotJson(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise NotJson(f"nested deeper than {DEPTH}") from None
    faults: list[Fault] = []
    return _clean(tree, "", 0, faults), faults


def read_each(bodies: Sequence[bytes]) -> list[tuple[Any, list[Fault]]]:
    """Return what `read` does of many short bodies; one that is no JSON is a fault at its root."""
    trees = [_decoded(body) for body in bodies]
    if None not in trees and _is_sound(b"[" + b",".join(bodies) + b"]", trees):
        return [(tree, []) for tree in trees]
    return [_read_or_fault(body) for body in bodies]


def _read_or_fault(body: bytes) -> tuple[Any, list[Fault]]:
    """Return the tree of a body with its faults, also where it is no JSON."""
    try:
        return read(body)
    except NotJson as error:
        return None, [Fault("", f"is no JSON: {error}")]


def _decoded(body: bytes) -> Any:
    """Return the tree as msgspec reads it; None where it finds a fault."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _is_sound(body: bytes, tree: Any) -> bool:
    """Return whether nothing in a body that was read can be a fault: when in doubt, no.

    Escapes left out, every text stands between two quotes: fewer quotes in the tree, written
    again, mean that a key stands twice.
    """
    if tree is None or _NUL in body or b"0" * DIGITS in body.translate(_DIGIT):
        return False
    signs = _unescaped(body).translate(None, _OTHERS)
    again = _unescaped(msgspec.json.encode(tree))
    return again.count(b'"') == signs.count(b'"') and _is_flat(signs)


def _unescaped(body: bytes) -> bytes:
    """Return a body without escaped backslashes and quotes: a quote then begins or ends a text."""
    if b"\\" not in body:
        return body
    # In this order: the first of a run of backslashes escapes the second.
    return body.replace(b"\\\\", b"").replace(b'\\"', b"")


def _is_flat(signs: bytes) -> bool:
    """Return whether no branch is nested too deep, brackets within texts left out."""
    steps = _STEP[np.frombuffer(signs, dtype=np.uint8)]
    is_text = (np.cumsum(steps == 0) & 1).astype(bool)
    depth = np.cumsum(np.where(is_text, 0, steps))
    return int(depth.max(initial=0)) <= DEPTH


def escape(part: object) -> str:
    """Return one step of a JSON pointer (RFC 6901)."""
    return str(part).replace("~", "~0").replace("/", "~1")


def _whole(digits: str) -> int | _Broken:
    """Return an integer of sane length."""
    if len(digits) > DIGITS:
        return _Broken(f"an integer of {len(digits)} digits, at most {DIGITS}")
    return int(digits)


def _float(digits: str) -> float | _Broken:
    """Return a finite float."""
    value = float(digits)
    return value if math.isfinite(value) else _Broken(f"{digits[:40]} is beyond a float64")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, remembering keys that stand twice."""
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    marked = _Repeated(plain)
    counts = Counter(name for name, _ in pairs)
    marked.repeated = tuple(name for name, count in counts.items() if count > 1)
    return marked


def _clean(tree: Any, place: str, depth: int, faults: list[Fault]) -> Any:
    """Return the tree without what cannot be used, noting each."""
    if isinstance(tree, _Broken):
        faults.append(Fault(place, tree.message))
        return None
    if isinstance(tree, str):
        faults.extend(_text_faults(tree, place))
        return tree
    if not isinstance(tree, dict | list):
        return tree
    if depth >= DEPTH:
        faults.append(Fault(place, f"nested deeper than {DEPTH}"))
        return None
    if isinstance(tree, list):
        return [_clean(part, f"{place}/{i}", depth + 1, faults) for i, part in enumerate(tree)]
    faults.extend(
        Fault(f"{place}/{escape(name)}", "the key stands twice")
        for name in getattr(tree, "repeated", ())
    )
    for name in tree:
        faults.extend(_text_faults(name, place))
    return {
        name: _clean(part, f"{place}/{escape(name)}", depth + 1, faults)
        for name, part in tree.items()
    }


def _text_faults(text: str, place: str) -> Iterator[Fault]:
    """Yield a fault for a text that holds half a character, or the one no database keeps."""
    if "\0" in text:
        yield Fault(place, "holds U+0000, which is no text")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            yield Fault(place, "holds a lone surrogate, which is not Unicode text")
