"""The Merkle tree of RFC 6962: roots, inclusion and consistency proofs, and their verification.

References
----------
RFC 6962, section 2.1; RFC 9162, sections 2.1.3.2 and 2.1.4.2 (verification of the proofs).
"""

import hashlib
from collections.abc import Sequence

Hash = bytes
"""32 bytes of SHA-256."""

EMPTY: Hash = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> Hash:
    """Return the hash of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: Hash, right: Hash) -> Hash:
    """Return the hash of two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """Return the largest power of two below a size of at least two."""
    return 1 << (size - 1).bit_length() - 1


class Frontier:
    """The right edge of a growing tree: what a new leaf needs, and no more.

    Whole subtrees are held by their size, the largest first, as the bits of the number of leaves
    say.
    """

    def __init__(self, size: int = 0, subtrees: Sequence[Hash] = ()) -> None:
        if len(subtrees) != size.bit_count():
            raise ValueError(f"{size} leaves have {size.bit_count()} subtrees, not {len(subtrees)}")
        self._size = size
        self._subtrees = list(subtrees)

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self._size

    @property
    def subtrees(self) -> tuple[Hash, ...]:
        """Roots of the whole subtrees, the largest first."""
        return tuple(self._subtrees)

    def append(self, leaf: Hash) -> None:
        """Add a leaf."""
        size, node = self._size, leaf
        while size & 1:
            node = node_hash(self._subtrees.pop(), node)
            size >>= 1
        self._subtrees.append(node)
        self._size += 1

    def root(self) -> Hash:
        """Return the root of all leaves so far."""
        if not self._subtrees:
            return EMPTY
        *others, node = self._subtrees
        for left in reversed(others):
            node = node_hash(left, node)
        return node


def root(leaves: Sequence[Hash]) -> Hash:
    """Return the root over the hashes of leaves."""
    edge = Frontier()
    for leaf in leaves:
        edge.append(leaf)
    return edge.root()


def inclusion_proof(leaves: Sequence[Hash], place: int) -> tuple[Hash, ...]:
    """Return the path from a leaf to the root, the nearest first.

    Raises
    ------
    IndexError
        When there is no such leaf.
    """
    if not 0 <= place < len(leaves):
        raise IndexError(f"leaf {place} of {len(leaves)}")
    if len(leaves) == 1:
        return ()
    middle = split(len(leaves))
    if place < middle:
        return (*inclusion_proof(leaves[:middle], place), root(leaves[middle:]))
    return (*inclusion_proof(leaves[middle:], place - middle), root(leaves[:middle]))


def verify_inclusion(leaf: Hash, place: int, size: int, proof: Sequence[Hash], top: Hash) -> bool:
    """Return whether a path leads from a leaf at a place to the root of a tree of a size."""
    if not 0 <= place < size:
        return False
    left, last, node = place, size - 1, leaf
    for sibling in proof:
        if not last:
            return False
        if left & 1 or left == last:
            node = node_hash(sibling, node)
            while not left & 1 and left:
                left, last = left >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        left, last = left >> 1, last >> 1
    return not last and node == top


def consistency_proof(leaves: Sequence[Hash], first: int) -> tuple[Hash, ...]:
    """Return the proof that a tree of `first` leaves is the beginning of this one.

    Raises
    ------
    IndexError
        When `first` is not within 1 and the number of leaves.
    """
    if not 0 < first <= len(leaves):
        raise IndexError(f"a tree of {first} within one of {len(leaves)}")
    return _subproof(leaves, first, is_whole=True)


def _subproof(leaves: Sequence[Hash], first: int, *, is_whole: bool) -> tuple[Hash, ...]:
    """Return SUBPROOF of RFC 6962."""
    if first == len(leaves):
        return () if is_whole else (root(leaves),)
    middle = split(len(leaves))
    if first <= middle:
        inner = _subproof(leaves[:middle], first, is_whole=is_whole)
        return (*inner, root(leaves[middle:]))
    inner = _subproof(leaves[middle:], first - middle, is_whole=False)
    return (*inner, root(leaves[:middle]))


def verify_consistency(
    first: int, second: int, proof: Sequence[Hash], *, first_root: Hash, second_root: Hash
) -> bool:
    """Return whether a proof shows that one tree is the beginning of another."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    path = list(proof)
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    if not path:
        return False
    left, last = first - 1, second - 1
    while left & 1:
        left, last = left >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if not last:
            return False
        if left & 1 or left == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not left & 1 and left:
                left, last = left >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        left, last = left >> 1, last >> 1
    return not last and old == first_root and new == second_root
