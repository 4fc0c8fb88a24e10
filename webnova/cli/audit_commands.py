"""audit checkpoint, export, verify, prove: evidence that what happened was not altered since."""

# ruff: noqa: PLC0415
from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from engine.kernel.errors import Conflict, InvalidInput, NotFound
from webnova.cli.command import command, stop
from webnova.cli.exits import ExitCode
from webnova.cli.output import Output, isolated
from webnova.cli.sources import connect, read_text, written

if TYPE_CHECKING:
    from engine.ledger.transparency.export import Report
    from engine.ledger.transparency.notes import Checkpoint, Verifier
    from engine.ledger.transparency.publishing.cosignatures import Cosigned, WitnessKey
    from webnova.client.models import SignedCheckpoint

Keys = Annotated[
    list[str] | None,
    typer.Option("--vkey", help="A key of the log from a source that you trust; repeatable."),
]
Witnesses = Annotated[
    list[str] | None,
    typer.Option("--witness", help="The key of a witness who must have cosigned; repeatable."),
]


@command
def checkpoint(
    output: Output,
    out: Annotated[Path | None, typer.Option(help="Write the note to this file.")] = None,
    since: Annotated[
        Path | None, typer.Option(help="A checkpoint you kept: prove that the log continues it.")
    ] = None,
    vkey: Keys = None,
    witness: Witnesses = None,
) -> None:
    """Print the signed checkpoint of the tenant's log as it now is. Keep it somewhere else."""
    with connect() as client:
        found = client.audit_checkpoint()
        known = _known(vkey, found.vkey)
        new, cosigners = _opened(found.note, known), _cosigned(found.note, witness)
        if since is not None:
            from engine.ledger.transparency.merkle import verify_consistency
            from engine.ledger.transparency.notes import decoded_hash

            old = _opened(read_text(since), known)
            if old.origin != new.origin or old.size > new.size:
                raise Conflict(f"The log of {new.size} events does not continue {since.name!r}.")
            proof = client.prove_consistency(old.size, new.size)
            hashes = [decoded_hash(each, "proof") for each in proof.hashes]
            if not verify_consistency((old.size, old.root), (new.size, new.root), hashes):
                raise Conflict(
                    f"The log does not continue the checkpoint of {old.size} events.",
                    mend="Its history was altered: compare an export, `webnova audit verify`.",
                )
    if out is not None:
        with written(out) as file:
            file.write(found.note.encode())
    shown = [each.model_dump(mode="json") for each in cosigners]
    output.value({**_shown(found, new), "cosigned_by": shown})
    if out is None:
        output.say(found.note.rstrip("\n"))
    output.say(f"vkey: {found.vkey}")
    _tell_cosigners(output, cosigners)
    if since is not None:
        output.say(f"It continues the checkpoint in {since}.", style="green")


@command
def export(
    output: Output,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write; - for the output.")],
) -> None:
    """Write all logged events of the tenant into one file that can be verified anywhere."""
    count = 0
    with connect() as client:
        lines = client.audit_export()
        if str(out) == "-":
            for line in lines:
                sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()
            return
        with written(out) as file:
            for count, line in enumerate(lines):  # noqa: B007 - the header is no event
                file.write(line + b"\n")
    size = out.stat().st_size
    output.value({"file": str(out), "events": count, "bytes": size})
    output.say(f"{count} events in {out} ({size:,} bytes).")


@command
def verify(
    output: Output,
    export: Annotated[
        Path | None,
        typer.Argument(help="An export; - reads it. Left out, the installation is asked for one."),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint that you kept outside; repeatable."),
    ] = None,
    vkey: Keys = None,
    archive: Annotated[
        list[Path] | None,
        typer.Option(help="An archive with events that the export no longer has; repeatable."),
    ] = None,
    witness: Witnesses = None,
) -> None:
    """Check every event of an export or archive against its log, signature and your checkpoints.

    With a file nothing has to run and no address is asked.
    """
    from engine.ledger.archive.examination import ArchivedEvents, examination_of
    from engine.ledger.transparency.export import Trust
    from engine.ledger.transparency.notes import Verifier

    keys = [Verifier.parse(each) for each in vkey or []]
    kept = [read_text(each) for each in checkpoint or []]
    with ArchivedEvents(archive or [], Trust(keys)) as archived, _lines(export) as lines:
        header = next(lines, None)
        if header is None:
            raise InvalidInput("The export is empty.", mend="Name a file that was written whole.")
        trust = Trust(keys, kept, archived, _witness_keys(witness))
        examination = examination_of(header, trust)
        for line in lines:
            examination.line(line)
        report = examination.report()
    output.value(report)
    _tell(output, report)
    if not report.intact:
        raise stop(ExitCode.FAILED)


@command
def prove(
    output: Output,
    event: Annotated[str, typer.Argument(help="The event's id, or its number in the log.")],
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint that you kept; the present one by default.")
    ] = None,
    vkey: Keys = None,
) -> None:
    """Prove that an event is in the log with the content that it has, and show both."""
    from engine.ledger.transparency.merkle import hash_leaf, verify_inclusion
    from engine.ledger.transparency.notes import decoded_hash

    named = _event(event)
    with connect() as client:
        found = client.audit_checkpoint()
        known = _known(vkey, found.vkey)
        note = found.note if checkpoint is None else read_text(checkpoint)
        mark = _opened(note, known)
        if not mark.size:
            raise NotFound("The checkpoint covers no event yet.", mend="Try again in a moment.")
        proof = client.prove_inclusion(**named, size=mark.size)
    if proof.event is None:
        raise Conflict(f"Event {proof.index} is in the log but no longer stored.")
    hashes = [decoded_hash(each, "proof") for each in proof.hashes]
    leaf = hash_leaf(proof.event.encode())
    if not verify_inclusion(leaf, proof.index, mark.size, hashes, mark.root):
        raise Conflict(
            f"Event {proof.index} is not what the checkpoint of {mark.size} events commits to.",
            mend="It was altered: `webnova audit verify` says more.",
        )
    output.value({**proof.model_dump(), "checkpoint": note})
    output.say(isolated(proof.event))
    said = f"This is event {proof.index} of the {mark.size} in the checkpoint of {mark.origin}."
    output.say(said, style="green")


def _event(text: str) -> dict[str, Any]:
    if text.isascii() and text.isdigit() and len(text) < 19:
        return {"index": int(text)}
    try:
        return {"event": str(UUID(text))}
    except ValueError:
        raise InvalidInput(
            f"{text[:60]!r} is neither an event's id nor its number.",
            mend="`webnova audit export` shows both.",
        ) from None


def _known(vkeys: list[str] | None, shown: str) -> list[Verifier]:
    """The keys that the caller trusts; the one that the server shows when there is none."""
    from engine.ledger.transparency.notes import Verifier

    return [Verifier.parse(each) for each in vkeys or [shown]]


def _opened(note: str, known: list[Verifier]) -> Checkpoint:
    from engine.ledger.transparency.notes import opened

    return opened(note, known)[0]


def _witness_keys(vkeys: list[str] | None) -> list[WitnessKey]:
    from engine.ledger.transparency.publishing.cosignatures import WitnessKey

    return [WitnessKey.parse(each) for each in vkeys or []]


def _cosigned(note: str, vkeys: list[str] | None) -> list[Cosigned]:
    """Who of the given witnesses has cosigned; raises `Conflict` unless all have."""
    from engine.ledger.transparency.publishing.cosignatures import cosigned

    keys = _witness_keys(vkeys)
    found = cosigned(note, keys)
    for key in keys:
        if key.vkey not in {each.vkey for each in found}:
            raise Conflict(
                f"The witness {key.name!r} has not cosigned the checkpoint.",
                mend="Name it in WEBNOVA_WITNESSES of the installation, and restart that.",
            )
    return found


def _tell_cosigners(output: Output, cosigners: Sequence[Cosigned]) -> None:
    for each in cosigners:
        output.say(f"✓ Cosigned by {each.witness} at {each.at:%Y-%m-%d %H:%M:%S} UTC.")


def _shown(found: SignedCheckpoint, mark: Checkpoint) -> dict[str, Any]:
    from engine.ledger.transparency.notes import encoded

    return {
        "origin": mark.origin,
        "size": mark.size,
        "root": encoded(mark.root),
        "note": found.note,
        "vkey": found.vkey,
    }


def _tell(output: Output, report: Report) -> None:
    for finding in report.findings:
        output.say(f"✗ {isolated(finding.message)}", style="red")
    if (more := report.finding_count - len(report.findings)) > 0:
        output.say(f"✗ … and {more} more.", style="red")
    if report.intact:
        from engine.ledger.archive.examination import ArchiveReport

        whole = f"All {report.size} events"
        if isinstance(report, ArchiveReport):
            whole = f"All {report.events} events of {report.month}"
        output.say(f"✓ {whole} of {report.origin} are intact.", style="green")
    _tell_cosigners(output, report.cosigned_by)
    if not report.outside:
        output.say(
            "Nothing from outside the export took part: a file forged as a whole would pass too. "
            "Give a checkpoint, a vkey or a witness's key that you kept.",
            style="yellow",
        )


@contextmanager
def _lines(export: Path | None) -> Iterator[Iterator[bytes]]:
    """The lines of a file, of standard input, or of the installation's log as it now is."""
    if export is None:
        with connect() as client:
            yield client.audit_export()
    elif str(export) == "-":
        yield iter(sys.stdin.buffer)
    else:
        from engine.ledger.archive.files import reading

        with reading(export) as lines:
            yield lines
