"""Proofs out of stored hashes (RFC 6962, sections 2.1.1 and 2.1.2).

A store keeps the leaf hashes and, of the inner nodes, the roots of complete subtrees on every
`STRIDE`-th level. Such a node never changes once it is there, so the store only ever inserts. Two
levels of rows cost 1/255 of the leaves instead of doubling them, and what lies between is folded
from at most 256 hashes that lie side by side. A proof in a tree of 10^7 leaves reads a few thousand
hashes at most, and no tree is ever in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.kernel.errors import Conflict
from engine.ledger.transparency.merkle import EMPTY, Node, hash_node, split

STRIDE = 8
"""Levels between two stored ones: a stored node covers 2^8 of the level below."""


class LogContradiction(Conflict):
    """The log disagrees with itself or with what was published of it: it was altered."""

    code, title = "log_contradiction", "The log was altered"


class StoredHashes(Protocol):
    async def hashes(self, level: int, start: int, end: int) -> Sequence[bytes]:
        """The nodes `start` … `end - 1` of a kept level, in order; fewer if some are not there."""
        ...


def kept(node: Node) -> bool:
    """Whether a store keeps the inner node."""
    return node.level % STRIDE == 0


async def tree_root(store: StoredHashes, size: int) -> bytes:
    """The root of the tree of the first `size` leaves."""
    return await _range(store, 0, size) if size else EMPTY


async def inclusion(store: StoredHashes, index: int, size: int) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves."""
    if not 0 <= index < size:
        raise ValueError("the leaf is not in the tree")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            path.append(await _range(store, middle, end))
            end = middle
        else:
            path.append(await _range(store, start, middle))
            start = middle
    return path[::-1]


async def consistency(store: StoredHashes, old: int, new: int) -> list[bytes]:
    """The proof that the tree of `old` leaves is the beginning of the tree of `new` leaves."""
    if not 0 <= old <= new:
        raise ValueError("the older tree is the larger one")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, end = 0, new
    while end != old:
        middle = start + split(end - start)
        if old <= middle:
            path.append(await _range(store, middle, end))
            end = middle
        else:
            path.append(await _range(store, start, middle))
            start = middle
    if start:
        # A subtree that begins at leaf 0 is the old tree itself, whose root the verifier has.
        path.append(await _range(store, start, end))
    return path[::-1]


async def covering(store: StoredHashes, start: int, end: int) -> list[Node]:
    """The fewest complete subtrees that cover the leaves `start` … `end - 1`, in order."""
    nodes: list[Node] = []
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        nodes.append(Node(level, start >> level, await _complete(store, level, start >> level)))
        start += 1 << level
    return nodes


async def _range(store: StoredHashes, start: int, end: int) -> bytes:
    """The root over the leaves `start` … `end - 1`, a range at which RFC 6962 parts a tree."""
    parts: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        parts.append(await _complete(store, level, start >> level))
        start += 1 << level
    current = parts.pop()
    while parts:
        current = hash_node(parts.pop(), current)
    return current


async def _complete(store: StoredHashes, level: int, index: int) -> bytes:
    base = level - level % STRIDE
    width = 1 << (level - base)
    row = list(await store.hashes(base, index * width, (index + 1) * width))
    if len(row) != width:
        raise LogContradiction(
            "The log lacks hashes that it once held.",
            mend="Compare an export with a checkpoint kept outside: `webnova audit verify`.",
            first_index=(index * width) << base,
        )
    while len(row) > 1:
        row = [hash_node(*row[at : at + 2]) for at in range(0, len(row), 2)]
    return row[0]
