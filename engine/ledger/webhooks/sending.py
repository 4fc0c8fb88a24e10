"""Sending: what is due goes out, signed, and again after a failure until it has arrived.

At least once: the message's id is the event's, the same in every attempt, so that a receiver can
tell repetitions apart. The waits between attempts and what answers mean follow the Standard
Webhooks specification ("Operational considerations").
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

import httpx
from pydantic import Field

from engine.kernel.clock import system_clock
from engine.kernel.contracts import (
    Call,
    Caller,
    Catalogue,
    Command,
    Event,
    Recorded,
    View,
    canonical_json,
)
from engine.kernel.dispatch import Dispatcher, Handlers, Transaction, answer_as
from engine.kernel.errors import InvalidInput
from engine.kernel.secret import Secret
from engine.ledger.subscriptions.topics import Delivered, Topic, matching
from engine.ledger.transparency.canonical import timestamp
from engine.ledger.webhooks.addresses import AllowedNetworks
from engine.ledger.webhooks.endpoints import PROJECTION, Webhook, WebhookDisabled
from engine.ledger.webhooks.signing import secret_of, signed_headers
from engine.ledger.webhooks.store import Deliveries, Delivery, Outcome

now: Callable[[], datetime] = system_clock

WAITS = tuple(
    timedelta(seconds=each) for each in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""Before each repetition; up to a tenth more, so that many do not come at once."""
DISABLED_AFTER = timedelta(days=5)
"""An endpoint that has failed for so long without a success is disabled."""
TIMEOUT_S = 15.0
AT_ONCE = 50
SENDING = timedelta(seconds=60)
"""A delivery is due again after these, should its sender die."""
GONE = 410
MOST_ERROR = 300


class QueueDeliveries:
    """The projection that makes a delivery of each event for each endpoint that wants it."""

    name = PROJECTION

    def __init__(self, catalogue: Catalogue) -> None:
        self.topic: Topic[Event] = Topic(tuple(catalogue.events.values()))
        self._catalogue = catalogue

    async def apply(self, delivered: Delivered[Event], tx: Transaction) -> None:
        recorded = delivered.recorded
        for found in await tx.list(Webhook, limit=1000):
            webhook = found.document
            wanted = not webhook.removed and webhook.disabled is None
            if wanted and matching(webhook.types, [recorded.type]):
                await tx.part(Deliveries).add(webhook.id, recorded, now())


class TakeDeliveries(Command):
    """Take what is due, in the name of whoever sends it."""

    permission: ClassVar[str] = "webhook.send"
    emits: ClassVar[tuple[type[Event], ...]] = ()

    limit: int = Field(AT_ONCE, ge=1, le=500)


class SettleDelivery(Command):
    """Keep what one attempt gave."""

    permission: ClassVar[str] = "webhook.send"
    emits: ClassVar[tuple[type[Event], ...]] = (WebhookDisabled,)

    webhook: str
    event_id: str
    status: int | None
    error: str = Field(max_length=MOST_ERROR)


class Message(View):
    """One message as it goes out, with the numbers of the secrets that sign it."""

    webhook: str
    event_id: str
    url: str
    body: str
    generations: list[int]


class Taken(View):
    items: list[Message]
    more: bool


class Settled(View):
    retry_at: datetime | None
    disabled: bool


class Outbox:
    """What is due, as messages, and what became of them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def handlers(self) -> Handlers:
        made = Handlers()
        made.command(TakeDeliveries, Taken)(self.take)
        made.command(SettleDelivery, Settled)(self.settle)
        return made

    async def take(self, command: TakeDeliveries, tx: Transaction, call: Call) -> Taken:
        deliveries, at = tx.part(Deliveries), now()
        taken = await deliveries.take(at, at + SENDING, command.limit)
        items = []
        for each in taken:
            found = await tx.find(Webhook, each.webhook)
            event = await deliveries.event(each.event_id)
            if found is None or found.document.removed or event is None:
                await deliveries.settle(each, Outcome(None, "there is nothing to send"), at, None)
            elif found.document.disabled is not None:
                await deliveries.settle(each, Outcome(None, "the webhook is disabled"), at, None)
            else:
                items.append(self._message(found.document, event, at))
        return Taken(items=items, more=len(taken) == command.limit)

    def _message(self, webhook: Webhook, event: Recorded, at: datetime) -> Message:
        body = {
            "type": event.type,
            "timestamp": timestamp(event.at),
            "data": {
                "kind": event.kind,
                "id": event.id,
                "version": event.version,
                "content": self._catalogue.public_data(event),
            },
        }
        return Message(
            webhook=webhook.id,
            event_id=event.event_id,
            url=webhook.url,
            body=canonical_json(body),
            generations=webhook.generations(at),
        )

    async def settle(self, command: SettleDelivery, tx: Transaction, call: Call) -> Settled:
        deliveries, at = tx.part(Deliveries), now()
        delivery = await deliveries.find(command.webhook, command.event_id)
        if delivery is None or delivery.state == "delivered":
            return Settled(retry_at=None, disabled=False)
        outcome = Outcome(command.status, command.error)
        retry_at = None if outcome.delivered else next_attempt(delivery, at)
        await deliveries.settle(delivery, outcome, at, retry_at)
        reason = None if outcome.delivered else await self._given_up(delivery, outcome, at, tx)
        if reason is None:
            return Settled(retry_at=retry_at, disabled=False)
        found = await tx.find(Webhook, delivery.webhook)
        if found is not None and found.document.disabled is None and not found.document.removed:
            event = WebhookDisabled(reason=reason)
            await tx.append(Webhook, delivery.webhook, [event], expected=found.version)
        return Settled(retry_at=None, disabled=True)

    @staticmethod
    async def _given_up(
        delivery: Delivery, outcome: Outcome, at: datetime, tx: Transaction
    ) -> str | None:
        """Why the endpoint is to be disabled, if it is."""
        if outcome.status == GONE:
            return "the receiver answered 410 Gone"
        since = await tx.part(Deliveries).failing_since(delivery.webhook)
        if since is not None and at - since >= DISABLED_AFTER:
            return f"nothing has arrived for {DISABLED_AFTER.days} days"
        return None


def next_attempt(delivery: Delivery, at: datetime) -> datetime | None:
    """When a delivery that has failed is tried again; None when it has been tried enough."""
    if delivery.attempts > len(WAITS):
        return None
    return at + WAITS[delivery.attempts - 1] * random.uniform(1.0, 1.1)


class Sender(Protocol):
    async def send(self, url: str, headers: dict[str, str], body: bytes) -> Outcome: ...


class HttpSender:
    """POST over one pool of connections. Redirects are failures: the signature is for the
    address that was registered."""

    def __init__(self, allowed: AllowedNetworks, timeout: float = TIMEOUT_S) -> None:
        self._allowed = allowed
        self._timeout = timeout
        self._client = httpx.AsyncClient(timeout=timeout, trust_env=False, follow_redirects=False)

    async def send(self, url: str, headers: dict[str, str], body: bytes) -> Outcome:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._send(httpx.URL(url), headers, body)
        except InvalidInput as error:
            return Outcome(None, error.detail[:MOST_ERROR])
        except (OSError, TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            return Outcome(None, f"{type(error).__name__}: {error}"[:MOST_ERROR])

    async def _send(self, url: httpx.URL, headers: dict[str, str], body: bytes) -> Outcome:
        # The address that was checked is the one that is asked, whatever the name says by then.
        address = await self._allowed.resolve(str(url))
        request = self._client.build_request(
            "POST",
            url.copy_with(host=address),
            content=body,
            headers={
                **headers,
                "host": url.netloc.decode(),
                "content-type": "application/json",
                "user-agent": "WebNova-Webhooks/1",
            },
            extensions={"sni_hostname": url.host},
        )
        response = await self._client.send(request, stream=True)
        await response.aclose()
        return Outcome(response.status_code, "" if response.is_success else "the receiver refused")

    async def close(self) -> None:
        await self._client.aclose()


class Backlog(Protocol):
    async def due(self, now: datetime, shard: tuple[int, int] = (0, 1)) -> Sequence[str]:
        """Tenants of the shard, (index, count), with deliveries that are due."""
        ...


class Postman:
    """Sends what is due of one shard of the tenants; any number may send for the same.

    `key` is the installation's key that secrets are derived from, asked for when first needed.
    `failed` is called with the tenant and what went wrong; the tenant stays due.
    """

    def __init__(
        self,
        name: str,
        backlog: Backlog,
        sender: Sender,
        key: Callable[[], Secret],
        dispatcher: Dispatcher,
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._name = name
        self._backlog = backlog
        self._sender = sender
        self._key = key
        self._dispatcher = dispatcher
        self._failed = failed

    async def turn(self, shard: tuple[int, int] = (0, 1)) -> None:
        for tenant in await self._backlog.due(now(), shard):
            try:
                while await self._round(tenant):
                    continue
            except Exception as error:  # noqa: BLE001 - told; the tenant stays due
                self._failed(tenant, error)

    async def _round(self, tenant: str) -> bool:
        taken = answer_as(Taken, await self._execute(tenant, TakeDeliveries()))
        results = await asyncio.gather(
            *(self._deliver(tenant, each) for each in taken.items), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return taken.more

    async def _deliver(self, tenant: str, message: Message) -> None:
        secrets = [
            secret_of(self._key(), tenant, message.webhook, each) for each in message.generations
        ]
        body = message.body.encode()
        headers = signed_headers(secrets, message.event_id, int(now().timestamp()), body)
        outcome = await self._sender.send(message.url, headers, body)
        settle = SettleDelivery(
            webhook=message.webhook,
            event_id=message.event_id,
            status=outcome.status,
            error=outcome.error,
        )
        await self._execute(tenant, settle)

    async def _execute(self, tenant: str, command: Command) -> Any:
        caller = Caller(self._name, tenant, frozenset({"webhook.send"}))
        return await self._dispatcher.execute(Call(command, caller, tenant))
