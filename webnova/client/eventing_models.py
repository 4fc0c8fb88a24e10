"""What the API answers about subscriptions and webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from webnova.client.models import Answer, Event

DeliveryState = Literal["pending", "delivered", "failed"]


class EventLinks(Answer):
    """An event with what led to it (nearest first) and what it led to (in order)."""

    event: Event
    causes: list[Event]
    siblings: list[Event]
    effects: list[Event]


class Document(Answer):
    id: str
    version: int
    data: dict[str, Any]


class Rebuilt(Answer):
    """`changed` names documents that were not what their events give."""

    kind: str
    checked: int
    changed: list[str]
    next: str | None


class Slot(Answer):
    """How far a slot is behind: events (at most 10,000 are counted) and the oldest's age."""

    number: int
    cursor: str
    owner: str | None
    leased_until: datetime | None
    events: int
    waiting: int
    seconds: float


class Stall(Answer):
    """The transaction that all readers wait for: its server process and how long it is open."""

    pid: int
    application: str
    state: str
    seconds: float


class Subscription(Answer):
    name: str
    types: list[str]
    slots: list[Slot]
    dead_letters: int
    stalled_by: Stall | None


class SubscriptionSummary(Answer):
    name: str
    types: list[str]
    slots: int


class ConsumedEvent(Answer):
    event_id: str
    cursor: str
    type: str
    schema_version: int
    kind: str
    id: str
    version: int
    at: datetime
    data: dict[str, Any]
    metadata: dict[str, Any]
    replayed: bool


class LeasedEvents(Answer):
    """A leased slot with its events in order; `slot` is None when there is nothing to do now."""

    slot: int | None
    fence: int
    cursor: str | None
    items: list[ConsumedEvent]


class Acknowledged(Answer):
    slot: int
    cursor: str


class DeadLetter(Answer):
    """`error` is empty for an event that only waits behind another of its stream."""

    event_id: str
    type: str
    kind: str
    id: str
    version: int
    slot: int
    attempts: int
    error: str
    at: datetime
    replay: bool


class Replayed(Answer):
    count: int


class Webhook(Answer):
    """`disabled` says why nothing is sent; `signing` holds the numbers of the secrets in use."""

    id: str
    url: str
    types: list[str]
    description: str
    signing: list[int]
    old_until: datetime | None
    disabled: str | None


class SigningSecrets(Answer):
    """The secrets that sign now, the one in use first."""

    secrets: list[str]
    old_until: datetime | None


class Delivery(Answer):
    event_id: str
    type: str
    state: DeliveryState
    attempts: int
    due_at: datetime | None
    status: int | None
    error: str
    created_at: datetime
    delivered_at: datetime | None


class Requeued(Answer):
    count: int
