"""One signature over many verdicts: the Merkle tree of RFC 9162 §2.1, over SHA-256.

The gateway signs one root per commit group. Each uplinked verdict carries its own path, so whoever holds the
verdict, the path and the signed batch needs nothing else to check that this gateway said so.
"""

import hashlib

from meter_protocol.errors import ProtocolError


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree(leaves: "list[bytes]") -> "list[list[bytes]]":
    """All levels from the leaf hashes up to [root]; a lone last node rises unchanged, as in RFC 9162."""
    levels = [[leaf_hash(leaf) for leaf in leaves]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        level = [node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
        if len(below) % 2:
            level.append(below[-1])
        levels.append(level)
    return levels


def root(levels: "list[list[bytes]]") -> bytes:
    return levels[-1][0]


def path(levels: "list[list[bytes]]", index: int) -> "list[bytes]":
    """The inclusion proof of leaf `index`, nearest sibling first (RFC 9162 §2.1.3.1)."""
    siblings = []
    for level in levels[:-1]:
        sibling = index ^ 1
        if sibling < len(level):
            siblings.append(level[sibling])
        index >>= 1
    return siblings


def verify_path(leaf: bytes, index: int, count: int, siblings: "list[bytes]", expected_root: bytes) -> None:
    """RFC 9162 §2.1.3.2; ProtocolError("merkle_path") if the leaf is not in that tree at that place."""
    if not 0 <= index < count:
        raise ProtocolError("merkle_path")
    node = leaf_hash(leaf)
    last = count - 1
    used = 0
    while last:
        if index & 1 or index < last:
            if used == len(siblings):
                raise ProtocolError("merkle_path")
            sibling = siblings[used]
            used += 1
            node = node_hash(sibling, node) if index & 1 else node_hash(node, sibling)
        index >>= 1
        last >>= 1
    if used != len(siblings) or node != expected_root:
        raise ProtocolError("merkle_path")
