"""The Merkle tree against RFC 9162's own recursive definitions and Certificate Transparency's published roots."""

import hashlib
import itertools

import pytest

from meter_protocol import merkle
from meter_protocol.errors import ProtocolError

CT_LEAVES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
CT_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def split_point(count: int) -> int:
    """RFC 9162 §2.1.1: the largest power of two smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1


def reference_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 §2.1.1."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = split_point(len(leaves))
    return hashlib.sha256(b"\x01" + reference_root(leaves[:k]) + reference_root(leaves[k:])).digest()


def reference_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 9162 §2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split_point(len(leaves))
    if index < k:
        return [*reference_path(index, leaves[:k]), reference_root(leaves[k:])]
    return [*reference_path(index - k, leaves[k:]), reference_root(leaves[:k])]


def proves(leaf: bytes, index: int, count: int, siblings: list[bytes], root: bytes) -> bool:
    try:
        merkle.verify_path(leaf, index, count, siblings, root)
    except ProtocolError:
        return False
    return True


def test_published_roots() -> None:
    leaves = [bytes.fromhex(leaf) for leaf in CT_LEAVES]
    for count, root in enumerate(CT_ROOTS, 1):
        assert merkle.root(merkle.tree(leaves[:count])).hex() == root == reference_root(leaves[:count]).hex()


@pytest.mark.parametrize("count", [*range(1, 34), 63, 64, 65, 127])
def test_roots_and_paths(count: int) -> None:
    leaves = [b"leaf %d" % i for i in range(count)]
    levels = merkle.tree(leaves)
    root = merkle.root(levels)
    assert root == reference_root(leaves)
    for index, leaf in enumerate(leaves):
        siblings = merkle.path(levels, index)
        assert siblings == reference_path(index, leaves)
        assert proves(leaf, index, count, siblings, root)


@pytest.mark.parametrize("count", range(1, 18))
def test_every_wrong_claim_is_refused(count: int) -> None:
    """A right path with anything else wrong: the leaf, its place, one node, their number, their order."""
    leaves = [b"leaf %d" % i for i in range(count)]
    levels = merkle.tree(leaves)
    root = merkle.root(levels)
    for index, leaf in enumerate(leaves):
        siblings = merkle.path(levels, index)
        for other in (i for i in range(-1, count + 2) if i != index):
            assert not proves(leaf, other, count, siblings, root)
        assert not proves(leaf + b"\x00", index, count, siblings, root)
        assert not proves(leaf, index, count, siblings, hashlib.sha256(root).digest())
        assert not proves(leaf, index, count, [*siblings, root], root)
        for place in range(len(siblings)):
            assert not proves(leaf, index, count, siblings[:place] + siblings[place + 1 :], root)
            altered = [*siblings]
            altered[place] = hashlib.sha256(altered[place]).digest()
            assert not proves(leaf, index, count, altered, root)
        for order in itertools.islice(itertools.permutations(siblings), 1, 24):
            assert not proves(leaf, index, count, list(order), root)


def test_a_claimed_size_may_not_change_the_shape() -> None:
    """Some sizes near the true one share a path; the signed batch holds the true one beside the root."""
    leaves = [b"leaf %d" % i for i in range(8)]
    levels = merkle.tree(leaves)
    root = merkle.root(levels)
    for index, leaf in enumerate(leaves):
        siblings = merkle.path(levels, index)
        for size in (0, 1, 2, 3, 4, 9, 16, 17, 2**32):
            assert not proves(leaf, index, size, siblings, root)


def test_an_inner_node_is_no_leaf() -> None:
    levels = merkle.tree([b"a", b"b", b"c", b"d"])
    pair = levels[0][0] + levels[0][1]
    assert not proves(pair, 0, 2, [levels[1][1]], merkle.root(levels))
