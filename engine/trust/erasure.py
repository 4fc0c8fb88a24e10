"""Erasing a person's data by destroying the key that it was sealed under (GDPR, article 17).

Events are never changed: what they hold of the person was ciphertext from the beginning, and no
longer means anything. The tenant's log, its proofs and its documents stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, ClassVar, Literal, Self

from pydantic import StringConstraints

from engine.kernel.clock import system_clock
from engine.kernel.contracts import Call, Command, Document, Event, Query, View
from engine.kernel.dispatch import Handlers, Reader, Transaction
from engine.kernel.errors import NotFound
from engine.kernel.personal import SubjectId
from engine.ledger.tenancy.subjects import Subjects

Grounds = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]

now: Callable[[], datetime] = system_clock


class SubjectErased(Event):
    type = "subject.erased"
    subject: str
    reason: str
    at: datetime


class Subject(Document):
    """A person whose data was erased. Of others there is a key and no document."""

    kind = "subject"
    events = (SubjectErased,)

    subject: str
    reason: str
    erased_at: datetime

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        assert isinstance(event, SubjectErased)
        return cls(subject=event.subject, reason=event.reason, erased_at=event.at)


class SubjectView(View):
    """`withheld`: the tenant was imported without this key, so its data can't be read here."""

    subject: str
    state: Literal["held", "erased", "withheld"]
    since: datetime
    erased_at: datetime | None = None
    reason: str | None = None


class EraseSubject(Command):
    """Destroy the subject's key. It can't be undone; erasing again changes nothing.

    `reason` is recorded in the clear and for ever: it must name nobody.
    """

    permission: ClassVar[str] = "subject.erase"
    emits: ClassVar[tuple[type[Event], ...]] = (SubjectErased,)

    subject: SubjectId
    reason: Grounds


class GetSubject(Query):
    permission: ClassVar[str] = "subject.read"

    subject: SubjectId


handlers = Handlers()


@handlers.command(EraseSubject, SubjectView)
async def erase_subject(command: EraseSubject, tx: Transaction, call: Call) -> SubjectView:
    if await tx.find(Subject, command.subject) is None:
        await _view(tx, command.subject)
        event = SubjectErased(subject=command.subject, reason=command.reason, at=now())
        await tx.append(Subject, command.subject, [event], expected=0)
        await tx.part(Subjects).erase(command.subject, event.at)
    return await _view(tx, command.subject)


@handlers.query(GetSubject, SubjectView)
async def get_subject(query: GetSubject, reader: Reader) -> SubjectView:
    return await _view(reader, query.subject)


async def _view(reader: Reader, subject: str) -> SubjectView:
    key = await reader.part(Subjects).state(subject)
    if key is None:
        raise NotFound(f"Nothing personal is kept of {subject!r}.", mend="Check the subject's id.")
    erased = await reader.find(Subject, subject)
    state: Literal["held", "erased", "withheld"] = "held" if key.held else "withheld"
    return SubjectView(
        subject=subject,
        state="erased" if key.erased_at is not None else state,
        since=key.since,
        erased_at=key.erased_at,
        reason=erased.document.reason if erased is not None else None,
    )
