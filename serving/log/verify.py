"""Whether an export of the log is whole: the first bad entry by number, and what cannot be told.

Without heads from outside the store a log that was cut short, or written anew from the first
entry on, looks as whole as the true one; the answer says so.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from serving.log.entries import START, chained
from serving.log.heads import Head
from serving.log.merkle import Frontier, Hash, leaf_hash

CANNOT_TELL = (
    "without heads from outside the store it cannot be told whether entries were cut off at the "
    "end, or the whole log was written anew"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What there is to say of an export.

    Parameters
    ----------
    entries
        How many there are.
    root
        Of their Merkle tree, up to the first bad entry.
    first_bad
        Number of the first entry that is not as it was; None where none was found.
    reason
        Why it is bad.
    heads
        How many heads were held against it.
    unsound
        Sizes of the heads that are not signed by the key that is trusted.
    covered
        Entries that a sound head vouches for.
    caution
        What cannot be told; None where nothing is left open.
    """

    entries: int
    root: Hash
    first_bad: int | None = None
    reason: str | None = None
    heads: int = 0
    unsound: tuple[int, ...] = ()
    covered: int = 0
    caution: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing bad was found, of the entries and of the heads."""
        return self.first_bad is None and not self.unsound


@dataclass(frozen=True, slots=True)
class _Bad:
    """The first bad entry."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Good:
    """An entry that is as it should be."""

    leaf: Hash
    chain: Hash
    time: datetime


class _Link(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What verification reads of an entry; the chain binds every byte of the rest."""

    number: int
    time: datetime
    previous: str
    actor: str
    action: str
    subject: str
    body: msgspec.Raw


_DECODER = msgspec.json.Decoder(_Link)


def _after(previous: str, leaf: Hash) -> Hash | None:
    """Return the chain after a leaf; None where what stands before it is no chain."""
    try:
        return chained(bytes.fromhex(previous), leaf)
    except ValueError:
        return None


def exported(entry: bytes, chain: Hash) -> bytes:
    """Return a line of an export: an entry with the chain after it."""
    return b'{"chain":"' + chain.hex().encode() + b'","entry":' + entry + b"}"


_HEAD, _MIDDLE, _TAIL = b'{"chain":"', b'","entry":', b"}"
_CHAIN = slice(len(_HEAD), len(_HEAD) + 64)


def _parts(line: bytes) -> tuple[bytes, Hash] | None:
    """Return the entry and the chain of a line; None where it is not laid out so."""
    begin = _CHAIN.stop + len(_MIDDLE)
    is_laid = line.startswith(_HEAD) and line[_CHAIN.stop : begin] == _MIDDLE
    if not is_laid or not line.endswith(_TAIL):
        return None
    try:
        chain = bytes.fromhex(line[_CHAIN].decode("ascii"))
    except ValueError:
        return None
    return line[begin : -len(_TAIL)], chain


def verify(
    lines: Iterable[bytes], heads: Sequence[Head] = (), *, trusted: str | None = None
) -> Finding:
    """Return what is to be found of an export.

    Parameters
    ----------
    lines
        As `exported` writes them, in the order of their numbers.
    heads
        Exported outside the store.
    trusted
        Public key that heads must be signed by; None trusts the key that each names.
    """
    edge, roots = Frontier(), _roots(heads)
    chain, before = START, None
    for number, line in enumerate(lines):
        look = _look(line, number, chain, before)
        if isinstance(look, _Bad):
            return _finding(edge, look, heads)
        edge.append(look.leaf)
        chain, before = look.chain, look.time
        if edge.size in roots:
            roots[edge.size] = edge.root()
    return _against(edge, heads, roots, trusted)


def _roots(heads: Iterable[Head]) -> dict[int, Hash | None]:
    """Return the sizes at which a root is needed; that of the empty log stands."""
    return {head.size: Frontier().root() if not head.size else None for head in heads}


def _look(line: bytes, number: int, chain: Hash, before: datetime | None) -> _Good | _Bad:
    """Return an entry that is as it should be, or why it is not."""
    parts = _parts(line)
    if parts is None:
        return _Bad(number, "is no line of an export")
    text, stated = parts
    try:
        entry = _DECODER.decode(text)
    except msgspec.DecodeError as error:
        return _Bad(number, f"is no entry: {error}")
    leaf = leaf_hash(text)
    broken = _break(entry, number, before) or _unchained(entry, leaf, chain, stated)
    return broken or _Good(leaf=leaf, chain=stated, time=entry.time)


def _break(entry: _Link, number: int, before: datetime | None) -> _Bad | None:
    """Return how an entry breaks the order of numbers or of times."""
    if entry.number != number:
        return _Bad(number, f"entry {entry.number} stands where {number} should")
    if before is not None and entry.time < before:
        return _Bad(number, f"{entry.time.isoformat()} is before {before.isoformat()}")
    return None


def _unchained(entry: _Link, leaf: Hash, chain: Hash, stated: Hash) -> _Bad | None:
    """Return how an entry breaks the chain."""
    if entry.previous == chain.hex() and chained(chain, leaf) == stated:
        return None
    if entry.number and _after(entry.previous, leaf) == stated:
        reason = f"was changed with its chain: entry {entry.number} does not follow from it"
        return _Bad(entry.number - 1, reason)
    return _Bad(entry.number, "its bytes are not those that its chain was made of")


def _finding(edge: Frontier, bad: _Bad, heads: Sequence[Head]) -> Finding:
    """Return that an entry is bad."""
    return Finding(
        entries=edge.size,
        root=edge.root(),
        first_bad=bad.number,
        reason=bad.reason,
        heads=len(heads),
    )


def _against(
    edge: Frontier,
    heads: Sequence[Head],
    roots: dict[int, Hash | None],
    trusted: str | None,
) -> Finding:
    """Hold a log whose entries fit each other against heads."""
    unsound = tuple(head for head in heads if not head.is_sound(trusted))
    covered = 0
    for head in sorted(set(heads) - set(unsound), key=lambda head: head.size):
        if head.size > edge.size:
            reason = f"cut off: a head vouches for {head.size} entries, {edge.size} are left"
            return _finding(edge, _Bad(edge.size, reason), heads)
        if roots[head.size] != head.root:
            reason = f"written anew: a head vouches for other first {head.size} entries"
            return _finding(edge, _Bad(covered, reason), heads)
        covered = head.size
    return Finding(
        entries=edge.size,
        root=edge.root(),
        heads=len(heads),
        unsound=tuple(head.size for head in unsound),
        covered=covered,
        caution=_caution(edge.size, covered, heads),
    )


def _caution(size: int, covered: int, heads: Sequence[Head]) -> str | None:
    """Return what cannot be told."""
    if not heads:
        return CANNOT_TELL
    if covered < size:
        return f"no head vouches for the last {size - covered} entries: they could be rewritten"
    return None


def lines_of(text: bytes) -> Iterator[bytes]:
    """Yield the entries of an export, one a line; a last line without an end counts."""
    for line in text.split(b"\n"):
        if line:
            yield line
