"""Bodies without a fault are read fast; whatever may be one is read the way that tells it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import Fault
from serving.schemas.strict_json import read

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TREES = st.recursive(
    st.none() | st.booleans() | NUMBERS | NAMES,
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(NAMES, parts, max_size=4),
    max_leaves=20,
)


@given(TREES, st.booleans(), st.sampled_from([(",", ":"), (" , ", " : ")]))
def test_a_sound_body_is_its_tree(tree: object, ascii_only: bool, marks: tuple[str, str]) -> None:  # noqa: FBT001 - drawn by hypothesis
    """However it is written, what comes back is what went in, without a fault."""
    try:
        body = json.dumps(tree, ensure_ascii=ascii_only, separators=marks).encode()
    except UnicodeEncodeError:
        return
    told, faults = read(body)
    assert told == tree
    assert faults == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"a":1,"a":2}', Fault("/a", "the key stands twice")),
        (rb'{"a":"\u0000"}', Fault("/a", "holds U+0000, which is no text")),
        (rb'{"a":["\ud800"]}', Fault("/a/0", "holds a lone surrogate, which is not Unicode text")),
        (b'{"a" :1,"a":":"}', Fault("/a", "the key stands twice")),
        (b'{"a":"b","a":"c","d":""}', Fault("/a", "the key stands twice")),
        (b'{"x":[{"a":{},"a":{}}]}', Fault("/x/0/a", "the key stands twice")),
        (b"[1%s]" % (b"0" * 120), Fault("/0", "an integer of 121 digits, at most 120")),
        (b"[-1%s]" % (b"0" * 119), Fault("/0", "an integer of 121 digits, at most 120")),
        (b"[1e999]", Fault("/0", "1e999 is beyond a float64")),
        (b"[NaN]", Fault("/0", "NaN is not a number in JSON")),
        (b'["\\ud800"]', Fault("/0", "holds a lone surrogate, which is not Unicode text")),
        (b"[" * 17 + b"]" * 17, Fault("/0" * 16, "nested deeper than 16")),
    ],
)
def test_a_fault_is_told_with_its_place(body: bytes, fault: Fault) -> None:
    """The fast reader never hides what the careful one would say."""
    _, faults = read(body)
    assert faults[-1].where == fault.where
    assert fault.message in f"{faults[-1].message}"


def test_the_longest_integers_and_deepest_trees_are_kept() -> None:
    """What is just within the limits is no fault."""
    longest = 10**120 - 1
    assert read(b"[%d]" % longest) == ([longest], [])
    deepest, faults = read(b"[" * 16 + b"]" * 16)
    assert faults == []
    assert json.dumps(deepest) == "[" * 16 + "]" * 16
