"""The tree of RFC 6962 by its published vectors, and every proof of every small tree."""

import pytest

from serving.log.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
MOST = 64
HASHES = [leaf_hash(bytes([place])) for place in range(MOST)]


@pytest.mark.parametrize("size", range(9))
def test_published_roots(size: int) -> None:
    """The roots over the first leaves of the reference tree."""
    assert root([leaf_hash(leaf) for leaf in LEAVES[:size]]).hex() == ROOTS[size]


def altered(proof: tuple[bytes, ...]) -> list[tuple[bytes, ...]]:
    """Return the proofs that differ in one step, in length, or in order."""
    flipped = [
        (*proof[:i], bytes([step[0] ^ 1, *step[1:]]), *proof[i + 1 :])
        for i, step in enumerate(proof)
    ]
    swapped = [(*proof[:i], proof[i + 1], proof[i], *proof[i + 2 :]) for i in range(len(proof) - 1)]
    shorter = [proof[1:], proof[:-1]] if proof else []
    return [*flipped, *swapped, *shorter, (*proof, bytes(32)), (bytes(32), *proof)]


def test_every_inclusion_proof_verifies_and_no_altered_one() -> None:
    """For all leaves of all trees of up to 64 leaves; at no other place, in no other tree."""
    for size in range(1, MOST + 1):
        leaves, top = HASHES[:size], root(HASHES[:size])
        for place in range(size):
            proof = inclusion_proof(leaves, place)
            assert verify_inclusion(leaves[place], place, size, proof, top)
            assert not any(
                verify_inclusion(leaves[place], place, size, wrong, top) for wrong in altered(proof)
            )
            other = (place + 1) % size
            if other != place:
                assert not verify_inclusion(leaves[place], other, size, proof, top)
                assert not verify_inclusion(leaves[other], place, size, proof, top)
        assert not verify_inclusion(leaves[0], size, size, inclusion_proof(leaves, 0), top)


def test_every_consistency_proof_verifies_and_no_altered_one() -> None:
    """For all beginnings of all trees of up to 64 leaves."""
    roots = [root(HASHES[:size]) for size in range(MOST + 1)]
    for second in range(1, MOST + 1):
        for first in range(1, second + 1):
            proof = consistency_proof(HASHES[:second], first)

            def is_shown(
                by: tuple[bytes, ...],
                old: bytes,
                new: bytes,
                sizes: tuple[int, int] = (first, second),
            ) -> bool:
                return verify_consistency(*sizes, by, first_root=old, second_root=new)

            assert is_shown(proof, roots[first], roots[second])
            assert not any(is_shown(p, roots[first], roots[second]) for p in altered(proof))
            assert not is_shown(proof, roots[first - 1], roots[second])
            assert not is_shown(proof, roots[first], roots[second - 1])


def test_a_frontier_is_picked_up_where_it_was_left() -> None:
    """A tree that grows in parts has the root of one that grew at once."""
    edge = Frontier()
    for place, leaf in enumerate(HASHES):
        edge = Frontier(edge.size, edge.subtrees)
        edge.append(leaf)
        assert edge.root() == root(HASHES[: place + 1])
    with pytest.raises(ValueError, match="subtrees"):
        Frontier(3, HASHES[:1])


def test_there_is_no_proof_of_what_is_not_there() -> None:
    """A place or a size outside the tree is refused."""
    for place in (-1, 3):
        with pytest.raises(IndexError):
            inclusion_proof(HASHES[:3], place)
    for first in (0, 4):
        with pytest.raises(IndexError):
            consistency_proof(HASHES[:3], first)
