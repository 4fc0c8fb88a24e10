"""The Merkle tree of RFC 6962 (section 2.1; the same tree as in RFC 9162) over SHA-256.

Hashes are 32 bytes. A tree of size n has the leaves 0 … n-1. The node `(level, index)` is the root
of the complete subtree over the leaves from `index * 2^level` on; leaves have level 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HASH_SIZE = 32
EMPTY = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""


@dataclass(frozen=True, slots=True)
class Node:
    level: int
    index: int
    hash: bytes


def hash_leaf(content: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + content).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """The largest power of two below `size` (at least 2): where RFC 6962 parts a tree."""
    return 1 << (size - 1).bit_length() - 1


class Frontier:
    """The right edge of a tree: the roots of the complete subtrees that its leaves fall into.

    It is all that is needed to append and to know the root: at most 64 hashes, whatever the size.
    """

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self._hashes = list(hashes)
        if size < 0 or len(self._hashes) != size.bit_count():
            raise ValueError("the hashes are not those of a tree of this size")

    @property
    def hashes(self) -> list[bytes]:
        """Roots of the complete subtrees, the largest (leftmost) first."""
        return list(self._hashes)

    def append(self, leaf: bytes) -> list[Node]:
        """Add the hash of the next leaf; returns the inner nodes that it completes, lowest first.

        n appends cost n leaf and less than n node hashes in all.
        """
        return self.append_subtree(0, leaf)

    def append_subtree(self, level: int, root: bytes) -> list[Node]:
        """As `append`, for the root of a complete subtree over the next `2^level` leaves.

        Raises `ValueError` when no subtree of that level begins after the leaves so far.
        """
        if self.size % (1 << level):
            raise ValueError("no complete subtree of this level begins here")
        completed: list[Node] = []
        index, at, current = self.size >> level, level, root
        while index & 1:
            current = hash_node(self._hashes.pop(), current)
            index, at = index >> 1, at + 1
            completed.append(Node(at, index, current))
        self._hashes.append(current)
        self.size += 1 << level
        return completed

    def root(self) -> bytes:
        if not self._hashes:
            return EMPTY
        *rest, current = self._hashes
        for left in reversed(rest):
            current = hash_node(left, current)
        return current


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether `proof` shows that the hash is leaf `index` of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, current = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            current = hash_node(sibling, current)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            current = hash_node(current, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and current == root


def verify_consistency(
    old: tuple[int, bytes], new: tuple[int, bytes], proof: Sequence[bytes]
) -> bool:
    """Whether `proof` shows that the tree `old` (size and root) is the beginning of `new`.

    RFC 9162, section 2.1.4.2. The empty tree is the beginning of every tree, with an empty proof.
    """
    old_size, old_root = old
    new_size, new_root = new
    if old_size == new_size:
        return not proof and old_root == new_root
    if old_size == 0:
        return new_size > 0 and not proof and old_root == EMPTY
    if not 0 < old_size < new_size:
        return False
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    as_old = as_new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            as_old, as_new = hash_node(sibling, as_old), hash_node(sibling, as_new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            as_new = hash_node(as_new, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and as_old == old_root and as_new == new_root
