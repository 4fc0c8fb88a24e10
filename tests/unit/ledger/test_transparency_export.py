"""Checking an export: what is intact, and each way in which one is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernel.errors import InvalidInput
from engine.ledger.transparency.canonical import event_bytes
from engine.ledger.transparency.export import (
    MOST_FINDINGS,
    Entry,
    Examination,
    Leaf,
    Report,
    Trust,
    entry_line,
    header_line,
)
from engine.ledger.transparency.merkle import Frontier, hash_leaf
from engine.ledger.transparency.notes import Checkpoint, Note, Signer, signed
from engine.ledger.transparency.publishing.cosignatures import Cosigner
from tests.unit.ledger.test_transparency_canonical import EVENT

ORIGIN = "webnova-x/acme"
SIGNER = Signer(ORIGIN, b"\x01" * 32)


def entries(size: int, **changed: Any) -> list[Entry]:
    made = []
    for number in range(size):
        event = replace(EVENT, id=f"p{number}", position=number + 1, **changed)
        place = (event.xid, event.position)
        leaf = hash_leaf(event_bytes(event))
        made.append(
            Entry(Leaf(number, event.event_id, leaf, place, event.kind, event.id, 1), event)
        )
    return made


def note(listed: list[Entry], *signers: Signer) -> str:
    frontier = Frontier()
    for entry in listed:
        assert entry.leaf is not None
        frontier.append(entry.leaf.hash)
    text = Checkpoint(ORIGIN, frontier.size, frontier.root()).text()
    return signed(text, signers or [SIGNER])


GENUINE = entries(8)
LINES = [entry_line(entry) for entry in GENUINE]
HEADER = header_line("acme", note(GENUINE), SIGNER.verifier.vkey)


def examined(lines: list[bytes], trust: Trust | None = None, header: bytes = HEADER) -> Report:
    examination = Examination(header, trust or Trust())
    for line in lines:
        examination.line(line)
    return examination.report()


def found(report: Report) -> list[tuple[str, int | None]]:
    assert report.intact == (not report.findings)
    return [(each.problem, each.index) for each in report.findings]


def test_a_genuine_export_is_intact() -> None:
    report = examined(LINES)
    assert report.intact and not report.outside
    assert (report.size, report.signed_by) == (8, [SIGNER.verifier.vkey])
    trust = Trust([SIGNER.verifier], [note(GENUINE[:size]) for size in (0, 1, 5, 8)])
    assert examined(LINES, trust).intact and examined(LINES, trust).outside


def test_an_export_of_nothing_is_intact() -> None:
    assert examined([], header=header_line("acme", note([]), SIGNER.verifier.vkey)).intact


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda line: line.update(event=line["event"].replace("p3", "p9")), [("altered", 3)]),
        (lambda line: line.update(event=None, place=None), [("missing", 3)]),
        (lambda line: line.update(place="741-99"), [("moved", 3)]),
        (lambda line: line.update(leaf="A" * 43 + "="), [("altered", 3), ("rewritten", None)]),
        (lambda line: line.update(index=9), [("gap", 9), ("gap", 4)]),
        (
            lambda line: line.update(event=line["event"].replace("acme", "else")),
            [("altered", 3), ("wrong_tenant", 3)],
        ),
    ],
    ids=["event", "no event", "place", "leaf", "index", "tenant"],
)
def test_a_changed_line_is_named(change: Change, expected: list[tuple[str, int | None]]) -> None:
    lines = list(LINES)
    line = json.loads(lines[3])
    change(line)
    lines[3] = json.dumps(line).encode()
    assert found(examined(lines)) == expected


def test_lines_that_are_gone_doubled_or_exchanged_are_found() -> None:
    assert found(examined(LINES[:-1])) == [("shortened", None)]
    assert found(examined([*LINES[:2], *LINES[3:]])) == [("gap", 3), ("shortened", None)]
    exchanged = [*LINES[:2], LINES[3], LINES[2], *LINES[4:]]
    assert {problem for problem, _ in found(examined(exchanged))} == {"gap", "moved", "rewritten"}
    assert ("gap", 7) in found(examined([*LINES, LINES[-1]]))


def test_an_event_that_was_never_logged_is_named() -> None:
    stranger = Entry(None, replace(EVENT, id="forged"))
    report = examined([*LINES, entry_line(stranger)])
    assert found(report) == [("not_logged", None)]
    assert report.findings[0].id == "forged"


def forged_lines() -> tuple[bytes, list[bytes]]:
    """A whole other history of as many events, signed with the genuine key."""
    listed = [*GENUINE[:4], *entries(8, metadata={"caller": "token:2"})[4:]]
    header = header_line("acme", note(listed), SIGNER.verifier.vkey)
    return header, [entry_line(entry) for entry in listed]


def test_a_history_forged_as_a_whole_meets_an_outside_checkpoint_and_is_bounded() -> None:
    header, lines = forged_lines()
    assert examined(lines, header=header).intact
    trust = Trust(checkpoints=[note(GENUINE[:size]) for size in (6, 2, 3, 8)])
    report = examined(lines, trust, header)
    assert {problem for problem, _ in found(report)} == {"rewritten"}
    assert "The first 6 events" in report.findings[0].message
    assert "the first 3 still are" in report.findings[0].message


def test_an_export_shorter_than_an_outside_checkpoint_does_not_pass() -> None:
    short = header_line("acme", note(GENUINE[:5]), SIGNER.verifier.vkey)
    report = examined(LINES[:5], Trust(checkpoints=[note(GENUINE)]), short)
    assert found(report) == [("shortened", None)]


def test_the_signature_counts() -> None:
    other = Signer(ORIGIN, b"\x02" * 32)
    assert found(examined(LINES, Trust([other.verifier]))) == [("no_signature", None)]
    both = header_line("acme", note(GENUINE, SIGNER, other), SIGNER.verifier.vkey)
    assert examined(LINES, Trust([other.verifier]), both).signed_by == [other.verifier.vkey]
    changed = header_line("acme", note(GENUINE).replace("\n8\n", "\n7\n"), SIGNER.verifier.vkey)
    assert ("no_signature", None) in found(examined(LINES, header=changed))
    with pytest.raises(InvalidInput, match="No known key"):
        examined(LINES, Trust(checkpoints=[note(GENUINE, other)]))


def test_a_checkpoint_of_another_log_is_refused_or_named() -> None:
    elsewhere = Signer("webnova-y/acme", b"\x01" * 32)
    text = Checkpoint(elsewhere.verifier.name, 0, Frontier().root()).text()
    keys = [SIGNER.verifier, elsewhere.verifier]
    with pytest.raises(InvalidInput, match="webnova-y/acme"):
        examined(LINES, Trust(keys, [signed(text, [elsewhere])]))
    header = header_line("other", note(GENUINE), SIGNER.verifier.vkey)
    assert {problem for problem, _ in found(examined(LINES, header=header))} == {"wrong_tenant"}


def test_findings_are_counted_and_not_all_listed() -> None:
    many = entries(MOST_FINDINGS + 20)
    header = header_line("acme", note(many), SIGNER.verifier.vkey)
    report = examined([entry_line(Entry(entry.leaf, None)) for entry in many], header=header)
    assert (len(report.findings), report.finding_count) == (MOST_FINDINGS, MOST_FINDINGS + 20)


@given(st.integers(0, 7), st.data())
def test_no_changed_byte_passes(number: int, data: st.DataObject) -> None:
    """With the key known, every change of a line is found or makes it no line at all."""
    raw = bytearray(LINES[number])
    at = data.draw(st.integers(0, len(raw) - 2))
    raw[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != LINES[number][at]))
    lines = [*LINES[:number], bytes(raw), *LINES[number + 1 :]]
    try:
        report = examined(lines, Trust([SIGNER.verifier]))
    except InvalidInput:
        return
    kept = json.loads(raw)
    genuine = json.loads(LINES[number])
    # The stream only names what is missing; the event itself is in the leaf.
    del kept["stream"], genuine["stream"]
    assert not report.intact or kept == genuine


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"\xff", b"null", LINES[0][:-9], HEADER])
def test_what_is_no_export_is_refused_by_its_line(line: bytes) -> None:
    with pytest.raises(InvalidInput, match="Line 3"):
        examined([LINES[0], line])
    if line != HEADER:
        with pytest.raises(InvalidInput, match="Line 1"):
            examined([], header=line)


WITNESS, ABSENT = (Cosigner(f"w.example/{n}", bytes([n]) * 32) for n in (2, 3))
AT = datetime(2026, 3, 1, tzinfo=UTC)


def cosigned_header(text: str) -> bytes:
    return header_line("acme", note(GENUINE) + WITNESS.line(text, AT), SIGNER.verifier.vkey)


def test_who_cosigned_the_export_is_told_and_each_named_witness_must_have() -> None:
    text = Note.parse(note(GENUINE)).text
    report = examined(LINES, Trust(witnesses=[WITNESS.key]), cosigned_header(text))
    assert report.intact and report.outside
    assert [(each.witness, each.at) for each in report.cosigned_by] == [("w.example/2", AT)]
    assert examined(LINES, header=cosigned_header(text)).cosigned_by == []
    both = Trust(witnesses=[ABSENT.key, WITNESS.key])
    report = examined(LINES, both, cosigned_header(text))
    assert found(report) == [("not_cosigned", None)]
    assert "w.example/3" in report.findings[0].message and len(report.cosigned_by) == 1


def test_a_cosignature_of_another_checkpoint_is_none() -> None:
    text = Note.parse(note(GENUINE[:5])).text
    report = examined(LINES, Trust(witnesses=[WITNESS.key]), cosigned_header(text))
    assert found(report) == [("not_cosigned", None)] and report.cosigned_by == []
