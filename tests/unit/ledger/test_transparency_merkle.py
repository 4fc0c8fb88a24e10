"""The tree of RFC 6962: known roots, and proofs that hold for what is true and for nothing else."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.ledger.transparency.merkle import (
    EMPTY,
    Frontier,
    hash_leaf,
    hash_node,
    verify_consistency,
    verify_inclusion,
)
from engine.ledger.transparency.proofs import (
    STRIDE,
    LogContradiction,
    consistency,
    inclusion,
    kept,
    tree_root,
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
"""The leaves and roots with which implementations of Certificate Transparency test themselves."""


class Rows:
    """Hashes as the database keeps them, and how many of them were read."""

    def __init__(self) -> None:
        self.rows: defaultdict[int, dict[int, bytes]] = defaultdict(dict)
        self.frontier = Frontier()
        self.read = 0

    def add(self, leaf: bytes) -> None:
        self.rows[0][self.frontier.size] = leaf
        for node in self.frontier.append(leaf):
            if kept(node):
                self.rows[node.level][node.index] = node.hash

    async def hashes(self, level: int, start: int, end: int) -> Sequence[bytes]:
        assert level % STRIDE == 0
        self.read += end - start
        return [self.rows[level][at] for at in range(start, end) if at in self.rows[level]]


def rows(size: int) -> Rows:
    made = Rows()
    for number in range(size):
        made.add(hash_leaf(str(number).encode()))
    return made


def plain_root(leaves: Sequence[bytes]) -> bytes:
    """The definition of RFC 6962, word for word and as slow."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    return hash_node(plain_root(leaves[:middle]), plain_root(leaves[middle:]))


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


def test_the_known_roots() -> None:
    frontier = Frontier()
    roots = [frontier.root().hex()]
    for leaf in LEAVES:
        frontier.append(hash_leaf(leaf))
        roots.append(frontier.root().hex())
    assert roots == ROOTS


async def test_the_known_proofs() -> None:
    """The proofs that go with the known leaves, as RFC 6962 2.1.3 names their nodes."""
    kept_rows = Rows()
    for leaf in LEAVES:
        kept_rows.add(hash_leaf(leaf))
    first = [each.hex() for each in await inclusion(kept_rows, 0, 8)]
    assert first == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    grown = [each.hex() for each in await consistency(kept_rows, 6, 8)]
    assert grown == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(st.integers(0, 700))
async def test_the_root_is_that_of_the_definition(size: int) -> None:
    kept_rows = rows(size)
    leaves = [kept_rows.rows[0][at] for at in range(size)]
    assert kept_rows.frontier.root() == plain_root(leaves) == await tree_root(kept_rows, size)


BIG = rows(2000)
SIZES = st.integers(1, 2000)


@given(SIZES, st.data())
async def test_every_inclusion_proof_holds_for_its_leaf_alone(
    size: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaf, root = BIG.rows[0][index], await tree_root(BIG, size)
    proof = await inclusion(BIG, index, size)
    assert verify_inclusion(leaf, index, size, proof, root)
    assert len(proof) <= (size - 1).bit_length()

    bit = data.draw(st.integers(0, 255))
    assert not verify_inclusion(flipped(leaf, bit), index, size, proof, root)
    assert not verify_inclusion(leaf, index, size, proof, flipped(root, bit))
    assert not verify_inclusion(leaf, index, size, [*proof, leaf], root)
    for other in {index - 1, index + 1, size, data.draw(SIZES)} - {index}:
        assert not verify_inclusion(leaf, other, size, proof, root)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        changed = [flipped(each, bit) if n == at else each for n, each in enumerate(proof)]
        assert not verify_inclusion(leaf, index, size, changed, root)
        assert not verify_inclusion(leaf, index, size, proof[:-1], root)


@given(SIZES, SIZES, st.data())
async def test_every_consistency_proof_holds_for_its_trees_alone(
    one: int, two: int, data: st.DataObject
) -> None:
    small, large = sorted((one, two))
    old, new = (small, await tree_root(BIG, small)), (large, await tree_root(BIG, large))
    proof = await consistency(BIG, small, large)
    assert verify_consistency(old, new, proof)

    bit = data.draw(st.integers(0, 255))
    assert not verify_consistency((small, flipped(old[1], bit)), new, proof)
    assert not verify_consistency(old, (large, flipped(new[1], bit)), proof)
    assert not verify_consistency(old, new, [*proof, old[1]])
    if small != large:
        assert not verify_consistency(new, old, proof)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        changed = [flipped(each, bit) if n == at else each for n, each in enumerate(proof)]
        assert not verify_consistency(old, new, changed)
        assert not verify_consistency(old, new, proof[1:])


def test_a_path_that_ends_below_the_root_is_none() -> None:
    """Whoever could claim another size could hide what came after."""
    leaves = [hash_leaf(bytes([number])) for number in range(4)]
    inner = hash_node(leaves[0], leaves[1])
    assert verify_inclusion(leaves[0], 0, 2, [leaves[1]], inner)
    assert not verify_inclusion(leaves[0], 0, 4, [leaves[1]], inner)
    assert not verify_inclusion(leaves[0], 0, 4, [], leaves[0])
    assert verify_consistency((1, leaves[0]), (2, inner), [leaves[1]])
    assert not verify_consistency((1, leaves[0]), (4, inner), [leaves[1]])


async def test_the_empty_tree_begins_every_tree() -> None:
    assert await consistency(BIG, 0, 5) == []
    assert verify_consistency((0, EMPTY), (5, await tree_root(BIG, 5)), [])
    assert not verify_consistency((0, hash_leaf(b"")), (5, await tree_root(BIG, 5)), [])
    assert verify_consistency((0, EMPTY), (0, EMPTY), [])


def test_few_nodes_are_kept_and_fewer_are_needed_to_go_on() -> None:
    size = 70_000
    frontier = Frontier()
    inner = 0
    for number in range(size):
        inner += sum(map(kept, frontier.append(hash_leaf(str(number).encode()))))
        if number == size // 2:
            frontier = Frontier(frontier.size, frontier.hashes)
    assert inner == size // 256 + size // 65536
    assert len(frontier.hashes) <= size.bit_length()


async def test_a_proof_reads_little_of_a_large_tree() -> None:
    large = rows(70_000)
    large.read = 0
    proof = await inclusion(large, 12_345, 70_000)
    leaf = large.rows[0][12_345]
    assert verify_inclusion(leaf, 12_345, 70_000, proof, large.frontier.root())
    assert large.read < 1500


async def test_a_hash_that_is_gone_is_told() -> None:
    holed = rows(600)
    del holed.rows[STRIDE][1]
    with pytest.raises(LogContradiction, match="lacks hashes"):
        await inclusion(holed, 3, 600)


@pytest.mark.parametrize(("index", "size"), [(5, 5), (-1, 5), (0, 0)])
async def test_there_is_no_proof_for_a_leaf_outside(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in the tree"):
        await inclusion(BIG, index, size)
    assert not verify_inclusion(EMPTY, index, size, [], EMPTY)
