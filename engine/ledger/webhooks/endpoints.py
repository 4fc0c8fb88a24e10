"""Endpoints: the addresses that a tenant's events are sent to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Self

from pydantic import Field, StringConstraints

from engine.kernel.clock import system_clock
from engine.kernel.contracts import (
    Call,
    Catalogue,
    Command,
    Document,
    Event,
    Query,
    Versioned,
    View,
)
from engine.kernel.dispatch import Handlers, Reader, Transaction
from engine.kernel.errors import Conflict, NotFound
from engine.kernel.ids import new_id
from engine.ledger.subscriptions.store import Checkpoints
from engine.ledger.subscriptions.topics import Patterns, matching, require_known
from engine.ledger.webhooks.addresses import checked
from engine.ledger.webhooks.store import Deliveries, Delivery, State

now: Callable[[], datetime] = system_clock

PROJECTION = "projection:webhooks"
SLOTS = 2
OLD_SECRET_LIVES = timedelta(hours=24)
"""For so long after a rotation requests carry the signatures of both secrets."""
MOST_ENDPOINTS = 50

Address = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class WebhookAdded(Event):
    type = "webhook.added"
    id: str
    url: str
    types: list[str]
    description: str


class WebhookChanged(Event):
    type = "webhook.changed"
    url: str
    types: list[str]
    description: str


class WebhookSecretRotated(Event):
    """From `at` on there is a new secret; the one before signs too until `old_until`."""

    type = "webhook.secret_rotated"
    generation: int
    old_until: datetime
    at: datetime


class WebhookEnabled(Event):
    type = "webhook.enabled"


class WebhookDisabled(Event):
    """Nothing is sent any more; `reason` says whether somebody wanted it so."""

    type = "webhook.disabled"
    reason: str


class WebhookRemoved(Event):
    type = "webhook.removed"


class Webhook(Document):
    """`generation` is the number of the secret in use. A removed endpoint keeps its document."""

    kind = "webhook"
    events = (
        WebhookAdded,
        WebhookChanged,
        WebhookSecretRotated,
        WebhookEnabled,
        WebhookDisabled,
        WebhookRemoved,
    )

    id: str
    url: str
    types: list[str]
    description: str
    generation: int = 1
    old_until: datetime | None = None
    disabled: str | None = None
    removed: bool = False

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        if isinstance(event, WebhookAdded):
            return cls(**event.model_dump())
        assert state is not None
        if isinstance(event, WebhookChanged):
            return state.model_copy(update=event.model_dump())
        if isinstance(event, WebhookSecretRotated):
            changed = {"generation": event.generation, "old_until": event.old_until}
            return state.model_copy(update=changed)
        if isinstance(event, WebhookDisabled):
            return state.model_copy(update={"disabled": event.reason})
        if isinstance(event, WebhookEnabled):
            return state.model_copy(update={"disabled": None})
        assert isinstance(event, WebhookRemoved)
        return state.model_copy(update={"removed": True})

    def restoring(self) -> Command:
        return ChangeWebhook(
            id=self.id, url=self.url, types=self.types, description=self.description
        )

    def generations(self, at: datetime) -> list[int]:
        """The secrets that sign at this time, the one in use first."""
        both = self.old_until is not None and at < self.old_until
        return [self.generation, self.generation - 1] if both else [self.generation]


class AddWebhook(Command):
    permission: ClassVar[str] = "webhook.write"
    emits: ClassVar[tuple[type[Event], ...]] = (WebhookAdded,)

    url: Address
    types: Patterns
    description: Description = ""


class ChangeWebhook(Command):
    permission: ClassVar[str] = "webhook.write"
    emits: ClassVar[tuple[type[Event], ...]] = (WebhookChanged,)

    id: str
    url: Address
    types: Patterns
    description: Description = ""


class RotateWebhookSecret(Command):
    permission: ClassVar[str] = "webhook.write"
    emits: ClassVar[tuple[type[Event], ...]] = (WebhookSecretRotated,)

    id: str


class EnableWebhook(Command):
    permission: ClassVar[str] = "webhook.write"
    emits: ClassVar[tuple[type[Event], ...]] = (WebhookEnabled,)

    id: str


class DisableWebhook(Command):
    permission: ClassVar[str] = "webhook.write"
    emits: ClassVar[tuple[type[Event], ...]] = (WebhookDisabled,)

    id: str


class RemoveWebhook(Command):
    permission: ClassVar[str] = "webhook.write"
    emits: ClassVar[tuple[type[Event], ...]] = (WebhookRemoved,)

    id: str


class RetryDelivery(Command):
    """Send one event again, whatever became of it before."""

    permission: ClassVar[str] = "webhook.write"
    emits: ClassVar[tuple[type[Event], ...]] = ()

    id: str
    event_id: str


class ReplayWebhook(Command):
    """Send what happened since a time and was not delivered."""

    permission: ClassVar[str] = "webhook.write"
    emits: ClassVar[tuple[type[Event], ...]] = ()

    id: str
    since: datetime


class ListWebhooks(Query):
    permission: ClassVar[str] = "webhook.read"

    after: str | None = None
    limit: int = Field(50, ge=1, le=200)


class GetWebhook(Query):
    permission: ClassVar[str] = "webhook.read"

    id: str


class ListDeliveries(Query):
    permission: ClassVar[str] = "webhook.read"

    id: str
    state: State | None = None
    after: str | None = None
    limit: int = Field(50, ge=1, le=200)


class WebhookView(View):
    """`disabled` says why nothing is sent; null while it is.

    `signing` holds the numbers of the secrets that sign now, the one in use first; after a rotation
    the one before is among them until `old_until`.
    """

    id: str
    url: str
    types: list[str]
    description: str
    signing: list[int]
    old_until: datetime | None
    disabled: str | None


class WebhookList(View):
    items: list[WebhookView]
    next: str | None = None


class DeliveryView(View):
    """`status` is that of the last answer, null when there was none; `error` then says why."""

    event_id: str
    type: str
    state: State
    attempts: int
    due_at: datetime | None
    status: int | None
    error: str
    created_at: datetime
    delivered_at: datetime | None


class DeliveryList(View):
    items: list[DeliveryView]
    next: str | None = None


class Requeued(View):
    count: int


class Webhooks:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def handlers(self) -> Handlers:
        made = Handlers()
        made.command(AddWebhook, WebhookView)(self.add)
        made.command(ChangeWebhook, WebhookView)(self.change)
        made.command(RotateWebhookSecret, WebhookView)(self.rotate)
        made.command(EnableWebhook, WebhookView)(self.enable)
        made.command(DisableWebhook, WebhookView)(self.disable)
        made.command(RemoveWebhook, WebhookView)(self.remove)
        made.command(RetryDelivery, DeliveryView)(self.retry)
        made.command(ReplayWebhook, Requeued)(self.replay)
        made.query(ListWebhooks, WebhookList)(self.list)
        made.query(GetWebhook, WebhookView)(self.get)
        made.query(ListDeliveries, DeliveryList)(self.deliveries)
        return made

    async def add(self, command: AddWebhook, tx: Transaction, call: Call) -> WebhookView:
        checked(command.url)
        require_known(command.types, self._catalogue)
        known = await tx.list(Webhook, limit=1000)
        if sum(not each.document.removed for each in known) >= MOST_ENDPOINTS:
            raise Conflict(
                f"There are {MOST_ENDPOINTS} webhooks already.", mend="Remove one that is unused."
            )
        id = new_id("whk")
        added = WebhookAdded(id=id, **command.model_dump())
        stored = await tx.append(Webhook, id, [added], expected=0)
        await tx.part(Checkpoints).open(PROJECTION, SLOTS, None)
        return _view(stored.document)

    async def change(self, command: ChangeWebhook, tx: Transaction, call: Call) -> WebhookView:
        checked(command.url)
        require_known(command.types, self._catalogue)
        changed = WebhookChanged(**command.model_dump(exclude={"id"}))
        return await self._append(await _found(command.id, tx), changed, tx)

    async def rotate(
        self, command: RotateWebhookSecret, tx: Transaction, call: Call
    ) -> WebhookView:
        found, at = await _found(command.id, tx), now()
        rotated = WebhookSecretRotated(
            generation=found.document.generation + 1, old_until=at + OLD_SECRET_LIVES, at=at
        )
        return await self._append(found, rotated, tx)

    async def enable(self, command: EnableWebhook, tx: Transaction, call: Call) -> WebhookView:
        found = await _found(command.id, tx)
        if found.document.disabled is None:
            return _view(found.document)
        return await self._append(found, WebhookEnabled(), tx)

    async def disable(self, command: DisableWebhook, tx: Transaction, call: Call) -> WebhookView:
        found = await _found(command.id, tx)
        if found.document.disabled is not None:
            return _view(found.document)
        return await self._append(found, WebhookDisabled(reason="switched off"), tx)

    async def remove(self, command: RemoveWebhook, tx: Transaction, call: Call) -> WebhookView:
        view = await self._append(await _found(command.id, tx), WebhookRemoved(), tx)
        await tx.part(Deliveries).forget(command.id)
        return view

    async def retry(self, command: RetryDelivery, tx: Transaction, call: Call) -> DeliveryView:
        _require_enabled((await _found(command.id, tx)).document)
        deliveries = tx.part(Deliveries)
        if not await deliveries.again(command.id, command.event_id, now()):
            raise NotFound("That event was never meant for this webhook.")
        found = await deliveries.find(command.id, command.event_id)
        assert found is not None
        return _delivery(found)

    async def replay(self, command: ReplayWebhook, tx: Transaction, call: Call) -> Requeued:
        document = (await _found(command.id, tx)).document
        _require_enabled(document)
        types = matching(document.types, self._catalogue.events)
        count = await tx.part(Deliveries).replay(command.id, types, command.since, now())
        return Requeued(count=count)

    async def list(self, query: ListWebhooks, reader: Reader) -> WebhookList:
        found = await reader.list(Webhook, after=query.after, limit=query.limit + 1)
        page = found[: query.limit]
        return WebhookList(
            items=[_view(each.document) for each in page if not each.document.removed],
            next=page[-1].id if len(found) > len(page) else None,
        )

    async def get(self, query: GetWebhook, reader: Reader) -> WebhookView:
        return _view((await _found(query.id, reader)).document)

    async def deliveries(self, query: ListDeliveries, reader: Reader) -> DeliveryList:
        await _found(query.id, reader)
        found = await reader.part(Deliveries).list(
            query.id, state=query.state, after=query.after, limit=query.limit + 1
        )
        page = found[: query.limit]
        return DeliveryList(
            items=[_delivery(each) for each in page],
            next=page[-1].event_id if len(found) > len(page) else None,
        )

    @staticmethod
    async def _append(found: Versioned[Webhook], event: Event, tx: Transaction) -> WebhookView:
        stored = await tx.append(Webhook, found.id, [event], expected=found.version)
        return _view(stored.document)


async def _found(id: str, reader: Reader) -> Versioned[Webhook]:
    found = await reader.find(Webhook, id)
    if found is None or found.document.removed:
        raise NotFound(f"There is no webhook {id!r}.")
    return found


def _require_enabled(webhook: Webhook) -> None:
    if webhook.disabled is not None:
        raise Conflict(f"The webhook is disabled: {webhook.disabled}.", mend="Enable it first.")


def _view(webhook: Webhook) -> WebhookView:
    return WebhookView(
        id=webhook.id,
        url=webhook.url,
        types=webhook.types,
        description=webhook.description,
        signing=webhook.generations(now()),
        old_until=webhook.old_until,
        disabled=webhook.disabled,
    )


def _delivery(delivery: Delivery) -> DeliveryView:
    return DeliveryView(**{name: getattr(delivery, name) for name in DeliveryView.model_fields})
