"""What passes between layers: commands, queries, views, events and documents.

These Pydantic models are the only description of each. JSON Schema, OpenAPI and the reference
pages are derived from them; nothing is described twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict

from engine.kernel.errors import Unavailable, UnknownEvent
from engine.kernel.ids import uuid7


class Message(BaseModel):
    """Base of everything that crosses a layer: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class View(Message):
    """An answer, safe to show to a caller who holds the permission of its query.

    `personal` says that it may hold sealed personal data (`engine.kernel.personal`), which is
    opened when the answer is given out.
    """

    personal: ClassVar[bool] = False


Upcast = Callable[[dict[str, Any]], dict[str, Any]]
"""From an event's stored data of one schema version to that of the next; pure."""


class Event(Message):
    """A fact that has happened. `type` is its name for ever; a changed shape gets a new version."""

    type: ClassVar[str]
    schema_version: ClassVar[int] = 1
    upcasts: ClassVar[Mapping[int, Upcast]] = {}
    """For each older schema version, how data of it becomes data of the next one."""
    private: ClassVar[frozenset[str]] = frozenset()
    """Fields that only the installation's own machinery may see; `field.key` is a key of one."""
    personal: ClassVar[Mapping[str, str]] = {}
    """For each field with personal data, the field that names whose data it is
    (`engine.kernel.personal`)."""


class Command(Message):
    """A wish to change something. It declares who may wish it and what can come of it.

    `transient` names fields that do not take part in the idempotency fingerprint: values that a
    faithful repetition of the call can't reproduce, such as a freshly drawn secret's hash.
    """

    permission: ClassVar[str]
    emits: ClassVar[tuple[type[Event], ...]]
    transient: ClassVar[frozenset[str]] = frozenset()

    def fingerprint(self) -> str:
        """SHA-256 over the command's name and canonical JSON content, as hex."""
        content = self.model_dump(mode="json", exclude=set(self.transient))
        return digest_json([type(self).__name__, content])


class Query(Message):
    """A question. It declares who may ask it."""

    permission: ClassVar[str]


class Document(Message):
    """The current state of one aggregate, folded from its events and from nothing else.

    `fold` is pure: the same events in the same order give the same document. Whoever changes what
    it gives, or what is indexed, raises `fold_version`: documents of another version are folded
    anew before anybody sees them. `events` lists every event type that its streams may hold,
    `indexed` the fields that documents are looked up by.
    """

    kind: ClassVar[str]
    events: ClassVar[tuple[type[Event], ...]]
    fold_version: ClassVar[int] = 1
    indexed: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        raise NotImplementedError

    def restoring(self) -> Command | None:
        """The command that makes a later state of the document what this one is.

        None for a kind that tells what has happened: that can't be wished back.
        """
        return None


@dataclass(frozen=True, slots=True)
class Due:
    """When a work item may next be claimed, and its rank among the tenant's own (low first)."""

    at: datetime
    priority: int = 0


@runtime_checkable
class Schedulable(Protocol):
    """A document that is also an item of durable work.

    The storage layer keeps the work queue in step with `due()` inside the transaction that stores
    the document, so that accepting work and queueing it are one commit.
    """

    def due(self) -> Due | None: ...


D = TypeVar("D", bound=Document)


@dataclass(frozen=True, slots=True)
class Versioned(Generic[D]):
    """A document with the number of events in its stream."""

    id: str
    version: int
    document: D


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: always a member of one tenant, with the permissions it holds there."""

    id: str
    tenant: str
    permissions: frozenset[str]

    def may(self, permission: str) -> bool:
        area = permission.partition(".")[0]
        return bool(self.permissions & {permission, f"{area}.*", "*"})


@dataclass(frozen=True, slots=True)
class Call:
    """One command on its way to the dispatcher, with everything an audit needs to know.

    `trace` is a W3C `traceparent` value or empty. `idempotency_key` makes a repetition return the
    first answer; it is scoped to the tenant. `cause` is the id of the event that the command reacts
    to; `correlation` is shared by all calls that one request set off (the call's own id if empty).
    """

    command: Command
    caller: Caller
    tenant: str
    idempotency_key: str | None = None
    trace: str = ""
    correlation: str = ""
    cause: str | None = None
    id: str = field(default_factory=lambda: str(uuid7()))


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as the store keeps it.

    `(xid, position)` is its place in the order in which readers see events; `version` its place
    in its own stream, counted from 1.
    """

    tenant: str
    xid: int
    position: int
    kind: str
    id: str
    version: int
    event_id: str
    type: str
    schema_version: int
    data: Mapping[str, Any]
    metadata: Mapping[str, Any]
    at: datetime

    @property
    def cursor(self) -> str:
        return f"{self.xid}-{self.position}"


@dataclass(frozen=True, slots=True)
class Base:
    """What a document was at `version`, kept because events up to it were archived and dropped.

    `fold` is the version of the fold that made `data`, `month` (YYYY-MM) the last dropped month
    that holds events of the document.
    """

    id: str
    version: int
    fold: int
    month: str
    data: Mapping[str, Any]


class Catalogue:
    """Every document kind and event type that an installation knows.

    Raises `ValueError` when two classes claim one name: a stored event must have one meaning.
    """

    def __init__(self, documents: Iterable[type[Document]]) -> None:
        self.documents: dict[str, type[Document]] = {}
        self.events: dict[str, type[Event]] = {}
        for document in documents:
            if self.documents.setdefault(document.kind, document) is not document:
                raise ValueError(f"two documents are called {document.kind!r}")
            for event in document.events:
                if self.events.setdefault(event.type, event) is not event:
                    raise ValueError(f"two events are called {event.type!r}")
                if set(event.upcasts) != set(range(1, event.schema_version)):
                    raise ValueError(f"{event.type!r} can't read all its older versions")
                if not {*event.personal, *event.personal.values()} <= set(event.model_fields):
                    raise ValueError(f"{event.type!r} calls fields personal that it has not")
        self._private = frozenset(each for event in self.events.values() for each in event.private)

    def decode(
        self, event_type: str, data: Mapping[str, Any], schema_version: int | None = None
    ) -> Event:
        """The event that was stored, in today's shape.

        Data of an older schema version go through the event's upcasts, one version after the other;
        None means the current version. Raises `UnknownEvent` for a type or version that this
        installation doesn't know.
        """
        event = self.events.get(event_type)
        version = schema_version or (event.schema_version if event else 0)
        if event is None or version > event.schema_version:
            raise UnknownEvent(
                f"This installation doesn't know version {version} of the event {event_type!r}.",
                mend="Use the version of WebNova that wrote it, or a newer one.",
            )
        current = dict(data)
        for older in range(version, event.schema_version):
            current = event.upcasts[older](current)
        return event.model_validate(current)

    def public_data(self, recorded: Recorded) -> dict[str, Any]:
        """The event's data as stored, without what is private.

        An event of an unknown type loses whatever is private in any event.
        """
        event = self.events.get(recorded.type)
        private = event.private if event else self._private
        data = {name: value for name, value in recorded.data.items() if name not in private}
        for name, _, key in (each.partition(".") for each in private):
            if key and isinstance(data.get(name), Mapping):
                data[name] = {k: value for k, value in data[name].items() if k != key}
        return data

    def refold(
        self, document: type[D], history: Sequence[Recorded], base: Base | None = None
    ) -> Versioned[D] | None:
        """The document that its events give, or None when there is nothing of it.

        A history that lacks events goes on from `base`. Raises `Unavailable` when it can't: when
        the base was made by another version of the fold, or events after it are missing.
        """
        state: D | None = None
        id, version = history[0].id if history else "", 0
        if base is not None and not complete(history):
            if base.fold != document.fold_version:
                raise archived(document.kind, base)
            state, id, version = document.model_validate(base.data), base.id, base.version
            history = [each for each in history if each.version > version]
        for recorded in history:
            if recorded.version != version + 1:
                raise Unavailable(
                    f"Events of the {document.kind} {id!r} are missing before version "
                    f"{recorded.version}.",
                    mend="Bring back the archives that hold them: `webnova archive restore`.",
                )
            event = self.decode(recorded.type, recorded.data, recorded.schema_version)
            state, version = document.fold(state, event), recorded.version
        return None if state is None else Versioned(id, version, state)


def complete(history: Sequence[Recorded]) -> bool:
    """Whether the events of a stream, in order, are there from the first on."""
    return bool(history) and len(history) == history[-1].version


def archived(kind: str, base: Base) -> Unavailable:
    return Unavailable(
        f"The {kind} {base.id!r} can't be folded anew: its events up to {base.month} are in "
        "archives, and what was kept in their place was made by another version of the fold.",
        mend=f"Put the tenant's {base.month}.jsonl.gz and those before it into the home's archive; "
        "it is folded anew from there within seconds. Or bring them back: `webnova archive "
        "restore FILE`.",
        month=base.month,
    )


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and unescaped Unicode: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_json(value: Any) -> str:
    """SHA-256 of the canonical JSON, as hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
