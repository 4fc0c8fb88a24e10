"""A small log in memory, and the keys that sign it."""

from __future__ import annotations

from engine.ledger.transparency.merkle import Frontier, hash_leaf
from engine.ledger.transparency.notes import Checkpoint, Signer, signed
from engine.ledger.transparency.proofs import consistency
from engine.ledger.transparency.publication import Succession

ORIGIN = "webnova-x/acme"
SIGNER, NEXT = Signer(ORIGIN, b"\x01" * 32), Signer(ORIGIN, b"\x02" * 32)


class Leaves:
    """Honest or not."""

    def __init__(self, *events: str) -> None:
        self.leaves = [hash_leaf(event.encode()) for event in events]

    def text(self, size: int) -> str:
        frontier = Frontier()
        for leaf in self.leaves[:size]:
            frontier.append(leaf)
        return Checkpoint(ORIGIN, size, frontier.root()).text()

    def note(self, size: int, *signers: Signer) -> str:
        return signed(self.text(size), signers or [SIGNER])

    async def hashes(self, level: int, start: int, end: int) -> list[bytes]:
        assert level == 0
        return self.leaves[start:end]

    async def after(self, note: str, size: int) -> Succession:
        return Succession(note, await consistency(self, Checkpoint.of(note).size, size))


LOG = Leaves("a", "b", "c", "d", "e")
FORGED = Leaves("a", "X", "c", "d", "e")
