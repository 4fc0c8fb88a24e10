"""What every publisher of checkpoints must do, wherever it keeps them."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.kernel.errors import InvalidInput, NotFound, VersionConflict
from engine.ledger.transparency.merkle import Frontier, hash_leaf
from engine.ledger.transparency.notes import Checkpoint, Signer, signed
from engine.ledger.transparency.proofs import LogContradiction, consistency
from engine.ledger.transparency.publication import (
    CheckpointPublisher,
    Succession,
    open_publisher,
    publisher_kinds,
)

ORIGIN = "webnova-x/acme"
SIGNER, NEXT = Signer(ORIGIN, b"\x01" * 32), Signer(ORIGIN, b"\x02" * 32)
LOCATIONS: dict[str, Callable[[Path], str]] = {"file": str}
"""For each kind, a fresh location: a new kind adds itself here."""


class Leaves:
    """A small log in memory, honest or not."""

    def __init__(self, *events: str) -> None:
        self.leaves = [hash_leaf(event.encode()) for event in events]

    def note(self, size: int, *signers: Signer) -> str:
        frontier = Frontier()
        for leaf in self.leaves[:size]:
            frontier.append(leaf)
        return signed(Checkpoint(ORIGIN, size, frontier.root()).text(), signers or [SIGNER])

    async def hashes(self, level: int, start: int, end: int) -> list[bytes]:
        assert level == 0
        return self.leaves[start:end]

    async def after(self, note: str, size: int) -> Succession:
        return Succession(note, await consistency(self, Checkpoint.of(note).size, size))


LOG = Leaves("a", "b", "c", "d", "e")
FORGED = Leaves("a", "X", "c", "d", "e")


@pytest.fixture(params=list(publisher_kinds()))
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}:{LOCATIONS[request.param](tmp_path / 'a place')}"


@pytest.fixture
def publisher(address: str) -> CheckpointPublisher:
    return open_publisher(address)


async def published(publisher: CheckpointPublisher, *sizes: int) -> str:
    latest: str | None = None
    for size in sizes:
        succession = Succession(None) if latest is None else await LOG.after(latest, size)
        latest = LOG.note(size)
        await publisher.publish("acme", latest, succession)
    assert latest is not None
    return latest


async def test_there_is_nothing_before_the_first(publisher: CheckpointPublisher) -> None:
    assert await publisher.latest("acme") is None
    assert list(await publisher.history("acme")) == []


async def test_the_latest_and_the_whole_history_are_kept(
    publisher: CheckpointPublisher, address: str
) -> None:
    await published(publisher, 0, 2, 3, 5)
    again = open_publisher(address)
    assert await again.latest("acme") == LOG.note(5)
    assert list(await again.history("acme")) == [LOG.note(size) for size in (0, 2, 3, 5)]
    assert await again.latest("other") is None


async def test_publishing_the_latest_again_changes_nothing(publisher: CheckpointPublisher) -> None:
    latest = await published(publisher, 2, 4)
    await publisher.publish("acme", latest, Succession(None))
    assert list(await publisher.history("acme")) == [LOG.note(2), LOG.note(4)]


async def test_a_checkpoint_that_does_not_continue_the_latest_is_refused(
    publisher: CheckpointPublisher,
) -> None:
    latest = await published(publisher, 3)
    honest = await LOG.after(latest, 5)
    for note, succession in (
        (FORGED.note(5), await FORGED.after(latest, 5)),
        (FORGED.note(5), honest),
        (FORGED.note(3), Succession(latest)),
        (LOG.note(2), Succession(latest)),
        (LOG.note(5), Succession(latest)),
        (LOG.note(5), Succession(latest, honest.proof[::-1])),
        (LOG.note(0), Succession(latest)),
    ):
        with pytest.raises(LogContradiction):
            await publisher.publish("acme", note, succession)
    assert await publisher.latest("acme") == latest
    assert list(await publisher.history("acme")) == [latest]
    await publisher.publish("acme", LOG.note(5), honest)


async def test_another_log_is_refused(publisher: CheckpointPublisher) -> None:
    latest = await published(publisher, 3)
    frontier = Frontier()
    for leaf in LOG.leaves:
        frontier.append(leaf)
    text = Checkpoint("webnova-y/acme", 5, frontier.root()).text()
    with pytest.raises(LogContradiction, match="webnova-y/acme"):
        await publisher.publish("acme", signed(text, [SIGNER]), await LOG.after(latest, 5))


async def test_whoever_did_not_see_the_latest_is_told(publisher: CheckpointPublisher) -> None:
    early = await published(publisher, 2)
    await publisher.publish("acme", LOG.note(4), await LOG.after(early, 4))
    for succession in (await LOG.after(early, 5), Succession(None)):
        with pytest.raises(VersionConflict):
            await publisher.publish("acme", LOG.note(5), succession)
    assert await publisher.latest("acme") == LOG.note(4)


async def test_of_many_who_publish_at_once_one_is_first(address: str) -> None:
    early = await published(open_publisher(address), 2)
    succession = await LOG.after(early, 5)

    async def publish(signer: Signer) -> str:
        await open_publisher(address).publish("acme", LOG.note(5, signer), succession)
        return "published"

    signers = [Signer(ORIGIN, bytes([n]) * 32) for n in range(8)]
    outcomes = await asyncio.gather(*map(publish, signers), return_exceptions=True)
    assert outcomes.count("published") == 1
    assert sum(isinstance(each, VersionConflict) for each in outcomes) == 7


async def test_the_signatures_of_the_latest_can_be_replaced(publisher: CheckpointPublisher) -> None:
    latest = await published(publisher, 2, 4)
    both = LOG.note(4, SIGNER, NEXT)
    await publisher.publish("acme", both, Succession(latest))
    assert await publisher.latest("acme") == both
    sizes = [Checkpoint.of(each).size for each in await publisher.history("acme")]
    assert sizes == [2, 4]


@pytest.mark.parametrize("note", ["", "no note", "a\n\n— x AAAAAAAA\n"])
async def test_what_is_no_checkpoint_is_refused(publisher: CheckpointPublisher, note: str) -> None:
    with pytest.raises(InvalidInput):
        await publisher.publish("acme", note, Succession(None))
    assert await publisher.latest("acme") is None


@pytest.mark.parametrize("tenant", ["", "..", "a/b", "../acme", "A"])
async def test_a_tenant_can_not_lead_elsewhere(publisher: CheckpointPublisher, tenant: str) -> None:
    with pytest.raises(InvalidInput):
        await publisher.publish(tenant, LOG.note(1), Succession(None))


@pytest.mark.parametrize(
    ("address", "error"), [("nowhere", InvalidInput), ("file:", InvalidInput), ("x:y", NotFound)]
)
def test_an_address_names_a_kind_and_a_location(address: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        open_publisher(address)


class TestFiles:
    """What only the kind `file` promises."""

    async def test_a_process_that_died_between_two_writes_left_no_gap(self, tmp_path: Path) -> None:
        publisher = open_publisher(f"file:{tmp_path}")
        latest = await published(publisher, 2, 4)
        lost = tmp_path / "acme" / "history" / f"{4:020d}"
        lost.unlink()
        await publisher.publish("acme", LOG.note(5), await LOG.after(latest, 5))
        assert lost.read_text(encoding="utf-8") == latest

    async def test_publishers_take_turns(self, tmp_path: Path) -> None:
        publisher = open_publisher(f"file:{tmp_path}")
        early = await published(publisher, 2)
        succession = await LOG.after(early, 5)
        with (tmp_path / "acme" / ".lock").open("ab") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            waiting = asyncio.create_task(publisher.publish("acme", LOG.note(5), succession))
            done, _ = await asyncio.wait({waiting}, timeout=0.3)
            assert not done
            (tmp_path / "acme" / "latest").write_text(LOG.note(4), encoding="utf-8")
        with pytest.raises(VersionConflict):
            await waiting

    async def test_a_history_that_says_otherwise_is_never_overwritten(self, tmp_path: Path) -> None:
        publisher = open_publisher(f"file:{tmp_path}")
        latest = await published(publisher, 2)
        foreign = tmp_path / "acme" / "history" / f"{5:020d}"
        foreign.write_text(FORGED.note(5), encoding="utf-8")
        with pytest.raises(LogContradiction, match="holds another"):
            await publisher.publish("acme", LOG.note(5), await LOG.after(latest, 5))
        assert foreign.read_text(encoding="utf-8") == FORGED.note(5)
        assert await publisher.latest("acme") == latest
        left = await asyncio.to_thread(lambda: list(tmp_path.rglob(".new-*")))
        assert not left
