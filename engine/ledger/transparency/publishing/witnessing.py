"""Being a witness: whose logs a tenant watches, and how far it has seen each.

A witness cosigns a checkpoint of another's log only when it continues the last one that it
cosigned (c2sp.org/tlog-witness). So whoever rules the other installation can't show two histories,
even with all of its keys. How far a log was seen is kept in rows and not in events: two
installations that witness each other would otherwise make events of each other's checkpoints
without end.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, Protocol, Self

from pydantic import Field, StringConstraints

from engine.kernel.clock import system_clock
from engine.kernel.contracts import Call, Command, Document, Event, Query, View
from engine.kernel.dispatch import Handlers, Reader, Transaction
from engine.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound, WebNovaError
from engine.ledger.transparency.merkle import EMPTY, verify_consistency
from engine.ledger.transparency.notes import (
    Checkpoint,
    Note,
    Verifier,
    decoded_hash,
    encoded,
)

now: Callable[[], datetime] = system_clock

MOST_PROOF_LINES = 63
MOST_KEYS = 8
LARGEST_LOG = 2**62
LARGEST_REQUEST = 65_536
"""Bytes; a checkpoint with its proof and signatures needs a tenth of it."""

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")

Vkey = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class NoRequest(WebNovaError):
    """A request to a witness that can't be read as one."""

    code, status, title = "malformed", 400, "The request can't be read"


class SeenOtherwise(Conflict):
    """The witness has cosigned another checkpoint than the sender supposes. `size` is its size."""

    code, title = "seen_otherwise", "The witness has seen another checkpoint"


class NotContinued(InvalidInput):
    """The checkpoint does not continue the one that the witness has cosigned."""

    code, title = "not_continued", "The checkpoint does not continue the log"


@dataclass(frozen=True, slots=True)
class Seen:
    """The last checkpoint of a log that was cosigned. `note` has the log's own signatures."""

    size: int
    root: bytes
    note: str
    at: datetime


class SeenLogs(Protocol):
    """How far the tenant has seen each log. What was seen is never forgotten."""

    async def hold(self, origin: str) -> Seen | None:
        """What was seen of a log, or None; until commit nobody else can move it."""
        ...

    async def move(self, origin: str, seen: Seen) -> None:
        """Record what was cosigned of the log that is held."""
        ...

    async def find(self, origins: Sequence[str]) -> Mapping[str, Seen]: ...


class LogTrusted(Event):
    """From now on checkpoints that the key has signed are cosigned."""

    type = "witness.log_trusted"

    id: str
    origin: str
    vkey: str


class LogDistrusted(Event):
    """Nothing of the log is cosigned any more."""

    type = "witness.log_distrusted"


class WitnessedLog(Document):
    """A log that the tenant is a witness of; without keys once it is trusted no more."""

    kind = "witnessed_log"
    events = (LogTrusted, LogDistrusted)

    id: str
    origin: str
    vkeys: list[str]

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        if isinstance(event, LogTrusted):
            before = [] if state is None else state.vkeys
            return cls(id=event.id, origin=event.origin, vkeys=[*before, event.vkey])
        assert state is not None
        return state.model_copy(update={"vkeys": []})


class TrustLog(Command):
    """Cosign checkpoints of the log that the verifier key names. A further key of the same log is
    taken beside the others, so that the log can replace its key."""

    permission: ClassVar[str] = "witness.trust"
    emits: ClassVar[tuple[type[Event], ...]] = (LogTrusted,)

    vkey: Vkey


class DistrustLog(Command):
    """Cosign nothing of the log any more. How far it was seen stays known."""

    permission: ClassVar[str] = "witness.trust"
    emits: ClassVar[tuple[type[Event], ...]] = (LogDistrusted,)

    id: str


class WitnessCheckpoint(Command):
    """Move on to a checkpoint, which then may be cosigned. `proof` are hashes in base64."""

    permission: ClassVar[str] = "witness.cosign"
    emits: ClassVar[tuple[type[Event], ...]] = ()

    old: int = Field(ge=0)
    proof: list[str] = Field(max_length=MOST_PROOF_LINES)
    note: str = Field(max_length=LARGEST_REQUEST)


class ListWitnessedLogs(Query):
    permission: ClassVar[str] = "witness.read"

    after: str | None = None
    limit: int = Field(50, ge=1, le=200)


class WitnessedLogView(View):
    """A log and the last checkpoint of it that was cosigned; null when there is none yet.

    `note` is that checkpoint with the log's own signature: what the log can't deny. `vkeys` is
    empty once the log is trusted no more.
    """

    id: str
    origin: str
    vkeys: list[str]
    size: int | None
    root: str | None
    note: str | None
    cosigned_at: datetime | None


class WitnessedLogList(View):
    items: list[WitnessedLogView]
    next: str | None = None


class Witnessed(View):
    """What may be cosigned: the text of the checkpoint, and the time to say."""

    text: str
    at: datetime


def read_request(body: bytes) -> WitnessCheckpoint:
    """The command in the body of an `add-checkpoint` request; `NoRequest` when there is none."""
    try:
        head, separator, note = body.decode().partition("\n\n")
    except UnicodeDecodeError:
        raise _no_request("it is no UTF-8") from None
    first, *proof = head.split("\n")
    old = _OLD.fullmatch(first)
    if old is None or not separator:
        raise _no_request("it begins with no line 'old N' and an empty line after the proof")
    if len(proof) > MOST_PROOF_LINES:
        raise _no_request(f"it has more than {MOST_PROOF_LINES} lines of proof")
    return WitnessCheckpoint(old=int(old[1]), proof=proof, note=note)


handlers = Handlers()


@handlers.command(TrustLog, WitnessedLogView)
async def trust_log(command: TrustLog, tx: Transaction, call: Call) -> WitnessedLogView:
    key = Verifier.parse(command.vkey)
    id = log_id(key.name)
    found = await tx.find(WitnessedLog, id)
    known = [] if found is None else found.document.vkeys
    if key.vkey not in known:
        if len(known) >= MOST_KEYS:
            raise Conflict(
                f"{MOST_KEYS} keys of the log are trusted already.",
                mend="Remove the log, and trust the keys that are in use.",
            )
        trusted = LogTrusted(id=id, origin=key.name, vkey=key.vkey)
        version = 0 if found is None else found.version
        found = await tx.append(WitnessedLog, id, [trusted], expected=version)
    assert found is not None
    return (await _views([found.document], tx))[0]


@handlers.command(DistrustLog, WitnessedLogView)
async def distrust_log(command: DistrustLog, tx: Transaction, call: Call) -> WitnessedLogView:
    found = await tx.find(WitnessedLog, command.id)
    if found is None:
        raise NotFound("There is no such log.", mend="`webnova audit witness list` shows them.")
    if found.document.vkeys:
        found = await tx.append(WitnessedLog, found.id, [LogDistrusted()], expected=found.version)
    return (await _views([found.document], tx))[0]


@handlers.command(WitnessCheckpoint, Witnessed)
async def witness_checkpoint(command: WitnessCheckpoint, tx: Transaction, call: Call) -> Witnessed:
    """The checks of c2sp.org/tlog-witness, in its order."""
    note, checkpoint, proof = _read(command)
    signed = await _signed_by_its_log(note, checkpoint, tx)
    if command.old > checkpoint.size:
        raise NoRequest(f"The old size {command.old} is larger than that of the checkpoint.")
    seen = await tx.part(SeenLogs).hold(checkpoint.origin)
    size, root = (0, EMPTY) if seen is None else (seen.size, seen.root)
    if size != command.old:
        raise SeenOtherwise(f"The log was seen up to {size} events.", size=size)
    if size == checkpoint.size and root != checkpoint.root:
        raise SeenOtherwise(f"Another log of {size} events was seen.", size=size)
    if not verify_consistency((size, root), (checkpoint.size, checkpoint.root), proof):
        raise NotContinued(
            f"The log of {checkpoint.size} events does not continue that of {size}, "
            "or the proof does not show it.",
            mend="Compare an export with the checkpoint that was cosigned.",
        )
    at = now().replace(microsecond=0)
    await tx.part(SeenLogs).move(
        checkpoint.origin, Seen(checkpoint.size, checkpoint.root, signed, at)
    )
    return Witnessed(text=note.text, at=at)


@handlers.query(ListWitnessedLogs, WitnessedLogList)
async def list_witnessed_logs(query: ListWitnessedLogs, reader: Reader) -> WitnessedLogList:
    found = await reader.list(WitnessedLog, after=query.after, limit=query.limit + 1)
    page = found[: query.limit]
    return WitnessedLogList(
        items=await _views([each.document for each in page], reader),
        next=page[-1].id if len(found) > len(page) else None,
    )


def log_id(origin: str) -> str:
    """The id of a log's document; names of logs may hold anything but white space and plus."""
    return f"wlog_{hashlib.sha256(origin.encode()).hexdigest()[:32]}"


def _read(command: WitnessCheckpoint) -> tuple[Note, Checkpoint, list[bytes]]:
    try:
        note = Note.parse(command.note)
        checkpoint = Checkpoint.parse(note.text)
        proof = [decoded_hash(each, "proof") for each in command.proof]
    except InvalidInput as error:
        raise _no_request(error.detail) from None
    if checkpoint.size > LARGEST_LOG:
        raise _no_request("no log has so many events")
    return note, checkpoint, proof


async def _signed_by_its_log(note: Note, checkpoint: Checkpoint, reader: Reader) -> str:
    """The note with nothing but the signatures of trusted keys.

    Raises `NotFound` for a log that is not trusted, and `Forbidden` when none of its keys signed.
    """
    found = await reader.find(WitnessedLog, log_id(checkpoint.origin))
    if found is None or not found.document.vkeys:
        raise NotFound(
            "That log is not trusted here.", mend="Trust it: `webnova audit witness trust VKEY`."
        )
    keys = [Verifier.parse(each) for each in found.document.vkeys]
    lines = [
        f"— {name} {encoded(id + signature)}\n"
        for name, id, signature in note.signatures
        if any(
            (name, id) == (key.name, key.id) and key.verifies(note.text, signature) for key in keys
        )
    ]
    if not lines:
        raise Forbidden(
            "No trusted key of the log has signed the checkpoint.",
            mend="Trust its new key: `webnova audit witness trust VKEY`.",
        )
    return f"{note.text}\n{''.join(lines)}"


async def _views(logs: Sequence[WitnessedLog], reader: Reader) -> list[WitnessedLogView]:
    found = await reader.part(SeenLogs).find([each.origin for each in logs])
    return [_view(each, found.get(each.origin)) for each in logs]


def _view(log: WitnessedLog, seen: Seen | None) -> WitnessedLogView:
    return WitnessedLogView(
        id=log.id,
        origin=log.origin,
        vkeys=log.vkeys,
        size=None if seen is None else seen.size,
        root=None if seen is None else encoded(seen.root),
        note=None if seen is None else seen.note,
        cosigned_at=None if seen is None else seen.at,
    )


def _no_request(why: str) -> NoRequest:
    return NoRequest(
        f"That is no request to a witness: {why.rstrip('.')}.",
        mend="Send what c2sp.org/tlog-witness says of add-checkpoint.",
    )
