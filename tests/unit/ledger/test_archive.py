"""Archives of any months of any logs: they verify, and nothing else does."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernel.errors import InvalidInput
from engine.ledger.archive.examination import (
    ArchivedEvents,
    ArchiveExamination,
    ArchiveReport,
    examined,
)
from engine.ledger.archive.files import ArchiveHeader, header_line, sealed, skipped_line, write
from engine.ledger.transparency.canonical import event_bytes
from engine.ledger.transparency.export import Entry, Leaf, Line, Trust, entry_line, event_of_line
from engine.ledger.transparency.merkle import Frontier, hash_leaf
from engine.ledger.transparency.notes import Checkpoint, Signer, signed
from engine.ledger.transparency.proofs import covering
from tests.unit.ledger.test_transparency_canonical import EVENT, JSON
from tests.unit.ledger.test_transparency_merkle import Rows

SIGNER = Signer("webnova-x/acme", b"\x01" * 32)
JANUARY, FEBRUARY = datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


def log_of(months: list[bool]) -> tuple[Rows, list[Entry]]:
    """A log with an event for each place; those that say so are of January."""
    rows, entries = Rows(), []
    for number, january in enumerate(months):
        at = JANUARY if january else FEBRUARY
        event = replace(EVENT, id=f"p{number}", position=number + 1, at=at)
        leaf = hash_leaf(event_bytes(event))
        rows.add(leaf)
        place = (event.xid, event.position)
        entries.append(
            Entry(Leaf(number, event.event_id, leaf, place, event.kind, event.id, 1), event)
        )
    return rows, entries


async def archive(months: list[bool]) -> list[bytes]:
    rows, entries = log_of(months)
    size = len(months)
    text = Checkpoint(SIGNER.verifier.name, size, rows.frontier.root()).text()
    header = ArchiveHeader(
        tenant="acme",
        month="2026-01",
        checkpoint=signed(text, [SIGNER]),
        vkey=SIGNER.verifier.vkey,
    )

    async def lines() -> AsyncIterator[tuple[bytes, bool]]:
        yield header_line(header), False
        following = 0
        for number in [*(n for n in range(size) if months[n]), size]:
            for node in await covering(rows, following, number):
                yield skipped_line(node), False
            if number < size:
                yield entry_line(entries[number]), True
            following = number + 1

    return [line async for line in sealed(lines())]


def check(lines: list[bytes], trust: Trust | None = None) -> ArchiveReport:
    examination = ArchiveExamination(lines[0], trust or Trust())
    for line in lines[1:]:
        examination.line(line)
    return examination.report()


MONTHS = st.lists(st.booleans(), min_size=1, max_size=70)


@given(MONTHS)
async def test_any_month_of_any_log_verifies(months: list[bool]) -> None:
    report = check(await archive(months), Trust([SIGNER.verifier]))
    assert report.intact and report.outside
    assert (report.events, report.size) == (sum(months), len(months))


@given(MONTHS, st.data())
async def test_whatever_is_done_to_its_lines_is_found(months: list[bool], data: Any) -> None:
    lines = await archive(months)
    places = st.integers(1, len(lines) - 1)
    one, other = data.draw(places), data.draw(places)
    match data.draw(st.sampled_from(["removed", "repeated", "swapped", "flipped"])):
        case "removed":
            forged = [*lines[:one], *lines[one + 1 :]]
        case "repeated":
            forged = [*lines[:one], lines[other], *lines[one:]]
        case "swapped":
            forged = list(lines)
            forged[one], forged[other] = lines[other], lines[one]
        case _:
            changed = bytearray(lines[one])
            changed[data.draw(st.integers(0, len(changed) - 2))] ^= 1 << data.draw(
                st.integers(0, 6)
            )
            forged = [*lines[:one], bytes(changed), *lines[one + 1 :]]
    if forged == lines:
        return
    try:
        report = check(forged)
    except InvalidInput:
        return
    assert not report.intact


@given(st.integers(0, 300), st.integers(0, 300))
async def test_subtrees_that_cover_a_range_stand_in_for_its_leaves(one: int, other: int) -> None:
    start, end = sorted((one, other))
    rows, _ = log_of([True] * end)
    frontier = Frontier()
    for number in range(start):
        frontier.append(rows.rows[0][number])
    nodes = await covering(rows, start, end)
    for node in nodes:
        frontier.append_subtree(node.level, node.hash)
    assert frontier.root() == rows.frontier.root()
    assert len(nodes) <= 2 * max(end - start, 1).bit_length()


def test_a_subtree_begins_only_where_its_leaves_do() -> None:
    frontier = Frontier()
    frontier.append(b"\0" * 32)
    with pytest.raises(ValueError, match="begins here"):
        frontier.append_subtree(1, b"\0" * 32)


@given(JSON)
def test_an_event_comes_back_from_its_line(value: Any) -> None:
    event = replace(EVENT, data={"v": value})
    text = event_bytes(event).decode()
    leaf = Leaf(0, event.event_id, hash_leaf(text.encode()), (741, 12), "platform", "clinic", 1)
    line = Line.model_validate_json(entry_line(Entry(leaf, event)))
    again = event_of_line(line)
    assert event_bytes(again).decode() == text
    assert (again.xid, again.position, again.at) == (event.xid, event.position, event.at)


def test_a_line_without_a_readable_event_is_refused() -> None:
    leaf = Leaf(0, EVENT.event_id, hash_leaf(b"x"), (741, 12), "platform", "clinic", 1)
    line = Line.model_validate_json(entry_line(Entry(leaf, None)))
    with pytest.raises(InvalidInput, match="missing"):
        event_of_line(line)
    with pytest.raises(InvalidInput, match="can't be read"):
        event_of_line(line.model_copy(update={"event": "{}"}))


async def test_what_no_leaf_covers_is_covered_by_the_trailer() -> None:
    lines = await archive([True])
    place = b'"741-1"'
    assert lines[1].count(place) == 2
    lines[1] = lines[1].replace(place, b'"742-1"')
    assert [each.problem for each in check(lines).findings] == ["altered"]


async def written(path: Path, lines: list[bytes]) -> Path:
    async def each() -> AsyncIterator[bytes]:
        for line in lines:
            yield line

    await write(path, each())
    return path


async def test_a_file_is_the_same_bytes_whenever_it_is_written(tmp_path: Path) -> None:
    lines = await archive([True, False, True])
    first = await written(tmp_path / "a" / "one", lines)
    await asyncio.sleep(1.1)  # a time stamp in the file would be of another second
    second = await written(tmp_path / "b" / "two", lines)
    assert first.read_bytes() == second.read_bytes()
    assert gzip.decompress(first.read_bytes()) == b"".join(lines)
    assert examined(first, Trust()).intact
    assert [each.name for each in (tmp_path / "a").iterdir()] == ["one"]


async def test_archives_stand_in_for_their_own_leaves_only(tmp_path: Path) -> None:
    months = [True, False, True, True, False]
    path = await written(tmp_path / "a", await archive(months))
    _, entries = log_of(months)
    with ArchivedEvents([path, path], Trust([SIGNER.verifier])) as archived:
        for number, entry in enumerate(entries):
            assert entry.leaf is not None
            assert not archived.holds(number, hash_leaf(b"another"))
            assert archived.holds(number, entry.leaf.hash) == months[number]
    stranger = Signer(SIGNER.verifier.name, b"\x02" * 32).verifier
    with (
        pytest.raises(InvalidInput, match="can't stand in"),
        ArchivedEvents([path], Trust([stranger])),
    ):
        pytest.fail("it was taken")
